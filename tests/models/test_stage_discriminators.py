"""Spectral normalisation, trunks and heads of the stage discriminators."""

import pytest
import torch
from multi_stage_systems import tiny
from torch import nn

from t2i_repro.errors import ReproError
from t2i_repro.models.build import build_discriminator
from t2i_repro.models.stage_discriminators import Layers, SpectralConv2d, StageDiscriminator


def largest_singular_value(conv: SpectralConv2d) -> float:
    return float(torch.linalg.matrix_norm(conv.weight.detach().flatten(1), ord=2))


def test_sigma_converges_to_the_largest_singular_value() -> None:
    torch.manual_seed(0)
    conv = SpectralConv2d(3, 5, 3, padding=1)
    images = torch.randn(2, 3, 6, 6)
    for _ in range(200):
        out = conv(images)
    expected = nn.functional.conv2d(images, conv.weight / largest_singular_value(conv), conv.bias, padding=1)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_one_iteration_by_hand_and_its_gradient() -> None:
    torch.manual_seed(0)
    conv = SpectralConv2d(2, 3, 1).double()
    images, u = torch.randn(1, 2, 4, 4, dtype=torch.float64), conv.u.clone()
    conv(images).square().sum().backward()
    weight = conv.weight.detach().clone().requires_grad_()
    matrix = weight.flatten(1)
    v = matrix.detach().t() @ u
    v = v / v.norm()
    u = matrix.detach() @ v
    u = u / u.norm()
    normal = weight / (u @ (matrix @ v))
    nn.functional.conv2d(images, normal, conv.bias).square().sum().backward()
    torch.testing.assert_close(conv.u, u)
    torch.testing.assert_close(conv.v, v)
    torch.testing.assert_close(conv.weight.grad, weight.grad)


def test_evaluation_moves_the_vectors_only_as_released() -> None:
    torch.manual_seed(0)
    ours, theirs = SpectralConv2d(2, 3, 3), SpectralConv2d(2, 3, 3, iteration="released")
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(1, 2, 5, 5)
    assert torch.equal(ours(images), theirs(images))
    before = ours.u.clone()
    for conv in (ours.eval(), theirs.eval()):
        conv(images)
    assert torch.equal(ours.u, before)
    assert not torch.equal(theirs.u, before)
    assert [name for name, p in theirs.named_parameters() if not p.requires_grad] == ["u", "v"]
    assert {name for name, _ in ours.named_parameters()} == {"weight", "bias"}


def test_two_forwards_before_one_backward() -> None:
    conv = SpectralConv2d(2, 3, 3)
    (conv(torch.randn(1, 2, 5, 5)).sum() + conv(torch.randn(1, 2, 5, 5)).sum()).backward()
    assert conv.weight.grad is not None


def kinds(network: nn.Module) -> list[str]:
    """Kernel and stride of each convolution of a trunk, with what follows it."""
    out = []
    for block in network.children():
        conv, *rest = block.children()
        assert isinstance(conv, nn.Conv2d)
        names = "".join(type(layer).__name__[0] for layer in rest)
        out.append(f"{conv.kernel_size[0]}/{conv.stride[0]}{names}")
    return out


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (64, ["4/2L", "4/2BL", "4/2BL", "4/2BL"]),
        (128, ["4/2L", "4/2BL", "4/2BL", "4/2BL", "4/2BL", "3/1BL"]),
        (256, ["4/2L", "4/2BL", "4/2BL", "4/2BL", "4/2BL", "4/2BL", "3/1BL", "3/1BL"]),
    ],
)
def test_trunks_are_those_of_icsd_gan_table_2(size: int, expected: list[str]) -> None:
    network = StageDiscriminator(size, 64, 4, ["unconditional"], 8, Layers("batch", "training"))
    assert kinds(network.trunk) == expected
    assert network.features(torch.randn(2, 3, size, size)).shape == (2, 32, 4, 4)


def test_smaller_systems_keep_the_outline() -> None:
    networks = build_discriminator(tiny("attngan"), image_size=64, text_dim=8)
    pairs = zip(networks.children(), (16, 32, 64), strict=True)
    shapes = [network.features(torch.randn(2, 3, size, size)).shape for network, size in pairs]
    assert shapes == [(2, 4, 4, 4)] * 3
    assert [len(list(network.trunk)) for network in networks] == [2, 4, 6]  # type: ignore[arg-type]


def test_heads() -> None:
    torch.manual_seed(0)
    networks = list(build_discriminator(tiny("gr-gan"), image_size=32, text_dim=8).children())
    assert [n.has_unconditional for n in networks] == [True, False, False]
    assert [n.condition for n in networks] == [None, "sentence", "mean-word"]
    network = build_discriminator(tiny("ms-gan"), image_size=32, text_dim=8)[0]  # type: ignore[index]
    features, sentence = network.features(torch.randn(4, 3, 8, 8)), torch.randn(4, 8)
    assert network.pair_logits(features, sentence).shape == (4,)
    assert network.image_logits(features).shape == (4,)
    expected = torch.cosine_similarity(
        sentence @ network.similar_text.weight.t(), features.mean(dim=(2, 3)) @ network.similar_image.weight.t()
    )
    torch.testing.assert_close(network.similarity(features, sentence), expected)


def test_refusals_name_the_field() -> None:
    layers = Layers("batch", "training")
    with pytest.raises(ReproError, match=r"stage\.heads: found 'pair', expected one of 'unconditional'"):
        StageDiscriminator(16, 16, 2, ["pair"], 8, layers)
    with pytest.raises(ReproError, match="at most one conditional head"):
        StageDiscriminator(16, 16, 2, ["conditional", "conditional-mean-word"], 8, layers)
    with pytest.raises(ReproError, match=r"discriminator\.normalisation: found 'layer'"):
        Layers("layer", "training")
    with pytest.raises(ReproError, match=r"compat\.spectral_norm: found 'torch', expected one of 'training'"):
        build_discriminator(tiny("dm-gan", compat={"spectral_norm": "torch"}), 32, 8)
