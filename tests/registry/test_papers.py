"""The registry of printed numbers: papers/*.yaml against independent counts, spot values and the papers' own text."""

import csv
import io
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from t2i_repro.cli import main
from t2i_repro.errors import ReproError
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.papers import load_definitions, load_papers
from t2i_repro.registry.printed import Cell, cells, write_markdown
from t2i_repro.registry.systems import resolve_systems

# (rows, columns, blanks) of every results table, counted in the papers.
SIZES = {
    "gr-gan": {
        "table1": (7, 4, 4),
        "table2": (10, 3, 0),
        "table3": (4, 6, 0),
        "table4": (6, 3, 0),
        "table6": (3, 9, 0),
    },
    "hdgan": {
        "table1": (6, 3, 7),
        "table2": (3, 2, 0),
        "table3": (3, 2, 1),
        "table4": (3, 3, 3),
        "table5": (3, 3, 6),
        "table6": (4, 1, 0),
    },
    "icsd-gan": {"table3": (2, 5, 0), "table4": (10, 4, 9), "table5": (4, 2, 0)},
    "msmt-gan": {
        "table1": (4, 2, 0),
        "table2": (6, 3, 1),
        "table3": (5, 4, 4),
        "table4": (4, 4, 0),
        "table5": (9, 6, 20),
    },
    "ssa-gan": {"table1": (7, 3, 4), "table2": (4, 2, 0), "table3": (6, 2, 0)},
}

# "paper table row column": value and ±, as printed.
SPOTS = {
    "gr-gan table1 cp-gan fid": (47.91, None),
    "gr-gan table1 dall-e is": (17.90, None),
    "gr-gan table1 gr-gan cmd": (8.04, None),
    "gr-gan table2 attngan-it-grg itdis": (0.87, None),
    "gr-gan table2 dm-gan-it cmd": (9.01, None),
    "gr-gan table3 clip-res text-retrieval-image-r1": (47.64, None),
    "gr-gan table3 itm image-retrieval-text-r10": (92.7, None),
    "gr-gan table4 lambda-4-1 cmd": (8.93, None),
    "gr-gan table4 lambda-5-2 fid": (29.92, None),
    "gr-gan table6 i-w-s layer1-itdis": (1.12, None),
    "gr-gan table6 s-w-i layer2-fid": (34.99, None),
    "hdgan table1 stackgan coco": (8.45, 0.03),
    "hdgan table1 hdgan coco": (None, None),
    "hdgan table2 scale-128 stackgan": (3.35, 0.02),
    "hdgan table3 hdgan class-wise-std": (0.023, None),
    "hdgan table3 prog-gan ms-ssim": (0.225, None),
    "hdgan table4 ground-truth oxford": (0.336, 0.138),
    "hdgan table5 vs-similarity w-local": (0.246, 0.157),
    "hdgan table5 is wo-img": (None, None),
    "hdgan table6 d-64-256 score": (4.14, 0.03),
    "icsd-gan table3 oxford train-categories": (82, None),
    "icsd-gan table4 stackgan-plus-plus oxford-is": (3.26, 0.01),
    "icsd-gan table4 attngan cub-fid": (10.65, None),
    "icsd-gan table5 csd-0-2 is": (4.72, 0.06),
    "msmt-gan table1 mtwig-sdm r-precision": (80.20, 0.67),
    "msmt-gan table2 msmt-gan params-cub": (48.11, None),
    "msmt-gan table2 xmc-gan params-coco": (111, None),
    "msmt-gan table3 controlgan coco-r-precision": (82.43, 2.43),
    "msmt-gan table4 mtwig-ks2 cub-fid": (120.76, None),
    "msmt-gan table5 rifegan cub-is": (5.23, 0.09),
    "msmt-gan table5 xmc-gan coco-is": (30.45, None),
    "ssa-gan table1 ssa-gan cub-is": (5.17, 0.08),
    "ssa-gan table2 id3 fid": (16.58, None),
    "ssa-gan table3 masks-4 fid": (15.03, None),
}


