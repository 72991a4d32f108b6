"""ITM: frozen backbone, word positions, stand-in CLIP, and open_clip's RN101 with random weights."""

import pytest
import torch
from torch import Tensor

from t2i_repro.errors import ReproError
from t2i_repro.losses.matching import damsm_loss
from t2i_repro.models.encoders.itm import ITM, OpenClip, StandinClip

# start mark 18, end mark 19, padding 0
TOKENS = torch.tensor([[18, 3, 4, 5, 19, 0, 0, 0], [18, 7, 19, 0, 0, 0, 0, 0], [18, 1, 2, 3, 4, 5, 6, 19]])


def matcher() -> ITM:
    torch.manual_seed(0)
    return ITM(StandinClip(20, width=2, dim=6, context=8))


def frozen_text(itm: ITM) -> tuple[Tensor, Tensor]:
    """CLIP's features and embeddings of the captions, as training stores them."""
    with torch.no_grad():
        return itm.clip.text(TOKENS)


def test_only_the_head_trains_and_clip_stays_in_evaluation() -> None:
    itm = matcher().train()
    assert not itm.clip.training
    assert itm.project_code.training
    images = torch.randn(3, 3, 32, 32, requires_grad=True)
    regions, code = itm(images)
    assert regions.shape == (3, 6, 14, 14)
    said = itm.text(*frozen_text(itm), TOKENS, words=5)
    loss = damsm_loss(regions, code, said.words, said.sentence, said.lengths, None, 4, 5, 10)
    loss.total.backward()
    assert all(p.grad is None for p in itm.clip.parameters())
    assert all(p.grad is not None for p in itm.head_parameters())
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_words_begin_after_the_start_mark_and_end_before_the_end_mark() -> None:
    itm = matcher()
    features, embedding = frozen_text(itm)
    said = itm.text(features, embedding, TOKENS, words=5)
    assert said.lengths.tolist() == [3, 1, 5]
    assert said.padding.sum(1).tolist() == [2, 4, 0]
    expected = itm.norm_words(itm.project_words(features[:, 1:6])).transpose(1, 2)
    torch.testing.assert_close(said.words, expected)
    torch.testing.assert_close(said.sentence, itm.project_sentence(embedding))


def test_the_released_mask_lets_two_marks_pass() -> None:
    itm = matcher()
    arguments = (*frozen_text(itm), TOKENS, 5)
    right, released = itm.text(*arguments), itm.text(*arguments, positions="released")
    # Of five positions the first caption fills three; the mask read one early shows the end mark and one zero.
    assert released.padding.tolist()[0] == [False] * 5
    assert right.padding.tolist()[0] == [False] * 3 + [True] * 2
    assert released.padding.tolist()[1] == [False] * 3 + [True] * 2
    assert torch.equal(right.words, released.words)
    with pytest.raises(ReproError, match=r"compat\.itm_positions: found 'early', expected one of 'right', 'released'"):
        itm.text(*arguments, positions="early")  # type: ignore[arg-type]


def test_layer_norm_has_the_released_epsilon() -> None:
    assert matcher().norm_words.eps == 1e-12


def test_the_stand_in_learns_pairs() -> None:
    torch.manual_seed(0)
    clip = StandinClip(20, width=2, dim=16, context=8)
    images = torch.randn(3, 3, 32, 32)
    optimiser = torch.optim.Adam(clip.parameters(), 1e-2)
    first = clip.contrast(images, TOKENS).item()
    for _ in range(25):
        optimiser.zero_grad()
        clip.contrast(images, TOKENS).backward()
        optimiser.step()
    assert clip.contrast(images, TOKENS).item() < 0.3 * first


def test_a_caption_does_not_depend_on_its_padding() -> None:
    clip = StandinClip(20, width=2, dim=6, context=8).eval()
    features, embedding = clip.text(TOKENS[:2])
    other = TOKENS[:2].clone()
    other[0, 5:] = 1  # beyond the end mark
    again, same = clip.text(other)
    torch.testing.assert_close(same, embedding)
    torch.testing.assert_close(again, features)


class Small(OpenClip):
    """open_clip's code at toy size: what is under test is how we read it, not its weights."""

    def __init__(self) -> None:
        torch.nn.Module.__init__(self)
        import open_clip

        vision = {"layers": (1, 1, 1, 1), "width": 8, "image_size": 64}
        words = {"context_length": 8, "vocab_size": 20, "width": 16, "heads": 2, "layers": 1}
        self.network = open_clip.CLIP(
            12,
            open_clip.CLIPVisionCfg(**vision),  # type: ignore[attr-defined]
            open_clip.CLIPTextCfg(**words),  # type: ignore[attr-defined]
            quick_gelu=True,
        )
        self.dim, self.region_channels, self.token_channels, self.context = 12, 128, 16, 8
        self.input_size = 64


@pytest.fixture
def small() -> Small:
    torch.manual_seed(0)
    return Small().eval()


def test_open_clip_is_read_rightly(small: Small) -> None:
    """Our way through its layers ends in its own embeddings; regions are what its fourth layer receives."""
    images = torch.randn(2, 3, 64, 64)
    seen: list[Tensor] = []
    small.network.visual.layer4.register_forward_hook(lambda _module, inputs, _out: seen.append(inputs[0]))
    with torch.no_grad():
        regions, embedding = small.image(images)
        torch.testing.assert_close(embedding, small.network.encode_image(images))
        features, said = small.text(TOKENS)
        torch.testing.assert_close(said, small.network.encode_text(TOKENS))
    assert torch.equal(regions, seen[1])
    assert regions.shape == (2, 128, 4, 4)
    assert features.shape == (3, 8, 16)


def test_images_are_not_normalised_as_clip_expects(small: Small) -> None:
    """As released: the network gets them in [-1, 1]."""
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(small.image(images)[1], small.network.encode_image(images))


def test_matching_on_open_clip(small: Small) -> None:
    itm = ITM(small)
    regions, code = itm(torch.randn(3, 3, 32, 32))
    said = itm.text(*frozen_text(itm), TOKENS, words=6)
    loss = damsm_loss(regions, code, said.words, said.sentence, said.lengths, None, 4, 5, 10)
    assert torch.isfinite(loss.total)
