"""Runs of sentence systems through the verbs: trained, the second upon the first, and sampled."""

import csv
import json
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow import HOW, build

from t2i_repro.core.artefact import KINDS, Input, Node
from t2i_repro.core.files import hash_files
from t2i_repro.core.record import building, read_record, write_json
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.models.encoders.char_cnn_rnn import characters
from t2i_repro.models.state import load_torch, save_torch
from t2i_repro.sampling.conditioners import load_text
from t2i_repro.sampling.draws import CaptionSampler
from t2i_repro.sampling.generator import generate_images, load_run

CAPTIONS = {"train": "mean-of-4", "test": "first"}
SWITCHES = {"patches": "code", "wrong_image": "code", "pair_weights": "code", "mismatch": "code"}
SMALL = {"encoder": "char-cnn-rnn", "captions": CAPTIONS, "width": 8, "latent": 8, "condition": 4}
NESTED = {"kind": "nested", **SMALL, "scales": [4, 2, 1], "image_loss": "local", "kl": 4.0, "switches": SWITCHES}
STACK = {"kind": "stackgan", **SMALL, "kl": 2.0, "residuals": 1}
SYSTEMS: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "hdgan": (NESTED, 64, None),
    "hdgan-512": (NESTED | {"extension": {"repeats": 1, "l1": 1.0}}, 128, "hdgan"),
    "stage-1": (STACK | {"stage": 1}, 16, None),
    "stage-2": (STACK | {"stage": 2}, 64, "stage-1"),
    "gan-int-cls": ({"kind": "gan-int-cls", **SMALL, "interpolation": 0.5}, 16, None),
}


