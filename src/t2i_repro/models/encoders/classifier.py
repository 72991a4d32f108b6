"""A backbone with one linear layer over classes: features for IS and FID where no network is downloaded."""

from torch import Tensor, nn

from t2i_repro.models.encoders.backbone import Backbone


class Classifier(nn.Module):
    """Images [B, 3, s, s] in [-1, 1] -> logits [B, classes]. Every parameter trains, the backbone's too."""

    def __init__(self, backbone: Backbone, classes: int) -> None:
        super().__init__()
        self.trunk = backbone
        self.head = nn.Linear(backbone.pooled_channels, classes)

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features [B, pooled_channels] and logits [B, classes]."""
        _, pooled = self.trunk(images)
        return pooled, self.head(pooled)

    def forward(self, images: Tensor) -> Tensor:
        return self.features(images)[1]
