"""HDGAN against what the released code computes on the same weights and inputs (float64)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_hdgan import MAPS, NAMES, SIZES, Golden, load
from golden_ssagan import check_signature
from torch import Tensor, nn

from t2i_repro.losses.regularisers import conditioning_kl_log_sigma
from t2i_repro.models.build import count_parameters
from t2i_repro.training.nested import (
    Mismatch,
    NestedObjective,
    discriminator_losses,
    generator_losses,
    nested_step_at_scales,
)

RIGHT = NestedObjective()


@pytest.fixture
def golden(shared: Path) -> Golden:
    return load(shared)


def close(value: Tensor, expected: Tensor | float) -> None:
    """Arrays above 20,000 elements are stored in float32."""
    expected = torch.as_tensor(expected, dtype=torch.float64)
    tolerance = 1e-6 if expected.numel() > 20_000 else 1e-9
    torch.testing.assert_close(value.detach().reshape(expected.shape), expected, rtol=tolerance, atol=tolerance)


def check_norms(network: nn.Module, part: str, expected: dict[str, float]) -> None:
    parameters = dict(network.named_parameters())
    for official, norm in expected.items():
        name = NAMES[part](official)
        assert name is not None
        gradient = parameters.pop(name).grad
        assert gradient is not None, name
        # Biases in front of a batch normalisation have a gradient of rounding noise.
        np.testing.assert_allclose(float(gradient.norm()), norm, rtol=1e-7, atol=1e-11, err_msg=name)
    assert not parameters


def check_buffers(network: nn.Module, part: str, expected: dict[str, dict[str, object]]) -> None:
    buffers = dict(network.named_buffers())
    for official, signature in expected.items():
        name = NAMES[part](official)
        if name is not None:
            check_signature(buffers.pop(name), signature)
    assert all(name.endswith("num_batches_tracked") for name in buffers)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_generator(golden: Golden, mode: str) -> None:
    generator = golden.generator().train(mode == "train")
    maps: dict[int, Tensor] = {}
    for size, stage in zip(MAPS, generator.stages, strict=True):
        stage.register_forward_hook(lambda _module, _inputs, out, size=size: maps.update({size: out}))
    with torch.no_grad():
        outputs = generator.side_outputs(golden.noise, golden.text)
    suffix = "@eval" if mode == "eval" else ""
    for size in MAPS:
        check_signature(maps[size], golden.numbers["sig"][f"G.scale_{size}{suffix}"])
    for size, image in zip(SIZES, outputs.images, strict=True):
        close(image, golden.arrays[f"fake_{mode}_{size}"])
        check_signature(image, golden.numbers["sig"][f"G.fake_{mode}_{size}"])
    if mode == "train":
        close(outputs.mean, golden.arrays["mean"])
        close(outputs.log_sigma, golden.arrays["logsigma"])
        close(conditioning_kl_log_sigma(outputs.mean, outputs.log_sigma), golden.numbers["loss"]["KL_mean"])
        check_buffers(generator, "G", golden.numbers["G_buffers_after_one_train_forward"])


def test_discriminators(golden: Golden) -> None:
    discriminators = golden.discriminators()
    with torch.no_grad():
        fake = golden.generator().side_outputs(golden.noise, golden.text).images
    seen: list[tuple[str, list[Tensor]]] = []
    names = iter(["real", "wrong", "fake"])
    discriminators.register_forward_hook(lambda _module, _inputs, out: seen.append((next(names), out)))
    losses = discriminator_losses(
        discriminators, golden.real, fake, golden.text, Mismatch(golden.wrong, golden.text), RIGHT
    )
    for name, judgements in seen:
        for size, judgement in zip(SIZES, judgements, strict=True):
            close(judgement.pair, golden.arrays[f"D_pair_{name}_{size}"])
            close(judgement.image, golden.arrays[f"D_img_{name}_{size}"])
    expected = golden.numbers["loss"]
    for size in SIZES:
        close(losses[f"d_pair_{size}"], expected[f"D_pair_{size}"])
        close(losses[f"d_image_{size}"], expected[f"D_img_{size}"])
    total = sum(losses.values(), start=torch.zeros(()))
    close(total, expected["D_total"])
    total.backward()
    check_norms(discriminators, "D", golden.numbers["gradnorm_D"])
    check_buffers(discriminators, "D", golden.numbers["D_buffers_after_real_wrong_fake_forward_per_scale"])

    discriminators.eval()
    names = iter(["real again"])
    with torch.no_grad():
        judgements = discriminators(golden.real, golden.text)
    for size, judgement in zip(SIZES, judgements, strict=True):
        close(judgement.pair, golden.arrays[f"Deval_pair_real_{size}"])
        close(judgement.image, golden.arrays[f"Deval_img_real_{size}"])


def test_generator_gradients(golden: Golden) -> None:
    generator, discriminators = golden.generator(), golden.discriminators()
    outputs = generator.side_outputs(golden.noise, golden.text)
    losses = generator_losses(discriminators, outputs, golden.text, RIGHT)
    total = sum(losses.values(), start=torch.zeros(()))
    close(total, golden.numbers["loss"]["G_total"])
    total.backward()
    check_norms(generator, "G", golden.numbers["gradnorm_G"])


def test_one_iteration(golden: Golden) -> None:
    generator, discriminators = golden.generator(), golden.discriminators()
    with torch.no_grad():  # the recorded network had run once in training mode; only running statistics show it
        generator(golden.noise, golden.text)
    losses = nested_step_at_scales(
        discriminators,
        torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999)),
        torch.optim.Adam(discriminators.parameters(), lr=2e-4, betas=(0.5, 0.999)),
        golden.real,
        golden.text,
        Mismatch(golden.wrong, golden.text),
        generator.side_outputs(golden.noise, golden.text),
        RIGHT,
    )
    expected = golden.numbers["one_iteration"]
    np.testing.assert_allclose(losses["d_loss"], expected["loss"]["D_total"], rtol=1e-9)
    np.testing.assert_allclose(losses["g_loss"], expected["loss"]["G_total"], rtol=1e-9)
    networks = {"G": dict(generator.named_parameters()), "D": dict(discriminators.named_parameters())}
    for official, norm in expected["param_l2_after"].items():
        part, _, rest = official.partition(".")
        name = NAMES[part](rest)
        assert name is not None
        np.testing.assert_allclose(networks[part].pop(name).norm().item(), norm, rtol=1e-8, err_msg=official)
    assert networks == {"G": {}, "D": {}}
    with torch.no_grad():
        image = generator.eval()(golden.noise, golden.text)
    check_signature(image, expected["fake256_eval_after_sig"], rtol=1e-7)


def test_counts_of_the_golden_networks(golden: Golden) -> None:
    assert count_parameters(golden.generator()) == golden.numbers["params"]["G"]
    assert count_parameters(golden.discriminators()) == golden.numbers["params"]["D"]
