"""How long work takes on a device. Needs no torch.

A job takes the time to start, a time for each step or image that does not depend on the size of networks, and its
operations at the device's rate. devices.yaml has the constants, measured on the reference core, and the devices.
"""

import heapq
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import write_json
from t2i_repro.core.schema import read_yaml
from t2i_repro.errors import ReproError
from t2i_repro.models.text_encoder import artefact_kinds
from t2i_repro.planning.cost import Costs, Work

DEVICES = Path(__file__).with_name("devices.yaml")
MEASURED = Path("results/devices.json")
HERE = "here"
MEASURABLE = 3.0  # seconds of operations in a step, in times of its fixed part, from which its rate can be told

# Takes 3 s of a core: training of a small convolutional network, of the sizes of the smoke scale.
PROBE = """
import time
import torch
torch.set_num_threads(1)
torch.manual_seed(0)
layers = [torch.nn.Sequential(torch.nn.Conv2d(a, 32, 3, padding=1), torch.nn.LeakyReLU()) for a in (3, 32, 32, 32)]
network, images = torch.nn.Sequential(*layers), torch.randn(12, 3, 64, 64)
def step():
    network.zero_grad()
    network(images).square().mean().backward()
step()
times = []
for _ in range(12):
    before = time.process_time()
    step()
    times.append(time.process_time() - before)
print(sorted(times)[len(times) // 2])
"""
START = "import time, torch, torchvision; print(time.process_time())"


@dataclass(frozen=True)
class Device:
    """``rate``: operations per second in training. ``factor``: the true time is likely between the estimate divided
    and multiplied by it. ``speed``, ``start``: time of a core for steps and for starting a job, in those of the
    reference. ``step``: least seconds of a training step; None: that of the reference core. ``memory``: bytes."""

    name: str
    label: str
    source: str
    rate: float
    factor: float
    card: bool = False
    memory: float | None = None
    step: float | None = None
    speed: float = 1.0
    start: float = 1.0


@cache
def table() -> dict[str, Any]:
    found: dict[str, Any] = read_yaml(DEVICES)
    return found


def devices(project: Path) -> dict[str, Device]:
    """Devices by name: those of devices.yaml and what was measured in this project (`results/devices.json`), the
    processor of this machine as `here`."""
    known = {name: Device(name, **entry) for name, entry in table()["devices"].items()}
    return known | {name: Device(name, **entry) for name, entry in read_measured(project).items()}


def read_measured(project: Path) -> dict[str, dict[str, Any]]:
    path = project / MEASURED
    try:
        found: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for name, entry in found.items():
            Device(name, **entry)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ReproError(
            f"{path}: cannot be read as a table of devices ({error}); remove it and measure again"
        ) from error
    return found


def device_of(project: Path, name: str) -> Device:
    """A device by its name. Raises ReproError naming those that are known."""
    known = devices(project)
    if name not in known:
        near = get_close_matches(name, known) or list(known)
        raise ReproError(f"--device: found {name!r}; known: {', '.join(near)} (all: t2i-repro plan --devices)")
    return known[name]


def calibrate(project: Path) -> Device:
    """Measure a core of this machine against the reference core, in about ten seconds, and keep it as `here`."""
    reference, probe = Device("cpu", **table()["devices"]["cpu"]), table()["probe"]
    speed, start = (min(run_probe(program) for _ in range(2)) / probe[key] for key, program in PROBES.items())
    measured = replace(
        reference,
        name=HERE,
        label="one core of this machine",
        source=f"measured here: computes at {1 / speed:.2f} and starts at {1 / start:.2f} of the reference's speed",
        rate=reference.rate / speed,
        speed=speed,
        start=start,
    )
    keep(project, measured)
    return measured


PROBES = {"step": PROBE, "start": START}


