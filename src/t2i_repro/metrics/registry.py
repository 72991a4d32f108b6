"""What each metric of params.yaml's `protocols` does with the artefacts it is given. Nothing here needs torch.

A function takes the `Given` inputs and the protocol's keys, and returns a `Result` in the unit that papers print.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import numpy as np

from t2i_repro.errors import ReproError
from t2i_repro.metrics.counts import score_dataset, score_devices, score_parameters
from t2i_repro.metrics.cross_modal import cross_modal_distance, cross_modal_interval, cross_modal_noise_floor
from t2i_repro.metrics.diversity import Diversity, class_wise_ms_ssim, overall_ms_ssim
from t2i_repro.metrics.features import Features
from t2i_repro.metrics.frechet import frechet_distance
from t2i_repro.metrics.images import Images
from t2i_repro.metrics.inception import hashed_splits, inception_score
from t2i_repro.metrics.infinity import frechet_infinity
from t2i_repro.metrics.inputs import Given, Result, needed
from t2i_repro.metrics.kernel import kernel_distance
from t2i_repro.metrics.moments import ROWS, Array
from t2i_repro.metrics.precision import RPrecision, r_precision
from t2i_repro.metrics.quantiles import normal_quantile, student_quantile
from t2i_repro.metrics.retrieval_at_k import retrieval
from t2i_repro.metrics.semantic import cosines, of_cosines
from t2i_repro.metrics.uncertainty import Interval, frechet_interval, frechet_noise_floor, hashed_order, wilson

GROUPS = 20  # of the jackknife; fewer where there are not two samples for each
CONFIDENCE = 0.95
FLOORS = 10  # repeats of the noise floor


def groups_for(count: int) -> int:
    return min(GROUPS, count // 2)


def around(value: float, error: float, method: str, freedom: int | None = None) -> dict[str, Any] | None:
    """The 95% interval of a value with a standard error, which was estimated with ``freedom`` degrees (None: many)."""
    if not np.isfinite(error):
        return None
    half = error * (normal_quantile(CONFIDENCE) if freedom is None else student_quantile(CONFIDENCE, freedom))
    ends = {"low": value - half, "high": value + half, "error": float(error)}
    return {**ends, "method": method, "confidence": CONFIDENCE}


def proportion(low: float, high: float) -> dict[str, Any]:
    """Wilson's interval in per cent, with the standard error it stands for."""
    error = 100 * (high - low) / 2 / normal_quantile(CONFIDENCE)
    return {"low": 100 * low, "high": 100 * high, "error": error, "method": "Wilson", "confidence": CONFIDENCE}


def score_inception(given: Given, spec: dict[str, Any]) -> Result:
    """IS: mean and population standard deviation over splits; the standard error of that mean beside it."""
    features: Features = needed(given.features, "features")
    splits = spec["splits"]
    if features.probabilities is None:
        raise ReproError(f"{features.folder}: {features.facts['network']} has no classes, so no Inception Score")
    if len(features.probabilities) < splits:
        raise ReproError(
            f"protocol {spec['protocol']} cuts the samples into {splits} splits, and {features.facts['images']} has "
            f"{len(features.probabilities)} images; expected at least {splits}"
        )
    value, std = inception_score(features.probabilities, splits)
    details = {"splits": splits, "split_by": "hash of the sample's index", "classes": features.facts["classes"]}
    if splits < 2:
        return Result(value, len(features.pooled), std, details)
    error = std / np.sqrt(splits - 1)
    interval = around(value, error, "standard error of the mean over splits", splits - 1)
    return Result(value, len(features.pooled), std, details, interval)


def score_frechet(given: Given, spec: dict[str, Any]) -> Result:
    """FID with its jackknife interval, and two floors to read it by: of a perfect generator, and between halves of
    the reference."""
    features, reference = needed(given.features, "features"), needed(given.reference, "reference")
    details: dict[str, Any] = {"dimensions": features.facts["dimensions"]}
    halves = hashed_splits(np.arange(len(reference.pooled)), 2)
    first, second = np.flatnonzero(halves == 0), np.flatnonzero(halves == 1)
    if len(second) >= 2:
        between = frechet_distance(np.asarray(reference.pooled[first]), np.asarray(reference.pooled[second]))
        details["noise_floor"] = {"value": between, "n": [len(first), len(second)], "of": "two halves of the reference"}
    count = len(features.pooled)
    interval = frechet_interval(features.pooled, reference.pooled, groups_for(count)) if count >= 4 else None
    floor = asdict(frechet_noise_floor(reference.pooled, count, FLOORS))
    value = frechet_distance(features.pooled, reference.pooled) if interval is None else interval.value
    return Result(value, count, None, details, told(interval), floor)


