"""Facts about the one-stage generators and the one-way discriminator that need no golden data."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from t2i_repro.core.choices import FORMS, Form
from t2i_repro.models.one_stage import (
    OneStageGenerator,
    OneWayDiscriminator,
    SemanticSpatialBlock,
    SemanticSpatialNorm,
    block_count,
    channel_multiples,
)

TEXT = 12
SMALL = {
    "width": 2,
    "image_size": 64,
    "base_size": 1,
    "text_dim": TEXT,
    "hidden": 8,
    "mask_hidden": 6,
    "noise_dim": 5,
}


def awaken(network: nn.Module, seed: int = 0) -> nn.Module:
    """Non-zero values for all that starts at zero or one, so that every branch carries signal."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            noise = torch.randn(value.shape, generator=generator, dtype=value.dtype)
            if name.endswith("running_var"):
                value.copy_(0.5 + noise.abs())
            else:
                value.add_(0.3 * noise)
    return network


def inputs(batch: int = 3, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(batch, 5, generator=generator, dtype=torch.float64)
    return noise, torch.randn(batch, TEXT, generator=generator, dtype=torch.float64)


def small(**changes: object) -> OneStageGenerator:
    torch.manual_seed(0)
    return OneStageGenerator(**{**SMALL, **changes}).double()  # type: ignore[arg-type]


def test_seven_blocks_at_both_scales() -> None:
    assert block_count(256, 4) == block_count(64, 1) == 7
    assert channel_multiples(7) == [8, 8, 8, 8, 4, 2, 1]
    assert channel_multiples(5) == [8, 8, 4, 2, 1]


@pytest.mark.parametrize(
    ("block", "modulation", "upsampling", "mask_source"),
    [("affine", "code", "code", "code"), ("affine", "code", "printed", "code")]
    + [("semantic-spatial", *forms) for forms in itertools.product(FORMS, FORMS, FORMS)],
)
def test_shapes_ranges_and_independence_of_the_batch(
    block: str, modulation: Form, upsampling: Form, mask_source: Form
) -> None:
    network = awaken(small(block=block, modulation=modulation, upsampling=upsampling, mask_source=mask_source)).eval()
    noise, sentence = inputs()
    images, masks = network.with_masks(noise, sentence)
    assert images.shape == (3, 3, 64, 64)
    assert images.abs().max() <= 1
    assert images.std() > 0.01
    expected = [] if block == "affine" else [(3, 1, size, size) for size in (1, 2, 4, 8, 16, 32, 64)]
    assert [tuple(mask.shape) for mask in masks] == expected
    for mask in masks:
        assert mask.min() >= 0
        assert mask.max() <= 1
    alone = torch.cat([network(noise[i : i + 1], sentence[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(alone, images, rtol=1e-10, atol=1e-12)
    changed = network(noise, sentence.flip(0))
    assert (changed - images).abs().max() > 1e-3


def test_the_last_blocks_are_masked() -> None:
    for count in range(8):
        network = small(masks=count)
        assert [block.predictor is not None for block in network.blocks] == [False] * (7 - count) + [True] * count
        assert len(network.eval().with_masks(*inputs())[1]) == count


@pytest.mark.parametrize("modulation", FORMS)
@pytest.mark.parametrize("training", [True, False])
def test_no_mask_equals_masks_forced_to_one(modulation: Form, training: bool) -> None:
    masked = awaken(small(modulation=modulation))
    with torch.no_grad():
        for block in masked.blocks:
            block.predictor.layers[-1].weight.zero_()
            block.predictor.layers[-1].bias.fill_(1e3)
    unmasked = small(modulation=modulation, masks=0)
    state = {name: value for name, value in masked.state_dict().items() if "predictor" not in name}
    unmasked.load_state_dict(state)
    images, masks = masked.train(training).with_masks(*inputs())
    assert all((mask == 1).all() for mask in masks)
    torch.testing.assert_close(unmasked.train(training)(*inputs()), images, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("modulation", FORMS)
def test_where_every_mask_is_zero_the_sentence_is_ignored(modulation: Form) -> None:
    network = awaken(small(modulation=modulation)).train()
    with torch.no_grad():
        for block in network.blocks:
            block.predictor.layers[-1].weight.zero_()
            block.predictor.layers[-1].bias.fill_(-1e3)
    noise, sentence = inputs()
    images, masks = network.with_masks(noise, sentence)
    assert not any(mask.any() for mask in masks)
    torch.testing.assert_close(network(noise, -sentence), images)
    assert (network(-noise, sentence) - images).abs().max() > 1e-3
    first = network.blocks[0]
    features = torch.randn(2, 16, 4, 4, dtype=torch.float64)
    residual = first(features, sentence[:2])[0] - features
    if modulation == "printed":
        # Zero features leave the second convolution's bias alone (Eq. 5).
        torch.testing.assert_close(residual, (first.gain * first.conv2.bias)[:, None, None].expand_as(residual))
    else:
        assert residual.std((2, 3)).min() > 1e-3


def test_modulation_outside_and_inside_the_mask() -> None:
    features = torch.randn(2, 4, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    _, sentence = inputs(2)
    mask = torch.zeros(2, 1, 6, 6, dtype=torch.float64)
    mask[:, :, :3] = 0.25
    found: dict[str, Tensor] = {}
    for form in FORMS:
        torch.manual_seed(0)
        norm = SemanticSpatialNorm(4, TEXT, 8, form).double()
        awaken(norm)
        with torch.no_grad():
            for last in (norm.gamma[2], norm.beta[2]):
                last.bias.fill_(0.5)
        found[form] = norm(features, sentence, mask)
        deviation = (features.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()
        normal = (features - features.mean((0, 2, 3), keepdim=True)) / deviation
        gamma, beta = norm.gamma(sentence)[:, :, None, None], norm.beta(sentence)[:, :, None, None]
        expected = {
            "code": (1 + mask * gamma) * normal + mask * beta,
            "printed": mask * (gamma * normal + beta),
        }
        torch.testing.assert_close(found[form], expected[form])
        outside = found[form][:, :, 3:]
        if form == "code":
            torch.testing.assert_close(outside, normal[:, :, 3:])
        else:
            assert not outside.any()
    torch.testing.assert_close(found["code"] - found["printed"], normal)


@pytest.mark.parametrize("modulation", FORMS)
def test_a_fresh_modulation_keeps_the_normalised_features(modulation: Form) -> None:
    norm = SemanticSpatialNorm(4, TEXT, 8, modulation).double().eval()
    features = torch.randn(2, 4, 3, 3, dtype=torch.float64)
    expected = features / (1 + norm.norm.eps) ** 0.5
    torch.testing.assert_close(norm(features, inputs(2)[1], None), expected)
    half = torch.full((2, 1, 3, 3), 0.5, dtype=torch.float64)
    kept = 1.0 if modulation == "code" else 0.5
    torch.testing.assert_close(norm(features, inputs(2)[1], half), kept * expected)


@pytest.mark.parametrize("block", ["affine", "semantic-spatial"])
def test_a_fresh_generator_ignores_its_sentence(block: str) -> None:
    network = small(block=block).train()
    noise, sentence = inputs()
    assert torch.equal(network(noise, sentence), network(noise, -sentence))
    assert not torch.equal(network(noise, sentence), network(-noise, sentence))
    discriminator = OneWayDiscriminator(2, 64, text_dim=TEXT)
    assert all(block.gain.item() == 0 for block in discriminator.blocks)


def test_mask_source_is_what_the_predictor_sees() -> None:
    seen = {}
    for form in FORMS:
        block = SemanticSpatialBlock(4, 4, text_dim=TEXT, hidden=8, grow=True, mask_hidden=6, mask_source=form).double()
        assert block.predictor is not None
        block.predictor.register_forward_hook(lambda _m, given, out, form=form: seen.__setitem__(form, (given[0], out)))
        features = torch.randn(2, 4, 5, 5, dtype=torch.float64)
        out, mask = block(features, inputs(2)[1])
        assert out.shape == (2, 4, 10, 10)
        assert mask.shape == (2, 1, 10, 10)
        logits = torch.logit(mask)
        if form == "code":
            assert torch.equal(seen[form][0], features)
            # Corners aligned: 10 places share the 4 intervals between 5 logits.
            low = seen[form][1]
            for place, (left, share) in {0: (0, 0.0), 1: (0, 4 / 9), 5: (2, 2 / 9), 9: (3, 1.0)}.items():
                expected = (1 - share) * low[..., 0, left] + share * low[..., 0, left + 1]
                torch.testing.assert_close(logits[..., 0, place], expected)
        else:
            assert torch.equal(seen[form][0], features.repeat_interleave(2, 2).repeat_interleave(2, 3))
            torch.testing.assert_close(logits, seen[form][1])


def test_upsampling_forms() -> None:
    features = torch.zeros(1, 16, 1, 1, dtype=torch.float64)
    ramp = torch.arange(4, dtype=torch.float64).view(1, 1, 1, 4).expand(1, 16, 4, 4)
    steps = {}
    for form in FORMS:
        block = small(masks=0, upsampling=form).blocks[1].eval()
        steps[form] = block(ramp, inputs(1)[1])[0][0, 0, 0].unique()
        assert block(features, inputs(1)[1])[0].shape == (1, 16, 2, 2)
    # With a zero residual gain the block shows its upsampling: steps of one, or interpolated values between them.
    assert steps["code"].tolist() == [0, 1, 2, 3]
    assert len(steps["printed"]) == 8


def test_judging_is_per_pair() -> None:
    network = OneWayDiscriminator(2, 32, text_dim=TEXT).double()
    awaken(network)
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(3, 3, 32, 32, generator=generator, dtype=torch.float64)
    _, sentence = inputs()
    features = network.features(images)
    assert features.shape == (3, 16, 4, 4)
    logits = network.logits(features, sentence)
    assert logits.shape == (3,)
    torch.testing.assert_close(network(images, sentence), logits)
    single = network.logits(features[1:2], sentence[1:2])
    torch.testing.assert_close(single, logits[1:2])
    assert (network.logits(features, sentence.roll(1, 0)) - logits).abs().min() > 1e-6
    assert network.logits(features[:1], sentence[:1]).shape == (1,)
