"""Verb `judge`: train the network that visual-semantic similarity looks through (HDGAN, Eq. 5), on the training split.

The released code draws three batches in four from the *test* split; ours never sees it. Two linear maps are learned,
on features and caption embeddings that `embed` has stored: ``image.npy`` and ``text.npy`` float64 [d + 1, joint], the
last row being the bias.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import derive_seed
from t2i_repro.core.record import Build, atomic_write
from t2i_repro.metrics.features import open_features
from t2i_repro.metrics.registry import rows_of
from t2i_repro.metrics.vs_network import RankingNetwork, ranking_loss


def run(node: Node, out: Path, build: Build) -> None:
    """Inputs `images` and `captions`: features of the training split's images and captions. Facts: losses and how
    often an image's caption is nearer than another of its batch."""
    images, captions = open_features(build.input("images")), open_features(build.input("captions"))
    spec = node.spec
    owner = torch.from_numpy(rows_of(images.origin[:, 0], captions.origin[:, 0], "image"))
    pictures, texts = images.pooled, captions.pooled  # stay in their files, but for the rows of a batch
    torch.manual_seed(derive_seed(spec["seed"], "ranking weights"))
    network = RankingNetwork(pictures.shape[1], texts.shape[1], spec["joint"])
    optimiser = torch.optim.Adam(network.parameters(), spec["lr"])
    batch = min(spec["batch"], len(texts))
    steps = spec["epochs"] * max(1, len(texts) // batch)
    losses, right = [], []
    for step in tqdm(range(steps), desc=node.name, unit="step", disable=None):
        draw = torch.Generator().manual_seed(derive_seed(spec["seed"], "ranking", step))
        chosen = torch.randperm(len(texts), generator=draw)[:batch]
        seen, read = network(rows_in(pictures, owner[chosen]), rows_in(texts, chosen))
        loss = ranking_loss(
            seen, read, groups=owner[chosen], margin=spec["margin"], as_printed=spec["loss"] == "printed"
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        right.append(float((seen @ read.T).argmax(1).eq(torch.arange(batch)).float().mean()))
    for name, layer in (("image", network.image), ("text", network.text)):
        with atomic_write(out / f"{name}.npy") as file:
            np.save(file, as_map(layer.weight, layer.bias))
    build.facts |= {
        "steps": steps,
        "pairs": len(texts),
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "nearest_in_batch": round(right[-1], 4),
        "chance": round(1 / batch, 4),
        "standin": images.facts["standin"] or captions.facts["standin"],
    }


def rows_in(features: np.ndarray, rows: Tensor) -> Tensor:
    """Rows of a mapped array, float32 [B, d]."""
    return torch.from_numpy(np.asarray(features[rows.numpy()], dtype=np.float32))


def as_map(weight: Tensor, bias: Tensor) -> np.ndarray:
    """[in + 1, out] float64: rows @ map[:-1] + map[-1]."""
    return torch.cat([weight.T, bias[None]]).detach().double().numpy()
