"""What a reader does with the page: sort, search, enlarge, follow reasons and commands; all of it in a real browser."""

import html
import json
import re
import shutil
from pathlib import Path

import pytest
from browser import check_site, drive
from fakes import HOSTILE, Project, built, divergences, metric, write_record

from t2i_repro.cli import main
from t2i_repro.core.files import hash_files
from t2i_repro.planning.built import with_built_inputs
from t2i_repro.planning.plan import Planner
from t2i_repro.rendering.divergences import inline, names, read_divergences
from t2i_repro.rendering.markup import TEMPLATES
from t2i_repro.rendering.rendered import figure_name, natural

TABLE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>x</title><link rel="icon" href="data:,">
<script src="page.js" defer></script></head><body>
<table class="sortable" data-search="Find"><thead>
<tr><th scope="col" rowspan="2" data-column="0">Name</th><th scope="colgroup" colspan="2">Both</th></tr>
<tr><th scope="col" data-column="1">value</th><th scope="col" data-column="2">text</th></tr></thead><tbody>
<tr><th>a</th><td data-value="9.5">9.5 ± 0.1</td><td>Table 10</td></tr>
<tr><th>b</th><td data-value="100.25">100 ± 2</td><td>Table 2</td></tr>
<tr><th>c</th><td data-value="">—</td><td>Table 1</td></tr>
<tr><th>d</th><td data-value="10">10</td><td></td></tr>
<tr><th>e</th><td data-value="-3e-05">−0.00</td><td>table 3</td></tr>
<tr><th>f</th><td data-value="10">10</td><td>Table 4</td></tr>
<tr><th>g</th><td data-value="111">&gt; 111</td><td>Table 5</td></tr>
<tr><th>h</th><td data-value="">—</td><td>Table 6</td></tr>
</tbody></table></body></html>"""
ORDER = """const rows = () => [...page.querySelectorAll("tbody tr")].map((row) => row.cells[0].textContent).join("");
const heads = [...page.querySelectorAll("th[scope=col]")], sorts = () => heads.map((head) => head.ariaSort).join(" ");
const click = (number) => { heads[number].querySelector("button").click(); return [rows(), sorts()]; };
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return built(Project())


@pytest.fixture
def table(tmp_path: Path) -> Path:
    shutil.copyfile(TEMPLATES / "page.js", tmp_path / "page.js")
    (tmp_path / "table.html").write_text(TABLE, encoding="utf-8")
    return tmp_path


def test_columns_sort_by_value_with_blanks_last_and_back(table: Path) -> None:
    found = drive(table, "table.html", ORDER + "return [click(1), click(1), click(1), click(2), click(0), click(0)];")
    assert found == [
        ["eadfbgch", "none ascending none"],
        ["gbdfaech", "none descending none"],
        ["abcdefgh", "none none none"],
        ["cbefghad", "none none ascending"],
        ["abcdefgh", "ascending none none"],
        ["hgfedcba", "descending none none"],
    ]


def test_search_keeps_rows_with_every_word(table: Path) -> None:
    script = """const input = page.querySelector(".find input"), count = page.querySelector(".find output");
    const type = (text) => { input.value = text; input.dispatchEvent(new page.defaultView.Event("input"));
      const shown = [...page.querySelectorAll("tbody tr")].filter((row) => row.offsetParent !== null);
      return [shown.map((row) => row.cells[0].textContent).join(""), count.textContent]; };
    return [type("TABLE 1"), type("10"), type("nothing"), type(" "), input.labels[0].textContent.trim()];"""
    assert drive(table, "table.html", script) == [
        ["abcfg", "5 of 8"],
        ["abdf", "4 of 8"],
        ["", "0 of 8"],
        ["abcdefgh", ""],
        "Find",
    ]


def test_pictures_open_large_and_links_stay_links(site: Path) -> None:
    run = next(site.glob("run-cub-ssa-gan*.html")).name
    script = """const links = [...page.querySelectorAll("a.large")];
    let dialog;
    const name = () => dialog.querySelector("img").src.split("/").at(-1);
    const press = (key) => dialog.dispatchEvent(new page.defaultView.KeyboardEvent("keydown", { key }));
    const opened = [];
    let followed = false;
    page.addEventListener("click", (event) => { followed = !event.defaultPrevented; event.preventDefault(); });
    const how = { ctrlKey: true, bubbles: true, cancelable: true };
    links[0].dispatchEvent(new page.defaultView.MouseEvent("click", how));
    opened.push(page.querySelector("dialog"), followed);
    links[0].click();
    dialog = page.querySelector("dialog");
    opened.push(dialog.open, name(), dialog.querySelector("p").textContent);
    press("ArrowRight");
    opened.push(name());
    press("ArrowLeft"); press("ArrowLeft");
    opened.push(name(), dialog.querySelector("p").textContent, dialog.querySelector("a").href === links.at(-1).href);
    [...dialog.querySelectorAll("button")].at(-1).click();
    return [...opened, dialog.open];"""
    caption = "a small red bird with a black wing"
    found = drive(site, run, script)
    assert found == [None, True, True, "00.png", caption, "01.png", "step-000060.png", "step 60", True, False]


