import csv
import json
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fakes import COMPARABLE, HOSTILE, Project, metric

from t2i_repro.errors import ReproError
from t2i_repro.registry.papers import load_papers
from t2i_repro.rendering.markup import markdown
from t2i_repro.rendering.spread import format_value
from t2i_repro.rendering.tables import letter


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project()


def content(made: Any) -> dict[str, Any]:
    return json.loads((Path(made.folder) / "table.json").read_text())


def lines(made: Any) -> list[dict[str, str]]:
    with (Path(made.folder) / "table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


ROWS = {"a": {"label": "A", "system": "df-gan", "printed": {"is": [4.0, 0.1], "fid": 20.0}}}


def test_a_smoke_number_has_its_label_and_no_difference_to_print(project: Project) -> None:
    cells = content(project.table)["rows"][0]["cells"]
    assert cells["is"]["printed"]["text"] == "4.86 ± 0.04"
    assert cells["is"]["rebuilt"]["text"] == "1.80 ± 0.05"
    assert cells["is"]["rebuilt"]["label"] == "is:standin, N = 120"
    assert cells["is"]["difference"] is None
    assert cells["is"]["not_comparable"] == "not comparable (smoke scale, stand-in data, stand-in network)"
    for suffix in ("md", "tex", "html", "csv"):
        text = (Path(project.table.folder) / f"table.{suffix}").read_text()
        plain = re.sub(r"\\(.)", r"\1", text)
        assert "smoke scale, seconds" in plain, suffix
        assert "stand-in data (procedural)" in plain, suffix
        assert "not comparable (smoke scale, stand-in data, stand-in network)" in plain, suffix
        assert "is:standin" in plain, suffix


def test_a_cell_that_has_not_been_run_says_why(project: Project) -> None:
    cell = content(project.table)["rows"][2]["cells"]["fid"]
    assert cell["rebuilt"] is None
    assert cell["missing"] == "printed only: no system of ours"
    blank = content(project.table)["rows"][1]["cells"]["fid"]
    assert blank["printed"] is None
    assert blank["blank"] == "unfinished"
    for suffix in ("md", "tex", "html", "csv"):
        plain = (Path(project.table.folder) / f"table.{suffix}").read_text().replace("\\", "")
        assert "printed only: no system of ours" in plain
        assert "unfinished" in plain


def test_a_comparable_number_has_a_difference(project: Project) -> None:
    scores = {
        "a__is__0": project.score("x", "is", metric(4.25, 0.2, **COMPARABLE)),
        "a__fid__0": project.score("x", "fid", metric(18.5, **COMPARABLE)),
    }
    made = project.make_table("table9", ROWS, {}, scores)
    cells = content(made)["rows"][0]["cells"]
    assert cells["is"]["difference"] == {"value": 0.25, "text": "+0.2"}  # ± 0.2: the second decimal is not known
    assert cells["fid"]["difference"] == {"value": -1.5, "text": "-1.50"}
    assert "−1.50" in (Path(made.folder) / "table.html").read_text()
    assert r"$-$1.50" in (Path(made.folder) / "table.tex").read_text()
    assert [line["difference"] for line in lines(made)] == ["0.25", "-1.5"]


def test_several_seeds_give_their_own_spread(project: Project) -> None:
    values = (4.0, 4.2, 4.4)
    scores = {
        f"a__is__{seed}": project.score("x", "is", metric(value, 0.9, **COMPARABLE), seed)
        for seed, value in enumerate(values)
    }
    rebuilt = content(project.make_table("table9", ROWS, {"a/fid": "not run"}, scores))["rows"][0]["cells"]["is"][
        "rebuilt"
    ]
    assert rebuilt["text"] == "4.2 ± 0.2"
    assert rebuilt["std_over"] == "3 seeds"
    assert [score["seed"] for score in rebuilt["scores"]] == [0, 1, 2]


def test_one_incomparable_seed_spoils_the_difference(project: Project) -> None:
    scores = {
        "a__is__0": project.score("x", "is", metric(4.0, 0.1, **COMPARABLE)),
        "a__is__1": project.score("x", "is", metric(4.1, 0.1, protocol="is:finetuned"), 1),
    }
    cell = content(project.make_table("table9", ROWS, {}, scores))["rows"][0]["cells"]["is"]
    assert cell["difference"] is None
    assert "stand-in network" in cell["not_comparable"]


def test_best_is_marked_apart_for_print_and_rebuilt(project: Project) -> None:
    rows = content(project.table)["rows"]
    best = {
        (row["id"], column, part)
        for row in rows
        for column, cell in row["cells"].items()
        for part in ("printed", "rebuilt")
        if cell[part] and cell[part]["best"]
    }
    assert best == {
        ("id1", "is", "printed"),
        ("id2", "fid", "printed"),
        ("id1", "is", "rebuilt"),
        ("id1", "fid", "rebuilt"),
    }


def test_rebuilt_values_measured_differently_have_no_best(project: Project) -> None:
    rows = {**ROWS, "b": {"label": "B", "system": "ssa-gan", "printed": {"is": 4.1}}}
    scores = {
        "a__is__0": project.score("x", "is", metric(4.0, 0.1)),
        "b__is__0": project.score("y", "is", metric(5.0, 0.1, n=30000)),
    }
    made = project.make_table("table9", rows, {}, scores)
    assert not any(row["cells"]["is"]["rebuilt"]["best"] for row in content(made)["rows"])
    assert content(made)["columns"][0]["rebuilt_label"] is None
    assert "N = 30000" in (Path(made.folder) / "table.html").read_text()


class Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.opened: Counter[str] = Counter()

    @property
    def tags(self) -> set[str]:
        return set(self.opened)

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.opened[tag] += 1


UNLATEX = {
    r"\textbackslash{}": "\\",
    r"\textasciitilde{}": "~",
    r"\textasciicircum{}": "^",
    r"\textless{}": "<",
    r"\textgreater{}": ">",
    r"\textbar{}": "|",
    r"\textquotedbl{}": '"',
    "{[}": "[",
    "{]}": "]",
    "{`}": "`",
    "{'}": "'",
    "-{}-": "--",
    **{f"\\{character}": character for character in "&%$#_{}"},
}


def test_hostile_labels_appear_literally_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = Project(label=HOSTILE).table
    page = Text()
    page.feed((Path(made.folder) / "table.html").read_text())
    assert HOSTILE in page.text
    assert page.tags.isdisjoint({"script"})

    assert next(line["label"] for line in lines(made) if line["row"] == "id1") == f"'{HOSTILE}"
    for line in lines(made):
        assert not any((value or "").startswith(("=", "+", "@")) for value in line.values())

    assert next(row["label"] for row in content(made)["rows"] if row["id"] == "id1") == HOSTILE

    tex = (Path(made.folder) / "table.tex").read_text()
    tokens = re.compile("|".join(re.escape(key) for key in sorted(UNLATEX, key=len, reverse=True)))
    assert HOSTILE in tokens.sub(lambda match: UNLATEX[match[0]], tex)
    row = next(line for line in tex.splitlines() if line.lstrip().startswith("=1+1"))
    assert len(re.findall(r"(?<!\\)&", row)) == 4

    text = (Path(made.folder) / "table.md").read_text()
    row = next(line for line in text.splitlines() if "1+1" in line)
    assert len(re.findall(r"(?<!\\)\|", row)) == 6
    markdown = pytest.importorskip("markdown_it")
    page = Text()
    page.feed(markdown.MarkdownIt("gfm-like", {"linkify": False}).render(text))
    assert HOSTILE in page.text
    # Only what the table itself writes: bold best values, the line of its scale in italics, no markup of the label.
    assert page.tags == {"p", "strong", "em", "table", "thead", "tbody", "tr", "th", "td", "sup", "br"}
    assert page.opened["em"] == 1


def test_an_input_that_is_no_cell_is_refused(project: Project) -> None:
    stranger = project.score("x", "is", metric(4.0, 0.1))
    with pytest.raises(ReproError, match="'a/kid/0' is no cell"):
        project.make_table("table9", ROWS, {}, {"a__kid__0": stranger})
    path = Path(stranger.folder) / "metric.json"
    path.write_text("{" * path.stat().st_size)
    with pytest.raises(ReproError, match=r"metric\.json: SHA-256 \w+, expected"):
        project.make_table("table9", ROWS, {}, {"a__is__0": stranger})


def test_bounds_units_and_rows_that_say_what_they_measure(project: Project) -> None:
    columns = {
        "one": {"label": "One", "protocol": None, "dataset": "cub", "better": None, "digits": 2, "unit": "M"},
        "two": {"label": "Two", "protocol": None, "dataset": "cub", "better": None, "digits": 2},
    }
    rows = {
        "is": {"label": "IS", "protocol": "is:x", "better": "higher", "printed": {"one": 1.0, "two": 2.0}},
        "fid": {"label": "FID", "protocol": "fid:x", "better": "lower", "digits": 1, "printed": {"one": 5, "two": 6}},
        "size": {"label": "Size", "printed": {"one": {"above": 111}}, "blank": {"two": "a dash"}},
    }
    made = project.make_table("table9", rows, {}, {}, columns=columns, note="A note on it all.")
    table = content(made)
    assert table["columns"][0]["heading"] == "One (M)"
    assert table["columns"][0]["parts"] == ["printed", "rebuilt"]
    printed = [(row["id"], key, cell["printed"]) for row in table["rows"] for key, cell in row["cells"].items()]
    assert [(row, key) for row, key, value in printed if value and value["best"]] == [("is", "two"), ("fid", "one")]
    assert [value["text"] for _, _, value in printed if value] == ["1.00", "2.00", "5.0", "6.0", "> 111"]
    assert table["rows"][2]["cells"]["two"]["blank"] == "a dash"
    text = (Path(made.folder) / "table.html").read_text()
    assert "A note on it all." in text
    assert "FID ↓" in text
    assert "difference" not in text
    assert lines(made)[4]["printed_bound"] == "above"
    assert [line["protocol"] for line in lines(made)] == ["is:x", "is:x", "fid:x", "fid:x", "", ""]


def test_every_table_of_the_registry_renders_without_a_run(project: Project, request: pytest.FixtureRequest) -> None:
    papers = load_papers(request.config.rootpath)
    count = 0
    for paper_id, paper in papers.items():
        for table_id, table in paper["tables"].items():
            changes = {key: value for key, value in table.items() if key != "rows"}
            made = project.make_table(table_id, table["rows"], {}, {}, paper=paper_id, **changes)
            assert {line["missing"] for line in lines(made)} == {"not run"}
            printed = [line for line in lines(made) if line["printed"]]
            assert len(printed) == sum(len(row["printed"]) for row in table["rows"].values())
            tex = (Path(made.folder) / "table.tex").read_text()
            body = tex.split("\\midrule")[1].split("\\bottomrule")[0].strip().splitlines()
            assert len({len(re.findall(r"(?<!\\)&", line)) for line in body}) == 1
            count += 1
    assert count == sum(len(paper["tables"]) for paper in papers.values()) > 10


def test_letters_and_numbers() -> None:
    assert [letter(index) for index in (0, 25, 26, 52)] == ["a", "z", "aa", "ba"]
    assert format_value(-1.005, None, 1) == "−1.0"


def test_rendering_tables_loads_no_large_library() -> None:
    slow = ("torch", "matplotlib", "pandas", "scipy")
    code = (
        "import sys, t2i_repro.rendering.tables; from t2i_repro.rendering.spread import spread_of;"
        "spread_of([{'metric': 'parameters', 'value': 1.0}]);"  # reads the declarations of metrics
        f"print([name for name in {slow} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "text", ["1. one", "12) one", "- one", "+ one", "=== x", "# x", ":smile: a:b", "> x", "a\n\nb"]
)
def test_markdown_takes_no_text_for_markup(text: str) -> None:
    markdown_it = pytest.importorskip("markdown_it")
    html = markdown_it.MarkdownIt("gfm-like", {"linkify": False}).render(f"x\n\n{markdown(text)}")
    page = Text()
    page.feed(html)
    assert page.tags == {"p"}
    assert page.text.strip().split("\n")[-1] == " ".join(text.split())
