"""HDGAN's networks: patches, scales, sizes, what is refused."""

import pytest
import torch
from sentence_systems import awaken
from torch import Tensor

from t2i_repro.errors import ReproError
from t2i_repro.models.layers import SentenceAugmentation, image_pyramid, truncated
from t2i_repro.models.nested import (
    ExtendedGenerator,
    NestedDiscriminator,
    NestedDiscriminators,
    NestedGenerator,
)

TEXT = 6
SMALL = {"text_dim": TEXT, "z_dim": 5, "cond_dim": 3}


def small_discriminators(size: int = 64, **options: object) -> NestedDiscriminators:
    torch.manual_seed(0)
    given = {"features": 8, "peak": 8, "text_dim": TEXT, "cond_dim": 3} | options
    network = NestedDiscriminators(size, **given).double()  # type: ignore[arg-type]
    awaken(network)
    return network


def images(*sizes: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(2, 3, size, size, generator=draw, dtype=torch.float64).tanh() for size in sizes]


@pytest.mark.parametrize(
    ("image_loss", "patches", "expected"),
    [
        ("local", "code", [1, 1, 5]),
        ("local", "printed", [1, 3, 5]),
        ("global", "code", [1, 1, 1]),
        ("none", "code", [None, None, None]),
    ],
)
def test_image_scores_are_r_by_r(image_loss: str, patches: str, expected: list[int | None]) -> None:
    network = small_discriminators(image_loss=image_loss, patches=patches)
    judgements = network(images(16, 32, 64), torch.zeros(2, TEXT, dtype=torch.float64))
    assert [judgement.pair.shape for judgement in judgements] == [(2,)] * 3
    shapes = [None if judgement.image is None else tuple(judgement.image.shape) for judgement in judgements]
    assert shapes == [None if r is None else (2, r, r) for r in expected]


def test_each_patch_sees_its_own_part_of_a_256_px_image() -> None:
    """Five patches of 159 px every 32 px: the released discriminator overlaps them."""
    network = NestedDiscriminator(256, 5, wide=True, features=4, peak=4, text_dim=TEXT, cond_dim=3).double().eval()
    awaken(network)
    image = torch.randn(1, 3, 256, 256, dtype=torch.float64, requires_grad=True)
    scores = network(image, torch.zeros(1, TEXT, dtype=torch.float64)).image
    assert scores is not None
    for place in range(5):
        (seen,) = torch.autograd.grad(scores[0, place, place], image, retain_graph=True)
        columns = seen.abs().sum((0, 1, 2)).nonzero().flatten()
        first = 32 * place - 31
        assert (columns.min().item(), columns.max().item()) == (max(0, first), min(255, first + 158))


def test_image_scores_do_not_read_the_sentence_and_pair_scores_do() -> None:
    network = small_discriminators().eval()
    pictures, text = images(16, 32, 64), torch.randn(2, TEXT, dtype=torch.float64)
    for one, other in zip(network(pictures, text), network(pictures, text + 1), strict=True):
        assert torch.equal(one.image, other.image)
        assert (one.pair - other.pair).abs().min() > 1e-6


def test_pair_scores_in_eval_mode_do_not_depend_on_the_batch() -> None:
    network = small_discriminators().eval()
    pictures, text = images(16, 32, 64), torch.randn(2, TEXT, dtype=torch.float64)
    together = network(pictures, text)
    alone = network([picture[:1] for picture in pictures], text[:1])
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one.pair[:1], other.pair)
        torch.testing.assert_close(one.image[:1], other.image)


@pytest.mark.parametrize("scales", [(1,), (2, 1), (4, 1), (4, 2, 1)])
def test_side_outputs_are_the_supervised_scales(scales: tuple[int, ...]) -> None:
    network = NestedGenerator(4, 64, 2, scales, **SMALL)
    outputs = network.side_outputs(network.draw_noise(2), torch.randn(2, TEXT))
    assert [image.shape[-1] for image in outputs.images] == [64 // scale for scale in scales]
    assert set(network.compress) == {str(scale) for scale in scales}
    assert network(network.draw_noise(2), torch.randn(2, TEXT)).shape == (2, 3, 64, 64)


def test_a_small_side_output_comes_from_the_stream_of_the_large_one() -> None:
    network = NestedGenerator(4, 64, 4, **SMALL).double()
    outputs = network.side_outputs(network.draw_noise(2).double(), torch.randn(2, TEXT, dtype=torch.float64))
    outputs.images[0].sum().backward()
    depth = [all(p.grad is not None for p in stage.parameters()) for stage in network.stages]
    assert depth == [True, True, True, False, False]


def test_conditioning_augmentation_by_hand() -> None:
    layer = SentenceAugmentation(1, 2)
    with torch.no_grad():
        layer.linear.weight.copy_(torch.tensor([[1.0], [-1.0], [2.0], [-2.0]]))
        layer.linear.bias.zero_()
    condition, mean, log_sigma = layer(torch.tensor([[1.0]]), torch.tensor([[10.0, -1.0]]))
    torch.testing.assert_close(mean, torch.tensor([[1.0, -0.2]]))
    torch.testing.assert_close(log_sigma, torch.tensor([[2.0, -0.4]]))
    sigma = torch.tensor([2.0, -0.4]).exp()
    torch.testing.assert_close(condition, torch.stack([1 + 10 * sigma[0], -0.2 - sigma[1]])[None])


def test_noise_is_z_then_epsilon() -> None:
    network = NestedGenerator(4, 64, 2, **SMALL).double().eval()
    text, noise = torch.randn(1, TEXT, dtype=torch.float64), network.draw_noise(1).double()
    assert noise.shape == (1, 8)
    mean = network.side_outputs(noise, text).mean
    seen: list[Tensor] = []
    network.embed.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0]))
    network(torch.cat([noise[:, :5], torch.zeros(1, 3, dtype=torch.float64)], dim=1), text)
    torch.testing.assert_close(seen[0], torch.cat([mean, noise[:, :5]], dim=1))


