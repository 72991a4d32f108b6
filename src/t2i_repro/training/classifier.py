"""Training of classifiers, the feature extractors of IS and FID where no network is downloaded."""

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
from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.classifier import Classifier
from t2i_repro.models.encoders.loading import input_backbone
from t2i_repro.models.state import evaluating, pick_device, save_torch
from t2i_repro.training.loop import Schedule, train
from t2i_repro.training.trainable import Trainable

WORDS = 18  # for the batches; a classifier does not read captions
WORD_SHARES = (0.05, 0.5)


class ClassifierTraining(Trainable):
    """Cross-entropy over the classes of one split; every weight trains. A label is the rank of a class in ``classes``.

    With ``words`` [images, words] instead the binary cross-entropy over the words of each image's captions.
    """

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

    def loss_and_accuracy(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss, and the share of correct classes or of correct words."""
        logits = self.classifier(batch.images)
        if self.words is not None:
            targets = self.words[batch.image_index]
            return F.binary_cross_entropy_with_logits(logits, targets), ((logits > 0) == (targets > 0)).float().mean()
        labels = torch.searchsorted(self.classes, batch.class_ids)
        return F.cross_entropy(logits, labels), (logits.argmax(1) == labels).float().mean()

    def step(self, batch: Batch, step: int) -> dict[str, Tensor]:
        self.classifier.train()
        loss, accuracy = self.loss_and_accuracy(batch)
        optimiser = self._optimisers["classifier"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        return {"loss": loss.detach(), "accuracy": accuracy}

    def accuracy(self, batches: Batches) -> float:
        """Mean accuracy over an epoch, in eval mode."""
        shares = []
        with evaluating(self.classifier):
            for step in range(batches.steps_per_epoch):
                shares.append(self.loss_and_accuracy(batches.batch(step).to(self.device))[1].item())
        return float(np.mean(shares))


def caption_words(prepared: Prepared, split: str) -> tuple[list[int], Tensor]:
    """Multi-label targets for datasets without classes (our choice): the words that occur in the captions of 5 to 50%
    of the split's images. Returns vocabulary indices and a float32 [images, words] matrix of 0 and 1."""
    members = prepared.splits[split]
    occurs = np.zeros((len(prepared), len(prepared.vocabulary)), dtype=np.bool_)
    for image in members:
        for caption in prepared.caption_ids(int(image)):
            occurs[image, prepared.tokens(caption)] = True
    share = occurs[members].mean(0)
    chosen = np.flatnonzero((share >= WORD_SHARES[0]) & (share <= WORD_SHARES[1]))
    if len(chosen) < 2:
        raise ReproError(f"{prepared.folder}: the captions of split {split} share no words to classify images by")
    return chosen.tolist(), torch.from_numpy(occurs[:, chosen].astype(np.float32))


def run_classifier(node: Node, out: Path, build: Build, prepared: Prepared) -> None:
    """Write ``classifier.pt``: a classifier of the train or the test classes, trained on crops and flips of that split.

    The networks of IS on birds and flowers are fine-tuned on the *test* classes (StackGAN); there is no third split.
    """
    spec, device = node.spec, pick_device()
    batches = Batches(prepared, spec["split"], spec["image_size"], spec["batch"], WORDS, spec["seed"])
    classes, words = torch.from_numpy(np.unique(prepared.class_ids[prepared.splits[spec["split"]]])), None
    if spec.get("target") == "words":
        indices, words = caption_words(prepared, spec["split"])
        classes = torch.tensor(indices)
    torch.manual_seed(derive_seed(spec["seed"], "weights"))
    options: dict[str, Any] = {"kind": spec["trunk"], "width": spec["width"]}
    trunk = input_backbone(build.input("trunk"))[0] if "trunk" in node.inputs else build_backbone(**options)
    system = ClassifierTraining(Classifier(trunk, len(classes)), classes, spec["lr"], device, words)
    build.facts |= {"trunk": options, "classes": len(classes), "class_ids": classes.tolist()}
    build.facts |= train(system, batches, out, Schedule.of(node, spec["epochs"] * batches.steps_per_epoch))
    build.facts["accuracy"] = round(system.accuracy(batches), 4)
    save_torch(out / "classifier.pt", system.classifier.state_dict())
