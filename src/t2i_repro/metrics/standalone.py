"""`python -m t2i_repro score --samples DIR ...`: the evaluator on anybody's images, without the pipeline.

    python -m t2i_repro score --samples fake/ --real real.zip --protocol fid:tf --protocol kid:tf --images 30000
    python -m t2i_repro score --samples fake.npz --captions c.csv --real real/ --protocol cmd:grgan --json out.json

Protocols are those of params.yaml. Weights: `python -m t2i_repro fetch inception-tf-2015 --to DIR`, then --weights DIR;
their SHA-256 is checked. --network NAME=FOLDER puts an artefact of the pipeline in a network's place, labelled so.
Captions: a .csv with a column `caption` (optional: `file`, `class`), or one caption a line, in the images' order.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from t2i_repro.core.config import load_params
from t2i_repro.core.record import write_json
from t2i_repro.errors import ReproError
from t2i_repro.metrics.features import Features
from t2i_repro.metrics.images import Images
from t2i_repro.metrics.inputs import Given, Result
from t2i_repro.metrics.registry import METRICS
from t2i_repro.metrics.score import label
from t2i_repro.metrics.sources import Source, open_source, read_captions

if TYPE_CHECKING:
    from t2i_repro.metrics.standalone_features import Looking

ALONE = (
    "inception-score",
    "frechet-distance",
    "frechet-infinity",
    "kernel-distance",
    "r-precision",
    "ms-ssim",
    "cross-modal-distance",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--samples", type=Path, metavar="IMAGES", help="folder, .zip, .npz or .npy of generated images")
    parser.add_argument("--real", type=Path, metavar="IMAGES", help="real images; brought to the samples' size")
    parser.add_argument("--captions", type=Path, metavar="FILE", help="captions of the samples")
    parser.add_argument("--protocol", action="append", default=[], metavar="NAME", help="of params.yaml; several times")
    parser.add_argument("--images", type=int, metavar="N", help="number of samples; default: what the papers use")
    parser.add_argument("--weights", type=Path, default=Path(), metavar="DIR", help="folder of fetched weights")
    parser.add_argument("--network", action="append", default=[], metavar="NAME=FOLDER", help="an artefact instead")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep features there, by content")
    parser.add_argument("--lossy", action="store_true", help="take samples in lossy formats (JPEG), and say so")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")


def main(args: argparse.Namespace) -> None:
    """Score and print a table. Raises ReproError on the wrong N, on lossy or unfit images, on missing weights."""
    params = load_params(Path.cwd())
    if args.samples is None or not args.protocol:
        raise ReproError("expected --spec FILE, or --samples IMAGES with --protocol NAME; see --help")
    protocols = {name: known_protocol(name, params) for name in args.protocol}
    samples = open_source(args.samples)
    asked = args.images or params["sample"]["images"]
    for name in protocols:
        if len(samples) != asked:
            raise ReproError(
                f"protocol {name} asks {asked} images, there are {len(samples)} in {args.samples}. A number at another "
                f"N is another number; --images {len(samples)} asks for it"
            )
    if samples.lossy and not args.lossy:
        raise ReproError(
            f"{args.samples}: {samples.lossy} of {len(samples)} images are in lossy formats, which changes scores; "
            f"save PNG, or give --lossy"
        )
    real = None if args.real is None else open_source(args.real)
    texts = None if args.captions is None else read_captions(args.captions, samples)
    with tempfile.TemporaryDirectory() as scratch:
        from t2i_repro.metrics.standalone_features import Looking

        looking = Looking(params, args.weights, dict(entry.split("=", 1) for entry in args.network))
        results = score_all(looking, protocols, samples, real, texts, args.cache or Path(scratch))
    print(shown(results))
    if args.json is not None:
        write_json(args.json, results)


def known_protocol(name: str, params: dict[str, Any]) -> dict[str, Any]:
    usable = [key for key, entry in params["protocols"].items() if entry["metric"] in ALONE]
    if name not in usable:
        raise ReproError(f"--protocol: found {name!r}; allowed: {', '.join(usable)}")
    return params["protocols"][name]


def score_all(
    looking: "Looking",
    protocols: dict[str, dict[str, Any]],
    samples: Source,
    real: Source | None,
    texts: list[tuple[str, int]] | None,
    store: Path,
) -> list[dict[str, Any]]:
    """Every image is decoded once for all protocols, and again for MS-SSIM alone."""
    looks = {
        name: (entry["network"], entry.get("preparation", "unit"))
        for name, entry in protocols.items()
        if "network" in entry
    }
    side = samples.read(0, 1, None).shape[1]
    of_samples = looking.features(samples, set(looks.values()), None, store, texts)
    with_real = {looks[name] for name, entry in protocols.items() if "reference" in entry}
    if with_real and real is None:
        raise ReproError(f"{', '.join(name for name in protocols)}: give --real IMAGES to compare with")
    of_real = looking.features(real, with_real, side, store, None) if real is not None and with_real else {}
    read: dict[str, Features] = {}
    for name, entry in protocols.items():
        if "captions" in entry and texts is None:
            raise ReproError(f"{name}: give --captions FILE")
        if "captions" in entry and texts is not None and looks[name][0] not in read:
            read[looks[name][0]] = looking.captions(looks[name][0], texts)
    looking.close()  # what follows takes memory of its own
    results = []
    for name, entry in protocols.items():
        look = looks.get(name)
        captions = read[look[0]] if look and "captions" in entry else None
        images = Images(
            len(samples), side, lambda a, b: samples.read(a, b, None), False, False, None, origin_of(texts, samples)
        )
        given = Given(of_samples.get(look), of_real.get(look), captions, images) if look else Given(images=images)
        result = METRICS[entry["metric"]](given, {"protocol": name, **entry, "images": len(samples)})
        results.append(told(name, result, given, samples, real))
    return results


def origin_of(texts: list[tuple[str, int]] | None, samples: Source) -> np.ndarray:
    """Image, caption and class of each sample: numbered alike."""
    rows = np.arange(len(samples), dtype=np.int64)
    classes = np.full(len(samples), -1) if texts is None else np.array([number for _, number in texts])
    return np.stack([rows, rows if texts is not None else np.full(len(samples), -1), classes], axis=1)


def told(name: str, result: Result, given: Given, samples: Source, real: Source | None) -> dict[str, Any]:
    facts = given.features.facts if given.features is not None else {}
    standin = facts.get("standin", False)
    return {
        "protocol": label(name, standin),
        "asked": name,
        "value": result.value,
        "std": result.std,
        "n": result.n,
        "uncertainty": result.uncertainty,
        "noise_floor": result.floor,
        "network": facts.get("network"),
        "network_sha256": facts.get("network_sha256"),
        "preparation": facts.get("preparation"),
        "standin": standin,
        "samples": described(samples, facts),
        "real": None if real is None else described(real, {} if given.reference is None else given.reference.facts),
        "details": result.details,
    }


def described(source: Source, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": str(source.path),
        "sha256": source.digest,
        "n": len(source),
        "lossy": source.lossy,
        "duplicates": source.duplicates,
        "constant": facts.get("constant", 0),
    }


def shown(results: list[dict[str, Any]]) -> str:
    """The results as a table for a terminal."""
    rows = [("protocol", "value", "±", "interval", "floor", "N", "network")]
    for entry in results:
        interval, floor = entry["uncertainty"], entry["noise_floor"]
        rows.append(
            (
                entry["protocol"],
                f"{entry['value']:.4g}",
                "" if entry["std"] is None else f"{entry['std']:.2g}",
                "" if interval is None else f"{interval['low']:.4g} to {interval['high']:.4g}",
                "" if floor is None else f"{floor['mean']:.3g}",
                str(entry["n"]),
                entry["network"] or "-",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    for entry in results[:1]:
        odd = {key: entry["samples"][key] for key in ("lossy", "duplicates", "constant") if entry["samples"][key]}
        if odd:
            print(f"samples: {json.dumps(odd)}", file=sys.stderr)
    return "\n".join(lines)
