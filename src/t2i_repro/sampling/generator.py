"""A finished run, ready to make images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from t2i_repro.core.record import read_record
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.models.base import Text
from t2i_repro.models.build import build_generator
from t2i_repro.models.state import evaluating, load_weights, pick_device, weights_file
from t2i_repro.sampling.grids import to_uint8
from t2i_repro.sampling.painting import Painting, noise_length, paint, paint_text, z_length
from t2i_repro.sampling.text import Caption, TextSide
from t2i_repro.sampling.text_encoders import load_text


@dataclass(frozen=True)
class Run:
    """A trained generator with the text encoder it was trained with."""

    spec: dict[str, Any]  # of the ``train`` node
    generator: nn.Module
    text: TextSide
    device: torch.device

    @property
    def noise(self) -> int:
        """Length of the noise vector: all that is random in an image."""
        return noise_length(self.generator)

    @property
    def z(self) -> int:
        """How many entries of the noise are z; those after them are epsilon of conditioning augmentation."""
        return z_length(self.generator)

    @property
    def image_size(self) -> int:
        return int(self.spec["image_size"])

    def generate(self, captions: Sequence[Caption], noise: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Images [B, S, S, 3] from captions (``Draws.inputs``) and noise [B, self.noise].

        Image i depends on caption i and noise i alone; bit for bit on a CPU (same machine and thread count).
        Raises ReproError when a value is not finite.
        """
        return self.stages(captions, noise)[-1]

    def stages(self, captions: Sequence[Caption], noise: npt.NDArray[np.float32]) -> list[npt.NDArray[np.uint8]]:
        """The images of every stage or side output, small to large; the last are those of ``generate``."""
        return finite(paint(self.generator, self.text, captions, noise, self.device))

    def between(
        self, first: Caption, last: Caption, weights: Sequence[float], noise: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.uint8]:
        """Images [len(weights), S, S, 3] of (1 - w) first + w last, mixed as embeddings, all with ``noise``
        [self.noise]. Raises ReproError where the system reads words, of which there is no mixture."""
        if self.text.words != 1:
            raise ReproError("the system reads words; only sentence embeddings can be interpolated: name one of those")
        with evaluating(self.text.encoder):
            ends = self.text.of_captions([first, last], self.device).sentence
        steps = torch.tensor(weights, dtype=ends.dtype, device=ends.device)[:, None]
        mixed = Text.of_sentence((1 - steps) * ends[:1] + steps * ends[1:])
        return finite(paint_text(self.generator, mixed, np.repeat(noise[None], len(weights), axis=0), self.device))[-1]

    def generate_with_masks(
        self, captions: Sequence[Caption], noise: npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.uint8], list[Tensor]]:
        """The same images and their mask maps, each [B, 1, s, s] in [0, 1], from shallow to deep blocks."""
        painting = paint(self.generator, self.text, captions, noise, self.device)
        return finite(painting)[-1], painting.masks


def finite(painting: Painting) -> list[npt.NDArray[np.uint8]]:
    """The images of a painting. Raises ReproError when a value is not finite."""
    if not all(bool(torch.isfinite(images).all()) for images in painting.images):
        raise ReproError("the generator paints values that are not finite: its training diverged; train it anew")
    return [to_uint8(images) for images in painting.images]


def load_run(run: Path, data: Path, text: Path, snapshot: int | None = None) -> Run:
    """A run from its folder, the prepared data and the text encoder's folder it was trained with; as it was after epoch
    ``snapshot``, where one is given.

    Raises ReproError when the run was never completed or the parts do not belong together.
    """
    spec = read_record(run)["spec"]
    tuned = run / weights_file("text_encoder", snapshot) if spec["system"].get("text") == "tuned" else None
    side = load_text(text, Prepared(data), spec, tuned)
    generator = build_generator(spec["system"], spec["image_size"], spec["base_size"], side.dim)
    load_weights(generator, run / weights_file("generator", snapshot))
    device = pick_device()
    side.encoder.eval()
    return Run(spec, generator.to(device).eval(), side.to(device), device)
