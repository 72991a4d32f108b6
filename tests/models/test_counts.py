"""Parameter counts at full width: exact numbers of the released networks."""

import itertools

import pytest
import torch

from t2i_repro.errors import ReproError
from t2i_repro.models.build import build_discriminator, build_generator, count_parameters
from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.damsm import DamsmImageEncoder, DamsmTextEncoder
from t2i_repro.models.one_stage import OneWayDiscriminator

SSA = {"kind": "one-stage", "block": "semantic-spatial", "width": 64, "masks": 7}
DF = {"kind": "one-stage", "block": "affine", "width": 64, "masks": 0}


def generator_count(system: dict[str, object]) -> int:
    with torch.device("meta"):
        return count_parameters(build_generator(system))


def discriminator_count(system: dict[str, object], as_released: bool = True) -> int:
    with torch.device("meta"):
        return count_parameters(build_discriminator(system, as_released=as_released))


@pytest.mark.parametrize(
    ("system", "generator", "discriminator"),
    [
        (SSA, 29_494_273, 80_379_526),
        ({**SSA, "width": 32}, 10_327_425, 20_170_566),
        (DF, 31_480_074, 80_379_526),
        ({**DF, "width": 32}, 12_240_010, 20_170_566),
    ],
)
def test_networks(system: dict[str, object], generator: int, discriminator: int) -> None:
    assert generator_count(system) == generator
    assert discriminator_count(system) == discriminator


@pytest.mark.parametrize(("width", "dead"), [(64, 2_099_200), (32, 525_312)])
def test_the_released_discriminator_owns_dead_shortcuts(width: int, dead: int) -> None:
    system = {**SSA, "width": width}
    assert discriminator_count(system) - discriminator_count(system, as_released=False) == dead


@pytest.mark.parametrize(("vocabulary", "count"), [(5_450, 2_075_320), (27_297, 8_629_420)])
def test_text_encoder(vocabulary: int, count: int) -> None:
    with torch.device("meta"):
        assert count_parameters(DamsmTextEncoder(vocabulary)) == count


def test_image_encoder() -> None:
    with torch.device("meta"):
        encoder = DamsmImageEncoder(build_backbone("inception"), 256)
    assert count_parameters(encoder) == 22_506_720
    assert count_parameters(encoder, trainable=True) == 721_152


def test_every_form_has_the_same_parameters() -> None:
    switches = {"modulation": "printed", "upsampling": "printed", "mask_source": "printed"}
    assert generator_count({**SSA, "switches": switches}) == 29_494_273


def test_an_absent_mask_saves_its_predictor() -> None:
    counts = [generator_count({**SSA, "masks": masks}) for masks in range(8)]
    # The last blocks are masked first; their inputs have 128, 256, then 512 channels.
    assert [b - a for a, b in itertools.pairwise(counts)] == [
        115_601,
        230_801,
        461_201,
        461_201,
        461_201,
        461_201,
        461_201,
    ]


def test_discriminator_depth_follows_the_image() -> None:
    for size, blocks, channels in [(256, 6, 64), (64, 4, 64), (32, 3, 32), (8, 1, 8)]:
        network = OneWayDiscriminator(width=4, image_size=size)
        assert (len(network.blocks), network.feature_channels) == (blocks, channels)


def test_refusals_name_the_field() -> None:
    with pytest.raises(ReproError, match=r"system\.kind: found 'two-stage'; allowed: .*'one-stage'"):
        build_generator({**SSA, "kind": "two-stage"})
    with pytest.raises(ReproError, match="masks: found 8, expected 0 to 7"):
        build_generator({**SSA, "masks": 8, "width": 1})
    with pytest.raises(ReproError, match="masks: found 7, expected 0 to 0"):
        build_generator({**DF, "masks": 7, "width": 1})
    with pytest.raises(ReproError, match="modulation: found 'paper', expected one of 'code', 'printed'"):
        build_generator({**SSA, "switches": {"modulation": "paper"}, "width": 1})
    with pytest.raises(ReproError, match="image_size: found 96, expected 4 times a power of two"):
        build_generator({**SSA, "width": 1}, image_size=96)
    with pytest.raises(ReproError, match="base_size"):
        build_generator({**SSA, "width": 1}, image_size=16, base_size=4)
    with pytest.raises(ReproError, match="image_size: found 100, expected 4 times a power of two, 2 or more"):
        build_discriminator(SSA, image_size=100)
