"""Against other people's libraries, where they are installed, on shared random features and images.

Tolerances are the libraries' own errors. torchmetrics casts its Frechet distance to float32 (1e-6 relative);
pytorch-fid, clean-fid and torch-fidelity take square roots or eigenvalues of a non-symmetric product (1e-8 at this
condition); torch-fidelity keeps IS and KID in float64, torchmetrics KID in the features' type. pytorch-msssim works in
float32, averages channels after taking powers instead of before, and halves its pictures without regard to the window's
border (2e-3).
"""

from typing import Any

import numpy as np
import pytest

from t2i_repro.metrics import (
    contiguous_splits,
    frechet_distance,
    inception_score,
    kernel_distance,
    kernel_distance_of_subsets,
    ms_ssim,
)
from t2i_repro.metrics.moments import Moments

RNG = np.random.default_rng(0)
FIRST = np.maximum(RNG.standard_normal((600, 64)) @ RNG.standard_normal((64, 64)) / 8 + 0.3, 0)
SECOND = np.maximum(RNG.standard_normal((500, 64)) @ RNG.standard_normal((64, 64)) / 7 + 0.2, 0)


def library(name: str) -> Any:
    return pytest.importorskip(name, reason=f"{name} is not installed", exc_type=ImportError)


def moments() -> list[np.ndarray]:
    one, other = Moments.of(FIRST), Moments.of(SECOND)
    return [one.mean, one.covariance, other.mean, other.covariance]


def test_frechet_of_pytorch_fid() -> None:
    module = library("pytorch_fid.fid_score")
    assert frechet_distance(FIRST, SECOND) == pytest.approx(module.calculate_frechet_distance(*moments()), rel=1e-8)


def test_frechet_of_torchmetrics() -> None:
    torch = library("torch")
    module = library("torchmetrics.image.fid")
    theirs = float(module._compute_fid(*(torch.from_numpy(given) for given in moments())))
    assert frechet_distance(FIRST, SECOND) == pytest.approx(theirs, rel=1e-6)


def test_frechet_of_torch_fidelity() -> None:
    module = library("torch_fidelity.metric_fid")
    mean1, covariance1, mean2, covariance2 = moments()
    given = {"mu": mean1, "sigma": covariance1}, {"mu": mean2, "sigma": covariance2}
    theirs = module.fid_statistics_to_metric(*given, False)["frechet_inception_distance"]
    assert frechet_distance(FIRST, SECOND) == pytest.approx(theirs, rel=1e-8)


def test_frechet_of_clean_fid() -> None:
    module = library("cleanfid.fid")
    assert frechet_distance(FIRST, SECOND) == pytest.approx(module.frechet_distance(*moments()), rel=1e-8)


def test_kid_of_torchmetrics() -> None:
    """All pairs, in the type of the features: float64 here. Theirs is for sets of equal size alone."""
    first = FIRST[: len(SECOND)]
    torch = library("torch")
    module = library("torchmetrics.image.kid")
    theirs = float(module.poly_mmd(torch.from_numpy(first), torch.from_numpy(SECOND)))
    assert kernel_distance(first, SECOND).value == pytest.approx(theirs, rel=1e-9)


def test_kid_of_torch_fidelity() -> None:
    torch = library("torch")
    module = library("torch_fidelity.metric_kid")
    theirs = module.kid_features_to_metric(
        torch.from_numpy(FIRST), torch.from_numpy(SECOND), kid_subsets=10, kid_subset_size=200, verbose=False
    )
    mean, std = kernel_distance_of_subsets(FIRST, SECOND, 10, 200)
    assert mean == pytest.approx(theirs["kernel_inception_distance_mean"], rel=1e-9)
    assert std == pytest.approx(theirs["kernel_inception_distance_std"], rel=1e-9)


def test_inception_score_of_torch_fidelity() -> None:
    torch = library("torch")
    module = library("torch_fidelity.metric_isc")
    logits = 3 * RNG.standard_normal((600, 20))
    theirs = module.isc_features_to_metric(torch.from_numpy(logits), splits=10, shuffle=False)
    exponents = np.exp(logits)
    probabilities = exponents / exponents.sum(axis=1, keepdims=True)
    mean, std = inception_score(probabilities, 10, contiguous_splits(600, 10))
    assert mean == pytest.approx(theirs["inception_score_mean"], rel=1e-9)
    assert std == pytest.approx(theirs["inception_score_std"], rel=1e-7)


def test_ms_ssim_of_pytorch_msssim() -> None:
    torch = library("torch")
    module = library("pytorch_msssim")
    coarse = RNG.integers(0, 200, (1, 16, 16, 3)).repeat(16, 1).repeat(16, 2)
    images = (coarse + RNG.integers(0, 50, (2, 256, 256, 3))).astype(np.uint8)
    tensors = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    theirs = float(module.ms_ssim(tensors[:1], tensors[1:], data_range=255.0))
    assert ms_ssim(images[0], images[1]) == pytest.approx(theirs, abs=2e-3)
