"""Adversarial losses against numbers by hand and finite differences."""

import math

import pytest
import torch
from torch import Tensor, nn

from t2i_repro.core.choices import FORMS, Form
from t2i_repro.errors import ReproError
from t2i_repro.losses.adversarial import (
    DiscriminatorLogits,
    bce_discriminator,
    bce_fake,
    bce_generator,
    bce_real,
    hinge_discriminator,
    hinge_generator,
    interpolated,
    least_squares_generator,
    least_squares_image,
    least_squares_pair,
    matching_aware_discriminator,
    matching_aware_generator,
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
    matching_aware_gradient_penalty(critic, images, sentence, 2.0, 6.0, form=form).backward()
    for parameter in critic.parameters():
        assert parameter.grad is not None
        for place in [(0, 0), (4, 2)]:
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter[place] += sign * 1e-5
                values.append(matching_aware_gradient_penalty(critic, images, sentence, 2.0, 6.0, form=form).item())
                with torch.no_grad():
                    parameter[place] -= sign * 1e-5
            assert parameter.grad[place].item() == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-5)


def test_printed_norm_is_the_larger() -> None:
    critic, (images, sentence) = Smooth(), pairs()
    code = matching_aware_gradient_penalty(critic, images, sentence, 2.0, 6.0)
    assert matching_aware_gradient_penalty(critic, images, sentence, 2.0, 6.0, form="printed") > 1.2 * code


@pytest.mark.parametrize("form", FORMS)
def test_penalty_of_a_flat_discriminator_is_zero_with_finite_gradients(form: Form) -> None:
    discriminator = OneWayDiscriminator(2, 16, text_dim=4).double()
    nn.init.zeros_(discriminator.joint[-1].weight)
    images, sentence = torch.randn(2, 3, 16, 16, dtype=DOUBLE), torch.randn(2, 4, dtype=DOUBLE)
    penalty = matching_aware_gradient_penalty(discriminator, images, sentence, 2.0, 6.0, form=form)
    assert penalty.item() == 0
    penalty.backward()
    assert all(torch.isfinite(p.grad).all() for p in discriminator.parameters() if p.grad is not None)


def test_no_gradient_leaks_into_the_arguments() -> None:
    critic, (images, sentence) = Smooth(), pairs()
    images.requires_grad_()
    sentence.requires_grad_()
    matching_aware_gradient_penalty(critic, images, sentence, 2.0, 6.0).backward()
    assert images.grad is None
    assert sentence.grad is None


def test_an_unknown_form_is_refused() -> None:
    with pytest.raises(ReproError, match="ma_gp: found 'paper'"):
        matching_aware_gradient_penalty(Smooth(), *pairs(), 2.0, 6.0, form="paper")  # type: ignore[arg-type]


def logits(*probabilities: float) -> Tensor:
    p = torch.tensor(probabilities, dtype=torch.float64)
    return (p / (1 - p)).log()


LOG = {p: -math.log(p) for p in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)}
BOTH = DiscriminatorLogits(logits(0.9), logits(0.4), logits(0.3), logits(0.8), logits(0.5), logits(0.6))


def test_cross_entropies_are_those_of_probabilities() -> None:
    p = torch.tensor([0.9, 0.2, 0.5], dtype=torch.float64)
    assert bce_real(logits(0.9, 0.2, 0.5)).item() == pytest.approx(-p.log().mean().item())
    assert bce_fake(logits(0.9, 0.2, 0.5)).item() == pytest.approx(-(1 - p).log().mean().item())
    # The released sigmoid would give the logarithm of zero here.
    assert bce_real(torch.tensor([-500.0])).item() == pytest.approx(500.0)


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("averaged", (LOG[0.9] + LOG[0.8]) / 2 + (LOG[0.6] + LOG[0.7] + LOG[0.5]) / 3),
        ("summed", LOG[0.9] + LOG[0.8] + LOG[0.6] + LOG[0.6] + LOG[0.7] + LOG[0.5]),
        ("plain", LOG[0.9] + LOG[0.8] + LOG[0.6] + LOG[0.5]),
        ("half", (LOG[0.9] + LOG[0.8] + LOG[0.6] + LOG[0.5]) / 2),
    ],
)
def test_discriminator_with_both_heads(form: str, expected: float) -> None:
    assert bce_discriminator(BOTH, form).item() == pytest.approx(expected)  # type: ignore[arg-type]


def test_discriminator_with_one_head() -> None:
    """GR-GAN: its first discriminator has no condition, the others nothing but one."""
    alone = DiscriminatorLogits(real_images=logits(0.8), fake_images=logits(0.5))
    assert bce_discriminator(alone).item() == pytest.approx((LOG[0.8] + LOG[0.5]) / 2)
    pair = DiscriminatorLogits(real=logits(0.9), fake=logits(0.4), wrong=logits(0.3))
    assert bce_discriminator(pair).item() == pytest.approx(LOG[0.9] + (LOG[0.6] + LOG[0.7]) / 2)


def test_generator() -> None:
    assert bce_generator(logits(0.4), logits(0.5)).item() == pytest.approx(LOG[0.4] + LOG[0.5])
    assert bce_generator(None, logits(0.5)).item() == pytest.approx(LOG[0.5])
    assert bce_generator(logits(0.4), logits(0.5), "half").item() == pytest.approx((LOG[0.4] + LOG[0.5]) / 2)
    with pytest.raises(ReproError, match=r"adversarial\.form: found 'mean', expected one of 'averaged'"):
        bce_generator(logits(0.4), None, "mean")  # type: ignore[arg-type]


def test_similarity_is_linear_on_cosines() -> None:
    real, wrong, fake = (torch.empty(5).uniform_(-1, 1) for _ in range(3))
    expected = 2 - real.mean() + (wrong.mean() + fake.mean()) / 2
    torch.testing.assert_close(hinge_discriminator(real, wrong, fake), expected)
    torch.testing.assert_close(hinge_generator(fake), -fake.mean())
    # The hinges are there all the same.
    assert hinge_discriminator(torch.tensor(3.0), torch.tensor(-3.0), torch.tensor(-3.0)).item() == 0.0


def test_pair_loss_by_hand() -> None:
    real, wrong, fake = torch.tensor([1.0, 3.0]), torch.tensor([0.5, 0.5]), torch.tensor([2.0, 0.0])
    # real: (0 + 4) / 2 = 2; wrong: 0.25; fake: (4 + 0) / 2 = 2
    assert least_squares_pair(real, wrong, fake).item() == pytest.approx(2 + (0.25 + 2) / 2)
    assert least_squares_pair(real, wrong, fake, "printed").item() == pytest.approx(2 + 0.25 + 2)
    assert least_squares_generator(fake).item() == pytest.approx((1 + 1) / 2)
    with pytest.raises(ReproError, match="pair_weights: found 'paper'"):
        least_squares_pair(real, wrong, fake, "paper")  # type: ignore[arg-type]


def test_image_loss_by_hand_is_a_mean_over_patches() -> None:
    real = torch.tensor([[[1.0, 1.0], [1.0, 3.0]]])
    wrong = torch.tensor([[[0.0, 1.0], [1.0, 1.0]]])
    fake = torch.tensor([[[0.0, 0.0], [2.0, 0.0]]])
    # real: 4/4 = 1; wrong, taken for real: 1/4; fake: 4/4 = 1
    assert least_squares_image(real, wrong, fake).item() == pytest.approx((1 + 0.25) / 2 + 1)
    assert least_squares_image(real, None, fake).item() == pytest.approx(1 + 1)
    assert least_squares_generator(fake).item() == pytest.approx((1 + 1 + 1 + 1) / 4)


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
