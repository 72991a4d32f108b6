"""A number is comparable with print only if everything it depends on is as the papers have it: one chain of fakes that
is, and each way in which it stops being so, from the score to the table, the terminal, the tidy table and a claim."""

import io
import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from t2i_repro.audit.evidence import rebuilt_evidence
from t2i_repro.audit.verdicts import Verdict, evaluate
from t2i_repro.core.artefact import Node
from t2i_repro.core.record import AlreadyBuilt, building, hash_files, write_json
from t2i_repro.data.layouts import cub
from t2i_repro.data.layouts.coco import COCO
from t2i_repro.data.released import COUNTED
from t2i_repro.metrics import score as score_verb
from t2i_repro.metrics.comparison import OLD
from t2i_repro.metrics.score_file import read_metric
from t2i_repro.planning import graph as graph_module
from t2i_repro.planning import sizes
from t2i_repro.planning.built import with_built_inputs
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.claims import parse
from t2i_repro.rendering import tables
from t2i_repro.rendering.terminal import write_table
from t2i_repro.rendering.tidy import tidy_table

PAPER, TABLE, ROW, COLUMN = "ssa-gan", "table2", "id1", "fid"


@dataclass
class Case:
    """A change of the comparable project. ``edits``: (file, old, new)."""

    overrides: dict[str, Any] = field(default_factory=dict)
    edits: list[tuple[str, str, str]] = field(default_factory=list)
    images: tuple[int, int] = (8_855, 2_933)
    classes: tuple[int, int] = (150, 50)
    captions: int = 10
    raw_is_standin: bool = False
    images_scored: int = 30_000
    names: str | None = None


@dataclass
class Shown:
    """What a reader sees of the number."""

    metric: dict[str, Any]
    cell: dict[str, Any]
    text: str
    tidy: dict[str, Any]
    claim: Verdict


def write_data(folder: Path, case: Case) -> None:
    """Prepared data with these counts, without a pixel."""
    count = sum(case.images)
    split = np.repeat(np.array([0, 1], dtype=np.uint8), case.images)
    first = np.arange(case.images[0]) % case.classes[0]
    second = case.classes[0] + np.arange(case.images[1]) % case.classes[1]
    arrays = {
        "class_ids": np.concatenate([first, second]),
        "shapes": np.zeros((count, 2), np.int32),
        "pixels": np.zeros(1, np.uint8),
        "offsets": np.zeros(count, np.int64),
        "caption_start": np.arange(count + 1) * case.captions,
        "tokens": np.ones(count * case.captions, np.int32),
        "token_start": np.arange(count * case.captions + 1),
        "text": np.zeros(1, np.uint8),
        "text_start": np.zeros(count * case.captions + 1, np.int64),
        "split": split,
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    index = {"format": 1, "layout": "cub", "image_size": 256, "short_side": 304, "class_names": {}}
    index |= {"raw_is_standin": case.raw_is_standin, "image_ids": [f"bird {number}" for number in range(count)]}
    write_json(folder / "index.json", index)
    write_json(folder / "vocabulary.json", ["<end>", "bird"])


def write_features(node: Node, case: Case, count: int) -> None:
    values = np.random.default_rng(len(node.name)).normal(size=(count, 2)).astype(np.float32)
    np.save(Path(node.folder) / "pooled.npy", values)
    np.save(Path(node.folder) / "origin.npy", np.zeros((count, 3), np.int64))
    network = {"network": node.spec["network"], "network_sha256": "ab" * 32, "network_trained_by_us": False}
    about = {"preparation": "unit", "standin": node.spec["standin"], "images": node.inputs["images"].path, "n": count}
    images = {"run": None, "image_size": 256, "reduced": False, "outside": None, "dimensions": 2}
    finish(node, {**network, **about, **images, "data_is_standin": case.raw_is_standin})


def finish(node: Node, facts: dict[str, Any]) -> None:
    record = {**node.to_json(), "facts": facts, "files": {}, "wall_seconds": 1}
    (Path(node.folder) / "record.json").write_text(json.dumps(record))


@pytest.fixture
def show(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Case], Shown]:
    """Build the cell of a case with fakes in the place of data and features, and look at it from everywhere."""
    shutil.copy(project / "params.yaml", tmp_path)
    shutil.copytree(project / "papers", tmp_path / "papers")
    monkeypatch.chdir(tmp_path)
    np.save("own.npy", np.zeros(1))
    monkeypatch.setattr(graph_module, "manifest_digest", lambda *_: ("ab" * 32, 1))
    monkeypatch.setattr(sizes, "count_splits", lambda *_: {"train": 600, "test": 232})

    def shown(case: Case) -> Shown:
        if case.names:
            monkeypatch.setattr(cub, "RELEASE", replace(cub.RELEASE, names=case.names))
        for file, old, new in case.edits:
            text = Path(file).read_text()
            assert text.count(old) == 1
            Path(file).write_text(text.replace(old, new))
        overrides = {"scale": "paper", "papers": [PAPER], "data_root": str(tmp_path), **case.overrides}
        planner = Planner(Path("."), overrides)
        (table,) = (node for node in planner.nodes.values() if node.name == f"{PAPER}-{TABLE}")
        for role, source in table.inputs.items():
            if role.startswith(f"{ROW}/{COLUMN}/"):
                build(planner, planner.nodes[f"{source.path}/record.json"], case)
        table = with_built_inputs(table)
        content = tables.table_content(table)
        (row,) = (row for row in content["rows"] if row["id"] == ROW)
        metric = read_metric(Path(next(iter(table.inputs.values())).path))
        paper = planner.registry[PAPER]
        text = io.StringIO()
        write_table(TABLE, paper["tables"][TABLE], content, text)
        frame = tidy_table(
            {PAPER: {TABLE: paper["tables"][TABLE]}}, {(PAPER, TABLE): content}, planner.params["protocols"]
        )
        (line,) = frame[(frame["row"] == ROW) & (frame["column"] == COLUMN)].to_dict("records")
        claim = evaluate(parse(f"{TABLE}.{ROW}.{COLUMN} < 100"), rebuilt_evidence(paper, {TABLE: content}))
        return Shown(metric, row["cells"][COLUMN], text.getvalue(), line, claim)

    return shown


