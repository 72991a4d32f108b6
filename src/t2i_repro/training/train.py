"""Verb ``train``: one GAN, from prepared data and a text encoder."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from PIL.Image import Image

from t2i_repro.core.artefact import Node
from t2i_repro.core.declarations import resolve
from t2i_repro.core.record import Build
from t2i_repro.data.prepared import Prepared
from t2i_repro.models.base import Generator
from t2i_repro.models.build import count_parameters
from t2i_repro.models.family import family_of
from t2i_repro.models.state import pick_device
from t2i_repro.sampling.conditioners import load_text
from t2i_repro.sampling.draws import CaptionSampler
from t2i_repro.sampling.generator import generate_images
from t2i_repro.sampling.grids import captioned_grid, to_uint8
from t2i_repro.sampling.text import TextConditioner
from t2i_repro.training.gan import GAN, GanInputs, Preview
from t2i_repro.training.loop import Schedule, train
from t2i_repro.training.schedules import snapshot_epochs
from t2i_repro.training.trainable import save_weights

PREVIEWS = 12


def run(node: Node, out: Path, build: Build) -> None:
    """Train; resumes from ``out``.

    Writes ``generator.pt`` (averaged weights with ``ema``), ``text_encoder.pt`` if it was tuned, and the files of the
    loop; with ``snapshots`` also the weights of earlier epochs, as ``generator-EPOCH.pt`` (`snapshot_epochs`).
    """
    spec = node.spec
    trainer = cast(Callable[[GanInputs], GAN], resolve(family_of(spec["system"], f"{node.spec_file}: system").trainer))
    prepared = Prepared(build.input("data"))
    device = pick_device()
    text = load_text(build.input("text"), prepared, spec).to(device)
    batches = text.batches(prepared, spec)
    base = build.input("base") if "base" in node.inputs else None
    system = trainer(GanInputs(spec, text, batches, device, previewer(prepared, text, spec), base))
    build.facts["parameters"] = {name: count_parameters(module) for name, module in system.modules().items()}
    build.facts["standin"] = prepared.raw_is_standin
    snapshots = {epoch * batches.steps_per_epoch: epoch for epoch in snapshot_epochs(spec)[:-1]}
    schedule = Schedule.of(node, spec["epochs"] * batches.steps_per_epoch)
    build.facts |= train(system, batches, out, replace(schedule, snapshots=snapshots))
    save_weights(system, out)


def previewer(prepared: Prepared, text: TextConditioner, spec: dict[str, Any]) -> Preview:
    """A function that draws a grid of a generator's images, always of the same test captions and noise."""
    sampler = CaptionSampler(prepared, "test", spec["words"], spec["seed"], text.captions)

    def preview(generator: Generator) -> Image:
        device = next(generator.parameters()).device
        captions, noise = sampler.inputs(range(PREVIEWS), generator.noise_dim)
        images = generate_images(generator, text, captions, noise, device).images[-1]
        return captioned_grid(to_uint8(images), [caption.text for caption in captions])

    return preview
