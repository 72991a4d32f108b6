"""Mismatched images: real images that a sentence does not describe (HDGAN, StackGAN, GAN-INT-CLS)."""

import numpy as np
import numpy.typing as npt

from t2i_repro.errors import ReproError

Indices = npt.NDArray[np.int64]


def mismatched_images(index: Indices, members: Indices, class_ids: Indices, draw: np.random.Generator) -> Indices:
    """For each image of ``index`` one of ``members``, uniformly among those of another class.

    ``class_ids`` [N] of all images; ``members``: the images of the split. The released loaders redraw (StackGAN) or
    shift the index by 100 to 200 (HDGAN), which may return the same class again. Without classes, every image has a
    class of its own, so any other image is mismatched. Raises ReproError when the split has a single class.
    """
    if len(np.unique(class_ids[members])) < 2:
        raise ReproError("wrong images: the split has only one class; use at least two")
    wrong = np.empty_like(index)
    open_places = np.arange(len(index))
    while len(open_places):
        wrong[open_places] = members[draw.integers(len(members), size=len(open_places))]
        open_places = open_places[class_ids[wrong[open_places]] == class_ids[index[open_places]]]
    return wrong