def test_without_the_script_there_is_nothing_that_needs_it(site: Path) -> None:
    for page in site.glob("*.html"):
        assert not re.search(r"<(button|input|dialog|output)|hidden>", page.read_text()), page
        assert not re.search(r" on\w+=|javascript:", page.read_text()), page


def test_result_tables_carry_the_values_they_sort_by(site: Path) -> None:
    page = (site / "files" / "ssa-gan-table2.html").read_text()
    rows = re.findall(r'<tr><th scope="row" data-value="([^"]*)">.*?</tr>', page, re.DOTALL)
    assert rows == ["ID 0: DF-GAN", "ID 1: SSACN", "StackGAN++"]
    first = re.search(r"ID 0: DF-GAN</th>(.*?)</tr>", page, re.DOTALL)
    assert first
    table = json.loads((site / "files" / "ssa-gan-table2.json").read_text())
    cells = table["rows"][0]["cells"]
    expected = [str(cells["is"][side]["value"]) for side in ("printed", "rebuilt")]
    assert re.findall(r'data-value="([^"]*)"', first[1])[:2] == expected
    columns = re.findall(r'data-column="(\d+)"', page)
    assert columns == [str(number) for number in range(len(columns))]


def test_what_is_missing_says_why(site: Path) -> None:
    overview, paper = (site / "index.html").read_text(), (site / "paper-ssa-gan.html").read_text()
    assert "printed only: no system of ours" in overview
    assert "not comparable (smoke scale, stand-in data, stand-in network)" in overview
    assert 'id="ssa-gan-fig12"' in paper
    assert "Captions changed: ID 1: SSACN" in paper
    assert "Not built: ID 1: SSACN." in paper
    assert ">1/2</a>" in overview, "one of two figures is drawn"
    assert ">4/6</a>" in overview, "four of six cells are rebuilt"


def test_every_cell_is_on_the_page_of_numbers(site: Path) -> None:
    page = (site / "numbers.html").read_text()
    table = json.loads((site / "files" / "ssa-gan-table2.json").read_text())
    assert page.count("<tr><td") == sum(len(row["cells"]) for row in table["rows"])
    for text in ("4.86 ± 0.04", "15.30", "blank in print: unfinished", "printed only: no system of ours"):
        assert text in page, text


def test_commands_name_what_they_rebuild(site: Path) -> None:
    page = html.unescape((site / "paper-ssa-gan.html").read_text())
    for target in ("ssa-gan-table2", "ssa-gan-fig5", "ssa-gan"):
        assert f"snakemake {target} --cores all --config scale=smoke" in page
    assert "snakemake ssa-gan-fig12" not in page


def test_files_of_a_figure_are_those_it_has(site: Path, tmp_path: Path) -> None:
    assert 'href="files/ssa-gan-fig5.pdf"' in (site / "paper-ssa-gan.html").read_text()
    assert "fig5.svg" not in (site / "paper-ssa-gan.html").read_text()
    folder = next((tmp_path / "results/smoke/figures").iterdir())
    (folder / "figure.svg").write_text("<svg/>")
    record = json.loads((folder / "record.json").read_text())
    (folder / "record.json").unlink()
    (folder / "record.json").write_text(json.dumps({**record, "files": hash_files(folder)}))
    shutil.rmtree(site)
    built(Project())
    assert 'href="files/ssa-gan-fig5.svg"' in (site / "paper-ssa-gan.html").read_text()
    assert (site / "files/ssa-gan-fig5.svg").read_text() == "<svg/>"


def test_divergences_are_on_the_page_of_their_paper(site: Path) -> None:
    paper, everything = (site / "paper-ssa-gan.html").read_text(), (site / "divergences.html").read_text()
    for text in ('href="divergences.html#ssa-gan-norm"', "<strong>Paper</strong>: ID 1: SSACN", "<em>squared</em>"):
        assert text in paper, text
    assert 'href="divergences.html#shared-clipping-dm-gan-ssa-gan"' in paper
    assert "Width" not in paper
    assert "An item." not in paper
    assert "<p>A paragraph of two lines.</p>" in everything
    assert 'id="df-gan-width"' in everything