def run_probe(program: str) -> float:
    """CPU-seconds that a program prints, which a busy machine changes least."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, encoding="utf-8", check=False)
    if done.returncode:
        raise ReproError(f"--calibrate: torch cannot be measured here: {done.stderr.strip()[-300:]}")
    return float(done.stdout.split()[-1])


def keep(project: Path, device: Device) -> None:
    """Add a device to `results/devices.json`."""
    entry = {key: value for key, value in vars(device).items() if key != "name"}
    (project / MEASURED).parent.mkdir(exist_ok=True)
    write_json(project / MEASURED, {**read_measured(project), device.name: entry})


def of_records(project: Path, costs: Costs) -> dict[str, Device]:
    """Devices on which trainings were finished in this project, by name, at the rate that their records tell.

    Records of trainings that resumed, or whose steps are too short to tell a rate, are left out.
    """
    spent: dict[str, list[tuple[float, float]]] = {}
    for path in sorted(project.glob("results/*/runs/*/record.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            steps, seconds = int(record["facts"]["steps"]), float(record["wall_seconds"])
            entry, guessed = costs.entry(record["spec"])
            gpu, resumed = record["hardware"].get("gpu"), "resumed_at" in record["facts"]
            threads = record["hardware"].get("threads", 1)
            operations = steps * record["spec"]["batch"] * float(entry["train"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        fixed = (table()["gpu_step"] if gpu else table()["step"]) * steps
        if not guessed and not resumed and seconds > (1 + MEASURABLE) * fixed:
            spent.setdefault(gpu or f"cpu-{threads}-threads", []).append((operations, seconds - fixed))
    found = {}
    for label, runs in spent.items():
        name = "-".join(label.lower().replace("(", " ").replace(")", " ").split())
        rate = sum(operations for operations, _ in runs) / sum(seconds for _, seconds in runs)
        source = f"records of {len(runs)} trainings in results/"
        card = not name.startswith("cpu-")
        found[name] = Device(name, label, source, rate, 1.3, card=card, step=table()["gpu_step"] if card else None)
    return found


def seconds(node: Node, work: Work, device: Device) -> float:
    """Time to build a node on a device, or on a core where its verb needs no card."""
    constants = table()
    kind = "pretrain" if node.kind in (*artefact_kinds(), "classifier") else node.kind
    start = (constants["dispatch"] + constants["start"].get(kind, constants["start"]["other"])) * device.start
    per_image = constants["image"].get(kind, 0.0) * work.images * (1.0 if device.card else device.speed)
    step = constants["step"] * device.speed if device.step is None else device.step
    return start + per_image + step * work.steps + work.operations / device.rate


def on_card(node: Node) -> bool:
    """Whether a node's job takes a card where there is one (`gpu=1` in workflow/rules)."""
    return node.kind in ("train", "sample", "embed", "classifier", *artefact_kinds())


def makespan(nodes: Sequence[Node], times: Mapping[str, float], cores: int, cards: int) -> float:
    """Seconds until all nodes are built, inputs first, on so many cores and jobs on cards at a time. ``times`` by
    record; nodes that are not in it are there already."""
    folders = {node.folder: node.record for node in nodes}
    waiting = {
        node.record: {folders[link.path] for link in node.inputs.values() if folders.get(link.path) in times}
        for node in nodes
        if node.record in times
    }
    users: dict[str, list[str]] = {}
    for record, inputs in waiting.items():
        for source in inputs:
            users.setdefault(source, []).append(record)
    carded = {node.record for node in nodes if on_card(node)}
    ready = [record for record, inputs in waiting.items() if not inputs]
    running: list[tuple[float, str]] = []
    now, free_cores, free_cards = 0.0, cores, cards
    while ready or running:
        for record in list(ready):
            card = record in carded
            if free_cores and (free_cards or not card):
                ready.remove(record)
                free_cores, free_cards = free_cores - 1, free_cards - card
                heapq.heappush(running, (now + times[record], record))
        now, done = heapq.heappop(running)
        free_cores, free_cards = free_cores + 1, free_cards + (done in carded)
        for user in users.get(done, ()):
            waiting[user].discard(done)
            if not waiting[user]:
                ready.append(user)
    return now
