"""A trunk with one linear layer over classes: what IS and FID look through where no network is downloaded."""

from torch import Tensor, nn

from t2i_repro.models.encoders.backbone import Trunk


class Classifier(nn.Module):
    """Images [B, 3, s, s] in [-1, 1] -> logits [B, classes]. Every parameter trains, the trunk's too."""

    def __init__(self, trunk: Trunk, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(trunk.pooled_channels, classes)

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features [B, pooled_channels] and logits [B, classes]."""
        _, pooled = self.trunk(images)
        return pooled, self.head(pooled)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)[1]
