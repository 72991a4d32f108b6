"""Text encoder, trunks, image encoder and classifier."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from t2i_repro.errors import ReproError
from t2i_repro.models.encoders.backbone import StandinBackbone, build_backbone, resize
from t2i_repro.models.encoders.classifier import Classifier
from t2i_repro.models.encoders.damsm import DamsmImageEncoder, DamsmTextEncoder


@pytest.fixture
def text_encoder() -> DamsmTextEncoder:
    torch.manual_seed(0)
    return DamsmTextEncoder(vocabulary=20, embedding=7, hidden=3, dropout=0.5)


def test_padding_and_company_do_not_change_a_caption(text_encoder: DamsmTextEncoder) -> None:
    encoder = text_encoder.eval()
    tokens = torch.tensor([[4, 9, 0, 0, 0], [1, 2, 3, 4, 5], [6, 6, 7, 0, 0]])
    lengths = torch.tensor([2, 5, 3])
    words, sentence = encoder(tokens, lengths)
    assert words.shape == (3, 6, 5)
    assert sentence.shape == (3, 6)
    alone_words, alone = encoder(torch.tensor([[4, 9]]), torch.tensor([2]))
    torch.testing.assert_close(sentence[:1], alone)
    torch.testing.assert_close(words[:1, :, :2], alone_words)
    assert not words[0, :, 2:].any()
    garbled = tokens.clone()
    garbled[0, 2:] = 11
    assert torch.equal(encoder(garbled, lengths)[0], words)
    # The sentence: last state of the forward direction, first position's state of the backward direction.
    assert torch.equal(sentence[1], torch.cat([words[1, :3, 4], words[1, 3:, 0]]))


def test_dropout_acts_on_the_embeddings_in_training_only(text_encoder: DamsmTextEncoder) -> None:
    seen: list[torch.Tensor] = []
    text_encoder.dropout.register_forward_hook(lambda _m, _i, out: seen.append(out))
    tokens, lengths = torch.arange(1, 20).view(1, -1), torch.tensor([19])
    text_encoder.train()(tokens, lengths)
    text_encoder.eval()(tokens, lengths)
    assert 0.3 < (seen[0] == 0).double().mean() < 0.7
    assert torch.equal(seen[1], text_encoder.embedding(tokens))


def test_embeddings_start_small() -> None:
    weight = DamsmTextEncoder(vocabulary=400).embedding.weight
    assert 0.099 < weight.abs().max() <= 0.1
    assert abs(weight.mean()) < 1e-3


def test_the_standin_trunk_is_cheap() -> None:
    trunk = build_backbone("standin", width=16).eval()
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        regions, pooled = trunk(torch.randn(1, 3, 64, 64))
    assert regions.shape == (1, trunk.region_channels, 17, 17)
    assert pooled.shape == (1, trunk.pooled_channels)
    assert 20e6 < counter.get_total_flops() <= 30e6


def test_inception_shapes() -> None:
    trunk = build_backbone("inception").eval()
    seen: list[torch.Size] = []
    trunk.local.Conv2d_1a_3x3.register_forward_pre_hook(lambda _m, given: seen.append(given[0].shape))  # type: ignore[union-attr]
    with torch.no_grad():
        regions, pooled = trunk(torch.randn(1, 3, 64, 64))
    assert seen == [torch.Size((1, 3, 299, 299))]
    assert regions.shape == (1, 768, 17, 17)
    assert pooled.shape == (1, 2048)


def test_inception_weights_from_torchvision(tmp_path: Path) -> None:
    from torchvision.models import inception_v3

    torch.manual_seed(1)
    official = inception_v3(weights=None, init_weights=False).eval()
    torch.save(official.state_dict(), tmp_path / "inception.pth")
    trunk = build_backbone("inception", weights=tmp_path / "inception.pth").eval()
    seen: list[torch.Tensor] = []
    official.Mixed_6e.register_forward_hook(lambda _m, _i, out: seen.append(out))
    official.avgpool.register_forward_hook(lambda _m, _i, out: seen.append(out.flatten(1)))
    images = torch.randn(1, 3, 299, 299)
    with torch.no_grad():
        official(images)
        regions, pooled = trunk(images)
    torch.testing.assert_close(regions, seen[0])
    torch.testing.assert_close(pooled, seen[1], rtol=1e-4, atol=1e-6)


def test_trunk_weights_from_a_classifier(tmp_path: Path) -> None:
    classifier = Classifier(build_backbone("standin", width=2), classes=3)
    torch.save(classifier.state_dict(), tmp_path / "classifier.pt")
    trunk = build_backbone("standin", width=2, weights=tmp_path / "classifier.pt")
    for name, value in trunk.state_dict().items():
        assert torch.equal(value, classifier.trunk.state_dict()[name])
    with pytest.raises(ReproError, match=r"classifier\.pt: not the weights of this StandinBackbone .*16 region"):
        build_backbone("standin", width=4, weights=tmp_path / "classifier.pt")
    (tmp_path / "broken.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ReproError, match=r"broken\.pt: cannot be read"):
        build_backbone("standin", width=2, weights=tmp_path / "broken.pt")
    with pytest.raises(ReproError, match="trunk: found 'resnet', expected one of 'inception', 'standin'"):
        build_backbone("resnet")  # type: ignore[arg-type]


def test_resizing_corners() -> None:
    ramp = torch.arange(4.0).view(1, 1, 1, 4).expand(1, 1, 4, 4)
    assert resize(ramp, 4, False) is ramp
    torch.testing.assert_close(resize(ramp, 7, True)[0, 0, 0], torch.arange(7) / 2)
    assert resize(ramp, 8, False)[0, 0, 0, 1].item() == pytest.approx(0.25)


def image_encoder(batch_norm: str = "frozen") -> DamsmImageEncoder:
    torch.manual_seed(0)
    return DamsmImageEncoder(StandinBackbone(2), dim=5, batch_norm=batch_norm)  # type: ignore[arg-type]


def test_the_trunk_is_frozen_but_transparent() -> None:
    encoder = image_encoder().train()
    before = {name: value.clone() for name, value in encoder.trunk.state_dict().items()}
    images = torch.randn(2, 3, 32, 32, requires_grad=True)
    regions, code = encoder(images)
    assert regions.shape == (2, 5, 17, 17)
    assert code.shape == (2, 5)
    (regions.square().sum() + code.square().sum()).backward()
    assert images.grad is not None
    assert images.grad.any()
    assert all(p.grad is None for p in encoder.trunk.parameters())
    assert all(p.grad is not None for p in encoder.head_parameters())
    assert {id(p) for p in encoder.parameters() if p.requires_grad} == {id(p) for p in encoder.head_parameters()}
    assert all(torch.equal(value, before[name]) for name, value in encoder.trunk.state_dict().items())


def test_released_batch_norm_lets_the_trunk_drift() -> None:
    assert not image_encoder().trunk.training
    encoder = image_encoder("batch").train()
    before = {name: value.clone() for name, value in encoder.trunk.named_buffers()}
    encoder(torch.randn(2, 3, 32, 32))
    moved = [name for name, value in encoder.trunk.named_buffers() if not torch.equal(value, before[name])]
    assert set(moved) == set(before)
    assert not encoder.eval().trunk.training
    with pytest.raises(ReproError, match="batch_norm: found 'train'"):
        image_encoder("train")


def test_heads_start_small_and_unbiased_regions() -> None:
    encoder = image_encoder()
    assert encoder.project_regions.bias is None
    for weight in (encoder.project_regions.weight, encoder.project_code.weight):
        assert 0.05 < weight.abs().max() <= 0.1


def test_classifier_trains_everything() -> None:
    torch.manual_seed(0)
    classifier = Classifier(StandinBackbone(2), classes=4)
    images = torch.randn(6, 3, 40, 40)
    pooled, logits = classifier.features(images)
    assert pooled.shape == (6, 16)
    assert logits.shape == (6, 4)
    nn.functional.cross_entropy(classifier(images), torch.tensor([0, 1, 2, 3, 0, 1])).backward()
    assert all(p.grad is not None and p.grad.any() for p in classifier.parameters())
