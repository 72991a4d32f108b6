"""DAMSM image encoder: a frozen trunk and two trainable projections into the space of the text features."""

from typing import Literal

from torch import Tensor, nn

from t2i_repro.core.choices import check_choice
from t2i_repro.models.encoders.backbone import Trunk

BatchNormMode = Literal["frozen", "batch"]
BATCH_NORM_MODES: tuple[BatchNormMode, ...] = ("frozen", "batch")
INITIAL_RANGE = 0.1


class ImageEncoder(nn.Module):
    """Images [B, 3, s, s] in [-1, 1] -> regions [B, dim, 17, 17] and code [B, dim] (SSA-GAN Eq. 8).

    The trunk's parameters never take a gradient; gradients do flow through it to the images.
    ``batch_norm``: ``frozen`` keeps the trunk in eval mode always; ``batch`` is the released behaviour,
    where ``train()`` also reaches the trunk, so that its BatchNorm uses batch statistics and its running
    statistics drift.
    """

    def __init__(self, trunk: Trunk, dim: int = 256, batch_norm: BatchNormMode = "frozen") -> None:
        super().__init__()
        check_choice("batch_norm", batch_norm, BATCH_NORM_MODES)
        self.dim, self.batch_norm = dim, batch_norm
        self.trunk = trunk.requires_grad_(False)
        self.project_regions = nn.Conv2d(trunk.region_channels, dim, 1, bias=False)
        self.project_code = nn.Linear(trunk.pooled_channels, dim)
        for projection in (self.project_regions, self.project_code):
            nn.init.uniform_(projection.weight, -INITIAL_RANGE, INITIAL_RANGE)
        self.train(self.training)

    def train(self, mode: bool = True) -> "ImageEncoder":
        super().train(mode)
        if self.batch_norm == "frozen":
            self.trunk.eval()
        return self

    def head_parameters(self) -> list[nn.Parameter]:
        """The trainable parameters: both projections."""
        return [*self.project_regions.parameters(), *self.project_code.parameters()]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        regions, pooled = self.trunk(images)
        return self.project_regions(regions), self.project_code(pooled)
