"""Image-text matching losses: DAMSM, the deep attentional multimodal similarity of AttnGAN, as SSA-GAN's appendix
writes it (SSA-GAN Eq. 8-16); the ITM of GR-GAN (GR-GAN Eq. 8, 9), which is DAMSM's losses on CLIP's regions and words;
and the joint embedding of char-CNN-RNN.

M image-caption pairs; image i and caption i belong together. Every pair of the M x M is scored at once. ``class_ids``
int64 [M]: classes of the images, or None.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from t2i_repro.core.choices import FORMS, Form, check_choice
from t2i_repro.errors import ReproError

EPSILON = 1e-8


class DamsmLoss(NamedTuple):
    """SSA-GAN Eq. (14)-(16): w0, s0 are cross-entropies over captions for each image, w1, s1 over images for each
    caption; means over the batch, each a scalar.

    ``attention`` [M, T, h, w]: the attention of caption i's words over image i, each word's map sums to 1; 0 at
    padding.
    """

    w0: Tensor
    w1: Tensor
    s0: Tensor
    s1: Tensor
    attention: Tensor

    @property
    def total(self) -> Tensor:
        """SSA-GAN Eq. (16)."""
        return self.w0 + self.w1 + self.s0 + self.s1


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine (SSA-GAN Eq. 12) over the last axis of a and b [..., D], which broadcast -> [...]. The product of the
    norms is at least 1e-8."""
    norms = torch.linalg.vector_norm(a, dim=-1) * torch.linalg.vector_norm(b, dim=-1)
    return (a * b).sum(-1) / norms.clamp(min=EPSILON)


def padding_mask(lengths: Tensor, words: int) -> Tensor:
    """[M, words] bool from lengths int64 [M]: True where a position lies beyond its caption."""
    return torch.arange(words, device=lengths.device) >= lengths[:, None]


def matching_posteriors(scores: Tensor, class_ids: Tensor | None) -> tuple[Tensor, Tensor]:
    """SSA-GAN Eq. (14), (15), from scores [M images, M captions] that are already multiplied by gamma3: cross-entropy
    over captions for each image, -log P(D|Q), and over images for each caption, -log P(Q|D).

    Off-diagonal pairs of one class are no negatives: they are left out of the sums. ``class_ids`` None keeps them all.
    """
    if class_ids is not None:
        same = class_ids[:, None] == class_ids[None, :]
        same.fill_diagonal_(False)
        scores = scores.masked_fill(same, -torch.inf)
    labels = torch.arange(len(scores), device=scores.device)
    return F.cross_entropy(scores, labels), F.cross_entropy(scores.T, labels)


def word_region_scores(
    regions: Tensor, words: Tensor, lengths: Tensor, gamma1: float, gamma2: float, root: Form = "code"
) -> tuple[Tensor, Tensor]:
    """R(Q, D) of every image with every caption, and the attention of the matching pairs.

    regions [M, D, h, w], words [M, D, T], lengths [M] in 1..T -> scores [image, caption], attention
    [M, T, h, w].
    """
    check_choice("damsm_root", root, FORMS)
    images, _, height, width = regions.shape
    captions, _, length = words.shape
    padding = padding_mask(lengths, length)
    local = regions.flatten(2)
    queries = words.transpose(1, 2)
    # SSA-GAN Eq. (9): [image, caption * word, region]
    similarity = queries.reshape(captions * length, -1) @ local
    similarity = similarity.view(images, captions, length, height * width)
    # SSA-GAN Eq. (10): over the words of a caption, for each region.
    similarity = similarity.masked_fill(padding[None, :, :, None], -torch.inf).softmax(dim=2)
    # SSA-GAN Eq. (11): over the regions, for each word.
    attention = (gamma1 * similarity).softmax(dim=3)
    context = (attention.flatten(1, 2) @ local.transpose(1, 2)).view(images, captions, length, -1)
    relevance = cosine(context, queries[None])
    # SSA-GAN Eq. (13)
    scores = (gamma2 * relevance).masked_fill(padding[None], -torch.inf).logsumexp(dim=2)
    if root == "printed":
        scores = scores / gamma2
    matching = torch.arange(captions, device=words.device)
    own = attention[matching, matching].masked_fill(padding[:, :, None], 0.0)
    return scores, own.view(captions, length, height, width)


def damsm_words(
    regions: Tensor,
    words: Tensor,
    lengths: Tensor,
    class_ids: Tensor | None,
    gamma1: float = 5.0,
    gamma2: float = 5.0,
    gamma3: float = 10.0,
    root: Form = "code",
) -> tuple[Tensor, Tensor, Tensor]:
    """Word-level losses L1^w, L2^w of SSA-GAN Eq. (14), (15), and the attention maps [M, T, h, w] of matching pairs.

    regions [M, D, h, w], words [M, D, T], lengths [M] in 1..T. ``root``: the outer power 1/gamma2 of SSA-GAN Eq. (13),
    which the released code leaves out.
    """
    scores, attention = word_region_scores(regions, words, lengths, gamma1, gamma2, root)
    w0, w1 = matching_posteriors(gamma3 * scores, class_ids)
    return w0, w1, attention


