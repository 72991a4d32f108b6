"""Visual-semantic similarity (HDGAN, Eq. 5 and Sec. 4): cosine of image and caption in a learned joint space.

HDGAN prints mean +- standard deviation over test images (Tables 4 and 5: .246 +- .157 on CUB, real images .302 +-
.151). The network that maps to the joint space is trained on real pairs; its weights were not released, so numbers
compare within one network only (`ranking_network.py`).
"""

from dataclasses import dataclass

import numpy as np

from t2i_repro.errors import ReproError
from t2i_repro.metrics.moments import Array, Float64
from t2i_repro.metrics.retrieval_at_k import unit


@dataclass(frozen=True)
class VsSimilarity:
    """Mean cosine, in [-1, 1], population standard deviation over pairs (spread, not error of the mean), number of
    pairs."""

    mean: float
    std: float
    pairs: int


def vs_similarity(images: Array, captions: Array) -> VsSimilarity:
    """Score of ``images`` and ``captions``, both [N, 512] in the joint space: row i of one belongs to row i of the
    other.

    Any length of rows; float64 inside. Raises ReproError on shapes that differ, zero or non-finite rows.
    """
    return of_cosines(cosines(images, captions))


def cosines(images: Array, captions: Array) -> Float64:
    """Cosine of each row of ``images`` and the same row of ``captions``, [N]."""
    pictures, texts = unit(images, "images in the joint space"), unit(captions, "captions in the joint space")
    if pictures.shape != texts.shape:
        raise ReproError(
            f"VS similarity: images {pictures.shape}, captions {texts.shape}; expected one caption for each image"
        )
    return np.asarray(np.einsum("nd,nd->n", pictures, texts))


def of_cosines(values: Float64) -> VsSimilarity:
    return VsSimilarity(float(values.mean()), float(values.std()), len(values))
