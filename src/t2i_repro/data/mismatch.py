"""Wrong images: real ones that do not belong to a sentence (HDGAN, StackGAN, GAN-INT-CLS)."""

import numpy as np
import numpy.typing as npt

from t2i_repro.errors import ReproError

Numbers = npt.NDArray[np.int64]


def mismatched_images(index: Numbers, members: Numbers, class_ids: Numbers, draw: np.random.Generator) -> Numbers:
    """For each image of ``index`` one of ``members``, uniformly among those of another class.

    ``class_ids`` [N] of all images, ``members`` the split's. The released loaders redraw (StackGAN) or shift the
    number by 100 to 200 (HDGAN), which may meet the same class again. Where a dataset has no classes, every image is
    its own, so any other image is wrong. Raises ReproError when the split has a single class.
    """
    if len(np.unique(class_ids[members])) < 2:
        raise ReproError("wrong images: the split has one class only, so no image is of another; use more classes")
    wrong = np.empty_like(index)
    open_places = np.arange(len(index))
    while len(open_places):
        wrong[open_places] = members[draw.integers(len(members), size=len(open_places))]
        open_places = open_places[class_ids[wrong[open_places]] == class_ids[index[open_places]]]
    return wrong
