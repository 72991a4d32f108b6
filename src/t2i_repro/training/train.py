"""Verb ``train``: one GAN, from prepared data and a text encoder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL.Image import Image
from torch import nn

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.models.build import count_parameters
from t2i_repro.models.state import pick_device
from t2i_repro.sampling.draws import Draws
from t2i_repro.sampling.grids import captioned_grid, to_uint8
from t2i_repro.sampling.painting import noise_length, paint
from t2i_repro.sampling.text import TextSide
from t2i_repro.sampling.text_encoders import load_text
from t2i_repro.training.gan import GAN, Parts, Preview
from t2i_repro.training.loop import Schedule, train
from t2i_repro.training.multi_stage import MultiStageGAN
from t2i_repro.training.one_stage import OneStageGAN
from t2i_repro.training.schedules import snapshot_epochs
from t2i_repro.training.sentence_systems import SENTENCE_SYSTEMS
from t2i_repro.training.trainable import save_weights

SYSTEMS: dict[str, Callable[[Parts], GAN]] = {
    "one-stage": OneStageGAN.of,
    "multi-stage": MultiStageGAN,
    **SENTENCE_SYSTEMS,
}
PREVIEWS = 12


def run(node: Node, out: Path, build: Build) -> None:
    """Train; resumes from ``out``. Writes ``generator.pt`` (averaged weights where ``ema`` is given),
    ``text_encoder.pt`` where it was tuned, and what the loop writes; with ``snapshots`` both as they were earlier, too,
    as ``generator-EPOCH.pt`` (`snapshot_epochs`)."""
    spec = node.spec
    kind = spec["system"]["kind"]
    if kind not in SYSTEMS:
        raise ReproError(f"{node.spec_file}: system.kind: found {kind!r}; expected one of {', '.join(SYSTEMS)}")
    prepared = Prepared(build.input("data"))
    device = pick_device()
    text = load_text(build.input("text"), prepared, spec).to(device)
    batches = text.batches(prepared, spec)
    base = build.input("base") if "base" in node.inputs else None
    system = SYSTEMS[kind](Parts(spec, text, batches, device, previewer(prepared, text, spec), base))
    build.facts["parameters"] = {name: count_parameters(module) for name, module in system.modules().items()}
    build.facts["standin"] = prepared.raw_is_standin
    snapshots = {epoch * batches.steps_per_epoch: epoch for epoch in snapshot_epochs(spec)[:-1]}
    schedule = Schedule.of(node, spec["epochs"] * batches.steps_per_epoch)
    build.facts |= train(system, batches, out, replace(schedule, snapshots=snapshots))
    save_weights(system, out)


def previewer(prepared: Prepared, text: TextSide, spec: dict[str, Any]) -> Preview:
    """Draws the grid of a training: always the same test captions and noise."""
    draws = Draws(prepared, "test", spec["words"], spec["seed"], text.captions)

    def draw(generator: nn.Module) -> Image:
        device = next(generator.parameters()).device
        captions, noise = draws.inputs(range(PREVIEWS), noise_length(generator))
        images = paint(generator, text, captions, noise, device).images[-1]
        return captioned_grid(to_uint8(images), [caption.text for caption in captions])

    return draw