def damsm_sentence(
    embedding: Tensor, sentence: Tensor, class_ids: Tensor | None, gamma3: float = 10.0
) -> tuple[Tensor, Tensor]:
    """Sentence-level losses L1^s, L2^s of SSA-GAN Eq. (14), (15): R(Q, D) is the cosine of image embedding [M, D] and
    sentence [M, D]."""
    return matching_posteriors(gamma3 * cosine(embedding[:, None], sentence[None]), class_ids)


def damsm_loss(
    regions: Tensor,
    embedding: Tensor,
    words: Tensor,
    sentence: Tensor,
    lengths: Tensor,
    class_ids: Tensor | None,
    gamma1: float = 5.0,
    gamma2: float = 5.0,
    gamma3: float = 10.0,
    root: Form = "code",
) -> DamsmLoss:
    """All four terms of SSA-GAN Eq. (16) from the encoders' outputs: regions [M, D, h, w] and embedding [M, D] of the
    images; words [M, D, T] and sentence [M, D] of the captions, lengths [M] in 1..T."""
    w0, w1, attention = damsm_words(regions, words, lengths, class_ids, gamma1, gamma2, gamma3, root)
    s0, s1 = damsm_sentence(embedding, sentence, class_ids, gamma3)
    return DamsmLoss(w0, w1, s0, s1, attention)


def itm_sentence(
    embedding: Tensor, sentence: Tensor, class_ids: Tensor | None, gamma3: float = 10.0, gamma: Form = "code"
) -> tuple[Tensor, Tensor]:
    """L_1^s, L_2^s of the ITM, GR-GAN Eq. (8), for image embeddings [M, D] and sentences [M, D].

    Their sum is L_ITM_s of GR-GAN Eq. (9). The generator's loss has lambda_2 L_ITM_s at the second stage, GR-GAN
    Eq. (4), and lambda_1 L_ITM_s at the third, GR-GAN Eq. (7); the weights are ``matching.sentence`` of a stage
    (training/multi_stage.py). GR-GAN Eq. (8) prints gamma in front of the exponentials, where it cancels: ``printed``
    is gamma3 = 1.
    """
    check_choice("switches.itm_gamma", gamma, FORMS)
    return damsm_sentence(embedding, sentence, class_ids, gamma3 if gamma == "code" else 1.0)


def itm_words(
    regions: Tensor,
    words: Tensor,
    lengths: Tensor,
    class_ids: Tensor | None,
    gamma1: float = 4.0,
    gamma2: float = 5.0,
    gamma3: float = 10.0,
    gamma: Form = "code",
) -> tuple[Tensor, Tensor]:
    """L_1^w, L_2^w of the ITM, GR-GAN Eq. (8) on word-region scores (appendix, Fig. 4), for regions [M, D, h, w] and
    words [M, D, T] with lengths [M] in 1..T:

        L_1^w = -1/M sum_i log exp(gamma3 R_ii) / sum_j exp(gamma3 R_ij), and L_2^w with R_ji in the denominator
        R_ij = log sum_t exp(gamma2 cos(c_t, w_t)) of image i and caption j, w_t the embedding of word t
        c_t = sum_r a_tr v_r, a_tr = softmax over regions r of gamma1 s_tr, s_tr = softmax over words t of w_t . v_r

    Their sum is L_ITM_w of GR-GAN Eq. (9). The generator's loss has lambda_2 L_ITM_w at the third stage, GR-GAN
    Eq. (7); lambda_2 is ``matching.word`` of that stage. ``gamma``: see ``itm_sentence``.
    """
    check_choice("switches.itm_gamma", gamma, FORMS)
    w0, w1, _ = damsm_words(regions, words, lengths, class_ids, gamma1, gamma2, gamma3 if gamma == "code" else 1.0)
    return w0, w1


def joint_embedding_loss(images: Tensor, captions: Tensor, class_ids: Tensor, form: Form = "code") -> Tensor:
    """Symmetric structured joint embedding of char-CNN-RNN (Reed et al., CVPR 2016, Sec. 3): an image [B, dim] must
    score its own caption [B, dim] higher, by a margin of 1, than any of another class, and a caption its image. Score:
    inner product.

    ``printed``: the worst violation of each row, the surrogate's max over classes. ``code``: the sum over all of
    them, divided by the number of pairs B * B, as public descriptions of the released training have it (unverified).
    Rows of one class do not compete (Delta = 0 for them). Both directions are added.
    """
    check_choice("form", form, FORMS)
    if images.shape != captions.shape or images.ndim != 2:
        raise ReproError(f"joint embedding: {tuple(images.shape)} and {tuple(captions.shape)}; expected [B, dim] twice")
    scores = images @ captions.T
    own = scores.diagonal()
    rival = class_ids[:, None] != class_ids[None, :]
    by_image = (1 + scores - own[:, None]).clamp(min=0) * rival
    by_caption = (1 + scores - own[None, :]).clamp(min=0) * rival
    if form == "printed":
        return by_image.amax(dim=1).mean() + by_caption.amax(dim=0).mean()
    return (by_image + by_caption).sum() / scores.numel()
