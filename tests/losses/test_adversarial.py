"""Adversarial objectives against numbers by hand and finite differences."""

import pytest
import torch
from torch import Tensor, nn

from t2i_repro.core.choices import FORMS, Form
from t2i_repro.errors import ReproError
from t2i_repro.losses.adversarial import (
    hinge_discriminator,
    hinge_generator,
    matching_aware_gradient_penalty,
)
from t2i_repro.models.one_stage import OneWayDiscriminator

DOUBLE = torch.float64


def test_hinge_by_hand() -> None:
    real, mismatched, fake = torch.tensor([2.0, 0.5]), torch.tensor([-3.0]), torch.tensor([0.0, -0.5, -2.0])
    # real: (0 + 0.5) / 2; mismatched: 0; fake: (1 + 0.5 + 0) / 3, halved.
    assert hinge_discriminator(real, mismatched, fake).item() == pytest.approx(0.25 + 0.25)
    assert hinge_discriminator(real, torch.tensor([1.0]), fake).item() == pytest.approx(0.25 + 0.25 + 1.0)
    assert hinge_generator(fake).item() == pytest.approx(2.5 / 3)


class Smooth(nn.Module):
    """A critic with curved dependence on both arguments."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.a = nn.Parameter(torch.randn(5, 12, generator=generator, dtype=DOUBLE))
        self.b = nn.Parameter(torch.randn(5, 4, generator=generator, dtype=DOUBLE))

    def forward(self, images: Tensor, sentence: Tensor) -> Tensor:
        return torch.tanh(images.flatten(1) @ self.a.T + sentence @ self.b.T).square().sum(1)


def pairs(batch: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = 0.3 * torch.randn(batch, 3, 2, 2, generator=generator, dtype=DOUBLE)
    return images, 0.3 * torch.randn(batch, 4, generator=generator, dtype=DOUBLE)


def difference(function, at: Tensor, step: float = 1e-6) -> Tensor:  # type: ignore[no-untyped-def]
    """Central differences of ``function(tensor) -> [B]`` by every entry of one sample: [B, entries]."""
    columns = []
    for index in range(at[0].numel()):
        shift = torch.zeros_like(at).flatten(1)
        shift[:, index] = step
        shift = shift.view_as(at)
        columns.append((function(at + shift) - function(at - shift)) / (2 * step))
    return torch.stack(columns, dim=1).detach()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("weight", "power"), [(2.0, 6.0), (0.5, 3.0)])
def test_penalty_against_finite_differences(form: Form, weight: float, power: float) -> None:
    critic, (images, sentence) = Smooth(), pairs()
    by_image = difference(lambda x: critic(x, sentence), images).norm(dim=1)
    by_sentence = difference(lambda s: critic(images, s), sentence).norm(dim=1)
    joined = (by_image.square() + by_sentence.square()).sqrt() if form == "code" else by_image + by_sentence
    expected = weight * joined.pow(power).mean()
    found = matching_aware_gradient_penalty(critic, images, sentence, weight, power, form)
    torch.testing.assert_close(found.detach(), expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("form", FORMS)
def test_gradient_of_the_penalty_against_finite_differences(form: Form) -> None:
    critic, (images, sentence) = Smooth(), pairs()
    matching_aware_gradient_penalty(critic, images, sentence, form=form).backward()
    for parameter in critic.parameters():
        assert parameter.grad is not None
        for place in [(0, 0), (4, 2)]:
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter[place] += sign * 1e-5
                values.append(matching_aware_gradient_penalty(critic, images, sentence, form=form).item())
                with torch.no_grad():
                    parameter[place] -= sign * 1e-5
            assert parameter.grad[place].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)


def test_printed_norm_is_the_larger() -> None:
    critic, (images, sentence) = Smooth(), pairs()
    code = matching_aware_gradient_penalty(critic, images, sentence)
    assert matching_aware_gradient_penalty(critic, images, sentence, form="printed") > 1.2 * code


@pytest.mark.parametrize("form", FORMS)
def test_penalty_of_a_flat_discriminator_is_zero_with_finite_gradients(form: Form) -> None:
    discriminator = OneWayDiscriminator(2, 16, text_dim=4).double()
    nn.init.zeros_(discriminator.joint[-1].weight)
    images, sentence = torch.randn(2, 3, 16, 16, dtype=DOUBLE), torch.randn(2, 4, dtype=DOUBLE)
    penalty = matching_aware_gradient_penalty(discriminator, images, sentence, form=form)
    assert penalty.item() == 0
    penalty.backward()
    assert all(torch.isfinite(p.grad).all() for p in discriminator.parameters() if p.grad is not None)


def test_no_gradient_leaks_into_the_arguments() -> None:
    critic, (images, sentence) = Smooth(), pairs()
    images.requires_grad_()
    sentence.requires_grad_()
    matching_aware_gradient_penalty(critic, images, sentence).backward()
    assert images.grad is None
    assert sentence.grad is None


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ReproError, match="ma_gp: found 'paper'"):
        matching_aware_gradient_penalty(Smooth(), *pairs(), form="paper")  # type: ignore[arg-type]
