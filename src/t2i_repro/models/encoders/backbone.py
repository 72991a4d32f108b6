"""Convolutional backbones of the image encoders and classifiers: region features and one pooled vector per image.

A backbone has ``input_size``, ``region_channels``, ``pooled_channels`` and maps images [B, 3, s, s] in [-1, 1], of any
size, to (regions [B, region_channels, 17, 17], pooled [B, pooled_channels]); it resizes the images itself. Specs,
records and state dicts call it ``trunk``.
"""

from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.core.choices import check_choice
from t2i_repro.errors import ReproError

BackboneKind = Literal["inception", "standin"]
BACKBONES: tuple[BackboneKind, ...] = ("inception", "standin")
REGIONS = 17


def resize(images: Tensor, size: int, align_corners: bool) -> Tensor:
    """Resize to size x size: bilinear, without antialiasing, as all the released codes do."""
    if images.shape[-2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear", align_corners=align_corners)


class Backbone(nn.Module):
    """Base class; subclasses set the three sizes and define ``forward``."""

    input_size: int
    region_channels: int
    pooled_channels: int

    def __init__(self, align_corners: bool = False) -> None:
        super().__init__()
        self.align_corners = align_corners


class InceptionBackbone(Backbone):
    """torchvision's Inception-v3 without classifier and auxiliary head: regions after Mixed_6e, pooled after
    Mixed_7c.

    Images are not normalised further: [-1, 1]. ``align_corners``: False as AttnGAN and SSA-GAN run today, True as
    DM-GAN writes.
    """

    input_size = 299
    region_channels = 768
    pooled_channels = 2048

    def __init__(self, align_corners: bool = False) -> None:
        super().__init__(align_corners)
        from torchvision.models import inception_v3  # as slow to import as torch, and stand-ins do without

        network = inception_v3(weights=None, aux_logits=False, transform_input=False, init_weights=False)
        layers = [
            (name, layer) for name, layer in network.named_children() if name.startswith(("Conv", "maxpool", "Mixed"))
        ]
        split = next(index for index, (name, _) in enumerate(layers) if name == "Mixed_6e") + 1
        self.local = nn.Sequential()
        self.final = nn.Sequential()
        for index, (name, layer) in enumerate(layers):
            (self.local if index < split else self.final).add_module(name, layer)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        regions = self.local(resize(images, self.input_size, self.align_corners))
        return regions, self.final(regions).mean(dim=(2, 3))


def conv_layer(channels_in: int, channels_out: int, stride: int) -> nn.Sequential:
    """conv3x3, BatchNorm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(),
    )


class StandinBackbone(Backbone):
    """A small backbone of the same outline, trained in the DAG in place of ImageNet weights (ours, no paper's).

    68 px -> 34 -> 17 (regions, 4 * width channels) -> 9 -> pooled (8 * width); 26 MFLOP an image at width 16.
    """

    input_size = 4 * REGIONS

    def __init__(self, width: int = 16, align_corners: bool = False) -> None:
        super().__init__(align_corners)
        self.region_channels, self.pooled_channels = 4 * width, 8 * width
        self.local = nn.Sequential(
            conv_layer(3, width, 2), conv_layer(width, 2 * width, 2), conv_layer(2 * width, 4 * width, 1)
        )
        self.final = conv_layer(4 * width, 8 * width, 2)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        regions = self.local(resize(images, self.input_size, self.align_corners))
        return regions, self.final(regions).mean(dim=(2, 3))


def _inception_names(state: dict[str, Tensor], backbone: InceptionBackbone) -> dict[str, Tensor]:
    """torchvision's names to ours, without its classifier and auxiliary head."""
    first = {name for name, _ in backbone.local.named_children()}
    renamed = {}
    for name, value in state.items():
        layer = name.split(".", 1)[0]
        if layer not in ("fc", "AuxLogits"):
            renamed[f"{'local' if layer in first else 'final'}.{name}"] = value
    return renamed


def load_backbone(backbone: Backbone, path: Path) -> None:
    """Load a backbone's weights from ``path``.

    The file holds the state dict of a ``Classifier`` on this backbone, of the backbone itself or, for Inception,
    torchvision's ``inception_v3``. Raises ReproError if it cannot be read or does not fit.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ReproError(
            f"{path}: cannot be read as a torch state dict ({error}); expected backbone weights; build it again"
        ) from error
    if any(name.startswith("trunk.") for name in state):
        state = {name.removeprefix("trunk."): value for name, value in state.items() if name.startswith("trunk.")}
    elif isinstance(backbone, InceptionBackbone) and "Conv2d_1a_3x3.conv.weight" in state:
        state = _inception_names(state, backbone)
    try:
        backbone.load_state_dict(state)
    except RuntimeError as error:
        detail = " ".join(str(error).split())[:300]
        raise ReproError(
            f"{path}: not the weights of this {type(backbone).__name__} "
            f"({backbone.region_channels} region and {backbone.pooled_channels} pooled channels): {detail}; "
            "correct the backbone's kind or width, or build the file again"
        ) from error


def build_backbone(
    kind: BackboneKind, width: int = 16, weights: Path | None = None, *, align_corners: bool = False
) -> Backbone:
    """The backbone ``kind``; ``width`` counts for ``standin`` only.

    ``weights``: a file for ``load_backbone``; None leaves torch's initial weights.
    Raises ReproError for an unknown kind or a file that does not fit.
    """
    check_choice("trunk", kind, BACKBONES)
    backbone: Backbone = (
        InceptionBackbone(align_corners) if kind == "inception" else StandinBackbone(width, align_corners)
    )
    if weights is not None:
        load_backbone(backbone, weights)
    return backbone