@pytest.fixture(scope="module")
def papers(project: Path) -> dict[str, dict[str, Any]]:
    return load_papers(project)


@pytest.fixture(scope="module")
def registry(papers: dict[str, dict[str, Any]]) -> dict[str, Cell]:
    return {f"{cell.paper} {cell.table} {cell.row} {cell.column}": cell for cell in cells(papers)}


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["reported", *arguments]) == 0
    return capsys.readouterr().out


def test_every_table_has_the_size_it_has_in_print(papers: dict[str, dict[str, Any]], registry: dict[str, Cell]) -> None:
    found = {
        paper: {
            name: (len(table["rows"]), len(table["columns"]), blanks_in(registry, f"{paper} {name} "))
            for name, table in content["tables"].items()
        }
        for paper, content in papers.items()
    }
    assert found == SIZES
    assert len(registry) == sum(rows * columns for tables in SIZES.values() for rows, columns, _ in tables.values())
    assert len(registry) == 394


def blanks_in(registry: dict[str, Cell], prefix: str) -> int:
    return sum(cell.value is None for place, cell in registry.items() if place.startswith(prefix))


@pytest.mark.parametrize("place", SPOTS)
def test_spot_values(registry: dict[str, Cell], place: str) -> None:
    assert (registry[place].value, registry[place].std) == SPOTS[place]


def test_every_blank_has_a_reason_and_no_value_has_one(registry: dict[str, Cell]) -> None:
    for place, cell in registry.items():
        assert (cell.value is None) == bool(cell.blank), place


def test_unfinished_cells_of_the_draft_say_so(registry: dict[str, Cell]) -> None:
    unfinished = {place for place, cell in registry.items() if cell.blank == "unfinished in the draft"}
    metrics = ("ms-ssim", "vs-similarity", "is")
    assert unfinished == {
        "hdgan table1 hdgan coco",
        "hdgan table4 ground-truth coco",
        "hdgan table4 hdgan coco",
        *(f"hdgan table5 {metric} {column}" for metric in metrics for column in ("wo-img", "w-global")),
    }


def test_no_number_has_more_digits_than_its_column(registry: dict[str, Cell]) -> None:
    for place, cell in registry.items():
        for number in (cell.value, cell.std):
            assert number is None or round(number, cell.digits) == number, place


def test_every_cell_says_what_it_measures(registry: dict[str, Cell]) -> None:
    for place, cell in registry.items():
        assert cell.protocol, place
        assert (cell.dataset is None) == (cell.protocol == "gpus:train"), place
        assert (cell.better is None) == cell.protocol.startswith(("params:", "gpus:", "dataset:")), place


def test_a_metric_in_a_row_is_measured_as_the_row_says(registry: dict[str, Cell]) -> None:
    similarity = registry["hdgan table5 vs-similarity w-local"]
    assert (similarity.protocol, similarity.better, similarity.digits) == ("vs-similarity", "higher", 3)
    score = registry["hdgan table5 is w-local"]
    assert (score.protocol, score.dataset, score.text()) == ("is:finetuned", "cub", "4.15 ± 0.05")


