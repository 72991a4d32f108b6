"""What `t2i-repro plan` says before anything is built, without data and without torch."""

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from project_copy import one_paper

from t2i_repro.cli import main
from t2i_repro.core.artefact import Node
from t2i_repro.errors import ReproError
from t2i_repro.planning.cost import Costs, counted, workload
from t2i_repro.planning.devices import Device, devices, makespan, of_records, seconds
from t2i_repro.planning.forecast import Forecast, cheapest_first, closure, filled_after
from t2i_repro.planning.plan import Planner
from t2i_repro.planning.summary import amounts
from t2i_repro.planning.targets import nodes_of, papers_of
from t2i_repro.registry.papers import load_papers

H100 = "h100"


def paper_scale(project: Path, **overrides: Any) -> Planner:
    return Planner(project, {"scale": "paper", **overrides}, estimate=True)


@pytest.fixture(scope="module")
def whole(project: Path) -> Planner:
    """All papers at their own scale, without data."""
    return paper_scale(project, papers=list(load_papers(project)))


def forecast_of(planner: Planner, wanted: Sequence[Node] | None = None, device: str = H100) -> Forecast:
    known = devices(planner.project)[device]
    return Forecast(planner, Costs(planner), wanted or list(planner.targets.values()), known, 8, 1)


