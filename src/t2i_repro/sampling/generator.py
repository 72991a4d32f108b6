"""Images from a generator, captions and noise, and the generator of a finished run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from t2i_repro.core.record import read_record
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.models.base import Generator, GeneratorOutput, Text
from t2i_repro.models.build import build_generator
from t2i_repro.models.state import evaluating, load_weights, pick_device, weights_file
from t2i_repro.sampling.conditioners import load_text
from t2i_repro.sampling.grids import to_uint8
from t2i_repro.sampling.text import Caption, TextConditioner

# Images in one forward pass, always: a smaller group is filled up with copies of its last row. At a fixed size the bits
# of an image depend neither on the number of images nor on the others in its group (measured on CPU); at varying sizes
# they do, since libraries choose other kernels for other sizes.
GROUP = 8


def generate_images(
    generator: Generator,
    text: TextConditioner,
    captions: Sequence[Caption],
    noise: npt.NDArray[np.float32],
    device: torch.device,
) -> GeneratorOutput:
    """A generator's output for captions and ``noise`` [B, noise_dim], on the CPU.

    Runs in eval mode. Image i depends on caption i and row i of ``noise`` only, to the last bit on a CPU.
    """
    with evaluating(text.encoder):
        encoded = text.of_captions(captions, device)
    return generate_from_text(generator, encoded, noise, device)


def generate_from_text(
    generator: Generator, text: Text, noise: npt.NDArray[np.float32], device: torch.device
) -> GeneratorOutput:
    """``generate_images`` for captions that are encoded already."""
    groups: list[GeneratorOutput] = []
    with evaluating(generator):
        for start in range(0, len(noise), GROUP):
            latent = torch.from_numpy(noise[start : start + GROUP]).to(device)
            count = len(latent)
            rows = [min(row, count - 1) for row in range(GROUP)]
            output = generator.outputs(latent[rows], text.rows([start + row for row in rows]))
            images, masks = ([part[:count].cpu() for part in parts] for parts in (output.images, output.masks))
            groups.append(GeneratorOutput(images, masks))
    return GeneratorOutput(concatenate([g.images for g in groups]), concatenate([g.masks for g in groups]))


def concatenate(groups: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """The i-th tensors of all groups as one, for every i."""
    return [torch.cat(parts) for parts in zip(*groups, strict=True)]


@dataclass(frozen=True)
class Run:
    """A trained generator with the text encoder it was trained with."""

    spec: dict[str, Any]  # of the ``train`` node
    generator: Generator
    text: TextConditioner
    device: torch.device

    @property
    def noise_dim(self) -> int:
        """Length of the noise vector, which holds all that is random in an image."""
        return self.generator.noise_dim

    @property
    def z_dim(self) -> int:
        """Leading entries of the noise that are z; the rest is the epsilon of conditioning augmentation."""
        return self.generator.z_dim

    @property
    def image_size(self) -> int:
        return int(self.spec["image_size"])

    def generate(self, captions: Sequence[Caption], noise: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Images [B, S, S, 3] from captions (``CaptionSampler.inputs``) and noise [B, noise_dim].

        Image i depends on caption i and noise i alone; bit for bit on a CPU (same machine and thread count).
        Raises ReproError when a value is not finite.
        """
        return self.stages(captions, noise)[-1]

    def stages(self, captions: Sequence[Caption], noise: npt.NDArray[np.float32]) -> list[npt.NDArray[np.uint8]]:
        """The images of every stage or side output, small to large; the last are those of ``generate``."""
        return finite_images(generate_images(self.generator, self.text, captions, noise, self.device))

    def between(
        self, first: Caption, last: Caption, weights: Sequence[float], noise: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.uint8]:
        """Images [len(weights), S, S, 3] of the sentence embeddings (1 - w) first + w last, all with the same ``noise``
        [noise_dim]. Raises ReproError if the system reads words, which cannot be interpolated."""
        if self.text.words != 1:
            raise ReproError("the system reads words; only sentence embeddings can be interpolated: name one of those")
        with evaluating(self.text.encoder):
            ends = self.text.of_captions([first, last], self.device).sentence
        steps = torch.tensor(weights, dtype=ends.dtype, device=ends.device)[:, None]
        mixed = Text.of_sentence((1 - steps) * ends[:1] + steps * ends[1:])
        repeated = np.repeat(noise[None], len(weights), axis=0)
        return finite_images(generate_from_text(self.generator, mixed, repeated, self.device))[-1]

    def generate_with_masks(
        self, captions: Sequence[Caption], noise: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.uint8], list[Tensor]]:
        """The images of ``generate`` and their mask maps, each [B, 1, s, s] in [0, 1], from shallow to deep blocks."""
        output = generate_images(self.generator, self.text, captions, noise, self.device)
        return finite_images(output)[-1], output.masks


def finite_images(output: GeneratorOutput) -> list[npt.NDArray[np.uint8]]:
    """The images of an output as uint8. Raises ReproError when a value is not finite."""
    if not all(bool(torch.isfinite(images).all()) for images in output.images):
        raise ReproError("the generator's images have values that are not finite: its training diverged; repeat it")
    return [to_uint8(images) for images in output.images]


def load_run(run: Path, data: Path, text: Path, snapshot: int | None = None) -> Run:
    """A run from its folder, its prepared data and its text encoder's folder, with the weights of its end or of epoch
    ``snapshot``.

    Raises ReproError if the run was never completed or the parts do not belong together.
    """
    spec = read_record(run)["spec"]
    tuned = run / weights_file("text_encoder", snapshot) if spec["system"].get("text") == "tuned" else None
    conditioner = load_text(text, Prepared(data), spec, tuned)
    generator = build_generator(spec["system"], spec["image_size"], spec["base_size"], conditioner.dim)
    load_weights(generator, run / weights_file("generator", snapshot))
    device = pick_device()
    conditioner.encoder.eval()
    return Run(spec, generator.to(device).eval(), conditioner.to(device), device)