def score_frechet_infinity(given: Given, spec: dict[str, Any]) -> Result:
    """FID extrapolated to infinitely many samples; its interval is that of the straight line, a lower bound."""
    features, reference = needed(given.features, "features"), needed(given.reference, "reference")
    found = frechet_infinity(features.pooled, reference.pooled, points=spec.get("points", 15))
    interval = around(found.value, found.error, "residuals of the line", len(found.points) - 2)
    return Result(found.value, len(features.pooled), None, {**asdict(found), "std_over": None}, interval)


def score_kernel(given: Given, spec: dict[str, Any]) -> Result:
    """KID of all pairs with its jackknife standard error."""
    features, reference = needed(given.features, "features"), needed(given.reference, "reference")
    found = kernel_distance(features.pooled, reference.pooled)
    interval = around(found.value, found.error_of_first, "delete-one jackknife")
    return Result(found.value, len(features.pooled), None, {"error_of_both": found.error}, interval)


def score_r_precision(given: Given, spec: dict[str, Any]) -> Result:
    """R-precision in per cent; ± over folds as printed, Wilson's interval beside it."""
    features, captions = needed(given.features, "features"), needed(given.captions, "captions")
    own = rows_of(captions.origin[:, 1], features.origin[:, 1], "caption")
    groups = captions.origin[:, 2] if captions.facts["has_classes"] else captions.origin[:, 0]
    candidates, folds, compat = spec.get("candidates", 100), spec.get("folds", 10), spec.get("compat", False)
    found: RPrecision = r_precision(
        features.pooled,
        captions.pooled,
        own,
        groups,
        caption_ids=captions.origin[:, 1],
        candidates=candidates,
        folds=folds,
        compat=compat,
    )
    details = {
        "splits": folds,
        "std_over": f"{folds} folds",
        "candidates": candidates,
        "captions": len(groups),
        "ties": found.ties,
        "mismatching": "another class" if captions.facts["has_classes"] else "another image",
    }
    return Result(100 * found.value, found.images, 100 * found.std, details, proportion(found.low, found.high))


def score_retrieval(given: Given, spec: dict[str, Any]) -> Result:
    """R@K in per cent between real images and their captions."""
    reference, captions = needed(given.reference, "reference"), needed(given.captions, "captions")
    asked, there = spec["images"], len(reference.pooled)
    chosen = np.sort(hashed_order(reference.origin[:, 0], there, "retrieval")[:asked])
    owners = captions.origin[:, 0]
    kept = np.flatnonzero(np.isin(owners, reference.origin[chosen, 0]))
    owner = rows_of(reference.origin[chosen, 0], owners[kept], "image")
    found = retrieval(reference.pooled[chosen], captions.pooled[kept], owner, (spec["k"],))
    share = (found.image_to_text if spec["direction"] == "image-to-text" else found.text_to_image)[spec["k"]]
    details = {"images": found.images, "captions": found.captions, "ties": found.ties, "k": spec["k"]}
    short = [f"{there} images of {asked}"] if there < asked else []
    asked_of = found.images if spec["direction"] == "image-to-text" else found.captions
    interval = proportion(*wilson(round(share * asked_of), asked_of))
    details["direction"] = spec["direction"]
    return Result(100 * share, found.images, None, details, interval, shortfalls=short)


def score_ms_ssim(given: Given, spec: dict[str, Any]) -> Result:
    """MS-SSIM of pairs of samples, overall or within classes; value: its mean, or the deviation between classes."""
    images: Images = needed(given.images, "images")
    compat, pairs = spec.get("compat", False), spec["pairs"]
    rows = cast(Sequence[np.ndarray], _Rows(images))
    found: Diversity
    if spec["of"] == "classes":
        found = class_wise_ms_ssim(rows, images.origin[:, 2], pairs, compat=compat, sample=spec.get("sample"))
    else:
        sample = {"sample": spec["sample"]} if "sample" in spec else {}
        found = overall_ms_ssim(rows, pairs, compat=compat, **sample)
    over = f"{len(found.by_class)} classes" if found.by_class else "pairs"
    details: dict[str, Any] = {
        "pairs": found.pairs,
        "undefined": found.undefined,
        "mean": found.mean,
        "deviation": found.std,
    }
    details |= {"by_class": {str(label): value for label, value in found.by_class.items()}, "std_over": over}
    # Of independent classes, or pairs (which share images: a lower bound).
    free = (len(found.by_class) or found.pairs) - 1
    deviation = spec["value"] == "deviation"
    value = found.std if deviation else found.mean
    if free < 1:
        return Result(value, images.count, None, details)
    error = found.std / np.sqrt(2 * free if deviation else free)
    interval = around(value, error, f"standard error over {'classes' if found.by_class else 'pairs'}", free)
    return Result(value, images.count, None, details, interval)


