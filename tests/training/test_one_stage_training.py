"""What a step of each one-stage system trains, and what it leaves alone."""

from typing import Any

import pytest
import torch
from tiny import CPU, WORDS, FakeBatches, gan, spec, text_encoder

from t2i_repro.errors import ReproError
from t2i_repro.models.state import plain
from t2i_repro.sampling.conditioners import DamsmText
from t2i_repro.training.gan import GanInputs
from t2i_repro.training.one_stage import OneStageGAN


def wake(system: OneStageGAN) -> OneStageGAN:
    """Give values to the gains and last layers that start at zero, which hold back other gradients for some steps."""
    torch.manual_seed(0)
    for network in (system.generator, system.discriminator):
        for parameter in network.parameters():
            if not parameter.any():
                torch.nn.init.normal_(parameter, 0, 0.3)
    return system


def changed(system: OneStageGAN, steps: int = 3) -> set[str]:
    """Names of the parameters that a few steps change, over every network of the system.

    Not the bias of the masks' first convolution: the BatchNorm behind it takes it away.
    """
    wake(system)
    networks = {
        "generator": system.generator,
        "discriminator": system.discriminator,
        "text": system.text_encoder,
        "image": system.image_encoder,
    }
    named = {
        f"{network}.{name}": parameter
        for network, module in networks.items()
        if module is not None
        for name, parameter in module.named_parameters()
    }
    before = plain({name: parameter.clone() for name, parameter in named.items()})
    for step in range(steps):
        torch.manual_seed(step)
        system.step(FakeBatches().batch(step), step)
    return {
        name
        for name, parameter in named.items()
        if not torch.equal(parameter, before[name]) and not name.endswith(CANCELLED)
    }


def parameters(system: OneStageGAN, *networks: str) -> set[str]:
    modules = {
        "generator": system.generator,
        "discriminator": system.discriminator,
        "text": system.text_encoder,
    }
    names = {f"{network}.{name}" for network in networks for name, _ in modules[network].named_parameters()}
    return {name for name in names if not name.endswith(CANCELLED)}


CANCELLED = "predictor.layers.0.bias"
HEADS = {"image.project_regions.weight", "image.project_code.weight", "image.project_code.bias"}


@pytest.mark.parametrize("block", ["affine", "semantic-spatial"])
@pytest.mark.parametrize("damsm", [0.0, 0.1])
def test_frozen_text_trains_generator_and_discriminator_only(block: str, damsm: float) -> None:
    system = gan(block=block, masks=0 if block == "affine" else 4, damsm=damsm)
    assert changed(system) == parameters(system, "generator", "discriminator")
    assert set(system.modules()) == {"generator", "discriminator"}
    assert not system.text_encoder.training


def test_the_optimiser_is_the_one_of_the_spec() -> None:
    types = {name: type(one).__name__ for name, one in gan(text="tuned", optimiser="adamax").optimisers().items()}
    assert types == {"generator": "Adamax", "discriminator": "Adamax", "text": "Adam"}


def test_tuning_as_released_trains_the_text_encoder_and_the_image_projections_too() -> None:
    system = gan(text="tuned")
    assert changed(system) == parameters(system, "generator", "discriminator", "text") | HEADS
    assert set(system.modules()) == {"generator", "discriminator", "text_encoder", "image_encoder"}
    assert system.text_encoder.training


def test_tuning_as_printed_trains_the_text_encoder_but_not_the_image_encoder() -> None:
    system = gan(text="tuned", text_tuning="printed")
    assert changed(system) == parameters(system, "generator", "discriminator", "text")
    assert set(system.modules()) == {"generator", "discriminator", "text_encoder"}


def test_the_trunk_of_a_tuned_image_encoder_keeps_its_statistics() -> None:
    system = gan(text="tuned")
    before = plain(system.image_encoder.trunk.state_dict())  # type: ignore[union-attr]
    changed(system)
    after = system.image_encoder.trunk.state_dict()  # type: ignore[union-attr]
    assert all(torch.equal(value, before[name]) for name, value in after.items())


def text_gradient(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dict[str, torch.Tensor]:
    """Gradient with which the text optimiser is asked to step, the sum over one training step."""
    system = gan(text="tuned", **changes)
    seen: dict[str, torch.Tensor] = {}

    def record() -> None:
        seen.update({name: p.grad.clone() for name, p in system.text_encoder.named_parameters() if p.grad is not None})

    monkeypatch.setattr(system.optimisers()["text"], "step", record)
    wake(system)
    torch.manual_seed(1)
    system.step(FakeBatches().batch(0), 0)
    return seen


def test_as_released_the_generators_loss_does_not_reach_the_text_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its gradient is that of the DAMSM loss on real images: no weight of the generator's term changes it."""
    weak, strong = (text_gradient(monkeypatch, damsm=value) for value in (0.0, 50.0))
    assert weak.keys() == strong.keys()
    assert all(torch.equal(weak[name], strong[name]) for name in weak)
    assert all(bool(value.any()) for value in weak.values())


def test_as_printed_the_generators_loss_reaches_the_text_encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    weak, strong = (text_gradient(monkeypatch, damsm=value, text_tuning="printed") for value in (0.0, 50.0))
    assert all(bool(value.any()) for value in weak.values())  # through the adversarial term alone
    assert any(not torch.allclose(weak[name], strong[name]) for name in weak)


def test_the_step_is_a_function_of_state_batch_and_seed() -> None:
    def train_twice() -> dict[str, float]:
        system = gan(text="tuned")
        for step in range(2):
            torch.manual_seed(step)
            losses = system.step(FakeBatches().batch(step), step)
        return {name: value.item() for name, value in losses.items()}

    assert train_twice() == train_twice()


def test_the_initial_weights_follow_the_seed() -> None:
    first, second, other = gan(), gan(), gan(seed=1)
    assert torch.equal(first.generator.fc.weight, second.generator.fc.weight)
    assert not torch.equal(first.generator.fc.weight, other.generator.fc.weight)


def test_a_system_without_its_image_encoder_is_refused() -> None:
    text = DamsmText(text_encoder(), WORDS)
    batches: Any = FakeBatches()
    with pytest.raises(ReproError, match="needs the image encoder"):
        OneStageGAN(GanInputs(spec(), text, batches, CPU))
    OneStageGAN(GanInputs(spec(damsm=0.0), text, batches, CPU)).step(batches.batch(0), 0)


def test_unknown_values_are_refused() -> None:
    with pytest.raises(ReproError, match=r"system\.text: found 'melted'"):
        gan(text="melted")
    with pytest.raises(ReproError, match="text_tuning: found 'both'"):
        gan(text="tuned", text_tuning="both")


def test_the_image_encoder_learns_nothing_from_generated_images() -> None:
    system = gan(text="tuned", damsm=50.0)
    batch = FakeBatches().batch(0)
    words, sentence = (value.detach() for value in system.text_encoder(batch.tokens, batch.lengths))
    fake = system.generator(torch.randn(4, 100), sentence)
    system.matching_terms(fake, words, sentence, batch)["g_damsm"].backward()
    assert all(p.grad is None for p in system.image_encoder.parameters())  # type: ignore[union-attr]
    assert any(p.grad is not None for p in system.generator.parameters())
    assert all(p.requires_grad for p in system.image_encoder.head_parameters())  # type: ignore[union-attr]