def test_truncated_noise() -> None:
    noise = torch.randn(200_000, generator=torch.Generator().manual_seed(0))
    cut = truncated(noise)
    assert cut.abs().max() <= 2
    assert torch.equal(cut.argsort()[:100], noise.argsort()[:100])
    # A normal distribution cut off at 2 has the deviation 0.8796.
    assert cut.std().item() == pytest.approx(0.8796, abs=4e-3)
    assert torch.isfinite(truncated(torch.tensor([-40.0, 0.0, 40.0]))).all()


def test_the_extension_ends_on_twice_the_size_and_knows_its_base() -> None:
    base = NestedGenerator(4, 64, 2, **SMALL).double()
    awaken(base)
    network = ExtendedGenerator(base).double()
    noise, text = network.draw_noise(2).double(), torch.randn(2, TEXT, dtype=torch.float64)
    outputs = network.side_outputs(noise, text)
    assert [image.shape[-1] for image in outputs.images] == [128]
    assert outputs.mean is None
    assert outputs.base is not None
    assert not outputs.base.requires_grad
    half = torch.nn.functional.avg_pool2d(outputs.base, 2)
    # Bilinear enlargement, averaged back, is close to the image and has its corners exactly.
    torch.testing.assert_close(outputs.base[..., 0, 0], base(noise, text)[..., 0, 0])
    assert (half - base(noise, text)).abs().mean() < 0.2 * base(noise, text).std()
    with torch.no_grad():
        base.compress["1"][0].conv.weight.zero_()
    assert not network.side_outputs(noise, text).base.any()


def test_pyramid_keeps_the_mean_and_the_largest() -> None:
    (image,) = images(64)
    small, large = image_pyramid(image, [16, 64])
    assert large is image
    assert small.shape == (2, 3, 16, 16)
    inner = image[..., 8:-8, 8:-8].mean((2, 3))
    torch.testing.assert_close(small[..., 2:-2, 2:-2].mean((2, 3)), inner, rtol=0, atol=0.02)


def test_refusals_name_the_field() -> None:
    for scales in [(4, 2), (3, 1), (1, 1), ()]:
        with pytest.raises(ReproError, match="scales: found"):
            NestedGenerator(4, 64, 2, scales, **SMALL)
    with pytest.raises(ReproError, match="width: found 3, expected an even number"):
        NestedGenerator(3, 64, 2, **SMALL)
    with pytest.raises(ReproError, match="image_size: found 96"):
        NestedGenerator(4, 96, 2, **SMALL)
    with pytest.raises(ReproError, match="base_size: found 1, expected 2 or more"):
        NestedGenerator(4, 64, 1, **SMALL)
    with pytest.raises(ReproError, match="7 doublings from base_size 4, at most 6"):
        NestedGenerator(4, 512, 4, **SMALL)
    with pytest.raises(ReproError, match="image_loss: found 'patch', expected one of 'none', 'global', 'local'"):
        small_discriminators(image_loss="patch")
    with pytest.raises(ReproError, match="patches: found 'draft'"):
        small_discriminators(patches="draft")
    with pytest.raises(ReproError, match="size of a discriminator: found 8"):
        small_discriminators(32)
    with pytest.raises(ReproError, match="patches: found 5 at 64 px"):
        NestedDiscriminator(64, 5, wide=False, cond_dim=3)
    with pytest.raises(ReproError, match=r"images: found sizes \[16, 64, 32\], expected \[16, 32, 64\] px"):
        small_discriminators()(images(16, 64, 32), torch.zeros(2, TEXT))
