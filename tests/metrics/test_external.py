"""Rows from external images or checkpoints: from params.yaml through the plan and the verbs to the table."""

import csv
import hashlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from t2i_repro.cli import main
from t2i_repro.core.artefact import Node
from t2i_repro.core.record import building, read_record
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.planning.plan import Planner, write_specs

COUNT = 24
PROVENANCE = {"by": "A. N. Other", "from": "https://example.org/tiger", "date": "2021-07-01"}
COLUMNS = {
    "is": {"label": "IS", "protocol": "is:finetuned", "dataset": "cub", "better": "higher", "digits": 2},
    "fid": {"label": "FID", "protocol": "fid:tf", "dataset": "cub", "better": "lower", "digits": 2},
    "rp": {"label": "R", "protocol": "r-precision:damsm", "dataset": "cub", "better": "higher", "digits": 2},
    "size": {"label": "Size", "protocol": "params:generator", "dataset": "cub", "better": None, "digits": 1},
}
PAPER = {
    "id": "tiny",
    "title": "Tiny",
    "authors": "A. Author",
    "source": "nowhere",
    "systems": {},
    "figures": {},
    "tables": {
        "table1": {
            "where": "Sec. 1",
            "caption": "One row.",
            "columns": COLUMNS,
            "rows": {"tiger-gan": {"label": "TigerGAN", "printed": {"is": 4.0, "fid": 20.0, "rp": 50.0, "size": 9.0}}},
        }
    },
}
SMOKE = {
    "standin": {"train_classes": 2, "test_classes": 2, "images_per_class": 3, "side": 80, "seed": 0},
    "classifier": {"image_size": 64, "width": 2, "batch": 4, "epochs": 1, "lr": 2.0e-3},
    "damsm": {"batch": 4},
    "sample": {"images": COUNT},
}


def noise(count: int = COUNT, size: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)


