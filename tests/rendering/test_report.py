import csv
import html
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from browser import check_site, dead_links
from fakes import HOSTILE, Project, build, built, node

from t2i_repro.audit.contradictions import Compared, Print
from t2i_repro.core.record import Build, building
from t2i_repro.registry.printed import Cell
from t2i_repro.rendering import report
from t2i_repro.rendering.charts import Curve, line_chart, nice_ticks, read_curves
from t2i_repro.rendering.dots import LEFT, SIZE, dot_plot, key_marks
from t2i_repro.rendering.runs import duration, flat

OUR_SCRIPT = '<script src="page.js" defer></script>'


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return built(Project())


def test_every_page_opens_in_a_browser(site: Path) -> None:
    found = check_site(site)
    assert {"index.html", "paper-ssa-gan.html", "runs.html"} < set(found)
    assert found["paper-ssa-gan.html"]["images"] == 1
    run = next(page for page in found if page.startswith("run-cub-ssa-gan"))
    assert found[run]["images"] == 12 + 3


def test_a_site_full_of_hostile_text_opens_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    site = built(Project(label=HOSTILE, caption=HOSTILE))
    check_site(site)
    for page in site.glob("*.html"):
        assert page.read_text().count("<script") == page.read_text().count(OUR_SCRIPT) == 1
        assert "<b>x</b>" not in page.read_text()


def test_the_check_sees_what_is_wrong(site: Path) -> None:
    page = site / "runs.html"
    good = page.read_text()
    page.write_text(good.replace("</main>", '<a href="nowhere.html">x</a><a href="index.html#nothing">y</a></main>'))
    assert dead_links(site) == ["runs.html: nowhere.html", "runs.html: index.html#nothing"]
    picture = next((site / "pictures").rglob("03.png"))
    page.write_text(good.replace("</main>", "<script>console.error('no')</script></main>"))
    with pytest.raises(AssertionError, match="console"):
        check_site(site)
    page.write_text(good)
    picture.write_bytes(b"not a picture")
    with pytest.raises(AssertionError, match="do not load"):
        check_site(site)


def test_every_rebuilt_cell_leads_to_its_run_and_record(site: Path) -> None:
    page = (site / "paper-ssa-gan.html").read_text()
    table = json.loads((site / "files" / "ssa-gan-table2.json").read_text())
    for row in table["rows"]:
        for cell in row["cells"].values():
            for score in (cell["rebuilt"] or {"scores": []})["scores"]:
                run = Path(score["run"]["path"]).name
                assert f'href="run-{run}.html#score-{score["digest"]}"' in page
                record = json.loads((site / "records" / f"{Path(score['path']).name}.json").read_text())
                assert record["digest"] == score["digest"]
                shown = (site / f"run-{run}.html").read_text()
                for fact in ("stand-in network", "ab" * 32, record["digest"]):
                    assert fact in shown


def test_the_scale_is_on_every_page(site: Path) -> None:
    for page in site.glob("*.html"):
        text = page.read_text()
        assert "smoke scale, seconds" in text
        assert "stand-in data (procedural)" in text
        assert "no number here is comparable with print" in text


def test_an_older_report_leaves_nothing_behind(site: Path) -> None:
    (site / "run-gone.html").write_text("old")
    (site / "records" / "gone.json").write_text("{}")
    project = Project()
    other = node("report", "report", {**project.report.spec, "data_label": "real data"}, scale="smoke")
    other = type(other)(**{**other.__dict__, "inputs": project.report.inputs})
    with building(other, site) as work:
        report.run(other, site, work)
    assert not (site / "run-gone.html").exists()
    assert not (site / "records" / "gone.json").exists()
    assert [path.name for path in site.glob("record-*.json")] == [f"record-{other.digest}.json"]
    assert "data_root=FOLDER" in (site / "index.html").read_text()
    assert not list(site.glob(".*"))


def test_a_report_that_fails_leaves_the_old_one(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project()
    before = sorted(path.name for path in site.rglob("*"))
    monkeypatch.setattr(report.Site, "copy_records", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        report.run(project.report, site, Build(project.report))
    assert sorted(path.name for path in site.rglob("*")) == before


def test_curves_show_what_the_log_says(tmp_path: Path) -> None:
    log = tmp_path / "losses.csv"
    log.write_text("step,loss,label\n1,2.5,a\n2,,b\n3,-0.5,c\n")
    (curve,) = read_curves(log)
    assert curve == Curve("loss", [1, 3], [2.5, -0.5])
    chart = line_chart(curve)
    assert chart.summary == "loss: 2.5 at step 1, -0.5 at step 3"
    assert chart.content.count("<path") == 1
    long = Curve("<b>", [float(step) for step in range(5000)], [float(step % 7) for step in range(5000)])
    assert line_chart(long).content.count("<path") == 2
    assert len(line_chart(long).content) < 20000
    for constant in (0.0, 1.0, -3.0):
        assert "nan" not in line_chart(Curve("constant", [1, 2], [constant, constant])).content
    assert line_chart(Curve("one", [5], [1.0])).summary == "one: 1 at step 5, 1 at step 5"


def test_the_page_and_the_file_of_losses_have_the_same_charts(site: Path) -> None:
    for page in site.glob("run-cub-*.html"):
        key = page.stem.removeprefix("run-")
        svg = (site / f"files/losses-{key}.svg").read_text()
        charts = re.findall(r'<svg class="chart".*?aria-label="([^"]*)">\n(.*?)</svg>', page.read_text(), re.DOTALL)
        assert [summary.split(":")[0] for summary, _ in charts] == ["d_loss", "g_loss", "damsm", "d_real"]
        for summary, content in charts:
            assert content in svg
            assert f"<title>{summary}</title>" in svg
        run = next(Path("results/smoke/runs").glob(key))
        with (site / f"files/losses-{key}.csv").open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["loss"] == "g_loss"]
        (curve,) = (curve for curve in read_curves(run / "losses.csv") if curve.name == "g_loss")
        assert [float(row["mean"]) for row in rows] == curve.values
        assert [float(row["step"]) for row in rows] == curve.steps
        for kind in ("svg", "csv"):
            assert f'href="files/losses-{key}.{kind}"' in page.read_text()


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.7, 12.1), (1e-9, 3e-9), (0.998, 1.003), (-5e6, 2e7)])
def test_ticks_are_round_and_cover_the_data(low: float, high: float) -> None:
    ticks = nice_ticks(low, high)
    assert 3 <= len(ticks) <= 7
    tolerance = (high - low) * 1e-6
    assert ticks[0] <= low + tolerance
    assert ticks[-1] >= high - tolerance


