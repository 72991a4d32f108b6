"""Speed of our metrics compared with the installed libraries, in one interleaved run.

    python benchmarks/metrics.py [--rounds 5] [--only frechet,ms-ssim] [--threads 2]

Contestants of one task alternate, round after round, so that other load on the machine affects all of them. Each
round gives one ratio to ours; the table has the median ratio with the lowest and the highest. Seconds of two separate
runs are never compared, and none are stored. CPU seconds count every thread and hold on a busy machine; wall seconds
need a quiet one. Libraries come from an environment of their own; missing ones are named.
"""

import argparse
import importlib
import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch

from t2i_repro.metrics.diversity import distinct_pairs
from t2i_repro.metrics.frechet import frechet_distance, frechet_from_moments
from t2i_repro.metrics.inception_tf import InceptionTF
from t2i_repro.metrics.kernel import kernel_distance, kernel_distance_of_subsets
from t2i_repro.metrics.moments import Moments
from t2i_repro.metrics.precision import r_precision
from t2i_repro.metrics.retrieval_at_k import retrieval
from t2i_repro.metrics.structural_similarity import ms_ssim_of_pairs

Contestants = dict[str, Callable[[], float]]


class Task(NamedTuple):
    """``contestants``: ours first. ``wanted``: ratio that ours has to reach, by the start of a contestant's name."""

    title: str
    contestants: Contestants
    wanted: Mapping[str, float] = MappingProxyType({})


@cache
def library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except Exception as error:  # a library may fail in its own ways
        print(f"# absent: {name} ({type(error).__name__}: {error})")
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
        arguments = one.mean, one.covariance, other.mean, other.covariance
        contestants: Contestants = {"ours": partial(frechet_from_moments, *arguments)}
        wanted = {"scipy": 10.0, "": 1.0} if dimensions == 2048 else {}
        yield Task(f"Frechet from moments, {dimensions}-d", contestants | libraries(*arguments), wanted)
        few = first[:fewer]
        moments = Moments.of(few)
        contestants = {"ours, with both moments": partial(frechet_distance, few, second)}
        theirs = libraries(moments.mean, moments.covariance, other.mean, other.covariance)
        yield Task(f"Frechet of {fewer} and {count} samples, {dimensions}-d", contestants | theirs, wanted)


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
        tensors = [torch.from_numpy(array) for array in (mean1, covariance1, mean2, covariance2)]
        contestants["torchmetrics"] = lambda: float(torchmetrics._compute_fid(*tensors))
    if pytorch_fid := library("pytorch_fid.fid_score"):
        contestants["pytorch-fid"] = lambda: pytorch_fid.calculate_frechet_distance(
            mean1, covariance1, mean2, covariance2
        )
    if clean_fid := library("cleanfid.fid"):
        contestants["clean-fid"] = lambda: clean_fid.frechet_distance(mean1, covariance1, mean2, covariance2)
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
        wanted = {"pytorch-msssim": 4.0} if side == 256 else {}
        yield Task(f"MS-SSIM of {count} pairs of 29 images, {side} px", contestants, wanted)


def our_mean(images: np.ndarray, pairs: np.ndarray) -> float:
    return float(ms_ssim_of_pairs(images, pairs).mean())


def pair_by_pair(images: np.ndarray, pairs: np.ndarray, function: Callable) -> float:
    """Batches of 4, the fastest size of both libraries on CPUs, in float32."""
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
    yield Task("R-precision, 30,000 x 100, 256-d", contestants)
    owner = np.arange(25_000) // 5
    pictures, texts = (
        rng.standard_normal((5000, 512), dtype=np.float32),
        rng.standard_normal((25_000, 512), dtype=np.float32),
    )
    ours: Contestants = {"ours": lambda: retrieval(pictures, texts, owner).text_to_image[10]}
    yield Task("Retrieval, 5,000 x 25,000, 512-d", ours)


def kernels() -> Iterator[Task]:
    first, second = features(3000, 2048, 1), features(3000, 2048, 2) * 1.1
    contestants: Contestants = {"ours": lambda: kernel_distance_of_subsets(first, second, subsets=10)[0]}
    if metric := library("torch_fidelity.metric_kid"):
        tensors = torch.from_numpy(first), torch.from_numpy(second)
        contestants["torch-fidelity"] = lambda: metric.kid_features_to_metric(
            *tensors, kid_subsets=10, kid_subset_size=1000, verbose=False
        )["kernel_inception_distance_mean"]
    yield Task("KID, 10 subsets of 1,000, 2048-d", contestants)
    ours: Contestants = {"ours": lambda: kernel_distance(first, second).value}
    yield Task("KID of 3,000 and 3,000, all pairs, with errors, 2048-d", ours)


