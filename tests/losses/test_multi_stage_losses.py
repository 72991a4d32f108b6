"""Objectives of the multi-stage systems against numbers worked out by hand."""

import math

import pytest
import torch
from torch import Tensor

from t2i_repro.errors import ReproError
from t2i_repro.losses.conditional import Verdicts, bce_discriminator, bce_generator, says_fake, says_real
from t2i_repro.losses.conditioning import conditioning_kl
from t2i_repro.losses.distillation import cross_sample_distillation, relations
from t2i_repro.losses.itm import itm_sentence, itm_words
from t2i_repro.losses.matching import damsm_sentence, damsm_words
from t2i_repro.losses.redundancy import redundancy
from t2i_repro.losses.similarity import similarity_discriminator, similarity_generator


def logits(*probabilities: float) -> Tensor:
    p = torch.tensor(probabilities, dtype=torch.float64)
    return (p / (1 - p)).log()


LOG = {p: -math.log(p) for p in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)}
BOTH = Verdicts(logits(0.9), logits(0.4), logits(0.3), logits(0.8), logits(0.5), logits(0.6))


def test_cross_entropies_are_those_of_probabilities() -> None:
    p = torch.tensor([0.9, 0.2, 0.5], dtype=torch.float64)
    assert says_real(logits(0.9, 0.2, 0.5)).item() == pytest.approx(-p.log().mean().item())
    assert says_fake(logits(0.9, 0.2, 0.5)).item() == pytest.approx(-(1 - p).log().mean().item())
    # The released sigmoid would give the logarithm of zero here.
    assert says_real(torch.tensor([-500.0])).item() == pytest.approx(500.0)


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
    alone = Verdicts(real_images=logits(0.8), fake_images=logits(0.5))
    assert bce_discriminator(alone).item() == pytest.approx((LOG[0.8] + LOG[0.5]) / 2)
    pair = Verdicts(real=logits(0.9), fake=logits(0.4), wrong=logits(0.3))
    assert bce_discriminator(pair).item() == pytest.approx(LOG[0.9] + (LOG[0.6] + LOG[0.7]) / 2)


def test_generator() -> None:
    assert bce_generator(logits(0.4), logits(0.5)).item() == pytest.approx(LOG[0.4] + LOG[0.5])
    assert bce_generator(None, logits(0.5)).item() == pytest.approx(LOG[0.5])
    assert bce_generator(logits(0.4), logits(0.5), "half").item() == pytest.approx((LOG[0.4] + LOG[0.5]) / 2)
    with pytest.raises(ReproError, match=r"adversarial\.form: found 'mean', expected one of 'averaged'"):
        bce_generator(logits(0.4), None, "mean")  # type: ignore[arg-type]


def test_kl_is_a_mean() -> None:
    mu, logvar = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])
    terms = [0.5, 0.5 * (math.e - 2), 0.0, 2.0]
    assert conditioning_kl(mu, logvar).item() == pytest.approx(sum(terms) / 4)
    assert conditioning_kl(torch.zeros(2, 3), torch.zeros(2, 3)).item() == 0.0
    means, spread = torch.randn(3, 5), torch.randn(3, 5)
    normal = torch.distributions.Normal(means, (spread / 2).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(conditioning_kl(means, spread), expected)


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


def test_similarity_is_linear_on_cosines() -> None:
    real, wrong, fake = (torch.empty(5).uniform_(-1, 1) for _ in range(3))
    expected = 2 - real.mean() + (wrong.mean() + fake.mean()) / 2
    torch.testing.assert_close(similarity_discriminator(real, wrong, fake), expected)
    torch.testing.assert_close(similarity_generator(fake), -fake.mean())
    # The hinges are there all the same.
    assert similarity_discriminator(torch.tensor(3.0), torch.tensor(-3.0), torch.tensor(-3.0)).item() == 0.0


def test_itm_is_damsm_and_its_printed_gamma_cancels() -> None:
    torch.manual_seed(0)
    regions, words = torch.randn(3, 5, 4, 4), torch.randn(3, 5, 6)
    code, sentence = torch.randn(3, 5), torch.randn(3, 5)
    lengths = torch.tensor([6, 2, 4])
    assert itm_sentence(code, sentence, None) == damsm_sentence(code, sentence, None, 10.0)
    assert itm_words(regions, words, lengths, None) == damsm_words(regions, words, lengths, None, 4, 5, 10)[:2]
    cosines = torch.cosine_similarity(code[:, None], sentence[None], dim=2)
    printed = [-(7 * cosines[i, i].exp() / (7 * cosines[i].exp()).sum()).log() for i in range(3)]
    found, _ = itm_sentence(code, sentence, None, 7.0, "printed")
    torch.testing.assert_close(found, torch.stack(printed).mean())