class _Rows:
    """Images one by one, as MS-SSIM reads them."""

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return self.images.count

    def __getitem__(self, row: Any) -> np.ndarray:
        return self.images.read(int(row), int(row) + 1)[0]


def score_vs_similarity(given: Given, spec: dict[str, Any]) -> Result:
    """Mean cosine of each sample and its caption in the judge's joint space."""
    features, captions = needed(given.features, "features"), needed(given.captions, "captions")
    folder: Path = needed(given.judge, "judge")
    maps = {name: np.load(folder / f"{name}.npy") for name in ("image", "text")}
    own = rows_of(captions.origin[:, 1], captions_of(features, captions), "caption")
    parts = []
    for start in range(0, len(own), ROWS):
        rows = {"image": features.pooled[start : start + ROWS], "text": captions.pooled[own[start : start + ROWS]]}
        joint = [part.astype(np.float64) @ maps[name][:-1] + maps[name][-1] for name, part in rows.items()]
        parts.append(cosines(*joint))
    found = of_cosines(np.concatenate(parts))
    interval = around(found.mean, found.std / np.sqrt(found.pairs), "standard error of the mean")
    details = {"std_over": f"{found.pairs} images", "joint": maps["image"].shape[1]}
    own_judge = ["the ranking network is ours: only its order compares"]
    return Result(found.mean, found.pairs, found.std, details, interval, shortfalls=own_judge)


def score_cross_modal(given: Given, spec: dict[str, Any]) -> Result:
    """CMD, or its text part ITDis."""
    fake, real, text = (needed(getattr(given, role), role) for role in ("features", "reference", "captions"))
    arrays: tuple[Array, Array, Array] = fake.pooled, real.pooled, text.pooled
    found = cross_modal_distance(*arrays, spec["scaling"])
    value = found.cmd if spec["value"] == "cmd" else found.itdis
    details = {key: number for key, number in asdict(found).items() if key != "protocol"}
    details |= {"real": len(real.pooled), "captions": len(text.pooled), "scaling": spec["scaling"]}
    count = len(fake.pooled)
    interval = cross_modal_interval(*arrays, spec["scaling"], groups_for(count), of=spec["value"])
    if spec["value"] != "cmd":
        return Result(value, count, None, details, told(interval))
    floor = asdict(cross_modal_noise_floor(real.pooled, text.pooled, count, spec["scaling"], FLOORS))
    return Result(value, count, None, details, told(interval), floor)


def captions_of(features: Features, captions: Features) -> np.ndarray:
    """Number of the caption of each sample; of real images, which have several, their first."""
    order = np.argsort(captions.origin[:, 1], kind="stable")
    owners, first = np.unique(captions.origin[order, 0], return_index=True)
    images = features.origin[:, 0]
    numbers = features.origin[:, 1].copy()
    real = numbers < 0
    numbers[real] = captions.origin[order[first[rows_of(owners, images[real], "image")]], 1]
    return numbers


def rows_of(known: np.ndarray, wanted: np.ndarray, what: str) -> np.ndarray:
    """Row in ``known`` of each of ``wanted``. Raises ReproError where one is not there, or twice."""
    order = np.argsort(known, kind="stable")
    ordered = known[order]
    if len(ordered) > 1 and (np.diff(ordered) == 0).any():
        raise ReproError(f"{what} {ordered[:-1][np.diff(ordered) == 0][0]} is there twice; expected distinct ones")
    places = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    absent = wanted[ordered[places] != wanted]
    if len(absent):
        raise ReproError(
            f"{what} {absent[0]} of the samples is not among the {len(known)} known ones: samples of another split, or "
            f"without a captions.csv?"
        )
    return order[places]


def told(interval: Interval | None) -> dict[str, Any] | None:
    return None if interval is None else asdict(interval)


Scorer = Callable[[Given, dict[str, Any]], Result]

METRICS: dict[str, Scorer] = {
    "inception-score": score_inception,
    "frechet-distance": score_frechet,
    "frechet-infinity": score_frechet_infinity,
    "kernel-distance": score_kernel,
    "r-precision": score_r_precision,
    "retrieval": score_retrieval,
    "ms-ssim": score_ms_ssim,
    "vs-similarity": score_vs_similarity,
    "cross-modal-distance": score_cross_modal,
    "parameters": score_parameters,
    "devices": score_devices,
    "dataset": score_dataset,
}
