"""Metrics: features of images by networks (`embed`), and numbers computed from them (`score`).

The functions below take NumPy arrays and need no torch. Each is in the module of its subject; no module has the name
of a function, so that `from t2i_repro.metrics import inception_score` always means the function.
`definitions/` declares the metrics that protocols of params.yaml name.

    from t2i_repro.metrics import frechet_distance
    frechet_distance(features_a, features_b)

`python -m t2i_repro.metrics` lists them and applies them to files.
"""

from t2i_repro.metrics.cross_modal import (
    Protocol as CrossModalProtocol,
)
from t2i_repro.metrics.cross_modal import (
    cross_modal_distance,
    cross_modal_from_moments,
    cross_modal_interval,
)
from t2i_repro.metrics.diversity import class_wise_ms_ssim, overall_ms_ssim
from t2i_repro.metrics.frechet import frechet_distance, frechet_from_moments
from t2i_repro.metrics.hashing import hashed_splits
from t2i_repro.metrics.inception_splits import contiguous_splits, inception_score
from t2i_repro.metrics.infinity import frechet_infinity
from t2i_repro.metrics.kernel import kernel_distance, kernel_distance_of_subsets
from t2i_repro.metrics.moments import Moments
from t2i_repro.metrics.precision import r_precision, r_precision_of_candidates
from t2i_repro.metrics.retrieval_at_k import retrieval
from t2i_repro.metrics.semantic import vs_similarity
from t2i_repro.metrics.shards import join_shards
from t2i_repro.metrics.structural_similarity import ms_ssim, ms_ssim_of_pairs
from t2i_repro.metrics.uncertainty import frechet_interval, frechet_noise_floor, wilson

__all__ = [
    "CrossModalProtocol",
    "Moments",
    "class_wise_ms_ssim",
    "contiguous_splits",
    "cross_modal_distance",
    "cross_modal_from_moments",
    "cross_modal_interval",
    "frechet_distance",
    "frechet_from_moments",
    "frechet_infinity",
    "frechet_interval",
    "frechet_noise_floor",
    "hashed_splits",
    "inception_score",
    "join_shards",
    "kernel_distance",
    "kernel_distance_of_subsets",
    "ms_ssim",
    "ms_ssim_of_pairs",
    "overall_ms_ssim",
    "r_precision",
    "r_precision_of_candidates",
    "retrieval",
    "vs_similarity",
    "wilson",
]
