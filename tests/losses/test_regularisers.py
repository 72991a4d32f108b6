"""Regularisers against numbers by hand and torch's own distributions."""

import math

import pytest
import torch
from torch import Tensor

from t2i_repro.losses.regularisers import (
    conditioning_kl,
    conditioning_kl_log_sigma,
    cross_sample_distillation,
    redundancy,
    relations,
)


def test_kl_is_a_mean() -> None:
    mu, logvar = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    terms = [0.5, 0.5 * (math.e - 2), 0.0, 2.0]
    assert conditioning_kl(mu, logvar).item() == pytest.approx(sum(terms) / 4)
    assert conditioning_kl(torch.zeros(2, 3), torch.zeros(2, 3)).item() == 0.0
    means, spread = torch.randn(3, 5), torch.randn(3, 5)
    normal = torch.distributions.Normal(means, (spread / 2).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(conditioning_kl(means, spread), expected)


def test_divergence_against_the_formula_of_two_normals() -> None:
    mean, log_sigma = torch.tensor([[0.5, -1.0]]).double(), torch.tensor([[0.2, -0.7]]).double()
    standard = torch.distributions.Normal(torch.zeros(1, 2).double(), torch.ones(1, 2).double())
    expected = torch.distributions.kl_divergence(torch.distributions.Normal(mean, log_sigma.exp()), standard).mean()
    torch.testing.assert_close(conditioning_kl_log_sigma(mean, log_sigma), expected)
    assert conditioning_kl_log_sigma(torch.zeros(3, 2), torch.zeros(3, 2)) == 0


def test_distillation_of_three_samples_by_hand() -> None:
    """Unit vectors in the plane: the cosines are those of the angles between them."""

    def at(*degrees: float) -> Tensor:
        angles = torch.tensor(degrees, dtype=torch.float64).deg2rad()
        return 3 * torch.stack([angles.cos(), angles.sin()], dim=1)[:, :, None, None]

    student, teacher = at(0, 60, 90), at(0, 90, 90)
    # pairs: cos 60 - cos 90, cos 90 - cos 90, cos 30 - cos 0; each stands twice in the matrix.
    expected = 2 * (0.5**2 + 0.0 + (math.sqrt(3) / 2 - 1) ** 2) / 9
    assert cross_sample_distillation(student, teacher).item() == pytest.approx(expected)
    torch.testing.assert_close(relations(student).diagonal(), torch.ones(3, dtype=torch.float64))


def test_distillation_is_zero_for_identical_relations() -> None:
    """Of rotated, scaled features of another shape: relations are all that counts."""
    student = torch.randn(4, 2, 3, 3, dtype=torch.float64)
    rotation = torch.linalg.qr(torch.randn(18, 18, dtype=torch.float64))[0]
    wider = torch.cat([student.flatten(1) @ rotation, torch.zeros(4, 7, dtype=torch.float64)], dim=1)
    scales = torch.tensor([[2.0], [0.5], [7.0], [1.0]], dtype=torch.float64)
    assert cross_sample_distillation(student, scales * wider).item() == pytest.approx(0.0, abs=1e-24)
    assert cross_sample_distillation(student, torch.randn_like(student)).item() > 1e-3


def test_the_teacher_receives_no_gradient() -> None:
    student, teacher = (torch.randn(3, 4, requires_grad=True) for _ in range(2))
    cross_sample_distillation(student, teacher).backward()
    assert teacher.grad is None
    assert student.grad is not None
    assert student.grad.abs().sum() > 0


def test_redundancy_by_hand() -> None:
    """Three heads whose means are (1, 0), (1, 1), (-1, 0): cosines 1/sqrt 2, -1, -1/sqrt 2."""
    means = torch.tensor([[1.0, 0.0], [1.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
    noise = torch.randn(3, 2, 4, 4, dtype=torch.float64)
    noise = noise - noise.mean(dim=(2, 3), keepdim=True)
    heads = list((means[:, :, None, None] + noise)[:, None])
    assert redundancy(heads).item() == pytest.approx(-1.0)
    assert redundancy(heads[:2]).item() == pytest.approx(1 / math.sqrt(2))
    # The mean over samples, not their sum.
    both = [torch.cat([a, b]) for a, b in zip(heads, [heads[0]] * 3, strict=True)]
    assert redundancy(both).item() == pytest.approx((-1.0 + 3.0) / 2)
    assert redundancy(heads[:1]).item() == 0.0
