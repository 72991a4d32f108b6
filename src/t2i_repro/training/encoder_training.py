"""What the trainings of text encoders share: Adam renewed every epoch, and retrieval on the test split."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from t2i_repro.data.batches import Batch, Batches
from t2i_repro.data.prepared import Prepared
from t2i_repro.losses.matching import cosine
from t2i_repro.models.state import evaluating

RETRIEVAL_BATCHES = 20


def renew_adam(optimiser: Optimizer, rate: float) -> None:
    """Bring Adam to the state of a new one, without moments, with this learning rate."""
    optimiser.state.clear()
    optimiser.param_groups[0]["lr"] = rate


def held_out_batches(prepared: Prepared, spec: dict[str, Any], words: int) -> Batches:
    """Batches of the test split, as large as those of training if the split is."""
    size = min(spec["batch"], len(prepared.splits["test"]))
    return Batches(prepared, "test", spec["image_size"], size, words, spec["seed"])


def retrieval_accuracy(
    batches: Batches, device: torch.device, hits: Callable[[Batch], Tensor], *networks: nn.Module
) -> float:
    """Share of captions for which ``hits(batch)``, bool [B], is true, with ``networks`` in eval mode. A caption
    competes for the images of its batch; at most ``RETRIEVAL_BATCHES`` batches are used."""
    shares = []
    with evaluating(*networks):
        for step in range(min(batches.steps_per_epoch, RETRIEVAL_BATCHES)):
            shares.append(hits(batches.batch(step).to(device)).float().mean().item())
    return float(np.mean(shares))


def finds_own_image(images: Tensor, sentences: Tensor) -> Tensor:
    """Bool [B]: whether each sentence [B, D] has, of all images [B, D], its own as the most similar (cosine)."""
    nearest = cosine(images[:, None], sentences[None]).argmax(0)
    return nearest == torch.arange(len(nearest), device=nearest.device)


def retrieval_facts(accuracy: float, size: int) -> dict[str, Any]:
    """The accuracy for a record, next to that of random choices among ``size`` images."""
    return {"accuracy": round(accuracy, 4), "chance": round(1 / size, 4), "of": size}
