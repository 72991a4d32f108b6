"""Image-text matching losses of GR-GAN (Sec. 3.2): DAMSM's scores on CLIP's regions and words.

As coded they are DAMSM's losses (Eq. 8 with the cosine of the appendix), so the two functions are those of
``matching``. Eq. (8) prints gamma in front of the exponentials, where it cancels: ``printed`` is gamma3 = 1.
"""

from torch import Tensor

from t2i_repro.core.choices import FORMS, Form, check_choice
from t2i_repro.losses.matching import damsm_sentence, damsm_words


def itm_sentence(
    code: Tensor, sentence: Tensor, class_ids: Tensor | None, gamma3: float = 10.0, gamma: Form = "code"
) -> tuple[Tensor, Tensor]:
    """L_1^s, L_2^s of Eq. (8) for image codes [M, D] and sentences [M, D]."""
    check_choice("switches.itm_gamma", gamma, FORMS)
    return damsm_sentence(code, sentence, class_ids, gamma3 if gamma == "code" else 1.0)


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
    """L_1^w, L_2^w for regions [M, D, h, w] and words [M, D, T] with lengths [M] in 1..T."""
    check_choice("switches.itm_gamma", gamma, FORMS)
    w0, w1, _ = damsm_words(regions, words, lengths, class_ids, gamma1, gamma2, gamma3 if gamma == "code" else 1.0)
    return w0, w1
