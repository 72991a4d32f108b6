"""Verb ``pretrain``: classifiers and text encoders, through the same loop as the GANs."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import derive_seed
from t2i_repro.core.record import Build
from t2i_repro.data.batches import Batch, Batches
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.losses.matching import cosine, damsm_loss
from t2i_repro.models.encoders.backbone import build_trunk
from t2i_repro.models.encoders.classifier import Classifier
from t2i_repro.models.encoders.damsm_image import ImageEncoder
from t2i_repro.models.encoders.damsm_text import TextEncoder
from t2i_repro.models.encoders.loading import build_text_encoder, input_trunk
from t2i_repro.models.state import evaluating, pick_device, save_torch
from t2i_repro.training.char_cnn_rnn import run_char_cnn_rnn
from t2i_repro.training.itm import run_clip, run_itm
from t2i_repro.training.loop import Schedule, train
from t2i_repro.training.schedules import damsm_rate
from t2i_repro.training.trainable import Trainable

WORDS = 18  # a classifier reads no captions
DAMSM_BETAS = (0.5, 0.999)
RETRIEVAL_BATCHES = 20
WORD_SHARES = (0.05, 0.5)


def run(node: Node, out: Path, build: Build) -> None:
    """Train a ``classifier`` (``classifier.pt``), a ``damsm`` (``text_encoder.pt``, ``image_encoder.pt``), a ``clip``
    stand-in (``clip.pt``), an ``itm`` (``itm.pt``) or a ``char-cnn-rnn`` (``encoder.pt``, ``embeddings.npy``)."""
    prepared = Prepared(build.input("data"))
    build.facts["standin"] = prepared.raw_is_standin
    KINDS[node.kind](node, out, build, prepared)


class ClassifierTraining(Trainable):
    """Cross-entropy over the classes of one split, or with ``words`` [images, classes] the binary one over the words of
    each image's captions; every weight trains. Class numbers are ranks in ``classes``."""

    def __init__(
        self,
        classifier: Classifier,
        classes: Tensor,
        lr: float,
        device: torch.device,
        words: Tensor | None = None,
    ) -> None:
        self.classifier, self.classes, self.device = classifier.to(device), classes.to(device), device
        self.words = None if words is None else words.to(device)
        self._optimisers: dict[str, Optimizer] = {"classifier": Adam(classifier.parameters(), lr)}

    def modules(self) -> dict[str, nn.Module]:
        return {"classifier": self.classifier}

    def optimisers(self) -> dict[str, Optimizer]:
        return self._optimisers

    def judged(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss and share of right answers: of classes, or of words heard or not."""
        logits = self.classifier(batch.images)
        if self.words is not None:
            heard = self.words[batch.image_index]
            return F.binary_cross_entropy_with_logits(logits, heard), ((logits > 0) == (heard > 0)).float().mean()
        labels = torch.searchsorted(self.classes, batch.class_ids)
        return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        self.classifier.train()
        loss, accuracy = self.judged(batch)
        optimiser = self._optimisers["classifier"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return {"loss": loss.detach(), "accuracy": accuracy}

    def accuracy(self, batches: Batches) -> float:
        """Share of right answers over an epoch, in eval mode."""
        right = []
        with evaluating(self.classifier):
            for step in range(batches.steps_per_epoch):
                right.append(self.judged(batches.batch(step).to(self.device))[1].item())
        return float(np.mean(right))


def heard_words(prepared: Prepared, split: str) -> tuple[list[int], Tensor]:
    """What a dataset without classes is classified by (ours): the words that the captions of at least one in twenty of
    a split's images use and of no more than a half. Their numbers, and float32 [N, words], 1 where one is heard."""
    members = prepared.splits[split]
    counts = np.zeros((len(prepared), len(prepared.vocabulary)), dtype=np.bool_)
    for image in members:
        for caption in prepared.caption_ids(int(image)):
            counts[image, prepared.tokens(caption)] = True
    share = counts[members].mean(0)
    chosen = np.flatnonzero((share >= WORD_SHARES[0]) & (share <= WORD_SHARES[1]))
    if len(chosen) < 2:
        raise ReproError(f"{prepared.folder}: the captions of split {split} share no words to classify images by")
    return chosen.tolist(), torch.from_numpy(counts[:, chosen].astype(np.float32))


def run_classifier(node: Node, out: Path, build: Build, prepared: Prepared) -> None:
    """A classifier of the train or the test classes, on crops and flips of that split itself.

    The networks that score birds and flowers are fine-tuned on the *test* classes (StackGAN); there is no third split.
    """
    spec, device = node.spec, pick_device()
    batches = Batches(prepared, spec["split"], spec["image_size"], spec["batch"], WORDS, spec["seed"])
    classes, words = torch.from_numpy(np.unique(prepared.class_ids[prepared.splits[spec["split"]]])), None
    if spec.get("target") == "words":
        numbers, words = heard_words(prepared, spec["split"])
        classes = torch.tensor(numbers)
    torch.manual_seed(derive_seed(spec["seed"], "weights"))
    how: dict[str, Any] = {"kind": spec["trunk"], "width": spec["width"]}
    trunk = input_trunk(build.input("trunk"))[0] if "trunk" in node.inputs else build_trunk(**how)
    system = ClassifierTraining(Classifier(trunk, len(classes)), classes, spec["lr"], device, words)
    build.facts |= {"trunk": how, "classes": len(classes), "class_ids": classes.tolist()}
    build.facts |= train(system, batches, out, Schedule.of(node, spec["epochs"] * batches.steps_per_epoch))
    build.facts["accuracy"] = round(system.accuracy(batches), 4)
    save_torch(out / "classifier.pt", system.classifier.state_dict())


class DamsmTraining(Trainable):
    """DAMSM as AttnGAN's code pre-trains it: a new Adam every epoch, its rate times ``decay`` while above a tenth."""

    def __init__(
        self,
        spec: dict[str, Any],
        text_encoder: TextEncoder,
        image_encoder: ImageEncoder,
        steps_per_epoch: int,
        device: torch.device,
    ) -> None:
        self.spec, self.steps_per_epoch, self.device = spec, steps_per_epoch, device
        self.text_encoder, self.image_encoder = text_encoder.to(device).train(), image_encoder.to(device).train()
        learning = [*self.text_encoder.parameters(), *self.image_encoder.head_parameters()]
        self._optimisers: dict[str, Optimizer] = {"encoders": Adam(learning, spec["lr"], DAMSM_BETAS)}

    def modules(self) -> dict[str, nn.Module]:
        return {"text_encoder": self.text_encoder, "image_encoder": self.image_encoder}

    def optimisers(self) -> dict[str, Optimizer]:
        return self._optimisers

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        optimiser, spec = self._optimisers["encoders"], self.spec
        epoch, place = divmod(step, self.steps_per_epoch)
        if place == 0:  # the same as a new optimiser: no moments, the epoch's rate
            optimiser.state.clear()
            optimiser.param_groups[0]["lr"] = damsm_rate(epoch, spec["lr"], spec["decay"])
        words, sentence = self.text_encoder(batch.tokens, batch.lengths)
        regions, code = self.image_encoder(batch.images)
        gammas = (spec["gamma1"], spec["gamma2"], spec["gamma3"])
        loss = damsm_loss(regions, code, words, sentence, batch.lengths, batch.class_ids, *gammas)
        optimiser.zero_grad(set_to_none=True)
        loss.total.backward()
        nn.utils.clip_grad_norm_(self.text_encoder.parameters(), spec["clip"])
        optimiser.step()
        terms = {"w0": loss.w0, "w1": loss.w1, "s0": loss.s0, "s1": loss.s1}
        return {name: value.detach() for name, value in {"loss": loss.total, **terms}.items()}

    def retrieval(self, batches: Batches) -> float:
        """Share of captions whose own image is the most similar (cosine, Eq. 12) of those in their batch."""
        right = []
        with evaluating(self.text_encoder, self.image_encoder):
            for step in range(min(batches.steps_per_epoch, RETRIEVAL_BATCHES)):
                batch = batches.batch(step).to(self.device)
                _, sentence = self.text_encoder(batch.tokens, batch.lengths)
                _, code = self.image_encoder(batch.images)
                best = cosine(code[:, None], sentence[None]).argmax(0)
                right.append((best == torch.arange(len(best), device=best.device)).float().mean().item())
        return float(np.mean(right))


def run_damsm(node: Node, out: Path, build: Build, prepared: Prepared) -> None:
    """The encoders of AttnGAN's DAMSM, and how well they find a held-out caption's image among a batch."""
    spec, device = node.spec, pick_device()
    batches = Batches(prepared, "train", spec["image_size"], spec["batch"], spec["words"], spec["seed"])
    trunk, how = input_trunk(build.input("trunk"))
    torch.manual_seed(derive_seed(spec["seed"], "weights"))
    text_encoder = build_text_encoder(spec, len(prepared.vocabulary))
    image_encoder = ImageEncoder(trunk, spec["dim"], spec["batch_norm"])
    system = DamsmTraining(spec, text_encoder, image_encoder, batches.steps_per_epoch, device)
    build.facts["trunk"] = how
    build.facts |= train(system, batches, out, Schedule.of(node, spec["epochs"] * batches.steps_per_epoch))
    size = min(spec["batch"], len(prepared.splits["test"]))
    held_out = Batches(prepared, "test", spec["image_size"], size, spec["words"], spec["seed"])
    build.facts["retrieval"] = {
        "accuracy": round(system.retrieval(held_out), 4),
        "chance": round(1 / size, 4),
        "of": size,
    }
    save_torch(out / "text_encoder.pt", text_encoder.state_dict())
    save_torch(out / "image_encoder.pt", image_encoder.state_dict())


KINDS = {
    "classifier": run_classifier,
    "damsm": run_damsm,
    "clip": run_clip,
    "itm": run_itm,
    "char-cnn-rnn": run_char_cnn_rnn,
}