def build(planner: Planner, score: Node, case: Case) -> None:
    """A score from features of random numbers, and the data that they go back to."""
    pending = list(planner.inputs_of(score).values())
    while pending:
        node = pending.pop()
        pending += planner.inputs_of(node).values()
        folder = Path(node.folder)
        folder.mkdir(parents=True, exist_ok=True)
        if node.kind == "prepare":
            write_data(folder, case)
            finish(node, {})
        elif node.kind == "embed":
            write_features(node, case, case.images_scored if node.spec["split"] is None else case.images[1])
    with suppress(AlreadyBuilt), building(score, Path(score.folder)) as work:
        score_verb.run(score, Path(score.folder), work)


def test_a_chain_as_the_papers_have_it_is_comparable(show: Callable[[Case], Shown]) -> None:
    shown = show(Case())
    assert shown.metric["obstacles"] == []
    assert shown.metric["comparable"]
    assert shown.metric["release"]
    assert COUNTED in shown.metric["caveats"]
    assert shown.cell["not_comparable"] is None
    assert shown.cell["difference"]
    assert "not comparable" not in shown.text
    assert shown.tidy["comparable"]
    assert shown.tidy["difference"] == shown.cell["difference"]["value"]
    assert shown.claim.truth is True


def test_another_seed_is_no_difference(show: Callable[[Case], Shown]) -> None:
    overrides = {"seeds": [7], "sample": {"seed": 3}, "damsm": {"seed": 5}}
    assert show(Case(overrides)).cell["not_comparable"] is None


