"""ITM's training on a frozen CLIP, the stand-in for CLIP where its weights are not at hand, and ITM as a text side.

CLIP never trains, so what it says of a caption is computed once and kept (``Kept``); GANs read the same arrays.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import derive_seed
from t2i_repro.core.record import Build, atomic_write, read_record, storage
from t2i_repro.data.batches import Batch, Batches
from t2i_repro.data.captions import tokenise
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.losses.itm import itm_sentence, itm_words
from t2i_repro.losses.matching import cosine
from t2i_repro.models.base import Text
from t2i_repro.models.encoders.itm import ITM, Clip, OpenClip, PositionForm, StandinClip
from t2i_repro.models.state import evaluating, load_weights, pick_device, reproducible, save_torch
from t2i_repro.sampling.text import Caption, TextSide
from t2i_repro.training.loop import Schedule, train
from t2i_repro.training.schedules import damsm_rate
from t2i_repro.training.trainable import Trainable

BETAS = (0.5, 0.999)
GROUP = 64
RETRIEVAL_BATCHES = 20
HEAD = ("project_regions", "project_code", "project_words", "norm_words", "project_sentence")
Tokens = Callable[[str], npt.NDArray[np.int64]]


def clip_tokens(how: dict[str, Any], prepared: Prepared) -> Tokens:
    """From a caption, cleaned as released (lower case, words alone), to the tokens [context] that a CLIP reads."""
    if how["kind"] == "open-clip":
        import open_clip

        read = open_clip.get_tokenizer("RN101-quickgelu")
        return lambda text: read([" ".join(tokenise(text))])[0].numpy().astype(np.int64)

    def tokens(text: str) -> npt.NDArray[np.int64]:
        words = prepared.encode(text, skip_unknown=True)[: how["context"] - 2]
        row = np.zeros(how["context"], dtype=np.int64)
        row[: len(words) + 2] = [how["vocabulary"] - 2, *words, how["vocabulary"] - 1]
        return row

    return tokens


def build_clip(how: dict[str, Any]) -> Clip:
    """A CLIP as a record's fact ``clip`` describes it, with random weights."""
    options = {key: value for key, value in how.items() if key != "kind"}
    return OpenClip() if how["kind"] == "open-clip" else StandinClip(**options)


def input_clip(folder: Path) -> tuple[Clip, dict[str, Any]]:
    """The CLIP of a ``clip`` artefact or of OpenAI's weights, and how to build it."""
    record = read_record(folder)
    if record["kind"] == "clip":
        how: dict[str, Any] = record["facts"]["clip"]
        clip = build_clip(how)
        load_weights(clip, folder / "clip.pt")
        return clip, how
    import open_clip

    (name,) = record["files"]
    network = OpenClip()
    network.network.load_state_dict(
        open_clip.load_openai_model(str(folder / name), precision="fp32", device="cpu").state_dict()
    )
    return network, {"kind": "open-clip"}


class ClipTraining(Trainable):
    """The stand-in for CLIP, by CLIP's loss."""

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
    how = {"vocabulary": len(prepared.vocabulary) + 2, "width": spec["width"], "dim": spec["dim"]}
    how = {"kind": "standin", **how, "context": spec["words"] + 2}
    torch.manual_seed(derive_seed(spec["seed"], "weights"))
    clip = build_clip(how)
    assert isinstance(clip, StandinClip)
    read = clip_tokens(how, prepared)
    tokens = np.stack([read(prepared.caption(number)) for number in range(len(prepared.caption_image))])
    batches = Batches(prepared, "train", spec["image_size"], spec["batch"], spec["words"], spec["seed"])
    system = ClipTraining(clip, torch.from_numpy(tokens), spec["lr"], pick_device())
    build.facts["clip"] = how
    build.facts |= train(system, batches, out, Schedule.of(node, spec["epochs"] * batches.steps_per_epoch))
    save_torch(out / "clip.pt", clip.state_dict())


