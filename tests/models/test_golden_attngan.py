"""AttnGAN against what the released code computes on the same weights and inputs (float32, width 4)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_attngan import SIZES, Golden, discriminator_name, generator_name, load
from torch import Tensor, nn

from t2i_repro.models.multi_stage import MultiStageGenerator, MultiStageOutput
from t2i_repro.training.multi_stage import LossConfig, generator_step, multi_stage_step, stage_discriminator_step
from t2i_repro.training.trainable import Average


@pytest.fixture
def golden(shared: Path) -> Golden:
    return load(shared)


def close(value: Tensor, expected: Tensor, tolerance: float = 2e-4) -> None:
    torch.testing.assert_close(value.detach()[: len(expected)], expected, rtol=tolerance, atol=tolerance)


def generate(golden: Golden, generator: MultiStageGenerator) -> MultiStageOutput:
    with torch.no_grad():
        text = golden.text
        return generator.stages(golden.noise, text.sentence, text.words, text.padding)


def test_generator_in_training_mode(golden: Golden) -> None:
    """Everything a generator computes, with the released mask, by which the authors' network was run."""
    generator = golden.generator("released").train()
    output = generate(golden, generator)
    for size, images in zip(SIZES, output.images, strict=True):
        close(images, golden.output(f"train.img{size}"))
    for name in ("code", "mu", "logvar"):
        close(getattr(output.condition, name), golden.output(f"train.{'c_code' if name == 'code' else name}"))
    for stage in range(3):
        close(output.features[stage], golden.output(f"train.h_net{stage + 1}"))
    for stage, size in enumerate((64, 128)):
        close(output.fused[stage].attention[0], golden.output(f"train.att{size}"))
        close(output.fused[stage].features[:, :4], output.features[stage])
        close(output.fused[stage].features[:, 4:], golden.output(f"train.h_net{stage + 2}.c_code_weighted"))
    norm = generator.initial.fc[1]
    assert isinstance(norm, nn.BatchNorm1d)
    close(norm.running_mean, golden.output("train.after_bn_running_mean.h_net1.fc.1"))
    close(norm.running_var, golden.output("train.after_bn_running_var.h_net1.fc.1"))


@pytest.mark.parametrize(("mask", "prefix"), [("released", "eval"), ("right", "eval_fixedmask")])
def test_generator_in_evaluation(golden: Golden, mask: str, prefix: str) -> None:
    output = generate(golden, golden.generator(mask).eval())
    for size, images in zip(SIZES, output.images, strict=True):
        close(images, golden.output(f"{prefix}.img{size}"))
    close(output.condition.code, golden.output("eval.c_code"))
    if mask == "right":
        for stage, size in enumerate((64, 128)):
            attention = output.fused[stage].attention[0]
            close(attention, golden.output(f"eval_fixedmask.att{size}"))
            assert not attention.transpose(1, 0)[:, golden.text.padding.t()[0]].any()
            assert not attention[golden.text.padding].any()


def test_the_two_masks_differ(golden: Golden) -> None:
    """The released mask moves the last image by a tenth of its range: the tests above can tell."""
    difference = golden.output("eval.img256") - golden.output("eval_fixedmask.img256")
    assert difference.abs().mean() > 0.05


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("which", ["real", "fake"])
def test_discriminators(golden: Golden, mode: str, which: str) -> None:
    for stage, size in enumerate(SIZES):
        network = golden.discriminators()[stage].train(mode == "train")
        images = golden.real[stage] if which == "real" else golden.output(f"eval.img{size}")
        with torch.no_grad():
            features = network.features(images)
            pair = torch.sigmoid(network.pair_logits(features, golden.text.sentence))
            alone = torch.sigmoid(network.image_logits(features))
        prefix = f"D{size}.{mode}.{which}"
        close(features, golden.output(f"{prefix}.feat"))
        close(pair, golden.output(f"{prefix}.cond_prob"))
        close(alone, golden.output(f"{prefix}.uncond_prob"))