def test_the_divergences_of_this_project_lose_nothing(project: Path) -> None:
    text = (project / "docs/divergences.md").read_text()
    sections = read_divergences(text)
    entries = [entry for section in sections for entry in section.entries]
    assert len(sections) == len(re.findall(r"^## ", text, re.M))
    assert len(entries) == len(re.findall(r"^### ", text, re.M))
    anchors = [entry.anchor for entry in [*sections, *entries]]
    assert len(set(anchors)) == len(anchors)
    for paper in ("gr-gan", "msmt-gan", "hdgan", "ssa-gan", "icsd-gan"):
        assert any(section.about(paper) for section in sections), paper
    shown = html.unescape("".join(re.sub(r"<[^>]*>", "", entry.html) for entry in [*sections, *entries]))
    words = re.sub(r"[`*]|^- ", "", text.split("\n## ", 1)[1], flags=re.M).split()
    assert len(re.sub(r"[`*]", "", shown).split()) > 0.9 * len(words)


def test_divergences_show_text_as_it_was_written() -> None:
    hostile = HOSTILE.replace("`", "").replace("*", "")
    shown = read_divergences(divergences(hostile))[0].entries[0].html
    assert set(re.findall(r"<\w+>", shown)) == {"<ul>", "<li>", "<strong>", "<code>", "<em>"}
    shown_text = html.unescape(re.sub(r"<[^>]*>", "", shown)).split("\n")
    assert shown_text[1:3] == [f"Paper: {hostile}", f"Code: {hostile}, squared."]
    assert inline("2 * 3 * 4 `a*b*c` **b** *e*") == "2 * 3 * 4 <code>a*b*c</code> <strong>b</strong> <em>e</em>"
    assert names("DAMSM (AttnGAN; appendix of SSA-GAN)", "ssa-gan")
    assert not names("MS-GAN and ICSD-GAN", "gan")


def test_names_and_order() -> None:
    assert [figure_name(key) for key in ("fig5", "fig-own-sentences")] == ["Figure 5", "Own sentences"]
    assert sorted(["fig10", "fig-a", "fig2"], key=natural) == ["fig2", "fig10", "fig-a"]


@pytest.fixture
def planned(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Planner:
    """The smoke scale of SSA-GAN in an empty project."""
    shutil.copy(project / "params.yaml", tmp_path)
    shutil.copytree(project / "papers", tmp_path / "papers")
    monkeypatch.chdir(tmp_path)
    return Planner(Path("."), {"papers": ["ssa-gan"], "scale": "smoke"})


def test_the_page_shows_what_is_built_so_far(planned: Planner, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["page", "--set", "scale=smoke", "--set", "papers=[ssa-gan]"]
    assert main(command) == 0
    site, table = Path("results/smoke/report"), Path("results/smoke/report/files/ssa-gan-table2.json")
    for name in ("index.html", "paper-ssa-gan.html"):
        assert "not run yet" in (site / name).read_text()
    assert "Not built yet: its inputs are missing." in (site / "paper-ssa-gan.html").read_text()
    assert "There was no <code>docs/divergences.md</code>" in (site / "divergences.html").read_text()
    before = json.loads(table.read_text())
    assert all(cell["rebuilt"] is None for row in before["rows"] for cell in row["cells"].values())

    source = next(node for node in planned.nodes.values() if node.name == "ssa-gan-table2").inputs["id1/fid/0"]
    score = next(node for node in planned.nodes.values() if node.folder == source.path)
    Path(score.folder).mkdir(parents=True)
    (Path(score.folder) / "metric.json").write_text(json.dumps(metric(28.0)))
    write_record(score)
    assert main(command) == 0
    after = {row["id"]: row["cells"] for row in json.loads(table.read_text())["rows"]}
    assert after["id1"]["fid"]["rebuilt"]["value"] == 28.0
    assert after["id0"]["fid"]["missing"] == after["id1"]["is"]["missing"] == "not run yet"
    check_site(site)
    assert capsys.readouterr().out.count("results/smoke/report/index.html") == 2


def test_a_score_counts_only_if_its_record_is_the_planned_one(planned: Planner) -> None:
    table = next(node for node in planned.nodes.values() if node.name == "ssa-gan-table2")
    score = next(node for node in planned.nodes.values() if node.folder == table.inputs["id1/fid/0"].path)
    record = Path(score.folder) / "record.json"
    record.parent.mkdir(parents=True)
    write_record(score)
    assert set(with_built_inputs(table).inputs) == {"id1/fid/0"}
    record.write_text(json.dumps({**json.loads(record.read_text()), "digest": "0123456789"}))
    assert with_built_inputs(table).inputs == {}
    record.write_text("{")
    assert with_built_inputs(table).inputs == {}