@dataclass(frozen=True)
class Kept:
    """What CLIP says of every caption of a dataset: features float16 [C, words + 1, channels], from the start mark on;
    embeddings float32 [C, dim]; tokens int32 [C, context]."""

    features: npt.NDArray[np.float16]
    embeddings: npt.NDArray[np.float32]
    tokens: npt.NDArray[np.int32]

    @classmethod
    def open(cls, folder: Path) -> "Kept":
        names = ("features", "embeddings", "tokens")
        return cls(*(np.load(folder / f"{name}.npy", mmap_mode="r") for name in names))

    def rows(self, numbers: npt.NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
        """Features, embeddings and tokens of captions, as ``ITM.text`` takes them."""
        features = torch.from_numpy(self.features[numbers].astype(np.float32))
        embeddings = torch.from_numpy(np.array(self.embeddings[numbers]))
        tokens = torch.from_numpy(self.tokens[numbers].astype(np.int64))
        return features.to(device), embeddings.to(device), tokens.to(device)


def keep(out: Path, clip: Clip, read: Tokens, prepared: Prepared, words: int, device: torch.device) -> Kept:
    """Write the three arrays, unless they are there from a training that was interrupted."""
    if not (out / "tokens.npy").exists():
        count = len(prepared.caption_image)
        rows = np.stack([read(prepared.caption(number)) for number in range(count)])
        embeddings = np.empty((count, clip.dim), np.float32)
        place = min(words + 1, clip.context)
        with reproducible(), storage(out), atomic_write(out / "features.npy") as file, evaluating(clip):
            shape = (count, place, clip.token_channels)
            np.lib.format.write_array_header_1_0(file, {"descr": "<f2", "fortran_order": False, "shape": shape})
            for start in tqdm(range(0, count, GROUP), desc="captions", disable=None):
                tokens = torch.from_numpy(rows[start : start + GROUP]).to(device)
                features, embedded = clip.text(tokens)
                file.write(features[:, :place].half().cpu().numpy().tobytes())
                embeddings[start : start + GROUP] = embedded.float().cpu().numpy()
        for name, values in (("embeddings", embeddings), ("tokens", rows.astype(np.int32))):
            with atomic_write(out / f"{name}.npy") as file:
                np.save(file, values)
    return Kept.open(out)


class ItmTraining(Trainable):
    """The head by GR-GAN Eq. (8), (9): a new Adam every epoch, its rate decaying as DAMSM's."""

    def __init__(self, spec: dict[str, Any], itm: ITM, kept: Kept, steps_per_epoch: int, device: torch.device) -> None:
        self.spec, self.kept, self.steps_per_epoch, self.device = spec, kept, steps_per_epoch, device
        self.itm = itm.to(device).train()
        self._optimisers: dict[str, Optimizer] = {"head": Adam(itm.head_parameters(), spec["lr"], BETAS)}

    def modules(self) -> dict[str, nn.Module]:
        return {"head": nn.ModuleDict({name: getattr(self.itm, name) for name in HEAD})}

    def optimisers(self) -> dict[str, Optimizer]:
        return self._optimisers

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        optimiser, spec = self._optimisers["head"], self.spec
        epoch, place = divmod(step, self.steps_per_epoch)
        if place == 0:  # the same as a new optimiser: no moments, the epoch's rate
            optimiser.state.clear()
            optimiser.param_groups[0]["lr"] = damsm_rate(epoch, spec["lr"], spec["decay"])
        text = self.itm.text(*self.kept.rows(batch.caption_index.cpu().numpy(), self.device), spec["words"])
        regions, code = self.itm(batch.images)
        gammas = (spec["gamma1"], spec["gamma2"], spec["gamma3"])
        w0, w1 = itm_words(regions, text.words, text.lengths, batch.class_ids, *gammas)
        s0, s1 = itm_sentence(code, text.sentence, batch.class_ids, spec["gamma3"])
        loss = w0 + w1 + s0 + s1
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        terms = {"loss": loss, "w0": w0, "w1": w1, "s0": s0, "s1": s1}
        return {name: value.detach() for name, value in terms.items()}

    def retrieval(self, batches: Batches) -> float:
        """Share of captions whose own image is the most similar (cosine) of those in their batch."""
        right = []
        with evaluating(self.itm):
            for step in range(min(batches.steps_per_epoch, RETRIEVAL_BATCHES)):
                batch = batches.batch(step).to(self.device)
                rows = self.kept.rows(batch.caption_index.cpu().numpy(), self.device)
                sentence = self.itm.text(*rows, self.spec["words"]).sentence
                best = cosine(self.itm(batch.images)[1][:, None], sentence[None]).argmax(0)
                right.append((best == torch.arange(len(best), device=best.device)).float().mean().item())
        return float(np.mean(right))


def run_itm(node: Node, out: Path, build: Build, prepared: Prepared) -> None:
    """Write ``itm.pt`` (CLIP included) and what CLIP says of every caption."""
    spec, device = node.spec, pick_device()
    batches = Batches(prepared, "train", spec["image_size"], spec["batch"], spec["words"], spec["seed"])
    clip, how = input_clip(build.input("clip"))
    kept = keep(out, clip.to(device), clip_tokens(how, prepared), prepared, spec["words"], device)
    torch.manual_seed(derive_seed(spec["seed"], "weights"))
    system = ItmTraining(spec, ITM(clip), kept, batches.steps_per_epoch, device)
    build.facts["clip"] = how
    build.facts |= train(system, batches, out, Schedule.of(node, spec["epochs"] * batches.steps_per_epoch))
    size = min(spec["batch"], len(prepared.splits["test"]))
    held_out = Batches(prepared, "test", spec["image_size"], size, spec["words"], spec["seed"])
    accuracy = round(system.retrieval(held_out), 4)
    build.facts["retrieval"] = {"accuracy": accuracy, "chance": round(1 / size, 4), "of": size}
    save_torch(out / "itm.pt", system.itm.state_dict())


def load_itm(folder: Path) -> ITM:
    """The ITM of a finished artefact."""
    itm = ITM(build_clip(read_record(folder)["facts"]["clip"]))
    load_weights(itm, folder / "itm.pt")
    return itm


class ItmText(TextSide):
    """Words and sentences of an ITM. Training reads what is kept; captions given as text are tokenised and read."""

    def __init__(self, itm: ITM, kept: Kept, read: Tokens, words: int, positions: PositionForm = "right") -> None:
        if words >= kept.features.shape[1]:
            found = f"found {words}, but the ITM keeps {kept.features.shape[1] - 1} words of each caption"
            raise ReproError(f"train.words: {found}; raise itm.words in params.yaml")
        self.encoder: ITM = itm
        self.kept, self.read, self.positions = kept, read, positions
        self.dim, self.words = itm.dim, words

    @torch.no_grad()
    def of_batch(self, batch: Batch) -> Text:
        return self._told(*self.kept.rows(batch.caption_index.cpu().numpy(), batch.images.device))

    @torch.no_grad()
    def of_caption(self, caption: Caption, device: torch.device) -> Text:
        tokens = torch.from_numpy(self.read(caption.text))[None].to(device)
        features, embedding = self.encoder.clip.text(tokens)
        return self._told(features.half().float(), embedding, tokens)

    def _told(self, features: Tensor, embedding: Tensor, tokens: Tensor) -> Text:
        told = self.encoder.text(features, embedding, tokens, self.words, self.positions)
        return Text(told.words, told.sentence, told.lengths, told.padding)

    def image_encoder(self) -> nn.Module:
        return self.encoder


def load_itm_text(folder: Path, prepared: Prepared, spec: dict[str, Any], tuned: Path | None) -> TextSide:
    """From an ``itm`` artefact. Raises ReproError where it has read other captions."""
    kept = Kept.open(folder)
    if len(kept.tokens) != len(prepared.caption_image):
        found, expected = len(kept.tokens), len(prepared.caption_image)
        raise ReproError(f"{folder}: keeps {found} captions, but {prepared.folder} has {expected}; train it on these")
    clip = read_record(folder)["facts"]["clip"]
    read = clip_tokens(clip, prepared)
    positions = spec["system"].get("compat", {}).get("itm_positions", "right")
    side = ItmText(load_itm(folder), kept, read, spec["words"], positions)
    side.reads_any_word = clip["kind"] == "open-clip"
    return side