def gradients(network: nn.Module, names: list[str]) -> np.ndarray:
    found = dict(network.named_parameters())
    return np.array([float(found[name].grad.norm()) for name in names])  # type: ignore[union-attr]


def sums(parameters: dict[str, Tensor], names: list[str]) -> np.ndarray:
    return np.array([float(parameters[name].detach().double().sum()) for name in names])


def adam(network: nn.Module) -> torch.optim.Adam:
    return torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))


def test_one_step(golden: Golden) -> None:
    """The whole iteration. Losses to 1e-5, gradient norms to 1e-3, sums of stepped parameters to 2e-3.

    Adam's first step is lr * sign(g), 2e-4 either way, so a gradient near zero may flip a few parameters.
    """
    step = golden.step
    generator, discriminators = golden.generator("released").train(), golden.discriminators()
    average = Average(generator, 0.999)
    config = LossConfig(matching=((0.0, 0.0),) * 3)
    text = golden.text
    output = generator.stages(golden.noise, text.sentence, text.words, text.padding)
    for stage, (network, size) in enumerate(zip(discriminators, SIZES, strict=True)):
        loss = stage_discriminator_step(
            network,
            adam(network),
            golden.real[stage],
            output.images[stage],
            text,
            output.condition.mu,
            config,
        )
        np.testing.assert_allclose(loss, step[f"errD{stage}"], rtol=1e-5)
        names = [discriminator_name(str(name), size) for name in step[f"D{stage}_param_names"]]
        assert set(names) == set(dict(network.named_parameters()))
        np.testing.assert_allclose(gradients(network, names), step[f"gradnorm.D{stage}"], rtol=1e-4, atol=1e-6)
        after = dict(network.named_parameters())
        np.testing.assert_allclose(sums(after, names), step[f"paramsum_after.D{stage}"], rtol=0, atol=2e-3)
    losses = generator_step(discriminators, adam(generator), output, text, config)
    for stage in range(3):
        np.testing.assert_allclose(losses[f"g_adversarial_{stage}"], step[f"g_loss{stage}"], rtol=1e-5)
    np.testing.assert_allclose(losses["g_loss"] - losses["g_kl"], step["errG_without_kl"], rtol=1e-5)
    np.testing.assert_allclose(losses["g_kl"], step["kl"], rtol=1e-5)
    names = [generator_name(str(name)) for name in step["G_param_names"]]
    np.testing.assert_allclose(gradients(generator, names), step["gradnorm.G"], rtol=1e-3, atol=1e-6)
    for official in ("ca_net.fc.weight", "img_net3.img.0.weight", "h_net3.upsample.1.weight"):
        found = dict(generator.named_parameters())[generator_name(official)].grad
        expected = step[f"grad.G.{official}"]
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    average.update()
    found = dict(generator.named_parameters())
    np.testing.assert_allclose(sums(found, names), step["paramsum_after.G"], rtol=0, atol=2e-3)
    np.testing.assert_allclose(sums(average.parameters, names), step["ema_paramsum_after.G"], rtol=0, atol=1e-4)


def test_the_step_in_one_call_is_the_same(golden: Golden) -> None:
    generator, discriminators = golden.generator("released").train(), golden.discriminators()
    losses = multi_stage_step(
        generator,
        discriminators,
        adam(generator),
        [adam(network) for network in discriminators],
        golden.real[2],
        golden.noise,
        golden.text,
        LossConfig(matching=((0.0, 0.0),) * 3),
    )
    # The golden 64 and 128 px images are not shrunk copies of the 256 px ones, so only the last stage compares.
    np.testing.assert_allclose(losses["d_loss_2"], golden.step["errD2"], rtol=1e-5)
    np.testing.assert_allclose(losses["g_adversarial_2"], golden.step["g_loss2"], rtol=1e-5)
    np.testing.assert_allclose(losses["g_kl"], golden.step["kl"], rtol=1e-5)
