"""StackGAN and GAN-INT-CLS: layers as released or printed, and one iteration of each."""

import math

import pytest
import torch
from sentence_systems import SYSTEMS, TEXT, batch, networks, optimisers
from torch import Tensor, nn

from t2i_repro.errors import ReproError
from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.gan_int_cls import DcganDiscriminator, DcganGenerator
from t2i_repro.models.stackgan import StackDiscriminator, StageOneGenerator, StageTwoGenerator
from t2i_repro.training.matching_aware import MatchingAwareObjective, matching_aware_step


def kinds(layers: nn.Sequential) -> str:
    """C3, C4, C1: convolutions by kernel; B, L: normalisation, LeakyReLU; R: residual block."""
    letters = []
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            letters.append(f"C{layer.kernel_size[0]}")
        else:
            letters.append({"BatchNorm2d": "B", "LeakyReLU": "L", "Residual": "R"}[type(layer).__name__])
    return " ".join(letters)


def test_stage_one_judges_with_no_activation_after_its_last_two_strides() -> None:
    assert kinds(StackDiscriminator(2, 64, 1, text_dim=TEXT, cond_dim=3).trunk) == "C4 L C4 B L C4 B C4 B R"
    wide = "C4 L" + " C4 B L" * 5 + " C1 B L C1 B R"
    assert kinds(StackDiscriminator(2, 256, 2, text_dim=TEXT, cond_dim=3).trunk) == wide


@pytest.mark.parametrize(("stage", "size"), [(1, 16), (1, 64), (2, 64), (2, 256)])
def test_discriminator_widths_end_at_eight(stage: int, size: int) -> None:
    network = StackDiscriminator(2, size, stage, text_dim=TEXT, cond_dim=3)
    assert network(torch.zeros(2, 3, size, size), torch.zeros(2, TEXT)).shape == (2,)
    assert network.pair.joint[0].in_channels == 16 + 3


def test_stage_two_redraws_the_image_of_stage_one() -> None:
    generator, _ = networks("stackgan")
    assert isinstance(generator, StageTwoGenerator)
    generator.eval()
    _, _, text = batch(64)
    noise = generator.draw_noise(len(text)).double()
    assert generator.noise_dim == 5 + 3 + 3
    seen: list[Tensor] = []
    generator.encode.register_forward_pre_hook(lambda _module, given: seen.append(given[0]))
    drawn = generator.generate(noise, text)
    torch.testing.assert_close(seen[0], generator.stage_one(noise[:, :8], text))
    assert seen[0].shape == (len(text), 3, 16, 16)
    assert not seen[0].requires_grad
    own = generator.augmentation(text, torch.zeros(len(text), 3, dtype=torch.float64))
    torch.testing.assert_close(drawn.mean, own[1])
    other_epsilon = torch.cat([noise[:, :8], noise[:, 8:].roll(1, 0)], dim=1)
    assert (generator(other_epsilon, text) - drawn.images).abs().max() > 1e-6


def test_epsilon_is_cut_off_at_two() -> None:
    torch.manual_seed(0)
    network = StageOneGenerator(4, 16, 1, text_dim=TEXT, z_dim=5, cond_dim=3).eval()
    text = torch.randn(1, TEXT)
    seen: list[Tensor] = []
    network.augmentation.register_forward_pre_hook(lambda _module, given: seen.append(given[1]))
    network(torch.full((1, 8), 30.0), text)
    network(torch.full((1, 8), -30.0), text)
    torch.testing.assert_close(seen[0], torch.full((1, 3), 2.0))
    torch.testing.assert_close(seen[1], torch.full((1, 3), -2.0))


def test_gan_int_cls_is_a_dcgan_on_a_projected_sentence() -> None:
    network = DcganGenerator(4, 64, 4, text_dim=TEXT, z_dim=5, cond_dim=3)
    ups = [layer for layer in network.draw if isinstance(layer, nn.ConvTranspose2d)]
    assert [(up.in_channels, up.out_channels) for up in ups] == [(8, 32), (32, 16), (16, 8), (8, 4), (4, 3)]
    discriminator = DcganDiscriminator(2, 64, text_dim=TEXT, cond_dim=3)
    widths = [layer.out_channels for layer in discriminator.trunk if isinstance(layer, nn.Conv2d)]
    assert widths == [2, 4, 8, 16]
    assert kinds(discriminator.trunk) == "C4 L C4 B L C4 B L C4 B L"


