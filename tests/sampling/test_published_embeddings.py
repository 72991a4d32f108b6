"""StackGAN's published sentence embeddings in the place of an encoder of ours: planned, read, trained on, sampled."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flow import HOW, build
from tiny import CPU

from t2i_repro.core.artefact import Input, Node
from t2i_repro.core.record import building, read_record
from t2i_repro.data.manifest import content_digest
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.extractors import open_extractor
from t2i_repro.planning.plan import Planner
from t2i_repro.sampling.conditioners import load_text
from t2i_repro.sampling.text import Caption
from t2i_repro.training import pretrain

DIM = 6
TRAIN: dict[str, Any] = {"image_size": 16, "batch": 4, "words": 5, "seed": 0}
SYSTEM = {"kind": "nested", "captions": {"train": "random", "test": "first"}}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("birds")
    layout = {"layout": "cub", "captions_per_image": 10}
    classes = {"train_classes": 3, "test_classes": 2, "images_per_class": 4, "side": 40, "seed": 0}
    raw = build(folder, "standin", {**layout, **classes})
    build(folder, "prepare", {**layout, "year": None, "boxes": True, "image_size": 16, "manifest": None}, {"raw": raw})
    return folder


def vector(image: str, caption: int) -> np.ndarray:
    return np.random.default_rng([*image.encode(), caption]).standard_normal(DIM, dtype=np.float32)


def publish(folder: Path, data: Prepared, captions: int = 10) -> Path:
    """Both splits as their authors wrote them, images in another order than ours."""
    for split, members in data.splits.items():
        names = [data.image_ids[image] for image in members[::-1]]
        arrays = [np.stack([vector(name, caption) for caption in range(captions)]) for name in names]
        (folder / split).mkdir(parents=True)
        contents = {"char-CNN-RNN-embeddings": arrays, "filenames": names, "class_info": [1] * len(names)}
        for name, content in contents.items():
            (folder / split / f"{name}.pickle").write_bytes(pickle.dumps(content, protocol=2))
    return folder


def take(prepared: Path, folder: Path, published: Path, content: str | None = None) -> Path:
    data = Input(str(prepared / "prepare"), read_record(prepared / "prepare")["digest"], "prepare")
    spec = {"published": content or content_digest(published, suffixes=(".pickle",)), "dim": DIM}
    where = {"embeddings": str(published)}
    node = Node("char-cnn-rnn", "cub-published", "test", spec, {"data": data}, locations=where, runtime=dict(HOW))
    with building(node, folder / "text") as work:
        pretrain.run(node, folder / "text", work)
    return folder / "text"


def test_systems_and_metrics_read_what_was_published(prepared: Path, tmp_path: Path) -> None:
    data = Prepared(prepared / "prepare")
    folder = take(prepared, tmp_path, publish(tmp_path / "published", data))
    expected = np.stack(
        [vector(name, c) for image, name in enumerate(data.image_ids) for c in range(len(data.caption_ids(image)))]
    )
    assert np.array_equal(np.load(folder / "embeddings.npy"), expected)

    conditioner = load_text(folder, data, {**TRAIN, "system": SYSTEM})
    batch = conditioner.batches(data, {**TRAIN, "system": SYSTEM}).batch(0)
    for image, sentence in zip(batch.image_index.tolist(), conditioner.of_batch(batch).sentence, strict=True):
        numbers = data.caption_ids(image)
        assert any(np.array_equal(sentence.numpy(), expected[number]) for number in numbers)
    number = 37
    told = conditioner.of_captions([Caption(data.caption(number), np.array([1]))], CPU)
    same = [other for other in range(len(expected)) if data.caption(other) == data.caption(number)]
    assert any(np.array_equal(told.sentence[0].numpy(), expected[other]) for other in same)
    with pytest.raises(ReproError, match=r"'a purple cow': no caption of .*char_cnn_rnn\.source: trained"):
        conditioner.of_caption(Caption("a purple cow", np.array([1])), CPU)

    network = open_extractor(folder, CPU)
    assert not network.standin
    assert network.embed_captions is not None
    assert torch.equal(network.embed_captions(data, [5, 3]), torch.from_numpy(expected[[5, 3]]))


def test_files_of_other_captions_or_changed_since_the_plan_are_refused(prepared: Path, tmp_path: Path) -> None:
    data = Prepared(prepared / "prepare")
    with pytest.raises(ReproError, match=r"9 embeddings of .*, which has 10 captions"):
        take(prepared, tmp_path, publish(tmp_path / "fewer", data, captions=9))
    with pytest.raises(ReproError, match="files changed since the plan"):
        take(prepared, tmp_path, publish(tmp_path / "other", data), content="0" * 64)


def test_the_plan_names_the_files_by_their_content(prepared: Path, project: Path, tmp_path: Path) -> None:
    def planner(root: Path | None) -> Planner:
        chosen = {"papers": ["hdgan"], "char_cnn_rnn": {"source": "published"}}
        batch = {"batch": 4}  # the splits are small
        scales = {"smoke": {"datasets": ["cub"], "classifier": batch, "damsm": batch, "train": batch}}
        return Planner(project, {**chosen, "scales": scales, "data_root": None if root is None else str(root)})

    with pytest.raises(ReproError, match=r"char_cnn_rnn\.source: found published; that needs real data"):
        planner(None)
    root = tmp_path / "data"
    root.mkdir()
    (root / "CUB_200_2011").symlink_to((prepared / "standin/CUB_200_2011").resolve())
    with pytest.raises(ReproError, match=r"char-cnn-rnn/cub: found no file that ends in \.pickle"):
        planner(root)
    folder = publish(root / "char-cnn-rnn/cub", Prepared(prepared / "prepare"))
    nodes = planner(root).nodes.values()
    (text,) = [node for node in nodes if node.kind == "char-cnn-rnn"]
    assert text.spec["published"] == content_digest(folder, suffixes=(".pickle",))
    assert text.locations == {"embeddings": str(folder)}
    runs = [node for node in nodes if node.kind == "train" and node.inputs["text"].digest == text.digest]
    assert len(runs) > 8
