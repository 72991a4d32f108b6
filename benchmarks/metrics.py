"""Speed of our metrics beside the libraries that are installed, in one interleaved run.

    python benchmarks/metrics.py [--rounds 3] [--only frechet,ms-ssim]

Contestants of one task take turns, so that whatever else the machine does hits all of them. Printed: median wall and
CPU seconds, ratios to ours, and how far the results differ. Libraries come from an environment of their own; those
that cannot be imported are left out.
"""

import argparse
import importlib
import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from t2i_repro.metrics.diversity import distinct_pairs
from t2i_repro.metrics.frechet import frechet_distance, frechet_from_moments
from t2i_repro.metrics.kernel import kernel_distance, kernel_distance_of_subsets
from t2i_repro.metrics.moments import Moments
from t2i_repro.metrics.precision import r_precision
from t2i_repro.metrics.recall import retrieval
from t2i_repro.metrics.structural import ms_ssim_of_pairs

Contestants = dict[str, Callable[[], float]]
Task = tuple[str, Contestants]


def library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:  # a library may fail in its own ways
        print(f"# without {name}: {type(error).__name__}: {error}")
        return None


def features(count: int, dimensions: int, seed: int) -> np.ndarray:
    """Like pooled activations: not negative, correlated."""
    rng = np.random.default_rng(seed)
    hidden = rng.standard_normal((count, dimensions // 8), dtype=np.float32)
    mixing = np.random.default_rng(0).standard_normal((dimensions // 8, dimensions), dtype=np.float32)
    noise = rng.standard_normal((count, dimensions), dtype=np.float32)
    return np.maximum(hidden @ mixing / np.sqrt(dimensions // 8) + noise, 0)


def frechet() -> Iterator[Task]:
    for dimensions, count, fewer in ((512, 5000, 400), (2048, 5000, 1000)):
        first, second = features(count, dimensions, 1), features(count, dimensions, 2) * 1.1
        one, other = Moments.of(first), Moments.of(second)
        given = one.mean, one.covariance, other.mean, other.covariance
        contestants: Contestants = {"ours": partial(frechet_from_moments, *given)}
        yield f"Frechet from moments, {dimensions}-d", contestants | libraries(*given)
        few = first[:fewer]
        moments = Moments.of(few)
        contestants = {"ours, with both moments": partial(frechet_distance, few, second)}
        theirs = libraries(moments.mean, moments.covariance, other.mean, other.covariance)
        yield f"Frechet of {fewer} and {count} samples, {dimensions}-d", contestants | theirs


def libraries(mean1: np.ndarray, covariance1: np.ndarray, mean2: np.ndarray, covariance2: np.ndarray) -> Contestants:
    contestants: Contestants = {}

    def with_root(root: Callable) -> float:
        traces = np.trace(covariance1) + np.trace(covariance2) - 2 * np.trace(root(covariance1 @ covariance2).real)
        return float((mean1 - mean2) @ (mean1 - mean2) + traces)

    if linalg := library("scipy.linalg"):
        contestants["scipy sqrtm"] = lambda: with_root(linalg.sqrtm)
    if fidelity := library("torch_fidelity.metric_fid"):
        statistics1, statistics2 = {"mu": mean1, "sigma": covariance1}, {"mu": mean2, "sigma": covariance2}
        contestants["torch-fidelity"] = lambda: fidelity.fid_statistics_to_metric(statistics1, statistics2, False)[
            "frechet_inception_distance"
        ]
    if torchmetrics := library("torchmetrics.image.fid"):
        import torch

        tensors = [torch.from_numpy(given) for given in (mean1, covariance1, mean2, covariance2)]
        contestants["torchmetrics"] = lambda: float(torchmetrics._compute_fid(*tensors))
    if pytorch_fid := library("pytorch_fid.fid_score"):
        contestants["pytorch-fid"] = lambda: pytorch_fid.calculate_frechet_distance(
            mean1, covariance1, mean2, covariance2
        )
    return contestants


def ms_ssim() -> Iterator[Task]:
    for side, count in ((64, 400), (128, 400), (256, 200)):
        rng = np.random.default_rng(0)
        coarse = rng.integers(0, 100, (29, 8, 8, 3)) + rng.integers(0, 100, (1, 8, 8, 3))
        fine = rng.integers(0, 25, (29, side, side, 3)) + rng.integers(0, 25, (1, side, side, 3))
        images = coarse.repeat(side // 8, 1).repeat(side // 8, 2) + fine
        images = images.astype(np.uint8)
        pairs = distinct_pairs(range(29), 400)[:count]
        contestants: Contestants = {"ours": partial(our_mean, images, pairs)}
        if side == 256 and (pytorch_msssim := library("pytorch_msssim")):
            contestants["pytorch-msssim"] = partial(pair_by_pair, images, pairs, pytorch_msssim.ms_ssim)
        if side == 256 and (torchmetrics := library("torchmetrics.functional.image")):
            function = torchmetrics.multiscale_structural_similarity_index_measure
            contestants["torchmetrics"] = partial(pair_by_pair, images, pairs, function)
        yield f"MS-SSIM of {count} pairs of 29 images, {side} px", contestants


def our_mean(images: np.ndarray, pairs: np.ndarray) -> float:
    return float(ms_ssim_of_pairs(images, pairs).mean())


def pair_by_pair(images: np.ndarray, pairs: np.ndarray, function: Callable) -> float:
    """Batches of 4, the fastest size of both libraries on CPUs, in float32."""
    import torch

    tensors = torch.from_numpy(images).permute(0, 3, 1, 2).float().contiguous()
    batches = [pairs[start : start + 4] for start in range(0, len(pairs), 4)]
    values = [float(function(tensors[batch[:, 0]], tensors[batch[:, 1]], data_range=255.0)) for batch in batches]
    return float(np.mean(values))


def matching() -> Iterator[Task]:
    rng = np.random.default_rng(0)
    captions = rng.standard_normal((29_330, 256), dtype=np.float32)
    own = rng.integers(0, len(captions), 30_000)
    images = captions[own] + 3 * rng.standard_normal((30_000, 256), dtype=np.float32)
    groups = rng.integers(0, 50, len(captions))

    def one_by_one() -> float:
        normal = captions / np.linalg.norm(captions, axis=1)[:, None]
        others = rng.integers(0, len(captions), (2000, 99))
        hits = 0
        for row in range(2000):
            scores = normal[[own[row], *others[row]]] @ images[row]
            hits += scores.argmax() == 0
        return hits / 2000

    contestants = {
        "ours": lambda: r_precision(images, captions, own, groups).value,
        "loop over 2,000 images only": one_by_one,
    }
    yield "R-precision, 30,000 x 100, 256-d", contestants
    owner = np.arange(25_000) // 5
    pictures, texts = (
        rng.standard_normal((5000, 512), dtype=np.float32),
        rng.standard_normal((25_000, 512), dtype=np.float32),
    )
    yield "Retrieval, 5,000 x 25,000, 512-d", {"ours": lambda: retrieval(pictures, texts, owner).text_to_image[10]}


def kernels() -> Iterator[Task]:
    first, second = features(3000, 2048, 1), features(3000, 2048, 2) * 1.1
    contestants: Contestants = {"ours": lambda: kernel_distance_of_subsets(first, second, subsets=10)[0]}
    if metric := library("torch_fidelity.metric_kid"):
        import torch

        tensors = torch.from_numpy(first), torch.from_numpy(second)
        contestants["torch-fidelity"] = lambda: metric.kid_features_to_metric(
            *tensors, kid_subsets=10, kid_subset_size=1000, verbose=False
        )["kernel_inception_distance_mean"]
    yield "KID, 10 subsets of 1,000, 2048-d", contestants
    yield (
        "KID of 3,000 and 3,000, all pairs, with errors, 2048-d",
        {"ours": lambda: kernel_distance(first, second).value},
    )


def inception() -> Iterator[Task]:
    """Pooled features of 32 images of 256 px by the Inception of the 2015 graph, random weights."""
    if not (module := library("torch_fidelity.feature_extractor_inceptionv3")):
        return
    import copy
    from unittest import mock

    import torch

    from t2i_repro.metrics.folding import frozen

    kind = module.FeatureExtractorInceptionV3
    with mock.patch("torch.load", return_value={}), mock.patch.object(kind, "load_state_dict"):
        theirs = kind("inception", ["2048", "logits_unbiased"], feature_extractor_weights_path="none")
    draw = torch.Generator().manual_seed(0)
    for layer in theirs.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, generator=draw)
        elif isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1, generator=draw)
            layer.running_var.uniform_(0.5, 1.5, generator=draw)
    ours = frozen(copy.deepcopy(theirs), torch.device("cpu"))
    images = torch.randint(0, 256, (32, 3, 256, 256), dtype=torch.uint8, generator=draw)

    def looked(network: Any) -> float:
        with torch.inference_mode():
            return float(np.mean([float(network(images[start : start + 16])[0].double().norm()) for start in (0, 16)]))

    with torch.inference_mode():
        one, other = ours(images[:2])[0], theirs(images[:2])[0]
    print(f"# Inception: features differ by {float((one - other).norm() / other.norm()):.1e} relative")
    contestants: Contestants = {"ours": partial(looked, ours), "torch-fidelity": partial(looked, theirs)}
    yield "Inception features of 32 images, 256 px", contestants


TASKS = {"frechet": frechet, "ms-ssim": ms_ssim, "matching": matching, "kid": kernels, "inception": inception}


def compare(title: str, contestants: Contestants, rounds: int) -> None:
    wall: dict[str, list[float]] = {name: [] for name in contestants}
    cpu: dict[str, list[float]] = {name: [] for name in contestants}
    results: dict[str, float] = {}
    for _ in range(rounds):
        for name, function in contestants.items():
            before, before_cpu = time.perf_counter(), time.process_time()
            results[name] = float(function())
            wall[name].append(time.perf_counter() - before)
            cpu[name].append(time.process_time() - before_cpu)
    print(f"\n{title}")
    ours, *_ = contestants
    for name in contestants:
        seconds, busy = statistics.median(wall[name]), statistics.median(cpu[name])
        line = f"  {name:30s} {seconds:9.3f} s {busy:9.3f} CPU-s"
        if name != ours:
            ratios = [theirs / mine for theirs, mine in zip(wall[name], wall[ours], strict=True)]
            difference = results[name] / results[ours] - 1 if results[ours] else float("nan")
            line += f"   {statistics.median(ratios):6.1f} x wall {busy / statistics.median(cpu[ours]):6.1f} x CPU"
            line += f"   differs by {difference:+.1e}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(TASKS), help="comma-separated, of %(default)s")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"# {os.cpu_count()} cores, load {load:.1f}, NumPy {np.__version__}")
    for name in given.only.split(","):
        for title, contestants in TASKS[name]():
            compare(title, contestants, given.rounds)


if __name__ == "__main__":
    main()