class Flow:
    """Artefacts of one folder, by name."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nodes: dict[str, Node] = {}

    def build(self, name: str, kind: str, spec: dict[str, Any], **inputs: str) -> Path:
        given = {
            role: Input(str(self.folder / other), self.nodes[other].digest, self.nodes[other].kind)
            for role, other in inputs.items()
        }
        self.nodes[name] = node = Node(kind, name, "test", spec, given, runtime=dict(HOW))
        with building(node, self.folder / name) as work:
            import_module(KINDS[node.kind].module).run(node, self.folder / name, work)
        return self.folder / name


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    made = Flow(tmp_path_factory.mktemp("sentence"))
    layout = {"layout": "cub", "captions_per_image": 10}
    classes = {"train_classes": 3, "test_classes": 2, "images_per_class": 4, "side": 80, "seed": 0}
    made.build("raw", "standin", {**layout, **classes})
    prepare = {**layout, "year": None, "boxes": True, "image_size": 64, "manifest": None}
    made.build("data", "prepare", prepare, raw="raw")
    classifier = {"image_size": 16, "width": 1, "batch": 4, "epochs": 1, "lr": 1e-3, "seed": 0}
    made.build("trunk", "classifier", {**classifier, "split": "train", "trunk": "standin"}, data="data")
    encoder = {"dim": 8, "width": 8, "lr": 7e-4, "decay": 0.98, "form": "code", "seed": 0, "batch": 4, "epochs": 1}
    made.build("text", "char-cnn-rnn", {**encoder, "image_size": 16}, data="data", trunk="trunk")
    schedule = {"batch": 4, "words": 6, "epochs": 1, "halve_every": 1, "betas": [0.5, 0.999], "seed": 0}
    rates = {"lr_g": 1e-3, "lr_d": 1e-3, "ema": None}
    for name, (system, size, after) in SYSTEMS.items():
        first = 2 if system["kind"] == "nested" else 1
        spec = {"system": system, "image_size": size, "base_size": first, **schedule, **rates}
        base = {} if after is None else {"base": after}
        made.build(name, "train", spec, data="data", text="text", **base)
        wake(made, name)
    return made


def sampler(flow: Flow, seed: int) -> CaptionSampler:
    return CaptionSampler(Prepared(flow.folder / "data"), "test", 6, seed, "first")


def wake(flow: Flow, run: str) -> None:
    """A copy of a run, ``<run>-awake``, with weights large enough to be seen after three steps of training."""
    shutil.copytree(flow.folder / run, flow.folder / f"{run}-awake")
    flow.nodes[f"{run}-awake"] = flow.nodes[run]
    torch.manual_seed(0)
    state = load_torch(flow.folder / run / "generator.pt")
    for name, value in state.items():
        if value.ndim > 1:
            value.normal_(0, value[0].numel() ** -0.5)
        elif name.endswith("running_var"):
            value.fill_(1)
    save_torch(flow.folder / f"{run}-awake/generator.pt", state)
    record = flow.folder / f"{run}-awake/record.json"
    content = json.loads(record.read_text())
    record.unlink()
    write_json(record, {**content, "files": hash_files(record.parent)})


def sample(flow: Flow, run: str, out: str, **changes: Any) -> Path:
    spec = {"images": 11, "seed": 3, "split": "test", **changes}
    return flow.build(out, "sample", spec, run=run, data="data", text="text")


@pytest.mark.parametrize("run", SYSTEMS)
def test_a_run_is_trained_and_sampled(flow: Flow, run: str) -> None:
    facts = read_record(flow.folder / run)["facts"]
    assert facts["standin"]
    assert facts["steps"] == 3
    assert all(np.isfinite(value) for value in facts["losses"].values())
    assert list((flow.folder / run / "grids").iterdir())
    images = np.load(sample(flow, f"{run}-awake", f"{run}-sample") / "images.npy")
    size = SYSTEMS[run][1]
    assert images.shape == (11, size, size, 3)
    assert len(np.unique(images.reshape(11, -1), axis=0)) > 8  # 8 test images, hence captions: the noise matters too
    assert (images.reshape(11, -1, 3).std(axis=1) > 0).all()  # no image is one colour


@pytest.mark.parametrize("run", ["hdgan-awake", "stage-2-awake"])
def test_an_image_is_of_the_first_caption_and_of_its_own_noise(flow: Flow, run: str) -> None:
    folder, prepared = sample(flow, run, f"{run}-again"), Prepared(flow.folder / "data")
    with (folder / "captions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    first = {image: str(prepared.caption_ids(number)[0]) for number, image in enumerate(prepared.image_ids)}
    assert all(row["caption_id"] == first[row["image_id"]] for row in rows)
    images = np.load(folder / "images.npy")
    fewer = np.load(sample(flow, run, f"{run}-fewer", images=2) / "images.npy")
    assert np.array_equal(fewer, images[:2])
    other = np.load(sample(flow, run, f"{run}-other", seed=4) / "images.npy")
    assert not np.array_equal(other, images)

    loaded = load_run(flow.folder / run, flow.folder / "data", flow.folder / "text")
    draws = CaptionSampler(prepared, "test", 6, 3, "first")
    noise = torch.from_numpy(np.stack([draws.noise(i, loaded.noise_dim) for i in range(2)]))
    with torch.no_grad():
        sentence = loaded.text.encoder(characters([rows[i]["caption"] for i in range(2)]))
        expected = (loaded.generator(noise, sentence) + 1) * 127.5
    assert np.abs(expected.permute(0, 2, 3, 1).numpy() - fewer).max() < 1.01


def test_the_extended_run_kept_the_weights_it_began_with(flow: Flow) -> None:
    for run, part in (("hdgan-512", "base."), ("stage-2", "stage_one.")):
        base = load_torch(flow.folder / str(SYSTEMS[run][2]) / "generator.pt")
        extended = load_torch(flow.folder / run / "generator.pt")
        assert all(torch.equal(value, extended[f"{part}{name}"]) for name, value in base.items())


@pytest.mark.parametrize(
    ("run", "names"),
    [("hdgan", ("images-16", "images-32", "images")), ("stage-2", ("images-16", "images")), ("stage-1", ("images",))],
)
def test_side_outputs_and_earlier_stages_are_sampled_too(flow: Flow, run: str, names: tuple[str, ...]) -> None:
    folder = sample(flow, f"{run}-awake", f"{run}-sides")
    assert {path.stem for path in folder.glob("*.npy")} == set(names)
    loaded = load_run(flow.folder / f"{run}-awake", flow.folder / "data", flow.folder / "text")
    captions, noise = sampler(flow, 3).inputs(range(2), loaded.noise_dim)
    stages = loaded.stages(captions, noise)
    for name, images in zip(names, stages, strict=True):
        assert np.array_equal(np.load(folder / f"{name}.npy")[:2], images)


def test_the_sketch_is_what_the_first_stage_draws(flow: Flow) -> None:
    second, first = (
        load_run(flow.folder / run, flow.folder / "data", flow.folder / "text") for run in ("stage-2", "stage-1")
    )
    captions, noise = sampler(flow, 3).inputs(range(3), second.noise_dim)
    assert np.array_equal(second.stages(captions, noise)[0], first.generate(captions, noise[:, : first.noise_dim]))


def test_embeddings_of_other_captions_are_refused(flow: Flow, tmp_path: Path) -> None:
    layout = {"layout": "cub", "captions_per_image": 10}
    classes = {"train_classes": 2, "test_classes": 1, "images_per_class": 4, "side": 40, "seed": 0}
    raw = build(tmp_path, "standin", {**layout, **classes})
    spec = {**layout, "year": None, "boxes": True, "image_size": 16, "manifest": None}
    build(tmp_path, "prepare", spec, {"raw": raw})
    with pytest.raises(ReproError, match=r"has 200 rows, but .* has 120 captions"):
        load_run(flow.folder / "hdgan", tmp_path / "prepare", flow.folder / "text")


def test_a_batch_trains_on_the_embeddings_that_were_written(flow: Flow) -> None:
    prepared, spec = Prepared(flow.folder / "data"), read_record(flow.folder / "hdgan")["spec"]
    side = load_text(flow.folder / "text", prepared, spec)
    batch = side.batches(prepared, spec).batch(1)
    read = side.of_batch(batch).sentence
    written = np.load(flow.folder / "text/embeddings.npy")
    for row, image in zip(read, batch.image_index.tolist(), strict=True):
        own = torch.from_numpy(written[list(prepared.caption_ids(image))])
        means = torch.stack([own[four].mean(0) for four in torch.combinations(torch.arange(len(own)), 4)])
        assert (means - row).abs().amax(1).min() < 1e-6


def test_an_image_does_not_depend_on_the_others_of_its_group(flow: Flow) -> None:
    loaded = load_run(flow.folder / "hdgan-awake", flow.folder / "data", flow.folder / "text")
    captions, noise = sampler(flow, 0).inputs(range(5), loaded.noise_dim)
    together, alone = (
        generate_images(loaded.generator, loaded.text, captions[chosen], noise[chosen], torch.device("cpu")).images
        for chosen in (slice(0, 5), slice(3, 4))
    )
    assert all(torch.equal(one[3:4], other) for one, other in zip(together, alone, strict=True))


@pytest.mark.parametrize("name", ["hdgan", "hdgan-512", "stage-2"])
def test_a_run_paints_what_lies_between_two_sentences(flow: Flow, name: str) -> None:
    run = load_run(flow.folder / f"{name}-awake", flow.folder / "data", flow.folder / "text")
    draws = CaptionSampler(Prepared(flow.folder / "data"), "test", 6, 0)
    ends = [draws.caption(0), draws.caption(1)]
    noise = draws.noise(0, run.noise_dim)
    between = run.between(*ends, [0.0, 0.25, 1.0], noise)
    np.testing.assert_array_equal(between[[0, 2]], run.generate(ends, np.stack([noise, noise])))
    assert len(np.unique(between.reshape(3, -1), axis=0)) == 3


@pytest.mark.parametrize(
    ("name", "noise"), [("hdgan", 12), ("hdgan-512", 12), ("stage-1", 12), ("stage-2", 16), ("gan-int-cls", 8)]
)
def test_the_noise_begins_with_z(flow: Flow, name: str, noise: int) -> None:
    run = load_run(flow.folder / f"{name}-awake", flow.folder / "data", flow.folder / "text")
    assert (run.z_dim, run.noise_dim) == (SMALL["latent"], noise)
