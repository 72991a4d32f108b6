"""Training of GR-GAN's ITM on a frozen CLIP, and of the stand-in for CLIP where its weights are not at hand.

CLIP does not train, so its output for every caption is computed once and stored (``ClipTextCache``); the training of
the ITM and of GANs on it read the same arrays.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import derive_seed
from t2i_repro.core.npy import npy_writer
from t2i_repro.core.record import Build
from t2i_repro.data.batches import Batch, Batches
from t2i_repro.data.prepared import Prepared
from t2i_repro.losses.matching import itm_sentence, itm_words
from t2i_repro.models.encoders.itm import ITM, Clip, StandinClip
from t2i_repro.models.encoders.loading import GROUP, ClipTokenizer, build_clip, clip_tokenizer, input_clip
from t2i_repro.models.state import evaluating, pick_device, reproducible, save_torch
from t2i_repro.sampling.conditioners import ClipTextCache
from t2i_repro.training.encoder_training import (
    finds_own_image,
    held_out_batches,
    renew_adam,
    retrieval_accuracy,
    retrieval_facts,
)
from t2i_repro.training.loop import Schedule, train
from t2i_repro.training.schedules import damsm_rate
from t2i_repro.training.trainable import Trainable

BETAS = (0.5, 0.999)
HEAD = ("project_regions", "project_code", "project_words", "norm_words", "project_sentence")


class ClipTraining(Trainable):
    """The stand-in for CLIP, trained by CLIP's loss. ``tokens`` [C, context]: those of every caption."""

    def __init__(self, clip: StandinClip, tokens: Tensor, lr: float, device: torch.device) -> None:
        self.clip, self.tokens, self.device = clip.to(device).train(), tokens, device
        self._optimisers: dict[str, Optimizer] = {"clip": Adam(clip.parameters(), lr)}

    def modules(self) -> dict[str, nn.Module]:
        return {"clip": self.clip}

    def optimisers(self) -> dict[str, Optimizer]:
        return self._optimisers

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        loss = self.clip.contrast(batch.images, self.tokens[batch.caption_index.cpu()].to(self.device))
        self._optimisers["clip"].zero_grad(set_to_none=True)
        loss.backward()
        self._optimisers["clip"].step()
        return {"loss": loss.detach()}


def run_clip(node: Node, out: Path, build: Build, prepared: Prepared) -> None:
    """Write ``clip.pt``."""
    spec = node.spec
    options = {"vocabulary": len(prepared.vocabulary) + 2, "width": spec["width"], "dim": spec["dim"]}
    options = {"kind": "standin", **options, "context": spec["words"] + 2}
    torch.manual_seed(derive_seed(spec["seed"], "weights"))
    clip = build_clip(options)
    assert isinstance(clip, StandinClip)
    tokens = torch.from_numpy(all_tokens(clip_tokenizer(options, prepared), prepared))
    batches = Batches(prepared, "train", spec["image_size"], spec["batch"], spec["words"], spec["seed"])
    system = ClipTraining(clip, tokens, spec["lr"], pick_device())
    build.facts["clip"] = options
    build.facts |= train(system, batches, out, Schedule.of(node, spec["epochs"] * batches.steps_per_epoch))
    save_torch(out / "clip.pt", clip.state_dict())


