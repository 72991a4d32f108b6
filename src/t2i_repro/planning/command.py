"""`t2i-repro plan`: what a target would cost on a device, and what of it is built. Writes nothing unless asked to."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from t2i_repro.core.artefact import Node
from t2i_repro.core.config import add_settings, parse_settings
from t2i_repro.core.text import visible
from t2i_repro.planning.cost import Costs
from t2i_repro.planning.devices import HERE, Device, calibrate, device_of, devices, of_records
from t2i_repro.planning.forecast import Forecast, cheapest_first, filled_after
from t2i_repro.planning.plan import Planner, write_specs
from t2i_repro.planning.summary import amounts, times
from t2i_repro.planning.targets import GRAMMAR, nodes_of, papers_of
from t2i_repro.planning.units import format_size
from t2i_repro.registry.papers import load_papers

BUDGETS = (1, 10, 100)  # hours on a device


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"{GRAMMAR}; default: all that params.yaml chooses"
    )
    parser.add_argument("--scale", metavar="S", help="a scale of params.yaml; short for --set scale=S")
    parser.add_argument("--device", metavar="D", help="estimate times on this device; default: here, else h100 or cpu")
    parser.add_argument("--devices", action="store_true", help="list the devices that are known, and stop")
    parser.add_argument("--cards", type=int, metavar="N", default=1, help="jobs on cards at a time (default: 1)")
    parser.add_argument(
        "--cores", type=int, metavar="N", help="cores of the machine (default: 2 for a CPU, 8 for cards)"
    )
    parser.add_argument("--calibrate", action="store_true", help="measure a core of this machine first (ten seconds)")
    parser.add_argument("--paths", action="store_true", help="list each artefact: whether it is built, hours, path")
    parser.add_argument("--write-specs", action="store_true", help="write the spec files, as snakemake does")
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    project, output = Path("."), visible(sys.stdout)
    overrides = parse_settings(args.set)
    if args.scale is not None:
        overrides["scale"] = args.scale
    papers = papers_of(args.targets, load_papers(project)) if args.targets else None
    if papers is not None and "papers" not in overrides:
        overrides["papers"] = papers
    if args.calibrate:
        calibrate(project)
    planner = Planner(project, overrides, estimate=not args.write_specs)
    costs = Costs(planner)
    known = {**devices(project), **of_records(project, costs)}
    if args.devices:
        list_devices(known, output)
        return
    device = known[args.device] if args.device in known else device_of(project, args.device or default(known, planner))
    if args.write_specs:
        write_specs(planner)
    wanted = [node for target in args.targets for node in nodes_of(planner, target)] or list(planner.targets.values())
    cores = args.cores or (8 if device.card else 2)
    forecast = Forecast(planner, costs, wanted, device, cores, args.cards if device.card else cores)
    if args.paths:
        list_paths(forecast, output)
        return
    summary(forecast, ", ".join(args.targets or planner.targets), output)


def default(known: dict[str, Device], planner: Planner) -> str:
    """The device that times are estimated on unless one is named: stand-ins need no card."""
    if planner.params["standin"] is not None and planner.params["data_root"] is None:
        return HERE if HERE in known else "cpu"
    measured = [name for name, device in known.items() if device.card and device.source.startswith("records")]
    return measured[0] if measured else "h100"


def summary(forecast: Forecast, title: str, file: TextIO) -> None:
    """One screen: what there is to build, and what it takes."""
    planner, device = forecast.planner, forecast.device
    print(f"{title} at scale {planner.params['scale']}: {planner.params['label']}", file=file)
    if absent := forecast.absent:
        print(
            f"not here, counted as officially released, and what is built of it unknown: {', '.join(absent)}", file=file
        )
        if planner.params["data_root"] is not None:
            for name in absent:
                print(f"  {planner.absent[name]}", file=file)
    if assumed := forecast.assumed:
        print(f"not prepared, so that a part of it counts as the official release: {', '.join(assumed)}", file=file)
    if unknown := forecast.costs.unknown(forecast.nodes):
        print(f"of unknown size, so that trainings on it count as nothing: {', '.join(unknown)}", file=file)
    for label, text in {**amounts(forecast), **times(forecast)}.items():
        print(f"  {label:14}{text}", file=file)
    print(f"{len(forecast.nodes)} artefacts, {len(forecast.built)} of them built", file=file)
    if tables := forecast.of_kind("table"):
        trainings, rows, cells = filled(planner, tables)
        print(f"{trainings} GAN trainings fill {cells} cells of {rows} table rows", file=file)
    order = cheapest_first(forecast)
    if order:
        unit = "GPU-hour" if device.card else "core-hour"
        counts = ", ".join(f"{filled_after(order, hours)} after {hours}" for hours in BUDGETS)
        hours = order[-1][1] / 3600
        print(f"cheapest first, of {len(order)} cells: {counts} {unit}s; all after {hours:,.1f}", file=file)
    print("paths: --paths; another device: --device NAME (--devices lists them)", file=file)


def list_devices(known: dict[str, Device], file: TextIO) -> None:
    for name, device in known.items():
        rate = f"{device.rate / 1e12:8.3g} TFLOP/s, times within a factor of {device.factor:g}"
        print(f"{name:16}{rate}  {device.label}; {device.source}", file=file)


def list_paths(forecast: Forecast, file: TextIO) -> None:
    """Each artefact in the order of the flow."""
    for node in forecast.nodes:
        state = "built" if node.record in forecast.built else "-"
        hours = forecast.times.get(node.record, 0.0) / 3600
        print(
            f"{state:6} {node.verb:12} {hours:9.3f} h  {format_size(forecast.work(node).disk):>9}  {node.folder}",
            file=file,
        )


def filled(planner: Planner, tables: Iterable[Node] | None = None) -> tuple[int, int, int]:
    """Count the distinct GAN trainings behind the cells of tables (all of the plan), and the rows and cells that they
    fill.

    Trainings that only figures, or only later trainings, use are not counted.
    """
    runs: set[str] = set()
    rows: set[tuple[str, str]] = set()
    cells: set[tuple[str, str, str]] = set()
    if tables is None:
        tables = [node for node in planner.nodes.values() if node.kind == "table"]
    for table in tables:
        for role, score in planner.inputs_of(table).items():
            row, column, _ = role.split("/")
            run = run_behind(planner, score)
            if run is not None:
                runs.add(run.folder)
                rows.add((table.folder, row))
                cells.add((table.folder, row, column))
    return len(runs), len(rows), len(cells)


def run_behind(planner: Planner, score: Node) -> Node | None:
    """The training whose samples or weights are scored; None for a score of real images or of a dataset."""
    inputs = planner.inputs_of(score)
    for role in ("run", "images", "features"):
        if role in inputs:
            return inputs[role] if inputs[role].kind == "train" else run_behind(planner, inputs[role])
    return None
