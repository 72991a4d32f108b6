"""SSA-GAN against what the released code computes on the same weights and inputs (float64)."""

from pathlib import Path

import numpy as np
import pytest
import torch
from golden_ssagan import NAMES, Golden, check_signature, load
from torch import Tensor, nn

from t2i_repro.losses.adversarial import (
    hinge_discriminator,
    hinge_generator,
    matching_aware_gradient_penalty,
)
from t2i_repro.training.one_stage import Penalty, one_stage_step

SIZES = (4, 8, 16, 32, 64, 128, 256)


@pytest.fixture
def golden(shared: Path) -> Golden:
    return load(shared)


def close(value: Tensor, expected: Tensor | float) -> None:
    """Arrays above 20,000 elements are stored in float32."""
    stored_in_float32 = isinstance(expected, Tensor) and expected.numel() > 20_000
    expected = torch.as_tensor(expected, dtype=torch.float64)
    tolerance = 1e-6 if stored_in_float32 else 1e-9
    torch.testing.assert_close(value.detach().reshape(expected.shape), expected, rtol=tolerance, atol=tolerance)


def watch(modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    """A dictionary that fills with each module's latest output (the features, where masks come along)."""
    outputs: dict[str, Tensor] = {}

    def keep(name: str, out: Tensor | tuple[Tensor, Tensor]) -> None:
        outputs[name] = out[0] if isinstance(out, tuple) else out

    for name, module in modules.items():
        module.register_forward_hook(lambda _module, _inputs, out, name=name: keep(name, out))
    return outputs


def gradient_norms(network: nn.Module, part: str, golden: Golden, expected: dict[str, float | None]) -> None:
    parameters = dict(network.named_parameters())
    seen = set()
    for official, norm in expected.items():
        name = NAMES[part](official)
        assert name is not None
        seen.add(name)
        gradient = parameters[name].grad
        if norm is None:
            assert gradient is None, f"{name} should be unused"
        else:
            found = 0.0 if gradient is None else float(gradient.norm())
            # Biases in front of a batch normalisation have a gradient of rounding noise.
            np.testing.assert_allclose(found, norm, rtol=1e-7, atol=1e-12, err_msg=name)
    assert seen == set(parameters)


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_generator(golden: Golden, mode: str) -> None:
    generator = golden.generator().train(mode == "train")
    outputs = watch({"G.fc": generator.fc, **{f"G.block{i}": block for i, block in enumerate(generator.blocks)}})
    with torch.no_grad():
        images, masks = generator.with_masks(golden.noise, golden.sentence)

    close(images, golden.arrays[f"fake_{mode}"])
    assert len(masks) == len(SIZES)
    for size, mask in zip(SIZES, masks, strict=True):
        close(mask, golden.arrays[f"mask_{mode}_{size}"])
    suffix = "@eval" if mode == "eval" else ""
    assert len(outputs) == 1 + len(SIZES)
    for name, value in outputs.items():
        check_signature(value, golden.numbers["sig"][name + suffix])
    if mode == "train":
        buffers = dict(generator.named_buffers())
        for official, signature in golden.numbers["G_buffers_after_one_train_forward"].items():
            name = NAMES["G"](official)
            if name is not None:
                check_signature(buffers[name], signature)


def test_discriminator_losses_and_gradients(golden: Golden) -> None:
    discriminator = golden.discriminator()
    blocks = {f"D.block{i}": block for i, block in enumerate(discriminator.blocks)}
    outputs = watch({"D.conv_img": discriminator.stem, **blocks})
    with torch.no_grad():
        fake = golden.generator().train()(golden.noise, golden.sentence)
    features = discriminator.features(golden.real)
    assert len(outputs) == 7
    for name, value in outputs.items():
        check_signature(value, golden.numbers["sig"][name])
    real = discriminator.logits(features, golden.sentence)
    mismatched = discriminator.logits(features[:-1], golden.sentence[1:])
    judged = discriminator(fake, golden.sentence)

    close(features, golden.arrays["D_feat_real"])
    close(real, golden.arrays["logit_real"])
    close(mismatched, golden.arrays["logit_mis"])
    close(judged, golden.arrays["logit_fake"])
    expected = golden.numbers["loss"]
    nothing = torch.full((1,), 1e9, dtype=torch.float64)
    close(hinge_discriminator(real, -nothing, -nothing), expected["errD_real"])
    close(2 * hinge_discriminator(nothing, mismatched, -nothing), expected["errD_mis"])
    close(2 * hinge_discriminator(nothing, -nothing, judged), expected["errD_fake"])
    loss = hinge_discriminator(real, mismatched, judged)
    close(loss, expected["errD_hinge"])
    loss.backward()
    gradient_norms(discriminator, "D", golden, golden.numbers["gradnorm_errD_hinge"])


def test_matching_aware_gradient_penalty(golden: Golden) -> None:
    discriminator = golden.discriminator()
    expected = golden.numbers["loss"]
    printed = matching_aware_gradient_penalty(discriminator, golden.real, golden.sentence, 2.0, 6.0, form="printed")
    close(printed, expected["MAGP_paper_sum_of_norms"])
    loss = matching_aware_gradient_penalty(discriminator, golden.real, golden.sentence, 2.0, 6.0)
    close(loss, expected["MAGP"])
    loss.backward()
    gradient_norms(discriminator, "D", golden, golden.numbers["gradnorm_MAGP"])


def test_generator_gradients(golden: Golden) -> None:
    generator, discriminator = golden.generator(), golden.discriminator()
    loss = hinge_generator(discriminator(generator(golden.noise, golden.sentence), golden.sentence))
    close(loss, golden.numbers["loss"]["errG"])
    loss.backward()
    gradient_norms(generator, "G", golden, golden.numbers["gradnorm_errG"])


def test_one_iteration(golden: Golden) -> None:
    generator, discriminator = golden.generator(), golden.discriminator()
    losses = one_stage_step(
        generator,
        discriminator,
        torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.0, 0.9)),
        torch.optim.Adam(discriminator.parameters(), lr=4e-4, betas=(0.0, 0.9)),
        golden.real,
        golden.noise,
        golden.sentence,
        Penalty(),
    )
    expected = golden.numbers["one_iteration"]
    for ours, theirs in {"d_loss": "errD", "ma_gp": "MAGP", "g_loss": "errG"}.items():
        np.testing.assert_allclose(losses[ours], expected["loss"][theirs], rtol=1e-9)
    networks = {"G": dict(generator.named_parameters()), "D": dict(discriminator.named_parameters())}
    for official, norm in expected["param_l2_after"].items():
        part, _, rest = official.partition(".")
        name = NAMES[part](rest)
        assert name is not None
        np.testing.assert_allclose(networks[part].pop(name).norm().item(), norm, rtol=1e-7, err_msg=official)
    assert networks == {"G": {}, "D": {}}
    with torch.no_grad():
        logits = discriminator(golden.real, golden.sentence)
        after = generator(golden.noise, golden.sentence)
    np.testing.assert_allclose(logits, expected["logit_real_after"], rtol=1e-6)
    check_signature(after, expected["fake_after_sig"], rtol=1e-6)
