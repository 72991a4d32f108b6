"""Every system of papers/, at the smoke scale but of tiny widths: to train, sample and resume in a moment."""

import copy
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from project_datasets import DATASETS
from tiny import CPU, FakeBatches, TinyText

from t2i_repro.core.config import load_params, merged, resolve_scale
from t2i_repro.core.declarations import resolve
from t2i_repro.data.sentence_batches import SentenceBatch
from t2i_repro.models.build import build_generator
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn
from t2i_repro.models.encoders.itm import ITM, StandinClip
from t2i_repro.models.family import family_of
from t2i_repro.models.state import save_torch
from t2i_repro.registry.papers import load_definitions
from t2i_repro.registry.systems import NoEntryError, resolve_systems, scaled, system_on
from t2i_repro.sampling.conditioners import CharCnnRnnText, ClipTextCache, ItmText
from t2i_repro.sampling.text import TextConditioner
from t2i_repro.training.gan import GAN, GanInputs

PROJECT = Path(__file__).parents[2]
WORDS, TEXT, CAPTIONS = 5, 8, 4
Spec = dict[str, Any]
# Laid upon the smoke scale; a kind that is not here trains at that scale's own widths.
TINY: dict[str, Spec] = {
    "one-stage": {"width": 2, "hidden": 24, "mask_hidden": 8},
    "multi-stage": {"width": 4, "noise": 5, "condition": 3, "discriminator": {"width": 2, "common": 5}},
    "nested": {"width": 4, "latent": 5, "condition": 3},
    "stackgan": {"width": 4, "latent": 5, "condition": 3},
    "gan-int-cls": {"width": 4, "latent": 5, "condition": 3},
}


@cache
def smoke() -> Spec:
    """What the smoke scale lays upon systems."""
    over: Spec = resolve_scale(load_params(PROJECT, {"scale": "smoke"}))["over_systems"]
    return over


def shrunk(system: Spec, name: str) -> Spec:
    """The spec of a ``train`` node for a system of one dataset; a smaller grid and fewer heads of spatial memory."""
    small = merged(scaled(system, smoke(), name), TINY.get(system["kind"], {}))
    for stage in small.get("stages", ()):
        if "heads" in stage.get("fusion", {}):
            stage["fusion"] |= {"grid": 2, "heads": min(2, stage["fusion"]["heads"])}
    train = small.pop("train")
    return {"system": small, **train, "words": WORDS, "batch": 4, "lr_g": 0.01, "lr_d": 0.01, "seed": 0}


@cache
def variants() -> dict[str, Spec]:
    """By name and dataset, each system on every dataset on which it is another one."""
    found: dict[str, Spec] = {}
    for name, raw in resolve_systems(load_definitions(PROJECT), DATASETS).items():
        for dataset in DATASETS:
            try:
                spec = shrunk(system_on(raw, dataset, DATASETS, name), name)
            except NoEntryError:
                continue
            if spec["system"] not in [other["system"] for other in found.values()]:
                found[f"{name}-{dataset}"] = spec
    return found


def itm_text() -> ItmText:
    """CLIP's words of four captions of 5, 4, 2 and 1 words."""
    torch.manual_seed(3)
    itm = ITM(StandinClip(20, width=1, dim=TEXT, context=WORDS + 2))
    rows = np.zeros((CAPTIONS, WORDS + 2), np.int64)
    for row, length in enumerate((5, 4, 2, 1)):
        rows[row, : length + 2] = [18, *range(1, length + 1), 19]
    with torch.no_grad():
        features, embeddings = itm.clip.eval().text(torch.from_numpy(rows))
    cache = ClipTextCache(features[:, : WORDS + 1].half().numpy(), embeddings.numpy(), rows.astype(np.int32))
    return ItmText(itm, cache, lambda text: rows[int(text)], WORDS)


def sentences() -> CharCnnRnnText:
    torch.manual_seed(4)
    return CharCnnRnnText(CharCnnRnn(TEXT, 4), np.zeros((0, TEXT), np.float32), "mean-of-4", "first")


CONDITIONERS: dict[str, Callable[[], TextConditioner]] = {
    "damsm": TinyText,
    "itm": itm_text,
    "char-cnn-rnn": sentences,
}


class Sentences(FakeBatches):
    """With a sentence embedding and a wrong image for each."""

    def batch(self, step: int) -> SentenceBatch:
        plain = super().batch(step)
        sentence = torch.randn(self.size, TEXT, generator=torch.Generator().manual_seed(step))
        return SentenceBatch(**vars(plain), sentence=sentence, wrong=plain.images.flip(0))


def batches(spec: Spec) -> FakeBatches:
    kind = Sentences if spec["system"]["encoder"] == "char-cnn-rnn" else FakeBatches
    return kind(size=spec["batch"], side=spec["image_size"])


def built(name: str, folder: Path) -> tuple[GAN, TextConditioner]:
    """A system in training, as the verb builds it, and what reads its captions; ``folder`` takes the run that it
    continues."""
    spec = copy.deepcopy(variants()[name])
    conditioner = CONDITIONERS[spec["system"]["encoder"]]()
    after, base = spec["system"].pop("after", None), None
    if after is not None:
        before = variants()[f"{after}-{name.rsplit('-', 1)[1]}"]
        torch.manual_seed(7)
        network = build_generator(before["system"], before["image_size"], before["base_size"], conditioner.dim)
        base = folder / "base"
        base.mkdir(parents=True, exist_ok=True)
        save_torch(base / "generator.pt", network.state_dict())
    parts = GanInputs(spec, conditioner, batches(spec), CPU, None, base)  # type: ignore[arg-type]
    trainer = cast(type[GAN], resolve(family_of(spec["system"]).trainer))
    gan = trainer(parts)
    awaken(gan)
    return gan, conditioner


def awaken(gan: GAN) -> None:
    """Gains of zero would hide what is behind them, and weights of 0.02 at such widths let nothing through."""
    torch.manual_seed(5)
    with torch.no_grad():
        for network in gan.modules().values():
            for value in network.parameters():
                if value.ndim > 1:
                    value.normal_(0, value[0].numel() ** -0.5)
                else:
                    value.add_(0.1 * torch.randn_like(value))
