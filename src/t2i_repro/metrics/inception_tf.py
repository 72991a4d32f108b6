"""The Inception of 2015 that FID and IS are defined with, from torch-fidelity's port and its weights, in less time.

The values are the port's to 1e-6 relative. Saved on CPUs: BatchNorm (`bn_folding.py`); passes over memory, by a ReLU
inside the convolution; the resize, ten times slower as indexing; averages of 768 channels where 192 do; and the cost of
fresh memory for large batches.
"""

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from t2i_repro.metrics.bn_folding import prepare_for_inference

SIDE = 299
SLICE = 4  # images at a time on CPUs while they are large: more leave the cache, and are fresh memory each time
SMALL = "Mixed_6a"  # from here on images are small, and one pass over the weights serves the whole batch

# Branches of each kind of block, by the port's names, joined in this order. A layer after another takes its output;
# "+": two layers see the same input; "mean", "max": of 3 x 3 neighbours, "half": the largest of them, at stride 2.
BLOCKS = {
    "InceptionA": (
        "branch1x1",
        "branch5x5_1 branch5x5_2",
        "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3",
        "mean:branch_pool",
    ),
    "InceptionB": ("branch3x3", "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3", "half"),
    "InceptionC": (
        "branch1x1",
        "branch7x7_1 branch7x7_2 branch7x7_3",
        "branch7x7dbl_1 branch7x7dbl_2 branch7x7dbl_3 branch7x7dbl_4 branch7x7dbl_5",
        "mean:branch_pool",
    ),
    "InceptionD": ("branch3x3_1 branch3x3_2", "branch7x7x3_1 branch7x7x3_2 branch7x7x3_3 branch7x7x3_4", "half"),
    "InceptionE_1": (
        "branch1x1",
        "branch3x3_1 branch3x3_2a+branch3x3_2b",
        "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a+branch3x3dbl_3b",
        "mean:branch_pool",
    ),
    "InceptionE_2": (
        "branch1x1",
        "branch3x3_1 branch3x3_2a+branch3x3_2b",
        "branch3x3dbl_1 branch3x3dbl_2 branch3x3dbl_3a+branch3x3dbl_3b",
        "max branch_pool",
    ),
}


class InceptionTF(nn.Module):
    """uint8 [B, 3, H, W], any size, -> float32 (pool3 [B, 2048], logits without their bias [B, 1008]).

    ``port``: torch-fidelity's FeatureExtractorInceptionV3 with its weights; it is changed in place and not to be used
    afterwards.
    """

    def __init__(self, port: nn.Module, device: torch.device) -> None:
        super().__init__()
        prepare_for_inference(port, device)
        self.early, self.late = nn.Sequential(), nn.Sequential()
        layers = self.early
        for name, part in port.named_children():
            if name == SMALL:
                layers = self.late
            if name.startswith("Conv2d"):
                layers.add_module(name, Rectified(convolution(part)))
            elif name.startswith("MaxPool"):
                layers.add_module(name, part)
            elif name.startswith("Mixed"):
                layers.add_module(name, Branches(*(chain(part, text) for text in BLOCKS[type(part).__name__])))
        fc = port.get_submodule("fc")
        assert isinstance(fc, nn.Linear)
        self.fc = fc

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        parts = images.split(SLICE) if images.device.type == "cpu" else (images,)
        pooled = self.late(torch.cat([self.early(enlarged(part)) for part in parts])).mean(dim=(2, 3))
        return pooled, pooled @ self.fc.weight.T


def chain(block: nn.Module, text: str) -> nn.Module:
    """One branch of ``block``, from its line in BLOCKS."""
    layers: list[nn.Module] = []
    for step in text.split():
        if step in ("max", "half"):
            layers.append(nn.MaxPool2d(3, stride=1, padding=1) if step == "max" else nn.MaxPool2d(3, stride=2))
        elif step.startswith("mean:"):
            layers.append(Averaged(convolution(block.get_submodule(step.removeprefix("mean:")))))
        elif "+" in step:
            layers.append(Branches(*(chain(block, name) for name in step.split("+"))))
        else:
            layers.append(Rectified(convolution(block.get_submodule(step))))
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


def convolution(block: nn.Module) -> nn.Conv2d:
    """That of the port's BasicConv2d, whose BatchNorm is folded into it; its ReLU is for the caller."""
    layer = block.get_submodule("conv")
    assert isinstance(layer, nn.Conv2d)
    return layer


class Branches(nn.Module):
    """Outputs of several networks on one input, joined along the channels."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([branch(inputs) for branch in self.branches], dim=1)


class Averaged(nn.Module):
    """Mean of the 3 x 3 neighbours that lie in the image, 1 x 1 convolution, ReLU. Both first steps are linear and
    commute; the mean goes second, over fewer channels."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        return F.avg_pool2d(self.layer(inputs), 3, stride=1, padding=1, count_include_pad=False).relu_()


class Rectified(nn.Module):
    """Convolution and ReLU, in one pass over memory where torch has oneDNN."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        if inputs.device.type == "cpu" and one_pass_is_right():
            return one_pass(inputs, self.layer)
        return self.layer(inputs).relu_()


def one_pass(inputs: Tensor, layer: nn.Conv2d) -> Tensor:
    """oneDNN's convolution with ReLU, which torch's own compiler uses. No public part of torch: see below."""
    sizes = layer.padding, layer.stride, layer.dilation, layer.groups
    return torch.ops.mkldnn._convolution_pointwise(inputs, layer.weight, layer.bias, *sizes, "relu", [], "")


@cache
def one_pass_is_right() -> bool:
    """Whether this torch has ``one_pass`` and it does what its two public steps do."""
    layer = nn.Conv2d(3, 4, (1, 3), padding=(0, 1)).requires_grad_(False)
    inputs = torch.linspace(-1, 1, 2 * 3 * 5 * 5).reshape(2, 3, 5, 5)
    try:
        return torch.allclose(one_pass(inputs, layer), layer(inputs).relu(), rtol=1e-4, atol=1e-5)
    except (AttributeError, NotImplementedError, RuntimeError, TypeError):
        return False


def enlarged(images: Tensor) -> Tensor:
    """uint8 -> (x - 128) / 128, resized to 299 x 299 as TensorFlow 1 does: pixel i lies at i * S / 299 of the input.

    That is where `align_corners` puts it for one pixel more on both sides: 298 + 1 steps of S / 299 from 0 to S.
    """
    pixels = images.float().sub_(128).div_(128).contiguous(memory_format=torch.channels_last)
    if images.shape[-2:] == (SIDE, SIDE):
        return pixels
    wider = F.pad(pixels, (0, 1, 0, 1), mode="replicate")
    return F.interpolate(wider, (SIDE + 1, SIDE + 1), mode="bilinear", align_corners=True)[..., :SIDE, :SIDE]
