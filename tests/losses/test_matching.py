"""DAMSM losses against a loop over captions, pair by pair, written from the paper's equations (8)-(16)."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from t2i_repro.core.choices import FORMS, Form
from t2i_repro.losses.matching import (
    damsm_loss,
    damsm_sentence,
    damsm_words,
    itm_sentence,
    itm_words,
    matching_posteriors,
    word_region_scores,
)

LENGTHS = torch.tensor([5, 3, 1, 4, 5])
CLASSES = torch.tensor([7, 2, 7, 9, 2])


def batch(seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"regions": (5, 6, 3, 4), "embedding": (5, 6), "words": (5, 6, 5), "sentence": (5, 6)}
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def pair_score(regions: Tensor, words: Tensor, gamma1: float, gamma2: float, root: Form) -> float:
    """R(Q, D) of one image [D, R] and one caption [D, words]."""
    similarity = words.T @ regions
    over_words = similarity.exp() / similarity.exp().sum(0, keepdim=True)
    total = 0.0
    for word in range(words.shape[1]):
        weights = (gamma1 * over_words[word]).exp()
        context = regions @ (weights / weights.sum())
        relevance = context @ words[:, word] / (context.norm() * words[:, word].norm())
        total += math.exp(gamma2 * relevance.item())
    return math.log(total) / (gamma2 if root == "printed" else 1.0)


def posterior(scores: list[list[float]], classes: list[int] | None, own: int, over_captions: bool) -> float:
    kept = []
    for other in range(len(scores)):
        if other == own or classes is None or classes[other] != classes[own]:
            kept.append(scores[own][other] if over_captions else scores[other][own])
    return math.log(sum(math.exp(score) for score in kept)) - scores[own][own]


@pytest.mark.parametrize("root", FORMS)
@pytest.mark.parametrize("classes", [CLASSES, None])
def test_against_a_loop_over_pairs(root: Form, classes: Tensor | None) -> None:
    data = batch()
    gamma1, gamma2, gamma3 = 4.0, 5.0, 10.0
    scores = [
        [
            gamma3 * pair_score(data["regions"][i].flatten(1), data["words"][c, :, : LENGTHS[c]], gamma1, gamma2, root)
            for c in range(5)
        ]
        for i in range(5)
    ]
    cosines = gamma3 * F.normalize(data["embedding"]) @ F.normalize(data["sentence"]).T
    ids = None if classes is None else classes.tolist()
    loss = damsm_loss(*data.values(), LENGTHS, classes, gamma1, gamma2, gamma3, root)
    for name, table, over_captions in [
        ("w0", scores, True),
        ("w1", scores, False),
        ("s0", cosines.tolist(), True),
        ("s1", cosines.tolist(), False),
    ]:
        expected = sum(posterior(table, ids, i, over_captions) for i in range(5)) / 5
        assert getattr(loss, name).item() == pytest.approx(expected, rel=1e-9), name
    assert loss.total.item() == pytest.approx(sum(x.item() for x in loss[:4]))


def test_printed_root_divides_the_scores_by_gamma2() -> None:
    data = batch()
    code, _ = word_region_scores(data["regions"], data["words"], LENGTHS, 4.0, 5.0)
    printed, _ = word_region_scores(data["regions"], data["words"], LENGTHS, 4.0, 5.0, "printed")
    torch.testing.assert_close(printed, code / 5)


def test_attention_of_the_matching_pair() -> None:
    data = batch()
    _, _, attention = damsm_words(data["regions"], data["words"], LENGTHS, CLASSES)
    assert attention.shape == (5, 5, 3, 4)
    inside = torch.arange(5) < LENGTHS[:, None]
    torch.testing.assert_close(attention.sum((2, 3)), inside.double())
    # A caption of one word: the softmax over words is 1 everywhere, so its attention is even.
    torch.testing.assert_close(attention[2, 0], torch.full((3, 4), 1 / 12, dtype=torch.float64))


def test_what_lies_beyond_a_caption_does_not_matter() -> None:
    data = batch()
    words = data["words"].clone().requires_grad_()
    garbled = data["words"].clone()
    garbled[1, :, 3:] = 100.0
    garbled[2, :, 1:] = -7.0
    first = damsm_loss(data["regions"], data["embedding"], words, data["sentence"], LENGTHS, CLASSES)
    second = damsm_loss(data["regions"], data["embedding"], garbled, data["sentence"], LENGTHS, CLASSES)
    assert first.total.item() == pytest.approx(second.total.item(), rel=1e-12)
    first.total.backward()
    assert words.grad is not None
    assert not words.grad[1, :, 3:].any()
    assert words.grad[1, :, :3].any()


def test_zero_padding_gives_finite_gradients() -> None:
    data = {name: value.clone() for name, value in batch().items()}
    for caption, length in enumerate(LENGTHS.tolist()):
        data["words"][caption, :, length:] = 0
    leaves = [value.requires_grad_() for value in data.values()]
    damsm_loss(*leaves, LENGTHS, CLASSES).total.backward()
    assert all(leaf.grad is not None and torch.isfinite(leaf.grad).all() for leaf in leaves)


def test_the_order_of_the_batch_does_not_matter() -> None:
    data = batch()
    order = torch.tensor([3, 0, 4, 2, 1])
    straight = damsm_loss(*data.values(), LENGTHS, CLASSES)
    permuted = damsm_loss(*(value[order] for value in data.values()), LENGTHS[order], CLASSES[order])
    for a, b in zip(straight[:4], permuted[:4], strict=True):
        assert a.item() == pytest.approx(b.item(), rel=1e-12)
    torch.testing.assert_close(permuted.attention, straight.attention[order])


def test_other_images_of_the_class_are_no_negatives() -> None:
    """Scores of other pairs of one class change nothing, unless classes are not known; the ids stay as they are."""
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(5, 5, generator=generator, dtype=torch.float64)
    closer = scores.clone()
    for first, second in [(0, 2), (1, 4)]:
        closer[first, second] += 9.0
        closer[second, first] += 9.0
    class_ids = CLASSES.clone()
    assert matching_posteriors(closer, class_ids) == matching_posteriors(scores, class_ids)
    for near, far in zip(matching_posteriors(closer, None), matching_posteriors(scores, None), strict=True):
        assert near > far + 1
    assert torch.equal(class_ids, CLASSES)
    alone = damsm_loss(*batch().values(), LENGTHS, torch.zeros(5, dtype=torch.int64))
    for loss in alone[:4]:
        assert loss.item() == pytest.approx(0, abs=1e-12)


def test_sentence_loss_falls_as_pairs_align() -> None:
    data = batch()
    apart = sum(damsm_sentence(data["embedding"], data["sentence"], None))
    together = sum(damsm_sentence(data["sentence"], data["sentence"], None))
    assert together < 0.5 * apart


def test_itm_is_damsm_and_its_printed_gamma_cancels() -> None:
    torch.manual_seed(0)
    regions, words = torch.randn(3, 5, 4, 4), torch.randn(3, 5, 6)
    code, sentence = torch.randn(3, 5), torch.randn(3, 5)
    lengths = torch.tensor([6, 2, 4])
    assert itm_sentence(code, sentence, None) == damsm_sentence(code, sentence, None, 10.0)
    assert itm_words(regions, words, lengths, None) == damsm_words(regions, words, lengths, None, 4, 5, 10)[:2]
    cosines = torch.cosine_similarity(code[:, None], sentence[None], dim=2)
    printed = [-(7 * cosines[i, i].exp() / (7 * cosines[i].exp()).sum()).log() for i in range(3)]
    found, _ = itm_sentence(code, sentence, None, 7.0, "printed")
    torch.testing.assert_close(found, torch.stack(printed).mean())
