"""Plots in the plan: scores at the snapshots of a run, class-wise scores, and why some are not built."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from project_copy import one_paper

from t2i_repro.errors import ReproError
from t2i_repro.planning import figures
from t2i_repro.planning.plan import Planner
from t2i_repro.training.schedules import snapshot_epochs

SYSTEMS = [
    {"label": "SSA-GAN", "system": "ssa-gan"},
    {"label": "Obj-GAN"},
    {"label": "DF-GAN", "system": "df-gan"},
]
SIZES = ["is:finetuned-64px", "is:finetuned-128px", "is:finetuned"]
PRINTED = {"where": "Fig. 30", "caption": "A plot.", "dataset": "cub"}
CURVE = {**PRINTED, "kind": "curve", "systems": SYSTEMS, "protocols": SIZES}
SCATTER = {**PRINTED, "kind": "scatter", "systems": [SYSTEMS[0], SYSTEMS[2]], "protocol": "ms-ssim:class-wise-std"}


@pytest.fixture
def plots(project: Path, tmp_path: Path) -> Path:
    """The project with a curve and a scatter of SSA-GAN, whose run on CUB keeps three snapshots."""
    shutil.copy(project / "params.yaml", tmp_path)
    one_paper(tmp_path / "params.yaml")
    shutil.copytree(project / "papers", tmp_path / "papers")
    return change(tmp_path, {"fig30": CURVE, "fig31": SCATTER}, {"cub": {"train": {"snapshots": 3}}})


def change(folder: Path, entries: dict[str, Any], on: dict[str, Any] | None = None) -> Path:
    path = folder / "papers/ssa-gan.yaml"
    paper = yaml.safe_load(path.read_text())
    paper["figures"] = entries
    if on is not None:
        paper["systems"]["ssa-gan"]["on"] = on
    path.write_text(yaml.safe_dump(paper, sort_keys=False))
    return folder


@pytest.mark.parametrize(
    ("epochs", "snapshots", "found"),
    [
        (8, 3, [2, 5, 8]),
        (3, 8, [1, 2, 3]),
        (800, 8, [100, 200, 300, 400, 500, 600, 700, 800]),
        (7, None, [7]),
        (1, 4, [1]),
    ],
)
def test_snapshots_are_evenly_spaced_up_to_the_end(epochs: int, snapshots: int | None, found: list[int]) -> None:
    train = {"epochs": epochs} | ({} if snapshots is None else {"snapshots": snapshots})
    assert snapshot_epochs(train) == found


def snapshots_of(planner: Planner) -> list[int]:
    found = snapshot_epochs(planner.train("ssa-gan", "cub", 0).spec)
    assert len(found) == 3
    return found


def test_a_curve_scores_every_snapshot(plots: Path) -> None:
    planner = Planner(plots)
    *_, last = snapshots_of(planner)
    scores = planner.inputs_of(planner.figure("ssa-gan", "fig30"))
    assert list(scores) == [
        *(f"ssa-gan/{side}/{epoch}" for side in (16, 32, 64) for epoch in snapshots_of(planner)),
        *(f"df-gan/{side}/{last}" for side in (16, 32, 64)),
    ]
    runs = set()
    for role, score in scores.items():
        system, side, epoch = role.split("/")
        features = planner.inputs_of(score)["features"]
        sample = planner.inputs_of(features)["images"]
        runs.add(planner.inputs_of(sample)["run"].name)
        assert planner.inputs_of(sample)["run"].name == f"cub-{system}-s0"
        assert features.spec.get("size", 64) == int(side)
        assert sample.spec.get("snapshot") == (None if int(epoch) == last else int(epoch))
        assert score.spec["protocol"] == dict(zip((16, 32, 64), SIZES, strict=True))[int(side)]
    assert runs == {"cub-ssa-gan-s0", "cub-df-gan-s0"}
    assert len({score.record for score in scores.values()}) == 12


def test_snapshots_change_their_own_run_and_no_other(plots: Path, project: Path) -> None:
    kept, plain = Planner(plots), Planner(project)
    assert kept.train("ssa-gan", "cub", 0).record != plain.train("ssa-gan", "cub", 0).record
    assert kept.train("df-gan", "cub", 0).record == plain.train("df-gan", "cub", 0).record
    run = kept.train("ssa-gan", "cub", 0)
    assert len({kept.sample(run, epoch).record for epoch in (None, *snapshots_of(kept)[:2])}) == 3


def test_the_end_of_a_curve_is_what_tables_print(plots: Path) -> None:
    planner = Planner(plots)
    printed = {one.path for one in planner.table("ssa-gan", "table1").inputs.values()}
    printed |= {one.path for one in planner.table("ssa-gan", "table2").inputs.values()}
    end = planner.figure("ssa-gan", "fig30").inputs
    _, before, last = snapshots_of(planner)
    assert end[f"ssa-gan/64/{last}"].path in printed
    assert end[f"ssa-gan/64/{before}"].path not in printed


def test_the_page_shows_runs_as_they_ended(plots: Path) -> None:
    planner = Planner(plots)
    shown = planner.targets["report"].inputs
    assert "sample/cub-ssa-gan-s0" in shown
    assert not [role for role in shown if "epoch" in role]
    assert [node for node in planner.nodes.values() if node.name == "cub-ssa-gan-s0-epoch-2" and node.kind == "sample"]


def test_a_scatter_takes_the_class_wise_scores(plots: Path) -> None:
    planner = Planner(plots)
    scores = planner.inputs_of(planner.figure("ssa-gan", "fig31"))
    assert {role: score.spec["of"] for role, score in scores.items()} == {"ssa-gan": "classes", "df-gan": "classes"}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({**CURVE, "dataset": "coco"}, "not built: scale smoke leaves out coco"),
        ({**SCATTER, "protocol": "ms-ssim:none"}, "not built: params.yaml has no protocol ms-ssim:none"),
        ({**CURVE, "protocols": ["is:none"]}, "not built: params.yaml has no protocol is:none"),
    ],
)
def test_a_plot_that_cannot_be_made_says_why_and_breaks_no_plan(
    plots: Path, entry: dict[str, Any], reason: str
) -> None:
    planner = Planner(change(plots, {"fig30": entry}))
    assert figures.missing(planner, entry, "here") == reason
    assert planner.targets["report"].spec["not_built"]["ssa-gan/fig30"]["reason"] == reason
    with pytest.raises(ReproError, match=reason):
        planner.figure("ssa-gan", "fig30")


def test_outside_samples_without_captions_have_no_classes(plots: Path) -> None:
    (plots / "given.npy").write_bytes(b"")
    provenance = {"by": "someone", "from": "somewhere", "date": "2020-01-01"}
    outside = {"cub/df-gan": {"source": "samples", "path": str(plots / "given.npy"), "provenance": provenance}}
    planner = Planner(change(plots, {"fig31": SCATTER}), {"outside": outside})
    reason = planner.targets["report"].spec["not_built"]["ssa-gan/fig31"]["reason"]
    assert reason == "not scored: outside samples without their captions (df-gan)"


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({**CURVE, "protocol": "is:finetuned"}, "figures.fig30: unknown key 'protocol'"),
        ({**SCATTER, "systems": SYSTEMS}, "figures.fig30.systems"),
        ({key: value for key, value in CURVE.items() if key != "protocols"}, "'protocols' is a required property"),
    ],
)
def test_a_plot_with_wrong_keys_is_refused(plots: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ReproError) as caught:
        Planner(change(plots, {"fig30": entry}))
    assert message in str(caught.value)