def test_words_for_people() -> None:
    assert [duration(value) for value in (0.04, 9.4, 42, 200, 18720, 187200)] == [
        "0.0 s",
        "9.4 s",
        "42 s",
        "3 min 20 s",
        "5 h 12 min",
        "2 d 4 h",
    ]
    nested = {"a": {"b": 1, "c": [1, 2]}, "d": None, "e": True}
    assert flat(nested) == [("a.b", "1"), ("a.c", "1, 2"), ("d", "none"), ("e", "yes")]


def test_a_run_whose_intermediate_files_are_gone_is_still_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    project = Project()
    data = build(node("prepare", "cub-16", {}))
    late = build(node("train", "cub-late-s0", {"seed": 0, "image_size": 16}, data=data))
    (Path(data.folder) / "record.json").unlink()
    inputs = {**project.report.inputs, "train/cub-late-s0": late.as_input()}
    made = type(project.report)(**{**project.report.__dict__, "inputs": inputs})
    report.Site(made, tmp_path / "site").folder.mkdir()
    report.Site(made, tmp_path / "site").write()
    page = next((tmp_path / "site").glob("run-cub-late*.html")).read_text()
    assert "removed since" in page
    assert "Not sampled" in page


def test_the_report_needs_no_torch() -> None:
    code = "import sys, t2i_repro.rendering.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_claims_are_on_the_page_of_their_paper_and_in_the_audit(site: Path) -> None:
    paper, audit = (site / "paper-ssa-gan.html").read_text(), (site / "audit.html").read_text()
    for page in (paper, audit):
        for claim in ("holds", "fails", "unknown"):
            assert f'id="claim-ssa-gan-{claim}"' in page
        assert "1 hold, 1 fail, 1 undecided" in page
        assert "table2.id1.fid &lt; table2.id0.fid" in page
        assert "not comparable (smoke scale, stand-in data, stand-in network)" in page
    assert page_text(audit).count("✗ fails") == 1
    assert "best(table2.id0.fid): 19.24, but StackGAN++ 15.30" in page_text(audit)
    overview = page_text((site / "index.html").read_text())
    assert "1 ✓ holds 1 ✗ fails 1 ? cannot tell 0 ✓ holds 0 ✗ fails 3 ? cannot tell" in overview
    assert "1 contradiction inside papers, 2 disagreements of more than 5% between them" in overview


def test_the_audit_sets_papers_side_by_side(site: Path) -> None:
    audit = (site / "audit.html").read_text()
    cells = page_text(audit)
    assert "42.7%" in cells
    assert "31.4%" in cells
    assert audit.count("<title>ssa-gan: ") == audit.count("<title>other: ") == 2
    assert "<title>ssa-gan: 4.86 ± 0.04</title>" in audit


def page_text(page: str) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]*>", " ", page).split()))


def test_hostile_claims_are_shown_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    site = built(Project(label=HOSTILE))
    for name in ("audit.html", "paper-ssa-gan.html"):
        shown = html.unescape((site / name).read_text())
        for place in ("", "Sec. 1, ", "It is better: ", "Read so: "):
            assert place + HOSTILE in shown, (name, place)
    assert (site / "audit.html").read_text().count("<script") == 1


def test_every_paper_has_a_mark_of_its_own() -> None:
    marks = key_marks([f"paper {number}" for number in range(5)])
    assert len({mark["path"] for mark in marks}) == len({mark["colour"] for mark in marks}) == 5
    assert dot_plot([], []).count("<path") == 0


def test_dots_lie_where_the_numbers_are() -> None:
    def print_of(paper: str, value: float) -> Print:
        cell = Cell(paper, "table1", "a", "fid", value, None, False, None, "fid:tf", "cub", "lower", 2, None)
        return Print(cell, "a", "Table 1", "A", "FID")

    compared = Compared("a", "cub", "fid", (print_of("x", 10.0), print_of("y", 15.0), print_of("x", 20.0)))
    plot = dot_plot([compared], ["x", "y"])
    reach = re.search(r'class="reach" x1="([\d.]+)" x2="([\d.]+)"', plot)
    assert reach
    first, last = map(float, reach.groups())
    assert first == LEFT
    middle = re.search(r'<path class="mark-1" d="M([\d.]+) ', plot)
    assert middle
    assert float(middle[1]) + SIZE == pytest.approx((first + last) / 2, abs=0.1)
