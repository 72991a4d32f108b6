"""The ranking network of visual-semantic similarity (HDGAN, Eq. 5) and its loss."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.errors import ReproError

MARGIN = 0.2


class RankingNetwork(nn.Module):
    """Two linear maps into one space, onto its unit sphere.

    As released: 1536-d features of Inception-ResNet-v2 (the paper says Inception-v2), 1024-d char-CNN-RNN sentences,
    512-d joint space; weights drawn from a normal distribution of standard deviation sqrt(6 / (in + out)), biases 0.
    """

    def __init__(self, image: int = 1536, text: int = 1024, joint: int = 512) -> None:
        super().__init__()
        self.image = nn.Linear(image, joint)
        self.text = nn.Linear(text, joint)
        for layer in (self.image, self.text):
            nn.init.normal_(layer.weight, std=(6 / (layer.in_features + layer.out_features)) ** 0.5)
            nn.init.zeros_(layer.bias)

    def forward(self, images: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """[B, image] and [C, text] features -> [B, joint] and [C, joint], rows of length 1."""
        return F.normalize(self.image(images), dim=1), F.normalize(self.text(captions), dim=1)


def ranking_loss(
    images: Tensor, captions: Tensor, groups: Tensor | None = None, margin: float = MARGIN, as_printed: bool = False
) -> Tensor:
    """Bi-directional ranking loss of matching rows [B, joint], of length 1; sum over all mismatching pairs of the
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
