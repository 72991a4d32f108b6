"""One iteration of the one-stage systems: who is updated, from what, by which pairs."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from t2i_repro.errors import ReproError
from t2i_repro.losses.adversarial import hinge_discriminator, hinge_generator
from t2i_repro.models.one_stage import OneStageGenerator, OneWayDiscriminator
from t2i_repro.training.one_stage import (
    Penalty,
    discriminator_step,
    generator_step,
    gradient_penalty_step,
    one_stage_step,
)

TEXT = 6


def networks() -> tuple[OneStageGenerator, OneWayDiscriminator]:
    torch.manual_seed(0)
    generator = OneStageGenerator(
        width=1, image_size=16, base_size=1, text_dim=TEXT, hidden=4, mask_hidden=3, noise_dim=5
    )
    discriminator = OneWayDiscriminator(2, 16, text_dim=TEXT)
    with torch.no_grad():
        for network in (generator, discriminator):
            for name, value in network.named_parameters():
                if "gain" in name or name.split(".")[-2] == "2":
                    value.add_(0.3 * torch.randn_like(value))
    return generator.double(), discriminator.double()


def tensors(batch: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    shapes = ((batch, 3, 16, 16), (batch, 5), (batch, TEXT))
    real, noise, sentence = (torch.randn(s, generator=generator, dtype=torch.float64) for s in shapes)
    return real.tanh(), noise, sentence


def sgd(network: nn.Module, lr: float = 1e-3) -> torch.optim.SGD:
    return torch.optim.SGD(network.parameters(), lr=lr)


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def changed(network: nn.Module, before: Mapping[str, Tensor]) -> set[str]:
    return {name for name, value in network.named_parameters() if not torch.equal(value, before[name])}


class Recorder(OneWayDiscriminator):
    """Images are their own features; every pair that gets logits is recorded."""

    def __init__(self) -> None:
        super().__init__(2, 16, text_dim=TEXT)
        self.pairs: list[tuple[Tensor, Tensor]] = []

    def features(self, images: Tensor) -> Tensor:
        return images

    def logits(self, features: Tensor, sentence: Tensor) -> Tensor:
        self.pairs.append((features.detach(), sentence))
        return features.flatten(1).mean(1) * self.stem.bias[0] + sentence.mean(1)


def test_image_i_is_mismatched_with_sentence_i_plus_one() -> None:
    discriminator = Recorder().double()
    real, _, sentence = tensors()
    discriminator_step(discriminator, sgd(discriminator), real, -real, sentence)
    matched, mismatched, fake = discriminator.pairs
    assert torch.equal(matched[0], real)
    assert torch.equal(matched[1], sentence)
    assert torch.equal(mismatched[0], real[:3])
    assert torch.equal(mismatched[1], sentence[1:])
    assert torch.equal(fake[0], -real)
    assert torch.equal(fake[1], sentence)


def test_discriminator_step_leaves_the_generator_and_the_text_alone() -> None:
    generator, discriminator = networks()
    real, noise, sentence = tensors()
    sentence.requires_grad_()
    before = snapshot(discriminator)
    fake = generator(noise, sentence)
    losses = discriminator_step(discriminator, sgd(discriminator), real, fake, sentence)
    assert changed(discriminator, before) == set(before)
    assert all(p.grad is None for p in generator.parameters())
    assert sentence.grad is None
    assert set(losses) == {"d_loss", "d_real", "d_mismatched", "d_fake"}
    assert not any(value.requires_grad for value in losses.values())


def test_generator_step_leaves_the_discriminator_alone() -> None:
    generator, discriminator = networks()
    _, noise, sentence = tensors()
    before_g, before_d = snapshot(generator), snapshot(discriminator)
    fake = generator(noise, sentence)
    expected = hinge_generator(discriminator(fake, sentence)).item()
    losses = generator_step(discriminator, sgd(generator), fake, sentence)
    assert losses["g_adversarial"].item() == pytest.approx(expected)
    assert losses["g_loss"].item() == pytest.approx(expected)
    # Biases in front of a batch normalisation have no true gradient.
    assert changed(generator, before_g) >= {name for name in before_g if not name.endswith("bias")}
    assert not changed(discriminator, before_d)
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())


def test_extra_terms_join_the_generator_loss() -> None:
    generator, discriminator = networks()
    _, noise, sentence = tensors()
    fake = generator(noise, sentence)
    losses = generator_step(
        discriminator, sgd(generator), fake, sentence, lambda images: {"damsm": 3.0 * images.square().mean()}
    )
    assert losses["damsm"].item() == pytest.approx(3 * fake.square().mean().item())
    assert losses["g_loss"].item() == pytest.approx((losses["g_adversarial"] + losses["damsm"]).item())


def test_the_text_encoder_trains_with_the_generator_only_through_an_attached_sentence() -> None:
    for attached in (True, False):
        generator, discriminator = networks()
        _, noise, base = tensors()
        text = nn.Linear(TEXT, TEXT).double()
        before = snapshot(text)
        sentence = text(base) if attached else text(base).detach()
        fake = generator(noise, sentence)
        generator_step(discriminator, sgd(generator), fake, sentence, also=sgd(text))
        assert changed(text, before) == ({"weight", "bias"} if attached else set())


def run(step: str, form: str = "code") -> tuple[dict[str, Tensor], dict[str, Tensor], OneWayDiscriminator]:
    generator, discriminator = networks()
    real, noise, sentence = tensors()
    penalty = Penalty(step=step, form=form)  # type: ignore[arg-type]
    losses = one_stage_step(
        generator, discriminator, sgd(generator), sgd(discriminator), real, noise, sentence, penalty
    )
    return losses, snapshot(discriminator), discriminator


def test_penalty_steps() -> None:
    """``code``: the penalty is taken after the hinge step; ``printed``: both from the same weights, one step."""
    generator, discriminator = networks()
    real, noise, sentence = tensors()
    fake = generator(noise, sentence)
    start = snapshot(discriminator)
    penalty = Penalty()

    def gradient(loss: Tensor) -> dict[str, Tensor]:
        discriminator.zero_grad()
        loss.backward()
        return {
            name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
            for name, p in discriminator.named_parameters()
        }

    def hinge() -> Tensor:
        features = discriminator.features(real)
        return hinge_discriminator(
            discriminator.logits(features, sentence),
            discriminator.logits(features[:-1], sentence[1:]),
            discriminator(fake.detach(), sentence),
        )

    first = gradient(hinge())
    first_penalty = penalty(discriminator, real, sentence)
    at_start = gradient(first_penalty)
    with torch.no_grad():
        for name, value in discriminator.named_parameters():
            value -= 1e-3 * first[name]
    second_penalty = penalty(discriminator, real, sentence)
    after_hinge = gradient(second_penalty)

    losses, ends, _ = run("code")
    assert losses["ma_gp"].item() == pytest.approx(second_penalty.item(), rel=1e-10)
    for name, value in ends.items():
        torch.testing.assert_close(value, start[name] - 1e-3 * (first[name] + after_hinge[name]))
    losses, ends, _ = run("printed")
    assert losses["ma_gp"].item() == pytest.approx(first_penalty.item(), rel=1e-10)
    for name, value in ends.items():
        torch.testing.assert_close(value, start[name] - 1e-3 * (first[name] + at_start[name]))
    assert first_penalty.item() != pytest.approx(second_penalty.item(), rel=1e-6)


def test_printed_norm_reaches_the_step() -> None:
    assert run("code", "printed")[0]["ma_gp"] > 1.01 * run("code")[0]["ma_gp"]


def test_the_penalty_step_is_skipped_in_the_hinge_step_of_the_code_form() -> None:
    _, discriminator = networks()
    real, _, sentence = tensors()
    losses = discriminator_step(discriminator, sgd(discriminator), real, -real, sentence, Penalty())
    assert "ma_gp" not in losses
    before = snapshot(discriminator)
    gradient_penalty_step(discriminator, sgd(discriminator), real, sentence, Penalty())
    biases = {name for name in before if name.endswith("bias")}
    assert changed(discriminator, before) == set(before) - biases


def test_an_unknown_penalty_is_refused() -> None:
    with pytest.raises(ReproError, match="ma_gp_step: found 'twice', expected one of 'code', 'printed'"):
        Penalty(step="twice")  # type: ignore[arg-type]