class OnceEach(yaml.SafeLoader):
    """Refuses a mapping with a key twice, of which YAML would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        merge = "tag:yaml.org,2002:merge"
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.tag != merge]
        twice = [key for key, count in Counter(keys).items() if count > 1]
        assert not twice, f"{node.start_mark}: {twice}"
        self.flatten_mapping(node)
        return super().construct_mapping(node, deep)


def test_no_id_is_given_twice(project: Path) -> None:
    for path in (project / "papers").glob("*.yaml"):
        yaml.load(path.read_text(encoding="utf-8"), OnceEach)
    with pytest.raises(AssertionError, match="dm-gan"):
        yaml.load("rows: {dm-gan: 1, dm-gan: 2}", OnceEach)


def test_csv_has_one_line_per_cell(capsys: pytest.CaptureFixture[str], registry: dict[str, Cell]) -> None:
    lines = list(csv.DictReader(io.StringIO(run(capsys, "--format", "csv"))))
    assert list(lines[0]) == ["paper", "table", "row", "column", "value", "std"]
    read = {
        " ".join(line[key] for key in ("paper", "table", "row", "column")): (number(line["value"]), number(line["std"]))
        for line in lines
    }
    assert len(read) == len(lines)
    assert read == {place: (cell.value, cell.std) for place, cell in registry.items()}


def number(text: str) -> float | None:
    return float(text) if text else None


def test_numbers_keep_the_digits_of_print(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, "--paper", "msmt-gan").splitlines()
    assert "msmt-gan,table1,mtwig-sdm,r-precision,80.20,0.67" in lines
    assert "msmt-gan,table2,xmc-gan,params-coco,111," in lines
    assert "msmt-gan,table2,xmc-gan,params-cub,," in lines
    assert "msmt-gan,table2,dm-gan,v100-gpus,1," in lines


def test_one_paper_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert {line.split(",")[0] for line in run(capsys, "--paper", "hdgan").splitlines()[1:]} == {"hdgan"}
    assert main(["reported", "--paper", "hd-gan"]) == 2
    assert "found 'hd-gan'; papers/ has gr-gan, hdgan" in capsys.readouterr().err


def test_markdown_has_every_table_and_cell(capsys: pytest.CaptureFixture[str]) -> None:
    text = run(capsys, "--format", "markdown")
    grids = [
        [row.split(" | ") for row in grid.splitlines()] for grid in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    ]
    sizes = [(len(grid) - 2, len(grid[0]) - 1) for grid in grids]
    assert sizes == [size[:2] for tables in SIZES.values() for size in tables.values()]
    assert all(len(row) == len(grid[0]) for grid in grids for row in grid)
    assert "| XMC-GAN | – | \\> 111 | \\> 3 |" in text
    assert "– unfinished in the draft: MS-SSMI, wo/Img; MS-SSMI, w/global;" in text


def test_markdown_shows_special_characters_literally(papers: dict[str, dict[str, Any]]) -> None:
    table = {
        **papers["ssa-gan"]["tables"]["table2"],
        "rows": {"odd": {"label": "a|b <b>*x*</b>\n$y$", "printed": {"is": 1.0, "fid": 2.0}}},
    }
    out = io.StringIO()
    write_markdown({"odd": {"title": "# [t](u)", "tables": {"table1": table}}}, out)
    assert "| a\\|b \\<b\\>\\*x\\*\\</b\\> \\$y\\$ | 1.00 | 2.00 |" in out.getvalue()
    assert out.getvalue().startswith("# \\# \\[t\\](u)\n")


@pytest.mark.parametrize(
    ("row", "change", "message"),
    [
        ("gawwn", {"blank": {"oxford": "dash"}}, "rows.gawwn: 'coco' has neither a printed value nor a reason"),
        ("hdgan", {"blank": {}}, "rows.hdgan: 'coco' has neither"),
        ("hdgan", {"blank": {"coco": "dash", "cub": "dash"}}, "rows.hdgan.blank: 'cub' is not blank"),
        ("hdgan", {"blank": {"flowers": "dash"}}, "blank: found column 'flowers'; allowed: cub, oxford, coco"),
        ("stackgan", {"blank": "dash"}, "rows.stackgan.blank: found 'dash', but the row has no blank"),
        ("hdgan", {"blank": {"coco": ""}}, "rows.hdgan.blank"),
        ("hdgan", {"printed": {"cub": {"below": 4}}}, "rows.hdgan.printed.cub"),
        ("hdgan", {"printed": {"cub": [4.15, 0.05, 1]}}, "rows.hdgan.printed.cub"),
    ],
)
def test_a_cell_that_says_too_little_or_too_much_is_refused(
    project: Path, tmp_path: Path, row: str, change: dict[str, Any], message: str
) -> None:
    shutil.copytree(project / "papers", tmp_path / "papers")
    path = tmp_path / "papers/hdgan.yaml"
    paper = yaml.safe_load(path.read_text(encoding="utf-8"))
    paper["tables"]["table1"]["rows"][row].update(change)
    path.write_text(yaml.safe_dump(paper, sort_keys=False))
    with pytest.raises(ReproError, match=re.escape(message)) as caught:
        load_papers(tmp_path)
    assert "hdgan.yaml" in str(caught.value)


def numbers_in(text: str) -> list[float]:
    """The numbers of a paper's text in reading order, free of mark-up and footnote marks."""
    text = re.sub(r"\^\{?[\d*]\}?|\\pm", " ", text)
    return [float(found) for found in re.findall(r"(?<![\w.])(?:\d+\.\d+|\.\d+|\d+)", text)]


