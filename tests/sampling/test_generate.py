"""Captions of one's own from a trained run, by hand and as a checkpoint of somebody else's."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from flow import build
from PIL import Image

from t2i_repro.cli import main
from t2i_repro.core.artefact import Input, Node
from t2i_repro.core.digest import file_sha256
from t2i_repro.core.record import building
from t2i_repro.data.prepared import Prepared
from t2i_repro.metrics.external import run as take_over
from t2i_repro.metrics.images import open_images
from t2i_repro.sampling.generate import find_run, noises, slug
from t2i_repro.sampling.generator import load_run
from t2i_repro.sampling.text import Caption

Flow = tuple[Path, dict[str, Node]]


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_pictures_carry_their_captions(flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, out = flow[0] / "train", tmp_path / "out"
    captions = ["a small red bird <b>", "This bird has a black wing, 5% & a Café."]
    assert main(["generate", "--run", str(run), *captions, "--out", str(out), "--count", "2", "--seed", "4"]) == 0
    names = pictures(out)
    assert names == [
        "01-a-small-red-bird-b-s4-0.png",
        "01-a-small-red-bird-b-s4-1.png",
        "02-this-bird-has-a-black-wing-5-a-caf-s4-0.png",
        "02-this-bird-has-a-black-wing-5-a-caf-s4-1.png",
    ]
    assert capsys.readouterr().out.split() == [str(out / name) for name in names]
    with Image.open(out / names[2]) as picture:
        metadata = picture.info
        assert metadata["Title"] == captions[1]
        assert "train, seed 4, variant 0" in metadata["Description"]
        ink = np.asarray(picture.convert("L"))[180:] < 100
        assert ink.any()  # the caption is written below the image


def test_a_picture_is_what_the_run_paints_and_depends_on_nothing_else(flow: Flow, tmp_path: Path) -> None:
    folder, _ = flow
    caption = "a small bird"
    assert (
        main(["generate", "--run", str(folder / "train"), caption, "--out", str(tmp_path / "one"), "--count", "3"]) == 0
    )
    call = ["generate", "--run", str(folder / "train"), "a black wing", caption, "--out", str(tmp_path / "two")]
    assert main(call) == 0
    first = (tmp_path / "one/01-a-small-bird-s0-0.png").read_bytes()
    assert (tmp_path / "two/02-a-small-bird-s0-0.png").read_bytes() == first
    assert len({path.read_bytes() for path in (tmp_path / "one").iterdir()}) == 3
    loaded = load_run(folder / "train", folder / "prepare", folder / "damsm")
    tokens = Prepared(folder / "prepare").encode(caption)
    image = loaded.generate([Caption(caption, tokens)], noises(0, 1, loaded.noise_dim))[0]
    with Image.open(tmp_path / "one/01-a-small-bird-s0-0.png") as picture:
        shown = np.asarray(picture)[10:170, 10:170]
    assert np.array_equal(shown[::10, ::10], image)


def test_unknown_words_are_left_out_and_said(
    flow: Flow,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    run = str(flow[0] / "train")
    call = ["generate", "--run", run, "--out", str(tmp_path)]
    assert main([*call, "a small xylophone bird xylophone zebra"]) == 0
    assert "the run does not know xylophone, zebra; left out" in caplog.text
    caplog.clear()
    assert main([*call, "a small red bird with a black wing and a red wing"]) == 0
    assert "the run reads 6 words; the last" in caplog.text
    for caption, message in (("xylophone zebra", "the run knows none of its words"), ("?!", "found no word in it")):
        assert main([*call, "a small bird", caption]) == 2
        assert message in capsys.readouterr().err
    assert len(pictures(tmp_path)) == 2  # a call that fails generates nothing


def test_what_is_no_run_is_refused(flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, _ = flow
    for run, message in (
        (str(folder / "prepare"), "is a prepare artefact"),
        ("cub-nothing", "--run: 'cub-nothing' is no run; there are none"),
        (str(tmp_path), "never completed"),
    ):
        assert main(["generate", "--run", run, "a bird"]) == 2
        assert message in capsys.readouterr().err
    assert main(["generate", "--run", str(folder / "train"), "a bird", "--count", "0"]) == 2
    assert "--count: found 0" in capsys.readouterr().err
    shutil.copytree(folder / "train", tmp_path / "moved")
    record = json.loads((tmp_path / "moved/record.json").read_text())
    record["inputs"]["text"]["path"] = "results/elsewhere"
    (tmp_path / "moved/record.json").write_text(json.dumps(record))
    assert main(["generate", "--run", str(tmp_path / "moved"), "a bird"]) == 2
    assert "was trained with text results/elsewhere" in capsys.readouterr().err


def test_runs_are_found_by_name_and_inputs_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from t2i_repro.errors import ReproError
    from t2i_repro.sampling.generate import input_of

    runs = [tmp_path / f"results/{scale}/runs/cub-ssa-gan-s0-0123456789" for scale in ("smoke", "paper")]
    text = tmp_path / "results/smoke/encoders/cub-damsm-0123456789"
    for folder in (*runs, text):
        folder.mkdir(parents=True)
        (folder / "record.json").write_text(json.dumps({"digest": "0123456789"}))
    record = {"inputs": {"text": {"path": "results/smoke/encoders/cub-damsm-0123456789", "digest": "0123456789"}}}
    assert input_of(runs[0], record, "text") == text  # from a folder outside the project
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ReproError, match="more than one run; there are results/paper"):
        find_run("cub-ssa-gan-s0")
    shutil.rmtree(runs[1])
    for name in ("cub-ssa-gan-s0", "cub-ssa-gan-s0-0123456789", str(runs[0])):
        assert find_run(name).resolve() == runs[0]
    record["inputs"]["text"]["digest"] = "9876543210"
    with pytest.raises(ReproError, match="digest 9876543210"):
        input_of(runs[0], record, "text")


def test_names_of_files() -> None:
    assert slug("A small, red bird!") == "a-small-red-bird"
    assert slug("птица") == "caption"
    assert slug("../../etc/passwd") == "etc-passwd"
    assert len(slug("word " * 40)) <= 60
    assert slug("word " * 40).endswith("word")


def test_a_checkpoint_of_others_paints_what_the_run_did(flow: Flow, tmp_path: Path) -> None:
    folder, nodes = flow
    sha = file_sha256(folder / "train/record.json")
    provenance = {"by": "A", "from": "B", "date": "2021"}
    spec = {**nodes["run"].spec, "checkpoint": sha, "provenance": provenance}
    given = {
        role: Input(str(folder / nodes[role].kind), nodes[role].digest, nodes[role].kind) for role in ("data", "text")
    }
    node = Node("import-run", "import-run", "test", spec, given, locations={"path": str(folder / "train")})
    with building(node, tmp_path / "import-run") as work:
        take_over(node, tmp_path / "import-run", work)
    assert not (tmp_path / "import-run/checkpoint.pt").exists()
    images = []
    for run, place in ((nodes["run"], folder), (node, tmp_path)):
        out = tmp_path / f"of-{run.kind}"
        out.mkdir()
        for kind in ("prepare", "damsm"):
            (out / kind).symlink_to(folder / kind)
        (out / run.kind).symlink_to(place / run.kind)
        inputs = {"run": run, "data": nodes["data"], "text": nodes["text"]}
        build(out, "sample", {"images": 5, "seed": 3, "split": "test"}, inputs)
        images.append(open_images(out / "sample", "sample", None))
    assert np.array_equal(images[0].read(0, 5), images[1].read(0, 5))
    assert images[0].outside is None
    assert images[1].outside == {"source": "checkpoint", **provenance, "sha256": sha, "remarks": []}
    assert main(["generate", "--run", str(tmp_path / "import-run"), "a red bird", "--out", str(tmp_path / "o")]) == 0
