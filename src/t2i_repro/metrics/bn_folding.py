"""Inference-only networks: BatchNorm folded into the preceding convolution.

In evaluation mode BatchNorm is an affine map per channel, so it can be part of the convolution's weights. Folded in
float64 and rounded once, features change by some 1e-6 relative, as they do with the batch size of a GPU.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """Put ``network`` in evaluation mode and fold every BatchNorm2d that directly follows a Conv2d in its parent, in
    place. Parents have to call the two in that order, as Sequential and Inception's blocks do."""
    for parent in list(network.modules()):
        children = list(parent.named_children())
        for (name, layer), (after_name, after) in pairwise(children):
            if isinstance(layer, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                setattr(parent, name, folded(layer, after))
                setattr(parent, after_name, nn.Identity())
    return network.eval()


def folded(layer: nn.Conv2d, norm: nn.BatchNorm2d) -> nn.Conv2d:
    """One convolution equal to ``layer`` followed by ``norm`` in evaluation mode."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = 1 / (norm.running_var.double() + norm.eps).sqrt()
    shift = -norm.running_mean.double() * scale
    if norm.affine:
        scale, shift = scale * norm.weight.double(), shift * norm.weight.double() + norm.bias.double()
    if layer.bias is not None:
        shift = shift + layer.bias.double() * scale
    state: dict[str, Tensor] = {"weight": layer.weight.double() * scale[:, None, None, None], "bias": shift}
    both = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,  # type: ignore[arg-type]
        layer.stride,  # type: ignore[arg-type]
        layer.padding,  # type: ignore[arg-type]
        layer.dilation,  # type: ignore[arg-type]
        layer.groups,
        padding_mode=layer.padding_mode,
    )
    both.load_state_dict({key: value.to(layer.weight.dtype) for key, value in state.items()})
    return both.to(layer.weight.device)


def prepare_for_inference(network: nn.Module, device: torch.device) -> nn.Module:
    """Evaluation mode without gradients, BatchNorm folded, in the memory layout that is fastest on CPUs and GPUs.

    On a GPU it also turns TF32 convolutions off for this process: they change features by some 1e-3.
    """
    if device.type == "cuda":
        torch.backends.cudnn.allow_tf32 = False
    return fold_batch_norm(network.eval().requires_grad_(False)).to(device).to(memory_format=torch.channels_last)