SYSTEM = "ssa-gan-no-damsm: {base: df-gan, block: semantic-spatial, masks: 7}"
ID1 = "system: ssa-gan-no-damsm, printed: {is: [4.97, 0.09], fid: 18.54}"
RELEASED_NETWORK = "  inception-tf: {source: asset, asset: inception-tf-2015, trunk: inception-tf}"
STANDIN = "  inception-tf: {source: classifier, split: test, trunk: standin}"
PROVENANCE = {"by": "somebody", "from": "their page", "date": "2021"}
OUTSIDE = {
    "cub/ssa-gan-no-damsm": {"source": "samples", "path": "own.npy", "lossy": True, "provenance": PROVENANCE},
}
OF_RELEASE = "of the official release"


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        pytest.param(Case({"sample": {"images": 100}}, images_scored=100), "sample: images is 100, shipped as 30000"),
        pytest.param(Case({"sample": {"split": "train"}}), "sample: split is train, shipped as test"),
        pytest.param(Case({"damsm": {"epochs": 1}}), "damsm: epochs is 1, shipped as 200"),
        pytest.param(Case({"damsm": {"batch_norm": "batch"}}), "damsm: batch_norm is batch, shipped as frozen"),
        pytest.param(Case({"prepare": {"image_size": 512}}), "prepare: image_size is 512, shipped as 256"),
        pytest.param(Case({"datasets": {"cub": {"boxes": False}}}), "prepare: boxes is false, shipped as true"),
        pytest.param(
            Case({"datasets": {"cub": {"captions_per_image": 5}}}), "prepare: captions_per_image is 5, shipped as 10"
        ),
        pytest.param(Case({"protocols": {"fid:tf": {"reference": "train"}}}), "embed: split is train, shipped as test"),
        pytest.param(
            Case({"protocols": {"fid:tf": {"network": "imagenet"}}}),
            "embed: network is inception-v3-imagenet, shipped as inception-tf-2015",
        ),
        pytest.param(Case(edits=[("params.yaml", RELEASED_NETWORK, STANDIN)]), "stand-in network"),
        pytest.param(
            Case({"scales": {"paper": {"label": "mine", "datasets": ["cub", "coco"], "train": {"epochs": 3}}}}),
            "cub-ssa-gan-no-damsm: epochs is 3, shipped as 600",
        ),
        pytest.param(
            Case({"scales": {"paper": {"system": {"one-stage": {"width": 32}}}}}),
            "cub-ssa-gan-no-damsm: system.width is 32, shipped as 64",
        ),
        pytest.param(
            Case(edits=[("papers/ssa-gan.yaml", SYSTEM, SYSTEM.replace("masks: 7", "masks: 7, width: 16"))]),
            "cub-ssa-gan-no-damsm: system.width is 16, shipped as 64",
        ),
        pytest.param(
            Case(edits=[("papers/ssa-gan.yaml", ID1, ID1.replace("-no-damsm", ""))]),
            "ssa-gan/table2/id1/fid: system is ssa-gan, shipped as ssa-gan-no-damsm",
        ),
        pytest.param(
            Case(edits=[("papers/ssa-gan.yaml", ID1, ID1.replace("18.54", "1.85"))]),
            "ssa-gan/table2/id1/fid: printed is 1.85, shipped as 18.54",
        ),
        pytest.param(
            Case(
                edits=[
                    (
                        "params.yaml",
                        '"fid:tf": {metric: frechet-distance, network: inception-tf, reference: test}',
                        '"fid:tf": {metric: frechet-distance, network: inception-tf, reference: test, divide: 4}',
                    )
                ]
            ),
            "embed: size is 64, shipped as not set",
        ),
        pytest.param(Case(images=(600, 232)), f"600 train images, not the 8,855 {OF_RELEASE}"),
        pytest.param(Case(images=(8_855, 2_932)), f"2,932 test images, not the 2,933 {OF_RELEASE}"),
        pytest.param(Case(classes=(149, 50)), f"149 train classes, not the 150 {OF_RELEASE}"),
        pytest.param(Case(captions=9), "106,092 captions of 11,788 images"),
        pytest.param(Case(names="ab" * 32), "other images than those of the official release, by their names"),
        pytest.param(Case(raw_is_standin=True), "stand-in data"),
    ],
    ids=lambda value: value[:60] if isinstance(value, str) else "",
)
def test_each_change_is_named_everywhere(show: Callable[[Case], Shown], case: Case, reason: str) -> None:
    shown = show(case)
    why = shown.cell["not_comparable"]
    assert why.startswith("not comparable (paper scale, but: ")
    assert reason in why
    assert shown.cell["difference"] is None
    assert why in " ".join(shown.text.split())
    assert not shown.tidy["comparable"]
    assert shown.tidy["not_comparable"] == why
    assert (shown.claim.word, shown.claim.reasons) == ("cannot tell", (why,))
    if not reason.startswith("ssa-gan/"):  # those are about the cell
        assert not shown.metric["comparable"]
        assert any(reason in obstacle for obstacle in shown.metric["obstacles"])


def test_a_score_of_an_earlier_version_is_not_comparable(show: Callable[[Case], Shown]) -> None:
    shown = show(Case())
    old = {key: value for key, value in shown.metric.items() if key != "release"}
    (folder,) = Path("results/paper/metrics").iterdir()
    write_json(folder / "metric.json", old)
    record = json.loads((folder / "record.json").read_text())
    record["files"] = {name: file for name, file in hash_files(folder).items() if name != "record.json"}
    write_json(folder / "record.json", record)
    again = show(Case())
    assert again.cell["not_comparable"] == f"not comparable (paper scale, but: {OLD})"


@pytest.mark.parametrize(("lossy", "size"), [(False, 256), (True, 256), (False, 128)])
def test_outside_samples_of_the_papers_number_and_size_are_comparable(
    show: Callable[[Case], Shown], lossy: bool, size: int
) -> None:
    entry = {**OUTSIDE["cub/ssa-gan-no-damsm"], "lossy": lossy, "image_size": size}
    why = show(Case({"outside": {"cub/ssa-gan-no-damsm": entry}})).cell["not_comparable"]
    assert (why is None) == (not lossy and size == 256)


@pytest.mark.parametrize(("year", "known"), [(2014, True), (2017, False), (None, False)])
def test_only_the_year_of_the_papers_is_a_known_release(year: int | None, known: bool) -> None:
    assert (COCO.release(year) is not None) == known
