"""What pictures are painted by, and why some are not."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from t2i_repro.errors import ReproError
from t2i_repro.planning.figures import systems_of
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.papers import load_papers

PAPERS = ["gr-gan", "hdgan", "icsd-gan", "msmt-gan", "ssa-gan"]
PLOTS = ("curve", "scatter")


def only_birds(project: Path) -> Planner:
    return Planner(project, {"papers": PAPERS, "scales": {"smoke": {"datasets": ["cub"]}}})


def test_every_figure_is_planned_or_says_why_not(project: Path) -> None:
    planner = only_birds(project)
    shown, missing = planner.targets["report"].inputs, planner.targets["report"].spec["not_built"]
    for paper in PAPERS:
        for name, figure in planner.registry[paper]["figures"].items():
            assert (f"{paper}/{name}" in shown) == (figure["dataset"] == "cub") != (f"{paper}/{name}" in missing)
    assert missing["hdgan/fig5"]["reason"] == "not built: scale smoke leaves out oxford"
    assert missing["gr-gan/fig5"]["label"] == "Table 5"
    with pytest.raises(ReproError, match="gr-gan-fig3 is not built: scale smoke leaves out coco; choose another scale"):
        planner.figure("gr-gan", "fig3")


def test_figures_share_the_runs_of_tables(project: Path) -> None:
    """No training stands in the plan for a picture alone."""
    planner = Planner(project, {"papers": PAPERS, "scales": {"smoke": {"datasets": ["cub", "oxford", "coco"]}}})
    assert planner.targets["report"].spec["not_built"] == {}
    sampled = {given.path for node in planner.nodes.values() if node.kind != "figure" for given in node.inputs.values()}
    for node in planner.nodes.values():
        if node.kind == "figure" and node.spec["kind"] not in PLOTS:
            painters = [role for role in node.inputs if role.startswith("run/")]
            assert painters == [f"run/{system}" for system in systems_of(node.spec)]
            assert {node.inputs[role].path for role in painters} <= sampled
            for role in painters:
                run = planner.inputs_of(planner.inputs_of(node)[role])
                for part in ("data", "text"):
                    assert node.inputs[role.replace("run", part)].path == run[part].folder


@pytest.fixture
def registry(project: Path, tmp_path: Path) -> Path:
    """A project of params.yaml and papers/ alone."""
    shutil.copy(project / "params.yaml", tmp_path)
    shutil.copytree(project / "papers", tmp_path / "papers")
    return tmp_path


def test_images_from_outside_paint_nothing(registry: Path) -> None:
    np.save(registry / "theirs.npy", np.zeros((4, 8, 8, 3), dtype=np.uint8))
    entry = {"source": "samples", "path": "theirs.npy", "provenance": {"by": "A", "from": "a site", "date": "2021"}}
    outside = {"cub/dm-gan": entry, "cub/ssa-gan": entry}
    planner = Planner(registry, {"papers": ["ssa-gan"], "outside": outside})
    compared = planner.figure("ssa-gan", "fig4a").inputs
    assert [role for role in compared if role.startswith("run/")] == ["run/df-gan", "run/ssa-gan-tuned-text"]
    missing = planner.targets["report"].spec["not_built"]["ssa-gan/fig5"]
    assert missing["reason"] == "not built: outside samples bring no network (ssa-gan)"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"kind": "hologram"}, "figures.fig5.kind: found 'hologram'; allowed: 'samples', 'stages', 'mask-maps'"),
        ({"groups": []}, "figures.fig5: unknown key 'groups' .*; allowed: caption, captions, dataset"),
        ({"kind": "words"}, "figures.fig5: unknown key 'captions' .*; allowed: caption, dataset, groups"),
        ({"captions": [""]}, "figures.fig5.captions.0: "),
        ({"dataset": "birds"}, "figures.fig5.dataset: found 'birds'; allowed: cub, oxford, coco"),
        ({"system": "tiger-gan"}, "system 'tiger-gan' is not defined"),
    ],
)
def test_a_mistake_in_a_figure_is_named(registry: Path, changes: dict[str, Any], told: str) -> None:
    path = registry / "papers/ssa-gan.yaml"
    paper = yaml.safe_load(path.read_text())
    paper["figures"] = {"fig5": paper["figures"]["fig5"] | changes}
    path.write_text(yaml.safe_dump(paper))
    with pytest.raises(ReproError, match=told):
        Planner(registry, {"papers": ["ssa-gan"]})


def test_the_registry_has_every_picture_of_the_papers(project: Path) -> None:
    """By paper: what its figure list holds besides diagrams and plots. A figure on two datasets is two (a, b)."""
    pictures = {
        paper: {name for name, figure in content["figures"].items() if figure["kind"] not in PLOTS}
        for paper, content in load_papers(project).items()
    }
    assert pictures == {
        "gr-gan": {"fig2", "fig3", "fig5"},
        "hdgan": {"fig4", "fig5", "fig6", "fig-interpolation", "fig-own-sentences", "fig-noise", "fig-local-loss"},
        "icsd-gan": {"fig3a", "fig3b", "fig4", "fig5", "fig7"},
        "msmt-gan": {"fig2", "fig3a", "fig3b", "fig4a", "fig4b", "fig5", "fig6"},
        "ssa-gan": {"fig1", "fig4a", "fig4b", *(f"fig{n}" for n in range(5, 10)), "fig10a", "fig10b", "fig11", "fig12"},
    }