def numbers_of(content: list[Cell]) -> list[float]:
    return [number for cell in content for number in (cell.value, cell.std) if number is not None]


def find(wanted: list[float], text: list[float], start: int) -> int | None:
    """Where `wanted` ends in `text`, from `start` on; None where it does not occur."""
    places = range(start, len(text) - len(wanted) + 1)
    return next((place + len(wanted) for place in places if text[place : place + len(wanted)] == wanted), None)


def test_every_row_stands_in_the_papers_text(
    shared: Path, papers: dict[str, dict[str, Any]], registry: dict[str, Cell]
) -> None:
    """The rows of a table follow each other in the text, each without a gap; or its columns, where they do."""
    for paper, content in papers.items():
        text = numbers_in((shared / f"papers/{paper}.txt").read_text(encoding="utf-8"))
        for name, table in content["tables"].items():
            grid = [
                [registry[f"{paper} {name} {row} {column}"] for column in table["columns"]] for row in table["rows"]
            ]
            pieces = grid
            if (paper, name) == ("hdgan", "table3"):  # the left half is in the running text, HDGAN first
                pieces = [[row[1]] for row in grid] + [[grid[2][0], grid[0][0]]]
            elif (paper, name) == ("msmt-gan", "table3"):  # all rows but the last run together
                pieces = [[row[column] for row in grid[:-1]] for column in range(4)] + [grid[-1]]
            end: int | None = 0
            for piece in pieces:
                end = find(numbers_of(piece), text, end or 0)
                assert end is not None, (paper, name, piece[0].row)


def test_baselines_are_systems_and_no_paper(
    project: Path, papers: dict[str, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Papers name their systems as bases and in rows; what lists papers does not list the file."""
    defined = load_definitions(project)["papers/baselines.yaml"]
    assert {"attngan", "dm-gan", "df-gan", "stackgan", "stackgan-plus-plus", "gan-int-cls"} <= set(defined)
    assert "baselines" not in papers
    assert "baselines" not in run(capsys)
    for verb in ("papers", "audit"):
        assert main([verb]) == 0
        assert "baselines" not in capsys.readouterr().out
    with pytest.raises(ReproError, match="papers: found 'baselines'; allowed: gr-gan, hdgan"):
        Planner(project, {"papers": ["baselines"]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tables": {}}, "unknown key 'tables'"),
        ({"id": "others"}, "id: "),
        ({"systems": {"dm-gan": {"base": "nothing"}}}, "base 'nothing' is unknown"),
        ({"systems": {"ssa-gan": {"base": "df-gan"}}}, "systems.ssa-gan is already defined in papers/baselines.yaml"),
    ],
)
def test_baselines_with_more_than_systems_are_refused(
    project: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    shutil.copytree(project / "papers", tmp_path / "papers")
    path = tmp_path / "papers/baselines.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text(encoding="utf-8")), **change}, sort_keys=False))
    with pytest.raises(ReproError, match=message):
        resolve_systems(load_definitions(tmp_path), ("cub", "oxford", "coco"))
