"""Systems that train in a second, and batches made of nothing."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from t2i_repro.core.digest import derive_seed
from t2i_repro.core.record import hash_files
from t2i_repro.data.batches import Batch
from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.damsm import DamsmImageEncoder, DamsmTextEncoder
from t2i_repro.sampling.conditioners import DamsmText
from t2i_repro.sampling.generator import generate_images
from t2i_repro.sampling.grids import captioned_grid, to_uint8
from t2i_repro.sampling.text import Caption
from t2i_repro.training.gan import GanInputs, Preview
from t2i_repro.training.loop import Schedule, train
from t2i_repro.training.one_stage import OneStageGAN
from t2i_repro.training.trainable import save_weights

VOCABULARY, WORDS, SIDE, CLASSES = 12, 5, 8, 3
CPU = torch.device("cpu")
SWITCHES = dict.fromkeys(
    ("modulation", "upsampling", "mask_source", "ma_gp", "ma_gp_step", "text_tuning", "damsm_root"), "code"
)


@dataclass
class FakeBatches:
    """Random images and captions; a pure function of the step, like the real ones."""

    size: int = 4
    steps_per_epoch: int = 5
    side: int = SIDE

    def batch(self, step: int) -> Batch:
        draw = np.random.default_rng(derive_seed("fake", step))
        lengths = np.sort(draw.integers(1, WORDS + 1, self.size))[::-1].copy()
        tokens = draw.integers(1, VOCABULARY, (self.size, lengths[0]))
        for row, length in enumerate(lengths):
            tokens[row, length:] = 0
        numbers = torch.arange(self.size)
        return Batch(
            images=torch.from_numpy(draw.uniform(-1, 1, (self.size, 3, self.side, self.side)).astype(np.float32)),
            tokens=torch.from_numpy(tokens),
            lengths=torch.from_numpy(lengths),
            class_ids=torch.from_numpy(draw.integers(0, CLASSES, self.size)),
            image_index=numbers,
            caption_index=numbers,
        )


def spec(**changes: Any) -> dict[str, Any]:
    """A `train` spec of the smallest SSA-GAN; `text`, `damsm`, `block`, `masks` and any switch go into its system."""
    system: dict[str, Any] = {
        "kind": "one-stage",
        "block": "semantic-spatial",
        "width": 2,
        "masks": 4,
        "hidden": 8,
        "mask_hidden": 4,
        "text": "frozen",
        "matching": {"damsm": 0.1, "gamma1": 5.0, "gamma2": 5.0, "gamma3": 10.0},
        "switches": dict(SWITCHES),
    }
    top = {"image_size": SIDE, "base_size": 1, "lr_g": 1e-3, "lr_d": 1e-3, "betas": [0.0, 0.9], "ema": None, "seed": 0}
    for key, value in changes.items():
        if key == "damsm":
            system["matching"]["damsm"] = value
        elif key in SWITCHES:
            system["switches"][key] = value
        else:
            (system if key in system else top)[key] = value
    return {"system": system, **top}


def text_encoder() -> DamsmTextEncoder:
    torch.manual_seed(1)
    return DamsmTextEncoder(VOCABULARY, embedding=6, hidden=4)


def image_encoder() -> DamsmImageEncoder:
    torch.manual_seed(2)
    return DamsmImageEncoder(build_backbone("standin", 1), 8)


class TinyText(DamsmText):
    """The text encoder above, with the image encoder above."""

    def __init__(self) -> None:
        super().__init__(text_encoder(), WORDS)

    def image_encoder(self) -> DamsmImageEncoder:
        return image_encoder()


def previewer(text: DamsmText) -> Preview:
    captions = [Caption("one two three", np.array([1, 2, 3])), Caption("four", np.array([4]))]

    def preview(generator: Any) -> Any:
        noise = np.random.default_rng(0).standard_normal((2, generator.noise_dim), dtype=np.float32)
        images = to_uint8(generate_images(generator, text, captions, noise, CPU).images[-1])
        return captioned_grid(images, [caption.text for caption in captions])

    return preview


def gan(**changes: Any) -> OneStageGAN:
    text = TinyText()
    batches: Any = FakeBatches()
    return OneStageGAN(GanInputs(spec(**changes), text, batches, CPU, previewer(text)))


SCHEDULE = Schedule("tiny", "0123456789", steps=24, seed=0, checkpoint_every=5, grid_every=10, log_every=1)
SNAPSHOTS = {10: 2, 13: 3}  # at a checkpoint, and between two


def schedule(**changes: Any) -> Schedule:
    return replace(SCHEDULE, **changes)


def train_gan(out: Path, plan: Schedule = SCHEDULE, system: OneStageGAN | None = None) -> dict[str, Any]:
    """Train as the verb does; everything on, so that everything has to survive."""
    system = system or gan(text="tuned", ema=0.9)
    facts = train(system, FakeBatches(), out, plan)  # type: ignore[arg-type]
    save_weights(system, out)
    return facts


def digests(out: Path) -> dict[str, str]:
    """SHA-256 of every file of a finished run."""
    return {name: entry["sha256"] for name, entry in hash_files(out).items()}