def inception() -> Iterator[Task]:
    """Pooled features of 32 images of 256 px by the Inception of the 2015 graph, random weights."""
    if not (module := library("torch_fidelity.feature_extractor_inceptionv3")):
        return
    kind = module.FeatureExtractorInceptionV3
    port = inception_of(kind)
    draw = torch.Generator().manual_seed(0)
    for layer in port.modules():
        if isinstance(layer, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(layer.weight, generator=draw)
        elif isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1, generator=draw)
            layer.running_var.uniform_(0.5, 1.5, generator=draw)
    state = {name: value.clone() for name, value in port.state_dict().items()}
    images = torch.randint(0, 256, (32, 3, 256, 256), dtype=torch.uint8, generator=draw)
    extractors: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {"torch-fidelity": lambda batch: port(batch)[0]}
    if torchmetrics := library("torchmetrics.image.fid"):
        theirs = inception_of(torchmetrics.NoTrainInceptionV3, features=["2048"])
        theirs.load_state_dict(state)
        extractors["torchmetrics"] = lambda batch: theirs._torch_fidelity_forward(batch)[0]
    if pytorch_fid := library("pytorch_fid.inception"):
        with mock.patch.object(pytorch_fid, "load_state_dict_from_url", return_value=state):
            network = pytorch_fid.InceptionV3().eval()
        extractors["pytorch-fid"] = lambda batch: network(batch / 255)[0]
    if library("cleanfid.fid"):
        print("# clean-fid: its Inception is a separate download")
    ours_network = InceptionTF(inception_of(kind, state), torch.device("cpu"))

    def norm_of_features(extract: Callable[[torch.Tensor], torch.Tensor], batch: int) -> float:
        with torch.inference_mode():
            return float(torch.cat([extract(part) for part in images.split(batch)]).double().norm())

    with torch.inference_mode():
        one, other = ours_network(images[:4])[0], port(images[:4])[0]
    error = float(((one - other).norm(dim=1) / other.norm(dim=1)).max())
    print(f"# Inception: features differ from torch-fidelity's by {error:.1e} relative")
    contestants: Contestants = {
        "ours, batches of 16": partial(norm_of_features, lambda batch: ours_network(batch)[0], 16)
    }
    for name, extract in extractors.items():
        sizes = {f"{name}, batches of {batch}": partial(norm_of_features, extract, batch) for batch in (4, 32)}
        contestants |= sizes
    yield Task("Inception features of 32 images, 256 px", contestants, {"": 1.7})


def inception_of(kind: Any, state: dict[str, torch.Tensor] | None = None, features: Any = None) -> Any:
    """torch-fidelity's extractor, or torchmetrics' subclass of it, without a file of weights."""
    with mock.patch("torch.load", return_value={}), mock.patch.object(kind, "load_state_dict"):
        network = kind("inception", features or ["2048", "logits_unbiased"], feature_extractor_weights_path="none")
    if state:
        network.load_state_dict(state)
    return network.eval()


TASKS = {"frechet": frechet, "ms-ssim": ms_ssim, "matching": matching, "kid": kernels, "inception": inception}


def compare(task: Task, rounds: int) -> None:
    wall: dict[str, list[float]] = {name: [] for name in task.contestants}
    cpu: dict[str, list[float]] = {name: [] for name in task.contestants}
    results: dict[str, float] = {}
    for _ in range(rounds):
        for name, function in task.contestants.items():
            before, before_cpu = time.perf_counter(), time.process_time()
            results[name] = float(function())
            wall[name].append(time.perf_counter() - before)
            cpu[name].append(time.process_time() - before_cpu)
    print(f"\n{task.title}")
    ours, *_ = task.contestants
    for name in task.contestants:
        line = f"  {name:30s} {statistics.median(wall[name]):8.3f} s {statistics.median(cpu[name]):8.3f} CPU-s"
        if name != ours:
            by_wall, by_cpu = (ratios(taken[name], taken[ours]) for taken in (wall, cpu))
            difference = results[name] / results[ours] - 1 if results[ours] else float("nan")
            line += f" {statistics.median(by_cpu):6.2f} x CPU ({min(by_cpu):.2f} to {max(by_cpu):.2f})"
            line += f" {statistics.median(by_wall):6.2f} x wall   differs by {difference:+.1e}"
            line += verdict(task, name, statistics.median(by_cpu))
        print(line, flush=True)


def ratios(theirs: list[float], ours: list[float]) -> list[float]:
    """One for each round."""
    return [their / our for their, our in zip(theirs, ours, strict=True)]


def verdict(task: Task, name: str, ratio: float) -> str:
    bounds = [bound for start, bound in task.wanted.items() if name.startswith(start)]
    return f"   {'reaches' if ratio >= max(bounds) else 'MISSES'} {max(bounds):g} x" if bounds else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(TASKS), help="comma-separated, of %(default)s")
    parser.add_argument("--threads", type=int, help="of torch; NumPy's and SciPy's follow OMP_NUM_THREADS")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    load, versions = os.getloadavg()[0], f"NumPy {np.__version__}, torch {torch.__version__}"
    print(f"# {os.cpu_count()} cores, load {load:.1f}, {torch.get_num_threads()} threads in torch, {versions}")
    for name in args.only.split(","):
        for task in TASKS[name]():
            compare(task, args.rounds)


if __name__ == "__main__":
    main()
