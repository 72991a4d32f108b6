"""How images become a network's input: resize and range, by name. Numbers of one network prepared in two ways are two
protocols.

``unit``     [-1, 1]; the network resizes (half-pixel bilinear). Our classifiers, torchvision's Inception.
``legacy``   DM-GAN's and DF-GAN's FID code: 8-bit bilinear resize (PIL), then x * 0.229 / 0.5 + (0.485 - 0.5) / 0.5 of
             x in [0, 1], which is meant for inputs that have ImageNet's normalisation already, and squeezes these to
             about [-0.03, 0.43].
``clip``     CLIP's own: bicubic resize of the short side, centre crop, CLIP's mean and deviation.
``squash``   GR-GAN's CMD code: both sides to 224 px (bilinear), [0, 1], no normalisation.
"""

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor

Preparation = Callable[[Tensor, int | None], Tensor]

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)


def unit(images: Tensor, side: int | None) -> Tensor:
    """uint8 [B, 3, S, S] -> float32 in [-1, 1], as large as they are."""
    return images.float() / 127.5 - 1


def legacy(images: Tensor, side: int | None) -> Tensor:
    """As ImageNet-normalised inputs are turned to [-1, 1], though these are in [0, 1]."""
    pixels = images if side is None else resized(images, side, Image.Resampling.BILINEAR)
    mean, deviation = _channels(IMAGENET_MEAN), _channels(IMAGENET_DEVIATION)
    return pixels.float() / 255 * (deviation / 0.5) + (mean - 0.5) / 0.5


def clip(images: Tensor, side: int | None) -> Tensor:
    """As CLIP was trained; images are square here, so that nothing is cropped."""
    pixels = images if side is None else resized(images, side, Image.Resampling.BICUBIC)
    return (pixels.float() / 255 - _channels(CLIP_MEAN)) / _channels(CLIP_DEVIATION)


def squash(images: Tensor, side: int | None) -> Tensor:
    """[0, 1], no normalisation."""
    pixels = images if side is None else resized(images, side, Image.Resampling.BILINEAR)
    return pixels.float() / 255


def resized(images: Tensor, side: int, filter_: Image.Resampling) -> Tensor:
    """PIL's resize, 8 bits in and out."""
    if images.shape[-2:] == (side, side):
        return images
    pictures = [Image.fromarray(one) for one in images.permute(0, 2, 3, 1).cpu().numpy()]
    arrays = [np.asarray(picture.resize((side, side), filter_)) for picture in pictures]
    return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2)


def _channels(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values)[:, None, None]


PREPARATIONS: dict[str, Preparation] = {"unit": unit, "legacy": legacy, "clip": clip, "squash": squash}
