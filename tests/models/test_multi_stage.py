"""What every multi-stage system of the tables has to keep, at tiny width: 8, 16 and 32 px."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from multi_stage_systems import systems, tiny
from torch import Tensor, nn

from t2i_repro.errors import ReproError
from t2i_repro.models.base import Text
from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.damsm import DamsmImageEncoder
from t2i_repro.models.encoders.itm import ITM, StandinClip
from t2i_repro.models.multi_stage import MultiStageGenerator, stage_sizes
from t2i_repro.models.stage_discriminators import StageDiscriminator
from t2i_repro.training.multi_stage import LossConfig, generator_step, multi_stage_step

BATCH, WORDS, TEXT = 4, 7, 8
LENGTHS = torch.tensor([7, 5, 3, 1])
NAMES = sorted(systems())


@dataclass
class Players:
    system: dict[str, Any]
    generator: MultiStageGenerator
    discriminators: list[StageDiscriminator]
    encoder: nn.Module

    @classmethod
    def of(cls, name: str, **changes: Any) -> "Players":
        torch.manual_seed(0)
        system = tiny(name, **changes)
        size = 8 << (len(system["stages"]) - 1)
        generator = build_generator(system, size, 4, TEXT)
        assert isinstance(generator, MultiStageGenerator)
        discriminators = list(build_discriminator(system, size, TEXT).double().children())
        if system["encoder"] == "itm":
            encoder: nn.Module = ITM(StandinClip(20, width=1, dim=TEXT, context=10))
        else:
            encoder = DamsmImageEncoder(build_backbone("standin", 1), TEXT)
        return cls(system, generator.double(), discriminators, encoder.double())  # type: ignore[arg-type]

    def step(self, text: Text, lr: float = 0.1) -> dict[str, Tensor]:
        size = self.generator.image_size
        return multi_stage_step(
            self.generator,
            self.discriminators,
            torch.optim.SGD(self.generator.parameters(), lr),
            [torch.optim.SGD([p for p in d.parameters() if p.requires_grad], lr) for d in self.discriminators],
            torch.randn(BATCH, 3, size, size, dtype=torch.float64).tanh(),
            draw(self.generator),
            text,
            LossConfig.of(self.system),
            self.encoder,
            torch.tensor([3, 7, 3, 11]),
        )


def draw(generator: MultiStageGenerator, count: int = BATCH) -> Tensor:
    return generator.draw_noise(count).double()


def captions() -> Text:
    words = torch.randn(BATCH, TEXT, WORDS, dtype=torch.float64)
    text = Text.of(words, torch.randn(BATCH, TEXT, dtype=torch.float64), LENGTHS)
    return Text.of(words.masked_fill(text.padding[:, None], 0.0), text.sentence, LENGTHS)


def snapshot(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def changed(network: nn.Module, before: dict[str, Tensor]) -> set[str]:
    return {n for n, p in network.named_parameters() if (p.detach() - before[n]).abs().max() > 1e-12}


def unmoved(system: dict[str, Any], names: set[str]) -> set[str]:
    """Parameters the loss cannot depend on: what addresses the only slot of an S stage's memory, and the bias of SDM's
    keys, which adds the same to the score of every word."""
    out = {name for name in names if ".heads." in name and name.endswith(".key.bias")}
    for index, stage in enumerate(system["stages"][1:]):
        if stage.get("text") == "sentence":
            out |= {name for name in names if name.startswith(f"refinements.{index}.fusion.key.")}
    return out


@pytest.mark.parametrize("name", NAMES)
def test_shapes_and_range(name: str) -> None:
    players = Players.of(name)
    generator, text = players.generator, captions()
    output = generator.stages(draw(generator), text.sentence, text.words, text.padding)
    stages = len(players.system["stages"])
    assert generator.sizes == [8 << stage for stage in range(stages)]
    for images, features, size in zip(output.images, output.features, generator.sizes, strict=True):
        assert images.shape == (BATCH, 3, size, size)
        assert features.shape[2:] == (size, size)
        assert images.abs().max() <= 1
        assert images.std() > 1e-3
    assert len(output.fused) == stages - 1
    for fused, size in zip(output.fused, generator.sizes[:-1], strict=True):
        for attention in fused.attention:
            assert attention.shape[2:] == (size, size)
            torch.testing.assert_close(attention.sum(1), torch.ones(BATCH, size, size, dtype=torch.float64))


@pytest.mark.parametrize("name", NAMES)
def test_one_step_trains_what_it_should_and_only_that(name: str) -> None:
    players, text = Players.of(name), captions()
    networks = {"generator": players.generator, **{str(i): d for i, d in enumerate(players.discriminators)}}
    before = {key: snapshot(network) for key, network in networks.items()}
    encoder = snapshot(players.encoder)
    losses = players.step(text)
    for key, network in networks.items():
        trainable = {n for n, p in network.named_parameters() if p.requires_grad}
        expected = trainable - unmoved(players.system, trainable)
        assert changed(network, before[key]) == expected
        for parameter in network.parameters():
            assert torch.isfinite(parameter).all()  # SGD: so was its gradient
    assert not changed(players.encoder, encoder)
    assert all(p.grad is None for p in players.encoder.parameters())
    assert all(torch.isfinite(value) and not value.requires_grad for value in losses.values())
    total = sum(value for key, value in losses.items() if key.startswith("g_") and key != "g_loss")
    torch.testing.assert_close(losses["g_loss"], total)
    assert set(losses) == set(players.step(text))


@pytest.mark.parametrize("name", NAMES)
def test_an_image_does_not_depend_on_its_batch(name: str) -> None:
    """Each caption alone, cut to its own length, gives the image it gave among others."""
    generator, text = Players.of(name).generator.eval(), captions()
    noise = draw(generator)
    with torch.no_grad():
        together = generator(noise, text.sentence, text.words, text.padding)
        for row, length in enumerate(LENGTHS.tolist()):
            one = slice(row, row + 1)
            alone = generator(noise[one], text.sentence[one], text.words[one, :, :length], text.padding[one, :length])
            torch.testing.assert_close(alone[0], together[row])


def test_with_the_released_mask_it_does() -> None:
    generator = Players.of("attngan", compat={"attention_mask": "released"}).generator.eval()
    text, noise = captions(), draw(Players.of("attngan").generator)
    with torch.no_grad():
        together = generator(noise, text.sentence, text.words, text.padding)
        alone = generator(noise[1:2], text.sentence[1:2], text.words[1:2], text.padding[1:2])
    assert (alone[0] - together[1]).abs().max() > 1e-3


def test_the_generator_step_leaves_the_discriminators_alone() -> None:
    players, text = Players.of("icsd-gan"), captions()
    before = [snapshot(d) for d in players.discriminators]
    output = players.generator.stages(draw(players.generator), text.sentence, text.words, text.padding)
    generator_step(
        players.discriminators,
        torch.optim.SGD(players.generator.parameters(), 0.1),
        output,
        text,
        LossConfig.of(players.system),
        players.encoder,
    )
    for network, values in zip(players.discriminators, before, strict=True):
        assert not changed(network, values)
        assert all(p.grad is None and p.requires_grad for p in network.parameters())


def test_stackgan_needs_no_words() -> None:
    generator, text = Players.of("stackgan-plus-plus").generator.eval(), captions()
    noise = draw(generator)
    with torch.no_grad():
        assert torch.equal(generator(noise, text.sentence), generator(noise, text.sentence, text.words, text.padding))


def test_noise_is_z_then_that_of_conditioning() -> None:
    """Where the last ``condition`` values are zero the code is its mean."""
    generator, text = Players.of("attngan").generator.eval(), captions()
    noise = draw(generator)
    noise[:, generator.z_dim :] = 0.0
    output = generator.stages(noise, text.sentence, text.words, text.padding)
    assert torch.equal(output.condition.code, output.condition.mu)


def test_refusals_name_the_field() -> None:
    with pytest.raises(ReproError, match="image_size 50: 3 stages, so it must be divisible by 4"):
        stage_sizes(50, 3)
    with pytest.raises(ReproError, match="image_size of the first stage: found 24, expected 4 times a power of two"):
        build_generator(tiny("attngan"), 96, 4, TEXT)
    for changes, message in [
        ({"switches": {"gate": "soft"}}, r"switches\.gate: found 'soft', expected one of 'code', 'printed'"),
        ({"compat": {"attention_mask": "wrong"}}, r"compat\.attention_mask: found 'wrong', expected one of 'right'"),
        ({"stages": [{"initial": {"kind": "noise"}}]}, r"stages\[0\]\.initial\.kind: found 'noise'"),
        ({"stages": [{"initial": {"kind": "sentence"}}, {}]}, r"stages\[1\]\.fusion: missing; one of none"),
        ({"stages": [{"initial": {"kind": "sentence"}}, {"fusion": {"kind": "sum"}}]}, r"fusion\.kind: found 'sum'"),
    ]:
        with pytest.raises(ReproError, match=message):
            build_generator(tiny("attngan", **changes), 32, 4, TEXT)