class Critic(nn.Module):
    """Logit: a gain times the image's mean, plus the sentence's; every call is written down."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1, dtype=torch.float64))
        self.asked: list[tuple[Tensor, Tensor]] = []

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        self.asked.append((images, text))
        return self.gain * images.mean((1, 2, 3)) + text.mean(1)


def iterate(name: str, objective: MatchingAwareObjective) -> tuple[nn.Module, Critic, dict[str, Tensor]]:
    generator, critic = networks(name)[0], Critic()
    real, wrong, text = batch(16)
    noise = generator.draw_noise(len(text)).double()
    rates = optimisers(generator, critic)[0], torch.optim.SGD(critic.parameters(), lr=0.0)
    losses = matching_aware_step(generator, critic, *rates, real, noise, text, wrong, objective)  # type: ignore[arg-type]
    return generator, critic, losses


def test_pairs_and_terms_of_stage_one() -> None:
    _, critic, losses = iterate("stackgan-stage-1", MatchingAwareObjective(kl=2.0))
    real, wrong, text = batch(16)
    assert torch.equal(critic.asked[0][0], real)
    assert torch.equal(critic.asked[1][0], wrong)
    assert torch.equal(critic.asked[2][0], critic.asked[3][0])
    assert not critic.asked[2][0].requires_grad
    assert critic.asked[3][0].requires_grad
    assert all(torch.equal(asked[1], text) for asked in critic.asked)
    assert set(losses) == {"d_loss", "d_real", "d_mismatched", "d_fake", "g_adversarial", "g_kl", "g_loss"}
    assert losses["g_loss"].item() == pytest.approx((losses["g_adversarial"] + losses["g_kl"]).item())
    twice = iterate("stackgan-stage-1", MatchingAwareObjective(kl=4.0))[2]
    assert twice["g_kl"].item() == pytest.approx(2 * losses["g_kl"].item())


def test_the_generator_step_gives_the_discriminator_no_gradient() -> None:
    _, critic, _ = iterate("stackgan-stage-1", MatchingAwareObjective(kl=2.0))
    real, wrong, text = batch(16)
    shares = 0.0
    for images, sign, weight in ((real, 1, 1.0), (wrong, -1, 0.5), (critic.asked[2][0], -1, 0.5)):
        mean = images.mean((1, 2, 3))
        logit = mean + text.mean(1)
        shares += (-sign * weight * torch.sigmoid(-sign * logit) * mean).mean().item()
    assert critic.gain.grad is not None
    assert critic.gain.grad.item() == pytest.approx(shares)


def test_interpolated_sentences_reach_both_networks() -> None:
    generator, _ = networks("gan-int-cls")
    seen: list[Tensor] = []
    nn.Module.register_forward_pre_hook(generator, lambda _module, given: seen.append(given[1]))
    critic = Critic()
    real, wrong, text = batch(16)
    noise = generator.draw_noise(len(text)).double()
    rates = optimisers(generator, critic)[0], torch.optim.SGD(critic.parameters(), lr=0.0)
    chosen = MatchingAwareObjective(interpolation=SYSTEMS["gan-int-cls"]["interpolation"])
    losses = matching_aware_step(generator, critic, *rates, real, noise, text, wrong, chosen)  # type: ignore[arg-type]
    between = (text + text.roll(-1, 0)) / 2
    torch.testing.assert_close(seen[1], between)
    torch.testing.assert_close(critic.asked[4][1], between)
    logits = critic.asked[4][0].mean((1, 2, 3)) + between.mean(1)
    assert losses["g_interpolated"].item() == pytest.approx(torch.log1p(torch.exp(-logits)).mean().item())
    total = losses["g_adversarial"] + losses["g_interpolated"]
    assert losses["g_loss"].item() == pytest.approx(total.item())
    assert math.isfinite(total.item())
    assert "g_interpolated" not in iterate("gan-int-cls", MatchingAwareObjective())[2]


def test_refusals_name_the_field() -> None:
    with pytest.raises(ReproError, match="image_size: found 128, expected 16 times base_size 4"):
        StageOneGenerator(4, 128, 4, text_dim=TEXT, z_dim=5, cond_dim=3)
    with pytest.raises(ReproError, match="width: found 2, expected at least 4"):
        StageOneGenerator(2, 64, 4, text_dim=TEXT, z_dim=5, cond_dim=3)
    with pytest.raises(ReproError, match="image_size: found 96"):
        DcganDiscriminator(2, 96, text_dim=TEXT, cond_dim=3)
    for build in (
        lambda: build_generator({"kind": "stackgan", "stage": 3, "width": 4}, 64, 4, TEXT),
        lambda: build_discriminator({"kind": "stackgan", "stage": 3, "width": 4}, 64, TEXT),
    ):
        with pytest.raises(ReproError, match="stage: found 3, expected one of 1, 2"):
            build()
