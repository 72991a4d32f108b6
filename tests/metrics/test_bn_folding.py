"""Folded networks have the features of the library's; preparations are the published ones, bit by bit."""

import copy

import numpy as np
import pytest
import torch
from library_inception import library_inception, shaken
from PIL import Image
from torch import nn

from t2i_repro.metrics import inception_tf
from t2i_repro.metrics.bn_folding import prepare_for_inference
from t2i_repro.metrics.inception_tf import InceptionTF
from t2i_repro.metrics.preparation import PREPARATIONS
from t2i_repro.models.encoders.backbone import build_backbone

CPU = torch.device("cpu")


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest error of a row, relative to the row's length."""
    return float(((found - expected).norm(dim=1) / expected.norm(dim=1)).max())


@torch.no_grad()
@pytest.mark.parametrize(
    ("size", "one_pass"),
    [((80, 80), True), ((80, 80), False), ((299, 299), True), ((64, 96), True), ((330, 301), True)],
)
def test_inception_has_the_features_of_the_library(
    size: tuple[int, int], one_pass: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sizes enlarged, kept, not square and made smaller; five images are a slice and one more."""
    if not one_pass:
        monkeypatch.setattr(inception_tf, "one_pass_is_right", lambda: False)
    network = library_inception()
    count = 5 if size == (80, 80) else 1
    images = torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))
    expected = network(images)
    for found, wanted in zip(InceptionTF(network, CPU)(images), expected, strict=True):
        assert relative(found, wanted) < 1e-5


@torch.no_grad()
def test_folding_leaves_no_batch_norm() -> None:
    network = prepare_for_inference(library_inception(), CPU)
    assert not [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]


def test_a_torch_without_the_one_pass_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is missing or wrong, the two public steps are taken."""
    answer = inception_tf.one_pass_is_right.__wrapped__
    monkeypatch.setattr(inception_tf, "one_pass", lambda given, layer: layer(given))
    assert not answer()

    def missing(given: torch.Tensor, layer: nn.Conv2d) -> torch.Tensor:
        return torch.ops.mkldnn.no_such_operator(given)

    monkeypatch.setattr(inception_tf, "one_pass", missing)
    assert not answer()


@torch.no_grad()
def test_our_trunk_folded() -> None:
    trunk = shaken(build_backbone("standin", 4))
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1
    regions, pooled = trunk(images)
    found = prepare_for_inference(copy.deepcopy(trunk), CPU)(images)
    assert relative(found[0].flatten(1), regions.flatten(1)) < 1e-6
    assert relative(found[1], pooled) < 1e-6


@torch.no_grad()
def test_a_convolution_with_bias_and_a_norm_without_weights() -> None:
    pair = shaken(nn.Sequential(nn.Conv2d(3, 5, 3, bias=True, groups=1, stride=2), nn.BatchNorm2d(5)))
    plain = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5, affine=False)).eval()
    images = torch.rand(2, 3, 9, 9, generator=torch.Generator().manual_seed(3))
    for network in (pair, plain):
        torch.testing.assert_close(prepare_for_inference(copy.deepcopy(network), CPU)(images), network(images))


def test_preparations() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 20, 20, 3), dtype=np.uint8)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    unit = PREPARATIONS["unit"](images, 30)
    assert unit.shape == (2, 3, 20, 20)
    assert unit.min() >= -1
    assert unit.max() <= 1
    legacy = PREPARATIONS["legacy"](images, 30)
    enlarged = np.asarray(Image.fromarray(pixels[1]).resize((30, 30), Image.Resampling.BILINEAR)) / 255
    for channel, (mean, deviation) in enumerate(((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))):
        expected = enlarged[..., channel] * deviation / 0.5 + (mean - 0.5) / 0.5
        np.testing.assert_allclose(legacy[1, channel], expected, atol=1e-6)
    assert legacy.min() > -0.2
    assert legacy.max() < 0.45
    squash, clip = PREPARATIONS["squash"](images, 24), PREPARATIONS["clip"](images, 24)
    assert squash.shape == clip.shape == (2, 3, 24, 24)
    assert squash.min() >= 0
    assert squash.max() <= 1
    assert (
        abs(float(PREPARATIONS["clip"](torch.full((1, 3, 4, 4), 255, dtype=torch.uint8), 4)[0, 0, 0, 0]) - 1.93) < 0.01
    )
