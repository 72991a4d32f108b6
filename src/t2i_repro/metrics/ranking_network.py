"""Verb `judge`: train the ranking network of visual-semantic similarity (HDGAN, Eq. 5), on the training split.

The released code draws three batches in four from the *test* split; ours never sees it. Two linear maps are learned,
on features and caption embeddings that `embed` has stored: ``image.npy`` and ``text.npy`` float64 [d + 1, joint], the
last row being the bias.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import derive_seed
from t2i_repro.core.record import Build, atomic_write
from t2i_repro.errors import ReproError
from t2i_repro.metrics.features import open_features, rows_of

MARGIN = 0.2


class RankingNetwork(nn.Module):
    """Two linear maps into one space, onto its unit sphere.

    As released: 1536-d features of Inception-ResNet-v2 (the paper says Inception-v2), 1024-d char-CNN-RNN sentences,
    512-d joint space; weights drawn from a normal distribution of standard deviation sqrt(6 / (in + out)), biases 0.
    """

    def __init__(self, image_dim: int = 1536, text_dim: int = 1024, joint_dim: int = 512) -> None:
        super().__init__()
        self.image = nn.Linear(image_dim, joint_dim)
        self.text = nn.Linear(text_dim, joint_dim)
        for layer in (self.image, self.text):
            nn.init.normal_(layer.weight, std=(6 / (layer.in_features + layer.out_features)) ** 0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """[B, image_dim] and [C, text_dim] features -> [B, joint_dim] and [C, joint_dim], rows of length 1."""
        return F.normalize(self.image(images), dim=1), F.normalize(self.text(captions), dim=1)


def ranking_loss(
    images: Tensor, captions: Tensor, groups: Tensor | None = None, margin: float = MARGIN, as_printed: bool = False
) -> Tensor:
    """Bi-directional ranking loss of matching rows [B, joint_dim], of length 1; sum over all mismatching pairs of the
    batch.

    max(0, margin - s(pair) + s(mismatch)), as released. ``as_printed``: Eq. 5 to the letter, max(0, margin -
    s(mismatch)), which has no matching pair in it and falls as mismatching ones grow alike. ``groups`` [B]: rows that
    share a number (captions of one image) do not mismatch.
    """
    if images.shape != captions.shape or images.ndim != 2 or len(images) < 2:
        raise ReproError(
            f"ranking loss: {tuple(images.shape)} and {tuple(captions.shape)}; expected [B, joint] twice, B >= 2"
        )
    similar = images @ captions.T
    numbers = torch.arange(len(images), device=images.device) if groups is None else groups
    mismatch = numbers[:, None] != numbers[None, :]
    if as_printed:
        return 2 * (margin - similar).clamp(min=0)[mismatch].sum()
    pair = similar.diagonal()
    by_image = (margin - pair[:, None] + similar).clamp(min=0)
    by_caption = (margin - pair[None, :] + similar).clamp(min=0)
    return (by_image + by_caption)[mismatch].sum()


def run(node: Node, out: Path, build: Build) -> None:
    """Train on inputs `images` and `captions`, features of the training split. Facts: losses, and how often the nearest
    caption of a batch is the image's own."""
    images, captions = open_features(build.input("images")), open_features(build.input("captions"))
    spec = node.spec
    owner = torch.from_numpy(rows_of(images.origin[:, 0], captions.origin[:, 0], "image"))
    pictures, texts = images.pooled, captions.pooled  # mapped files; a batch's rows are read
    torch.manual_seed(derive_seed(spec["seed"], "ranking weights"))
    network = RankingNetwork(pictures.shape[1], texts.shape[1], spec["joint"])
    optimiser = torch.optim.Adam(network.parameters(), spec["lr"])
    batch = min(spec["batch"], len(texts))
    steps = spec["epochs"] * max(1, len(texts) // batch)
    losses, nearest = [], []
    for step in tqdm(range(steps), desc=node.name, unit="step", disable=None):
        draw = torch.Generator().manual_seed(derive_seed(spec["seed"], "ranking", step))
        chosen = torch.randperm(len(texts), generator=draw)[:batch]
        image_rows, text_rows = network(rows_in(pictures, owner[chosen]), rows_in(texts, chosen))
        loss = ranking_loss(image_rows, text_rows, owner[chosen], spec["margin"], spec["loss"] == "printed")
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        nearest.append(float((image_rows @ text_rows.T).argmax(1).eq(torch.arange(batch)).float().mean()))
    for name, layer in (("image", network.image), ("text", network.text)):
        with atomic_write(out / f"{name}.npy") as file:
            np.save(file, as_map(layer.weight, layer.bias))
    build.facts |= {
        "steps": steps,
        "pairs": len(texts),
        "loss_first": losses[0],
        "loss_last": losses[-1],
        "nearest_in_batch": round(nearest[-1], 4),
        "chance": round(1 / batch, 4),
        "standin": images.facts["standin"] or captions.facts["standin"],
    }


def rows_in(features: np.ndarray, rows: Tensor) -> Tensor:
    """Rows of a mapped array, float32 [B, d]."""
    return torch.from_numpy(np.asarray(features[rows.numpy()], dtype=np.float32))


def as_map(weight: Tensor, bias: Tensor) -> np.ndarray:
    """[in + 1, out] float64: rows @ map[:-1] + map[-1]."""
    return torch.cat([weight.T, bias[None]]).detach().double().numpy()