@pytest.fixture
def copy(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the planner reads, of SSA-GAN on CUB, in the current folder."""
    (tmp_path / "params.yaml").write_text((project / "params.yaml").read_text())
    one_paper(tmp_path / "params.yaml")
    (tmp_path / "papers").symlink_to(project / "papers")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_whole_paper_scale_has_the_known_totals(whole: Planner) -> None:
    forecast = forecast_of(whole)
    said = amounts(forecast)
    assert said["trainings"].startswith("70,")
    assert said["steps"] == "52.4 million, on 772 million images"
    assert said["samples"].startswith("74 of 30,000 images: 436 GB at 256 px; ")
    longest = max(forecast.work(node).steps for node in forecast.of_kind("train"))
    assert longest == 3_104_100  # "3.1 million" of docs/slurm.md
    assert set(whole.absent) == {"cub", "oxford", "coco"}
    assert not forecast.costs.unknown(forecast.nodes)


def test_samples_count_as_they_are_stored(whole: Planner) -> None:
    forecast = forecast_of(whole)
    (sample,) = (node for node in forecast.of_kind("sample") if node.name == "cub-ssa-gan-s0")
    assert forecast.work(sample).disk == 30_000 * 256 * 256 * 3
    (staged,) = (node for node in forecast.of_kind("sample") if node.name == "cub-dm-gan-s0")
    assert forecast.work(staged).disk == 30_000 * (256**2 + 128**2 + 64**2) * 3


def test_all_papers_are_planned_in_seconds_and_without_torch(project: Path) -> None:
    papers = f"papers=[{','.join(load_papers(project))}]"
    program = (
        "import sys; from t2i_repro.cli import main; "
        f"main(['plan', '--scale', 'paper', '--set', {papers!r}]); assert 'torch' not in sys.modules"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    done = subprocess.run([sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before < 5
    assert len(done.stdout.splitlines()) < 25
    assert "70, of which" in done.stdout


def test_every_training_of_the_scales_is_counted(project: Path) -> None:
    for scale in ("paper", "small", "smoke"):
        planner = Planner(project, {"scale": scale, "papers": list(load_papers(project))}, estimate=True)
        costs = Costs(planner)
        guessed = [n.name for n in planner.nodes.values() if n.kind == "train" and costs.work(n).guessed]
        assert not guessed, f"run benchmarks/flops.py: {scale}: {guessed}"


@pytest.mark.parametrize("name", ["cub-gan-int-cls-s0", "cub-hdgan-s0"])
def test_counted_operations_are_those_of_a_step(
    project: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(project / "benchmarks"))
    import flops  # type: ignore[import-not-found]  # of benchmarks/; needs torch

    planner = Planner(project, {"scale": "smoke", "papers": ["hdgan"]}, estimate=True)
    (node,) = (node for node in planner.nodes.values() if node.kind == "train" and node.name == name)
    found = flops.count_training(planner, node, tmp_path)
    entry = counted()["trainings"][workload(node.spec)]
    for key in ("train", "sample", "stages", "fixed_bytes"):
        assert found[key] == entry[key], key
    assert found["image_bytes"] == pytest.approx(entry["image_bytes"], rel=0.05)


def test_an_unknown_system_is_guessed_from_its_family_and_said_to_be(whole: Planner) -> None:
    costs = Costs(whole)
    (node,) = (n for n in whole.nodes.values() if n.kind == "train" and n.name == "cub-ssa-gan-s0")
    known, guessed = costs.entry(node.spec)
    assert not guessed
    half, guessed = costs.entry({**node.spec, "image_size": 128})
    assert guessed
    assert 0.1 < half["train"] / known["train"] < 0.5
    assert half["stages"] == [128]


def test_looking_writes_nothing(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--set", "seeds=[7]"]) == 0
    assert "cub" not in capsys.readouterr().out.split("\n")[1]
    assert not (copy / "results").exists()
    main(["plan", "--write-specs"])
    assert any((copy / "results/smoke/specs").iterdir())


def test_a_table_needs_no_other_dataset(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "ssa-gan-table2", "--scale", "paper"])
    out = capsys.readouterr().out
    assert out.splitlines()[1].endswith(": cub")
    assert "coco" not in out


def test_a_dataset_that_is_not_prepared_is_assumed_to_be_whole(
    copy: Path, shared: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"data_root={shared / 'data'}"  # 598 of CUB's 8,855 training images
    assert main(["plan", "ssa-gan-table2", "--set", data]) == 0
    assert "not prepared, so that a part of it counts as the official release: cub" in capsys.readouterr().out


def test_paths_are_listed_on_demand(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["plan", "--paths"])
    planner = Planner(copy)
    assert {line.split()[-1] for line in capsys.readouterr().out.splitlines()} == {
        node.folder for node in planner.nodes.values()
    }


def test_targets(whole: Planner) -> None:
    (score,) = nodes_of(whole, "ssa-gan-table2/id0/fid")
    assert score.name == "cub-df-gan-s0-fid-tf"
    assert {node.spec["paper"] for node in nodes_of(whole, "hdgan")} == {"hdgan"}
    assert nodes_of(whole, "ssa-gan-fig5")[0].kind == "figure"
    assert nodes_of(whole, "report") == [whole.targets["report"]]
    # The claim ranks a cell: all that its column is compared with belongs to it.
    claimed = {node.name for node in nodes_of(whole, "ssa-gan/coco-fid")}
    assert {"coco-df-gan-s0-fid-tf", "coco-attngan-s0-fid-tf"} <= claimed
    assert papers_of(["ssa-gan-table2/id0/fid", "hdgan"], load_papers(whole.project)) == ["ssa-gan", "hdgan"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("ssa-gan-tabel2", "did you mean ssa-gan-table2"),
        ("ssa-gan-table2/id9/fid", "rows: found 'id9'; allowed: id0"),
        ("ssa-gan-table2/id0/psnr", "columns: found 'psnr'; allowed: is, fid"),
        ("ssa-gan/no-such", "claims: found 'no-such'; allowed: is-over-df-gan"),
    ],
)
def test_a_target_that_is_not_there_is_named_with_what_is(whole: Planner, target: str, message: str) -> None:
    with pytest.raises(ReproError) as caught:
        nodes_of(whole, target)
    assert message in str(caught.value)


def test_a_cell_needs_its_own_training_alone(whole: Planner) -> None:
    forecast = forecast_of(whole, nodes_of(whole, "ssa-gan-table2/id0/fid"))
    assert [node.name for node in forecast.of_kind("train")] == ["cub-df-gan-s0"]


def test_the_cheapest_cells_come_first_and_each_comes_once(whole: Planner) -> None:
    forecast = forecast_of(whole, nodes_of(whole, "ssa-gan"))
    order = cheapest_first(forecast)
    spent = [time for _, time in order]
    assert spent == sorted(spent)
    assert len({cell.name for cell, _ in order}) == len(order)
    whole_time = sum(forecast.times[record] for record in set().union(*(cell.needs for cell, _ in order)))
    assert spent[-1] == pytest.approx(whole_time)
    assert 0 < filled_after(order, 100) < len(order) == filled_after(order, 1e9)


def test_what_is_built_costs_nothing_nor_what_only_it_needs(copy: Path) -> None:
    planner = Planner(copy)
    forecast = forecast_of(planner, device="cpu")
    before = len(forecast.todo), forecast.card_seconds
    run = next(node for node in forecast.of_kind("train") if node.name == "cub-ssa-gan-s0")
    (copy / run.folder).mkdir(parents=True)
    (copy / run.record).write_text("{}")
    again = forecast_of(planner, device="cpu")
    assert again.built == {run.record}
    assert len(again.todo) == before[0] - 1
    assert again.card_seconds < before[1]
    only = forecast_of(planner, [run], device="cpu")
    assert not only.todo


def test_jobs_wait_for_inputs_cores_and_cards() -> None:
    def node(name: str, kind: str, *inputs: Node) -> Node:
        links = {str(at): source.as_input() for at, source in enumerate(inputs)}
        return Node(kind, name, "smoke", {}, links)

    data = node("data", "prepare")
    runs = [node(f"run-{at}", "train", data) for at in range(4)]
    scores = [node(f"score-{at}", "score", run) for at, run in enumerate(runs)]
    nodes = [data, *runs, *scores]
    times = {one.record: {"prepare": 5.0, "train": 10.0, "score": 1.0}[one.kind] for one in nodes}
    assert makespan(nodes, times, cores=8, cards=1) == 5 + 4 * 10 + 1
    assert makespan(nodes, times, cores=8, cards=4) == 5 + 10 + 1
    assert makespan(nodes, times, cores=1, cards=4) == sum(times.values())
    del times[data.record]  # built
    assert makespan(nodes, times, cores=2, cards=2) == 22


def test_records_of_finished_trainings_are_devices(whole: Planner, tmp_path: Path) -> None:
    costs = Costs(whole)
    node = next(n for n in whole.nodes.values() if n.kind == "train" and n.name == "cub-ssa-gan-s0")
    folder = tmp_path / "results/paper/runs/cub-ssa-gan-s0-0000000000"
    folder.mkdir(parents=True)
    steps = 1000
    record = {
        "spec": node.spec,
        "facts": {"steps": steps},
        "hardware": {"gpu": "Some Card (80 GB)"},
        "wall_seconds": 2_000.0,
    }

    (folder / "record.json").write_text(json.dumps(record))
    (measured,) = of_records(tmp_path, costs).values()
    assert (measured.name, measured.card) == ("some-card-80-gb", True)
    once = replace(
        costs.work(node), steps=steps, operations=costs.work(node).operations * steps / costs.work(node).steps
    )
    assert seconds(node, once, measured) == pytest.approx(2_000, rel=0.01)


def test_a_slower_machine_takes_longer(whole: Planner) -> None:
    costs = Costs(whole)
    reference = devices(whole.project)["cpu"]
    slow: Device = replace(reference, rate=reference.rate / 2, speed=2.0, start=2.0)
    for node in whole.nodes.values():
        fast, slower = (seconds(node, costs.work(node), device) for device in (reference, slow))
        assert slower == pytest.approx(2 * fast), node.name


def test_closure_stops_at_what_is_built(whole: Planner) -> None:
    (score,) = nodes_of(whole, "ssa-gan-table2/id0/fid")
    everything = closure(whole, [score])
    sample = next(node for node in whole.nodes.values() if node.kind == "sample" and node.record in everything)
    left = closure(whole, [score], {sample.record})
    assert sample.record not in left
    assert not any("/runs/" in record for record in left)