@pytest.fixture
def tiny(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose one paper has one row, which no system rebuilds."""
    shutil.copy(project / "params.yaml", tmp_path)
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers/tiny.yaml").write_text(yaml.safe_dump(PAPER, sort_keys=False))
    monkeypatch.chdir(tmp_path)
    np.save("tiger.npy", noise())
    return tmp_path


def plan(dataset: str = "cub", name: str = "tiger-gan", **entry: Any) -> Planner:
    given = {"source": "samples", "path": "tiger.npy", "provenance": PROVENANCE, **entry}
    if given["source"] == "trained":
        given = {"source": "trained"}
    changes = {"papers": ["tiny"], "scales": {"smoke": SMOKE}, "outside": {f"{dataset}/{name}": given}}
    return Planner(Path("."), changes)


def table_of(planner: Planner) -> Node:
    return next(node for node in planner.nodes.values() if node.kind == "table")


def build(planner: Planner, node: Node) -> Node:
    """Build a node and what it is made from, each by its verb."""
    write_specs(planner)
    for given in planner.inputs_of(node).values():
        build(planner, given)
    assert main([node.verb, "--spec", node.spec_file]) == 0, node
    return node


def imported(planner: Planner) -> Node:
    return next(node for node in planner.nodes.values() if node.kind == "import-samples")


def test_a_printed_only_row_is_measured_like_any_other(tiny: Path) -> None:
    planner = plan()
    made = build(planner, table_of(planner))
    content = json.loads((Path(made.folder) / "table.json").read_text())
    cells = content["rows"][0]["cells"]
    remark = f"outside samples: A. N. Other, https://example.org/tiger, 2021-07-01; SHA-256 {sha()[:12]}"
    for column in ("is", "fid"):
        rebuilt = cells[column]["rebuilt"]
        assert (rebuilt["n"], rebuilt["source"]) == (COUNT, "samples")
        assert remark in rebuilt["caveats"]
    assert cells["rp"]["missing"] == "not scored: outside samples without their captions"
    assert cells["size"]["missing"] == "not counted: outside samples bring no network"
    assert np.array_equal(np.load(Path(imported(planner).folder) / "images.npy"), noise())
    for suffix in ("md", "tex", "html", "csv"):
        text = (Path(made.folder) / f"table.{suffix}").read_text()
        assert "outside samples" in text.replace("\\", "") or suffix == "csv", suffix
    report = build(planner, planner.targets["report"])
    assert remark in (Path(report.folder) / "paper-tiny.html").read_text()
    with (Path(made.folder) / "table.csv").open(newline="") as file:
        line = next(line for line in csv.DictReader(file) if line["column"] == "fid")
    assert (line["source"], line["provenance"]) == ("samples", remark)


def test_without_an_entry_or_as_trained_it_is_printed_only(tiny: Path) -> None:
    for planner in (Planner(Path("."), {"papers": ["tiny"]}), plan(source="trained")):
        assert set(table_of(planner).spec["missing"].values()) == {"printed only: no system of ours rebuilds it"}


def test_content_and_provenance_determine_it_and_the_place_does_not(tiny: Path) -> None:
    first = imported(plan())
    shutil.copy("tiger.npy", "moved.npy")
    moved = imported(plan(path="moved.npy"))
    assert (moved.digest, moved.locations) == (first.digest, {"path": "moved.npy"})
    np.save("other.npy", noise(seed=1))
    others: list[dict[str, Any]] = [
        {"path": "other.npy"},
        {"provenance": {**PROVENANCE, "by": "B"}},
        {"image_size": 32},
    ]
    assert len({first.digest, *(imported(plan(**other)).digest for other in others)}) == 4
    write_specs(plan())
    write_specs(plan(path="moved.npy"))
    assert json.loads(Path(first.spec_file).read_text())["locations"] == {"path": "moved.npy"}


def save_folder(folder: Path, images: np.ndarray, suffix: str = "png") -> Path:
    folder.mkdir()
    for number, pixels in enumerate(images):
        Image.fromarray(pixels).save(folder / f"{number:03}.{suffix}")
    return folder


def test_folders_archives_and_arrays_give_the_same_images(tiny: Path) -> None:
    save_folder(tiny / "folder", noise())
    with zipfile.ZipFile("tiger.zip", "w") as archive:
        for picture in sorted(Path("folder").iterdir()):
            archive.write(picture, f"deep/{picture.name}")
    np.savez("tiger.npz", noise())
    for path in ("folder", "tiger.zip", "tiger.npz"):
        planner = plan(path=path)
        node = build(planner, imported(planner))
        assert np.array_equal(np.load(Path(node.folder) / "images.npy"), noise()), path
        assert read_record(Path(node.folder))["facts"]["duplicates"] == 0
    with (tiny / "folder/000.png").open("ab") as file:
        file.write(b"!")
    assert plan(path="folder").nodes.keys() != planner.nodes.keys()


def test_captions_are_found_by_their_words(tiny: Path) -> None:
    planner = plan()
    data = planner.inputs_of(imported(planner))["data"]
    prepared = Prepared(Path(build(planner, data).folder))
    chosen = [prepared.caption_ids(int(image))[0] for image in prepared.splits["test"]] * 4
    texts = [prepared.caption(caption).upper() + " ." for caption in chosen]
    Path("captions.txt").write_text("\n".join(texts) + "\n")
    planner = plan(captions="captions.txt")
    assert set(table_of(planner).spec["missing"]) == {"tiger-gan/size"}
    node = build(planner, imported(planner))
    with (Path(node.folder) / "captions.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    words = [prepared.tokens(int(row["caption_id"])).tolist() for row in rows]
    assert words == [prepared.tokens(caption).tolist() for caption in chosen]
    assert [row["index"] for row in rows] == [str(number) for number in range(COUNT)]
    for row in rows:
        assert row["image_id"] == prepared.image_ids[prepared.caption_image[int(row["caption_id"])]]
    Path("captions.txt").write_text("\n".join([*texts[:-1], "a tiger"]) + "\n")
    planner = plan(captions="captions.txt")
    write_specs(planner)
    assert main(["import", "--spec", imported(planner).spec_file]) == 2


@pytest.mark.parametrize(
    ("images", "entry", "message"),
    [
        (noise(COUNT - 1), {}, "23 images; params.yaml asks 24"),
        (
            noise(size=32),
            {},
            "images of 32 px; expected 64 px. If that is how they were generated, say `image_size: 32`",
        ),
        (np.zeros((COUNT, 64, 48, 3), np.uint8), {}, "48 x 64 px; expected square"),
        (np.full((COUNT, 64, 64, 3), np.nan, np.float32), {}, "NaN among them; expected uint8"),
        (noise(), {"captions": "few.txt"}, "few.txt: 1 captions; expected one for each of 24 images"),
        (noise(), {"captions": "wrong.txt"}, "24 of 24 captions are none of the split test, such as 'a tiger'"),
    ],
)
def test_what_does_not_fit_is_refused(
    tiny: Path, capsys: pytest.CaptureFixture[str], images: np.ndarray, entry: dict[str, Any], message: str
) -> None:
    np.save("tiger.npy", images)
    Path("few.txt").write_text("a tiger\n")
    Path("wrong.txt").write_text("a tiger\n" * COUNT)
    planner = plan(**entry)
    node = imported(planner)
    build(planner, planner.inputs_of(node)["data"])
    assert main(["import", "--spec", node.spec_file]) == 2
    assert message in capsys.readouterr().err
    assert not Path(node.record).exists()


def test_jpeg_is_refused_unless_it_is_said(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    smooth = np.repeat(noise(COUNT, 8), 8, axis=1).repeat(8, axis=2)
    save_folder(tiny / "folder", smooth, "jpg")
    shutil.copy("folder/000.jpg", "folder/001.jpg")
    planner = plan(path="folder")
    build(planner, planner.inputs_of(imported(planner))["data"])
    assert main(["import", "--spec", imported(planner).spec_file]) == 2
    assert "24 of 24 images are in lossy formats" in capsys.readouterr().err
    planner = plan(path="folder", lossy=True)
    score = next(node for node in planner.nodes.values() if node.kind == "score" and "fid" in node.name)
    build(planner, score)
    metric = json.loads((Path(score.folder) / "metric.json").read_text())
    assert metric["caveats"][-2:] == ["1 of 24 images are there twice", "24 of 24 images are in a lossy format"]
    assert metric["outside"]["source"] == "samples"


def test_images_that_change_after_the_plan_are_refused(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    planner = plan()
    build(planner, planner.inputs_of(imported(planner))["data"])
    np.save("tiger.npy", noise(seed=5))
    assert main(["import", "--spec", imported(planner).spec_file]) == 2
    assert "has changed since the plan" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"name": "tigr-gan"}, "outside: found 'cub/tigr-gan', which no row of papers/ is called"),
        ({"dataset": "coco"}, "such as cub/tiger-gan"),
        ({"path": "nothing.zip"}, "outside.cub/tiger-gan.path: nothing.zip is not there"),
        ({"captions": "none.csv"}, "outside.cub/tiger-gan.captions: none.csv is not there"),
        ({"sha256": "ab" * 32}, "outside.cub/tiger-gan.sha256: tiger.npy has "),
        ({"provenance": {"by": "X"}}, "outside.cub/tiger-gan.provenance: 'from' is a required property"),
        ({"provenance": {**PROVENANCE, "date": "July"}}, "outside.cub/tiger-gan.provenance.date: 'July'"),
        ({"pth": "x"}, "outside.cub/tiger-gan: unknown key 'pth' (value 'x'); allowed: captions, image_size, lossy"),
        ({"source": "checkpoint", "lossy": True}, "unknown key 'lossy' (value True); allowed: path, provenance"),
        ({"source": "guessed"}, "allowed: 'trained', 'samples', 'checkpoint'"),
        ({"path": "folder"}, "folder: found no file that ends in .png"),
    ],
)
def test_a_wrong_entry_is_named(tiny: Path, entry: dict[str, Any], message: str) -> None:
    Path("folder").mkdir()
    with pytest.raises(ReproError) as caught:
        plan(**entry)
    assert message in str(caught.value)
    assert "params.yaml" in str(caught.value) or "folder" in str(caught.value)


def test_the_documented_entry_is_a_right_one(tiny: Path, project: Path) -> None:
    text = (project / "docs/outside-samples.md").read_text(encoding="utf-8")
    entry = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])["outside"]["coco/obj-gan"]
    Path("captions.txt").write_text("a tiger\n")
    planner = plan(**{**entry, "path": "tiger.npy", "captions": "captions.txt", "sha256": sha()})
    assert imported(planner).spec["provenance"]["date"] == "2021-07-01"


def sha() -> str:
    return hashlib.sha256(Path("tiger.npy").read_bytes()).hexdigest()


def test_a_date_may_be_written_as_yaml_does(tiny: Path) -> None:
    text = Path("params.yaml").read_text()
    entry = (
        "outside:\n  cub/tiger-gan:\n    source: samples\n    path: tiger.npy\n"
        "    provenance: {by: A, from: B, date: 2021-07-01}\n"
    )
    line = next(line for line in text.splitlines() if line.startswith("outside:"))
    Path("params.yaml").write_text(text.replace(line, entry))
    planner = Planner(Path("."), {"papers": ["tiny"]})
    assert imported(planner).spec["provenance"]["date"] == "2021-07-01"


def finished_run(planner: Planner, folder: Path, **changes: Any) -> Node:
    """A run that somebody trained on this plan's data and text encoder, its weights made up."""
    spec = {"system": {"kind": "one-stage", "encoder": "damsm"}, "image_size": 64, "seed": 7}
    inputs = {"data": planner.prepare("cub", 64), "text": planner.text_encoder("damsm", "cub")}
    roles = {role: node.as_input() for role, node in inputs.items()}
    node = Node("train", "cub-tiger-s7", changes.get("scale", "smoke"), spec, roles)
    folder.mkdir()
    for name in ("generator.pt", "checkpoint.pt", "losses.csv"):
        (folder / name).write_text(name)
    for one in inputs.values():
        Path(one.folder).mkdir(parents=True, exist_ok=True)
        Path(one.record).write_text(json.dumps({**one.to_json(), "facts": {}, "files": {}}))
    with building(node, folder) as work:
        work.facts |= {"parameters": {"generator": 1_500_000}, "standin": True}
    return node


def test_a_checkpoint_replaces_a_training(tiny: Path) -> None:
    planner = plan()
    finished_run(planner, tiny / "released")
    planner = plan(source="checkpoint", path="released")
    node = next(node for node in planner.nodes.values() if node.kind == "import-run")
    write_specs(planner)
    sample = next(node for node in planner.nodes.values() if node.kind == "sample")
    assert sample.inputs["run"] == node.as_input()
    assert set(sample.inputs) == {"run", "data", "text"}
    assert table_of(planner).spec["missing"] == {}
    assert main(["import", "--spec", node.spec_file]) == 0
    folder = Path(node.folder)
    assert sorted(path.name for path in folder.iterdir()) == ["generator.pt", "losses.csv", "record.json"]
    record = read_record(folder)
    assert record["spec"]["system"] == {"kind": "one-stage", "encoder": "damsm"}
    assert record["facts"]["trained"]["hardware"] == read_record(Path("released"))["hardware"]
    size = next(node for node in planner.nodes.values() if node.spec.get("protocol") == "params:generator")
    assert main(["score", "--spec", size.spec_file]) == 0
    metric = json.loads((Path(size.folder) / "metric.json").read_text())
    assert (metric["value"], metric["outside"]["source"]) == (1.5, "checkpoint")
    assert metric["caveats"][0].startswith("outside checkpoint: A. N. Other, https://example.org/tiger, 2021-07-01")


def test_a_checkpoint_that_does_not_fit_is_refused(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished_run(plan(), tiny / "released")
    (tiny / "released/generator.pt").write_text("another")
    planner = plan(source="checkpoint", path="released")
    write_specs(planner)
    node = next(node for node in planner.nodes.values() if node.kind == "import-run")
    assert main(["import", "--spec", node.spec_file]) == 2
    assert "not what its record says: generator.pt" in capsys.readouterr().err
    (tiny / "released/generator.pt").unlink()
    assert main(["import", "--spec", node.spec_file]) == 2
    assert "generator.pt is not there" in capsys.readouterr().err
    finished_run(plan(), tiny / "large", scale="paper")
    with pytest.raises(ReproError, match="found a train of scale paper; expected a train of scale smoke"):
        plan(source="checkpoint", path="large")
    record = json.loads((tiny / "released/record.json").read_text())
    record["inputs"]["text"]["digest"] = "0123456789"
    (tiny / "released/record.json").write_text(json.dumps(record))
    with pytest.raises(ReproError, match="was trained with text 0123456789, and this plan has cub-damsm"):
        plan(source="checkpoint", path="released")
    with pytest.raises(ReproError, match=r"no record\.json to be read"):
        plan(source="checkpoint", path="papers")
