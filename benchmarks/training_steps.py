"""Memory of one complete training step at full width, batch 4, on the CPU: the heaviest system of each architecture.

    python benchmarks/training_steps.py                 all of them, each in its own process, as a table
    python benchmarks/training_steps.py NAME DATASET    one system of papers/, in this process; prints JSON

The step is the one that `train` takes, with the text encoders and the networks of the matching losses at full width,
and with the state that optimisers and averages have during a run. Images and captions are random, networks untrained.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from t2i_repro.core.config import load_params
from t2i_repro.core.declarations import resolve
from t2i_repro.data.batches import Batch
from t2i_repro.data.sentence_batches import SentenceBatch
from t2i_repro.models.build import build_generator, count_parameters
from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn
from t2i_repro.models.encoders.damsm import DamsmImageEncoder, DamsmTextEncoder
from t2i_repro.models.encoders.itm import ITM, OpenClip
from t2i_repro.models.family import family_of
from t2i_repro.models.state import reproducible, save_torch
from t2i_repro.models.text_encoder import text_encoders
from t2i_repro.planning.counts import VOCABULARIES
from t2i_repro.registry.papers import load_definitions
from t2i_repro.registry.systems import NoEntryError, resolve_systems, system_on
from t2i_repro.sampling.conditioners import CharCnnRnnText, ClipTextCache, DamsmText, ItmText
from t2i_repro.sampling.text import TextConditioner
from t2i_repro.training.gan import GAN, GanInputs

PROJECT = Path(__file__).resolve().parents[1]
BATCH = 4
CONTEXT, VOCABULARY = 77, 49_408  # of CLIP's text transformer
CPU = torch.device("cpu")
STATUS = Path("/proc/self/status")
Described = dict[str, Any]


def described() -> Iterator[tuple[str, str, Described]]:
    """(name, dataset, system) for every system of papers/ on every dataset that it has values for."""
    datasets = tuple(load_params(PROJECT)["datasets"])
    for name, system in resolve_systems(load_definitions(PROJECT), datasets).items():
        for dataset in datasets:
            try:
                yield name, dataset, system_on(system, dataset, datasets, f"systems.{name}")
            except NoEntryError:
                continue


def system_of(name: str, dataset: str) -> Described:
    (found,) = [system for known, where, system in described() if (known, where) == (name, dataset)]
    return found


def architecture(system: Described) -> str:
    """The networks and losses of a system, whatever their widths and weights."""
    stages = system.get("stages", ())
    parts = [
        system["kind"],
        system["encoder"],
        system.get("block"),
        f"stage {system['stage']}" if "stage" in system else None,
    ]
    parts += sorted({stage["initial"]["kind"] for stage in stages if "initial" in stage})
    parts += sorted({stage["fusion"]["kind"] for stage in stages if "fusion" in stage} - {"none"})
    parts += [
        term for term in ("similarity", "redundancy", "distillation", "extension", "interpolation") if system.get(term)
    ]
    return ", ".join(part for part in parts if part)


def weight(system: Described, dataset: str) -> tuple[int, ...]:
    """Sort key for the memory of a step: losses on images, whether the text encoder trains, sizes, vocabulary."""
    stages = system.get("stages", ())
    losses = sum(bool(stage.get("matching")) for stage in stages) + len(system.get("distillation", ()))
    sizes = [system[key] for key in ("width", "residual", "masks") if key in system]
    sizes += [system.get("discriminator", {}).get("width", 0), system.get("extension", {}).get("repeats", 0)]
    sizes += [len(system.get("scales", ())), *(len(stage["heads"]) for stage in stages)]
    sizes += [stage.get("fusion", {}).get("blocks", 0) + stage.get("initial", {}).get("ngram", 0) for stage in stages]
    return losses, system.get("text") == "tuned", sum(sizes), VOCABULARIES.get(dataset, 0)


@dataclass(frozen=True)
class Representative:
    """The heaviest system of an architecture, and the names of all that have it."""

    name: str
    dataset: str
    systems: tuple[str, ...]


def representatives() -> dict[str, Representative]:
    """By architecture."""
    heaviest: dict[str, tuple[tuple[int, ...], Representative]] = {}
    for name, dataset, system in described():
        key, found = architecture(system), weight(system, dataset)
        first = (found, Representative(name, dataset, ()))
        best, chosen = heaviest.setdefault(key, first)
        names = dict.fromkeys((*heaviest[key][1].systems, name))
        best, chosen = (best, chosen) if found <= best else first
        heaviest[key] = best, replace(chosen, systems=tuple(names))
    return {key: chosen for key, (_, chosen) in heaviest.items()}


@dataclass
class RandomBatches:
    """Random batches in the shapes of real ones."""

    side: int
    words: int
    vocabulary: int
    sentence: int | None
    steps_per_epoch: int = 1000
    size: int = BATCH

    def batch(self, step: int) -> Batch:
        draw = np.random.default_rng(step)
        numbers = torch.arange(self.size)
        plain = Batch(
            images=self.images(draw),
            tokens=torch.from_numpy(draw.integers(1, self.vocabulary, (self.size, self.words))),
            lengths=torch.full((self.size,), self.words),
            class_ids=numbers,
            image_index=numbers,
            caption_index=numbers,
        )
        if self.sentence is None:
            return plain
        sentence = torch.from_numpy(draw.standard_normal((self.size, self.sentence), dtype=np.float32))
        return SentenceBatch(**vars(plain), sentence=sentence, wrong=self.images(draw))

    def images(self, draw: np.random.Generator) -> torch.Tensor:
        return torch.from_numpy(draw.uniform(-1, 1, (self.size, 3, self.side, self.side)).astype(np.float32))


class Damsm(DamsmText):
    """With an untrained image encoder: Inception-v3 and the two projections."""

    def image_encoder(self) -> nn.Module:
        return DamsmImageEncoder(build_backbone("inception"), self.dim)


def conditioner(encoder: str, words: int, dataset: str) -> TextConditioner:
    if encoder == "damsm":
        return Damsm(DamsmTextEncoder(VOCABULARIES.get(dataset, VOCABULARIES["cub"])), words)
    if encoder == "char-cnn-rnn":
        return CharCnnRnnText(
            CharCnnRnn(), np.zeros((0, text_encoders()[encoder].dim), np.float32), "mean-of-4", "first"
        )
    itm = ITM(OpenClip())
    rows = np.random.default_rng(0).integers(1, VOCABULARY - 2, (BATCH, CONTEXT))
    rows[:, words + 1], rows[:, words + 2 :] = VOCABULARY - 1, 0
    with torch.no_grad():
        features, embeddings = itm.clip.eval().text(torch.from_numpy(rows))
    cache = ClipTextCache(features[:, : words + 1].half().numpy(), embeddings.numpy(), rows.astype(np.int32))
    return ItmText(itm, cache, lambda text: rows[int(text)], words)


def base_of(system: Described, dataset: str, folder: Path) -> Path | None:
    """A run of the system that this one continues, with untrained weights."""
    if "after" not in system:
        return None
    before = system_of(system["after"], dataset)
    sizes = before["train"]["image_size"], before["train"]["base_size"]
    save_torch(
        folder / "generator.pt", build_generator(before, *sizes, text_encoders()[before["encoder"]].dim).state_dict()
    )
    return folder


def in_training(name: str, dataset: str) -> tuple[GAN, Batch]:
    """A system as the papers train it, but on batches of 4."""
    system = system_of(name, dataset)
    encoder = system["encoder"]
    with tempfile.TemporaryDirectory() as folder:
        base = base_of(system, dataset, Path(folder))
        spec = {**system.pop("train"), "system": system, "seed": 0, "batch": BATCH}
        text = conditioner(encoder, spec["words"], dataset)
        sentence = text_encoders()[encoder].dim if encoder == "char-cnn-rnn" else None
        vocabulary = VOCABULARIES.get(dataset, VOCABULARIES["cub"])
        batches = RandomBatches(spec["image_size"], spec["words"], vocabulary, sentence)
        trainer = cast(type[GAN], resolve(family_of(system).trainer))
        gan = trainer(GanInputs(spec, text, batches, CPU, None, base))  # type: ignore[arg-type]
    for optimiser in gan.optimisers().values():  # a step along a zero gradient allocates their state
        for group in optimiser.param_groups:
            for parameter in group["params"]:
                parameter.grad = torch.zeros_like(parameter)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return gan, batches.batch(0)


def peak() -> float:
    """Peak memory of this process in GB (without that of the process that started it)."""
    (line,) = [
        line for line in STATUS.read_text(encoding="ascii", errors="replace").splitlines() if line.startswith("VmHWM:")
    ]
    return int(line.split()[1]) * 1024 / 1e9


def measure(name: str, dataset: str) -> dict[str, Any]:
    """Take one step in this process. ``untouched``: trained networks that did not change or are no longer finite."""
    gan, batch = in_training(name, dataset)
    before = {key: total(network) for key, network in gan.modules().items()}
    started = time.process_time()
    with reproducible():
        losses = {key: value.item() for key, value in gan.step(batch, 0).items()}
    seconds = time.process_time() - started
    after = {key: total(network) for key, network in gan.modules().items()}
    return {
        "images": list(batch.images.shape),
        "parameters": {
            key: count_parameters(network, trainable=key != "generator") for key, network in gan.modules().items()
        },
        "losses": losses,
        "untouched": [key for key, value in after.items() if value == before[key] or not math.isfinite(value)],
        "seconds": round(seconds, 1),
        "peak_gb": round(peak(), 2),
    }


def total(network: nn.Module) -> float:
    """Sum of all parameters; a copy of them would count as memory."""
    return math.fsum(parameter.sum(dtype=torch.float64).item() for parameter in network.parameters())


def in_own_process(one: Representative) -> dict[str, Any]:
    """``measure`` with one thread. Raises CalledProcessError where the step fails."""
    # One arena, because it is random which thread's arena an allocation uses.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
    command = [sys.executable, __file__, one.name, one.dataset]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def row(one: Representative, found: dict[str, Any]) -> str:
    """A row of the table in docs/cost.md."""
    generator, *others = found["parameters"].values()
    others_alike = ", ".join(name for name in one.systems if name != one.name) or "–"
    cells = (
        f"{one.name} on {one.dataset}",
        f"{generator:,}",
        f"{sum(others):,}",
        f"{found['peak_gb']:.1f}",
        others_alike,
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", nargs="*", metavar="NAME DATASET")
    given = parser.parse_args().system
    if given:
        print(json.dumps(measure(*given)))
        return
    print("| system | generator parameters | other trained parameters | GB | same architecture |")
    print("|---|---:|---:|---:|---|")
    for one in representatives().values():
        found = in_own_process(one)
        print(row(one, found), flush=True)
        print(f"{one.name}: {found['seconds']} s of CPU", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