def all_tokens(tokenize: ClipTokenizer, prepared: Prepared) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Tokens [C, context] of every caption of a dataset."""
    return np.stack([tokenize(prepared.caption(index)) for index in range(len(prepared.caption_image))])


def build_cache(
    out: Path, clip: Clip, tokenize: ClipTokenizer, prepared: Prepared, words: int, device: torch.device
) -> ClipTextCache:
    """Write the arrays of a ``ClipTextCache`` into ``out``, unless an interrupted training has written them already."""
    if not (out / "tokens.npy").exists():
        rows = all_tokens(tokenize, prepared)
        count, positions = len(rows), min(words + 1, clip.context)
        with (
            reproducible(),
            evaluating(clip),
            npy_writer(out / "features.npy", count, np.float16) as features,
            npy_writer(out / "embeddings.npy", count) as embeddings,
        ):
            for start in tqdm(range(0, count, GROUP), desc="captions", disable=None):
                encoded, embedded = clip.text(torch.from_numpy(rows[start : start + GROUP]).to(device))
                features.write(encoded[:, :positions].half().cpu().numpy())
                embeddings.write(embedded.float().cpu().numpy())
        with npy_writer(out / "tokens.npy", count, np.int32) as tokens:  # last: says that the cache is complete
            tokens.write(rows)
    return ClipTextCache.open(out)


class ItmTraining(Trainable):
    """The head, by GR-GAN Eq. (8), (9): a new Adam every epoch, whose rate decays as DAMSM's."""

    def __init__(
        self, spec: dict[str, Any], itm: ITM, cache: ClipTextCache, steps_per_epoch: int, device: torch.device
    ) -> None:
        self.spec, self.cache, self.steps_per_epoch, self.device = spec, cache, steps_per_epoch, device
        self.itm = itm.to(device).train()
        self._optimisers: dict[str, Optimizer] = {"head": Adam(itm.head_parameters(), spec["lr"], BETAS)}

    def modules(self) -> dict[str, nn.Module]:
        return {"head": nn.ModuleDict({name: getattr(self.itm, name) for name in HEAD})}

    def optimisers(self) -> dict[str, Optimizer]:
        return self._optimisers

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        optimiser, spec = self._optimisers["head"], self.spec
        epoch, index = divmod(step, self.steps_per_epoch)
        if index == 0:
            renew_adam(optimiser, damsm_rate(epoch, spec["lr"], spec["decay"]))
        text = self.itm.text(*self.cache.rows(batch.caption_index.cpu().numpy(), self.device), spec["words"])
        regions, embedding = self.itm(batch.images)
        gammas = (spec["gamma1"], spec["gamma2"], spec["gamma3"])
        w0, w1 = itm_words(regions, text.words, text.lengths, batch.class_ids, *gammas)
        s0, s1 = itm_sentence(embedding, text.sentence, batch.class_ids, spec["gamma3"])
        loss = w0 + w1 + s0 + s1
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        terms = {"loss": loss, "w0": w0, "w1": w1, "s0": s0, "s1": s1}
        return {name: value.detach() for name, value in terms.items()}

    def retrieval(self, batches: Batches) -> float:
        """Share of captions whose own image is the most similar (cosine) of those in their batch."""

        def hits(batch: Batch) -> Tensor:
            rows = self.cache.rows(batch.caption_index.cpu().numpy(), self.device)
            sentence = self.itm.text(*rows, self.spec["words"]).sentence
            return finds_own_image(self.itm(batch.images)[1], sentence)

        return retrieval_accuracy(batches, self.device, hits, self.itm)


def run_itm(node: Node, out: Path, build: Build, prepared: Prepared) -> None:
    """Write ``itm.pt`` (CLIP included) and CLIP's output for every caption."""
    spec, device = node.spec, pick_device()
    batches = Batches(prepared, "train", spec["image_size"], spec["batch"], spec["words"], spec["seed"])
    clip, options = input_clip(build.input("clip"))
    cache = build_cache(out, clip.to(device), clip_tokenizer(options, prepared), prepared, spec["words"], device)
    torch.manual_seed(derive_seed(spec["seed"], "weights"))
    system = ItmTraining(spec, ITM(clip), cache, batches.steps_per_epoch, device)
    build.facts["clip"] = options
    build.facts |= train(system, batches, out, Schedule.of(node, spec["epochs"] * batches.steps_per_epoch))
    held_out = held_out_batches(prepared, spec, spec["words"])
    build.facts["retrieval"] = retrieval_facts(system.retrieval(held_out), held_out.size)
    save_torch(out / "itm.pt", system.itm.state_dict())
