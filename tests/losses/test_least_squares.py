"""Pair and image losses of HDGAN Eq. (4), the divergence, and GAN-CLS, against numbers by hand."""

import math

import pytest
import torch
from torch import Tensor

from t2i_repro.errors import ReproError
from t2i_repro.losses.least_squares import (
    generator,
    image_discriminator,
    kl_of_log_sigma,
    pair_discriminator,
)
from t2i_repro.losses.matching_aware import (
    interpolated,
    matching_aware_discriminator,
    matching_aware_generator,
)


def test_pair_loss_by_hand() -> None:
    real, wrong, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5]), torch.tensor([2.0, 0.0])
    # real: (0 + 4) / 2 = 2; wrong: 0.25; fake: (4 + 0) / 2 = 2
    assert pair_discriminator(real, wrong, fake).item() == pytest.approx(2 + (0.25 + 2) / 2)
    assert pair_discriminator(real, wrong, fake, "printed").item() == pytest.approx(2 + 0.25 + 2)
    assert generator(fake).item() == pytest.approx((1 + 1) / 2)
    with pytest.raises(ReproError, match="pair_weights: found 'paper'"):
        pair_discriminator(real, wrong, fake, "paper")  # type: ignore[arg-type]


def test_image_loss_by_hand_is_a_mean_over_patches() -> None:
    real = torch.tensor([[[1.0, 1.0], [1.0, 3.0]]])
    wrong = torch.tensor([[[0.0, 1.0], [1.0, 1.0]]])
    fake = torch.tensor([[[0.0, 0.0], [2.0, 0.0]]])
    # real: 4/4 = 1; wrong, taken for real: 1/4; fake: 4/4 = 1
    assert image_discriminator(real, wrong, fake).item() == pytest.approx((1 + 0.25) / 2 + 1)
    assert image_discriminator(real, None, fake).item() == pytest.approx(1 + 1)
    assert generator(fake).item() == pytest.approx((1 + 1 + 1 + 1) / 4)


def test_divergence_against_the_formula_of_two_normals() -> None:
    mean, log_sigma = torch.tensor([[0.5, -1.0]]).double(), torch.tensor([[0.2, -0.7]]).double()
    standard = torch.distributions.Normal(torch.zeros(1, 2).double(), torch.ones(1, 2).double())
    expected = torch.distributions.kl_divergence(torch.distributions.Normal(mean, log_sigma.exp()), standard).mean()
    torch.testing.assert_close(kl_of_log_sigma(mean, log_sigma), expected)
    assert kl_of_log_sigma(torch.zeros(3, 2), torch.zeros(3, 2)) == 0


def test_gan_cls_by_hand() -> None:
    real, wrong, fake = (torch.tensor([x], dtype=torch.float64) for x in (2.0, 0.5, -1.0))

    def log_d(x: float) -> float:
        return math.log(1 / (1 + math.exp(-x)))

    expected = -log_d(2.0) - 0.5 * (log_d(-0.5) + log_d(1.0))
    assert matching_aware_discriminator(real, wrong, fake).item() == pytest.approx(expected)
    assert matching_aware_generator(fake).item() == pytest.approx(-log_d(-1.0))


def test_interpolated_sentences() -> None:
    text: Tensor = torch.tensor([[1.0], [2.0], [6.0]])
    torch.testing.assert_close(interpolated(text), torch.tensor([[1.5], [4.0], [3.5]]))
    torch.testing.assert_close(interpolated(text, 1.0), text)
    torch.testing.assert_close(interpolated(text, 0.0), text.roll(-1, 0))
