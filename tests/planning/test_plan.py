"""Parameters and papers as the planner reads them, and what moves when one of them changes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from project_copy import one_paper
from project_datasets import DATASETS

from t2i_repro.cli import main
from t2i_repro.core.artefact import Node, read_node
from t2i_repro.errors import ReproError
from t2i_repro.planning.params import read_params
from t2i_repro.planning.plan import Planner, write_specs
from t2i_repro.registry.papers import load_definitions
from t2i_repro.registry.systems import resolve_systems


@pytest.fixture
def copy(project: Path, tmp_path: Path) -> Path:
    """A copy of what the planner reads, to be edited; of SSA-GAN on CUB."""
    shutil.copy(project / "params.yaml", tmp_path)
    one_paper(tmp_path / "params.yaml")
    shutil.copytree(project / "papers", tmp_path / "papers")
    return tmp_path


def edit(path: Path, *keys: str, value: object) -> None:
    content = yaml.safe_load(path.read_text())
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(yaml.safe_dump(content, sort_keys=False))


def records(planner: Planner, kind: str) -> set[str]:
    return {node.record for node in planner.nodes.values() if node.kind == kind}


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("sample", "imagse"), 10, "sample: unknown key 'imagse' (value 10); allowed: images, seed, split"),
        (("scale",), "huge", "scale: found 'huge'; allowed: paper, small, smoke"),
        (("damsm", "lr"), "1e-4", "damsm.lr: '1e-4' is not of type 'number'"),
        (
            ("scales", "smoke", "itm", "epoch"),
            3,
            "scales.smoke.itm: unknown key 'epoch' (value 3); allowed: batch, clip",
        ),
        (
            ("networks", "damsm", "source"),
            "bert",
            "networks.damsm.source: found 'bert'; allowed: asset, classifier, char",
        ),
        (("prepare", "image_size"), 100, "prepare.image_size: found 100; allowed: 32, 64"),
        (
            ("scales", "smoke", "datasets"),
            ["birds"],
            "scales.smoke.datasets: found 'birds'; allowed: cub, oxford, coco",
        ),
        (("protocols", "fid:tf", "network"), "vgg", "protocols.fid:tf.network: found 'vgg'; allowed: imagenet"),
        (("seeds",), [], "seeds"),
    ],
)
def test_a_wrong_parameter_is_named_with_what_is_allowed(
    copy: Path, keys: tuple[str, ...], value: object, message: str
) -> None:
    edit(copy / "params.yaml", *keys, value=value)
    with pytest.raises(ReproError) as caught:
        read_params(copy)
    assert message in str(caught.value)
    assert "params.yaml" in str(caught.value)


def test_text_that_looks_like_a_number_gets_a_hint(copy: Path) -> None:
    text = (copy / "params.yaml").read_text().replace("lr: 2.0e-3\n  decay", "lr: 2e-3\n  decay")
    (copy / "params.yaml").write_text(text)
    with pytest.raises(ReproError, match=r"write 1\.0e-4"):
        read_params(copy)


def test_overrides_are_validated_too(project: Path) -> None:
    assert read_params(project, {"sample": {"images": 7}})["sample"] == {"images": 7, "split": "test", "seed": 0}
    with pytest.raises(ReproError, match="unknown key 'data_rot'"):
        read_params(project, {"data_rot": "x"})


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (("tables", "table2", "rows", "id0", "printed"), {"psnr": 1}, "found column 'psnr'; allowed: is, fid"),
        (("systems", "ssa-gan", "base"), "nothing", "base 'nothing' is unknown"),
        (("systems", "ssa-gan-no-damsm", "base"), "ssa-gan", "is circular"),
        (("systems", "twin"), {"base": "ssa-gan"}, "systems 'ssa-gan' and 'twin' are the same"),
        (("systems", "ssa-gan", "widht"), 3, "systems.ssa-gan: unknown key 'widht'"),
        (("id",), "other", "expected the file's name, 'ssa-gan'"),
    ],
)
def test_a_wrong_paper_is_refused(copy: Path, keys: tuple[str, ...], value: object, message: str) -> None:
    edit(copy / "papers/ssa-gan.yaml", *keys, value=value)
    with pytest.raises(ReproError) as caught:
        resolve_systems(load_definitions(copy), DATASETS)
    assert message in str(caught.value)


def test_rows_that_share_a_configuration_share_a_run(copy: Path) -> None:
    planner = Planner(copy)
    table2 = planner.table("ssa-gan", "table2")
    table3 = planner.table("ssa-gan", "table3")
    assert table2.inputs["id2/fid/0"] == table3.inputs["masks-7/fid/0"]
    assert len(records(planner, "train")) == 12


def test_systems_that_differ_in_what_a_scale_overrides_share_a_run(project: Path) -> None:
    planner = Planner(project)
    assert planner.systems["msmt-gan"] != planner.systems["mtwig-sdm-imhm"]
    assert planner.train("msmt-gan", "cub", 0) is planner.train("mtwig-sdm-imhm", "cub", 0)
    assert len({node.digest for node in planner.nodes.values()}) == len(planner.nodes)


def test_every_cell_has_a_run_or_a_reason(project: Path) -> None:
    planner = Planner(project)
    for table_id in ("table1", "table2", "table3"):
        node = planner.table("ssa-gan", table_id)
        for row in node.spec["rows"]:
            for column in node.spec["columns"]:
                cell = f"{row}/{column}"
                assert (f"{cell}/0" in node.inputs) != bool(node.spec["missing"].get(cell))


SCORING = {"sample", "embed", "score", "table", "report"}
LEARNING = {"train", "figure", "store", *SCORING}


@pytest.mark.parametrize(
    ("file", "keys", "value", "moved"),
    [
        ("params.yaml", ("cadence", "log_every"), 3, set()),
        ("params.yaml", ("sample", "seed"), 1, SCORING),
        ("params.yaml", ("protocols", "is:finetuned", "splits"), 5, {"score", "table", "report"}),
        ("params.yaml", ("scales", "smoke", "label"), "New", {"table", "figure", "report"}),
        ("papers/ssa-gan.yaml", ("tables", "table2", "caption"), "New", {"table", "report"}),
        ("papers/baselines.yaml", ("systems", "df-gan", "train", "betas"), [0.5, 0.9], LEARNING),
        ("params.yaml", ("damsm", "gamma3"), 9.0, {"damsm", *LEARNING}),
        (
            "params.yaml",
            ("scales", "smoke", "standin", "seed"),
            1,
            {"standin", "prepare", "classifier", "damsm", "char-cnn-rnn", *LEARNING},
        ),
    ],
)
def test_a_change_moves_what_depends_on_it_and_nothing_else(
    copy: Path, file: str, keys: tuple[str, ...], value: object, moved: set[str]
) -> None:
    before = Planner(copy)
    edit(copy / file, *keys, value=value)
    after = Planner(copy)
    kinds = {node.kind for node in before.nodes.values()}
    assert {kind for kind in kinds if records(before, kind) != records(after, kind)} == moved


def test_one_row_moves_alone(copy: Path) -> None:
    before = Planner(copy)
    edit(copy / "papers/ssa-gan.yaml", "systems", "ssa-gan-4-masks", value={"base": "ssa-gan", "masks": 4, "width": 9})
    edit(copy / "params.yaml", "scales", "smoke", "system", value={})
    wide = Planner(copy)
    edit(copy / "papers/ssa-gan.yaml", "systems", "ssa-gan-4-masks", value={"base": "ssa-gan", "masks": 4, "width": 10})
    wider = Planner(copy)
    assert len(records(wide, "train") - records(wider, "train")) == 1
    assert not records(before, "train") & records(wide, "train")


def test_paper_scale_asks_for_real_data(project: Path) -> None:
    with pytest.raises(ReproError, match="data_root is null"):
        Planner(project, {"scale": "paper"})


def test_spec_files_say_what_the_node_says_and_refuse_edits(copy: Path) -> None:
    planner = Planner(copy)
    write_specs(planner)
    node = next(node for node in planner.nodes.values() if node.kind == "train")
    path = copy / node.spec_file
    assert read_node(path) == node
    path.write_text(path.read_text().replace('"seed": 0', '"seed": 1'))
    with pytest.raises(ReproError, match="it was edited"):
        read_node(path)


def test_the_command_line_ends_with_the_errors_own_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--spec", str(tmp_path / "none.json")]) == 2
    assert "not a spec file" in capsys.readouterr().err


def test_a_verb_refuses_the_spec_of_another(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(Node("train", "a", "smoke", {}).to_json()))
    assert main(["sample", "--spec", str(path)]) == 2
    assert "build it with `python -m t2i_repro train`" in capsys.readouterr().err


def test_planning_does_not_wait_for_torch(project: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from t2i_repro.planning.plan import Planner; Planner(Path('.'));"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
