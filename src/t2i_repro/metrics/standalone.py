"""`python -m t2i_repro score --samples DIR ...`: evaluate any images, without the pipeline.

    python -m t2i_repro score --samples fake/ --real real.zip --protocol fid:tf --protocol kid:tf --images 30000
    python -m t2i_repro score --samples fake.npz --captions c.csv --real real/ --protocol cmd:grgan --json out.json

Protocols are those of params.yaml. Weights: `python -m t2i_repro fetch inception-tf-2015 --to DIR`, then --weights DIR;
their SHA-256 is checked. --network NAME=FOLDER uses an artefact of the pipeline instead of a network, labelled so.
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
from t2i_repro.metrics.inputs import MetricInputs, MetricResult
from t2i_repro.metrics.registry import check_params, metrics
from t2i_repro.metrics.score import label
from t2i_repro.metrics.sources import Source, open_source, read_captions

if TYPE_CHECKING:
    from t2i_repro.metrics.standalone_features import StandaloneFeatures


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--samples", type=Path, metavar="IMAGES", help="folder, .zip, .npz or .npy of generated images")
    parser.add_argument("--real", type=Path, metavar="IMAGES", help="real images; brought to the samples' size")
    parser.add_argument("--captions", type=Path, metavar="FILE", help="captions of the samples")
    parser.add_argument("--protocol", action="append", default=[], metavar="NAME", help="of params.yaml; several times")
    parser.add_argument("--images", type=int, metavar="N", help="number of samples; default: what the papers use")
    parser.add_argument("--weights", type=Path, default=Path(), metavar="DIR", help="folder of fetched weights")
    parser.add_argument("--network", action="append", default=[], metavar="NAME=FOLDER", help="use an artefact instead")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="keep features there, by content")
    parser.add_argument("--lossy", action="store_true", help="take samples in lossy formats (JPEG), and say so")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")


def main(args: argparse.Namespace) -> None:
    """Score and print a table. Raises ReproError on the wrong N, lossy or unfit images, missing weights."""
    params = load_params(Path.cwd())
    check_params(params, "params.yaml")
    if args.samples is None or not args.protocol:
        raise ReproError("expected --spec FILE, or --samples IMAGES with --protocol NAME; see --help")
    protocols = {name: known_protocol(name, params) for name in args.protocol}
    replaced = dict(replacement(entry, params) for entry in args.network)
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
    captions = None if args.captions is None else read_captions(args.captions, samples)
    # Imports torch: a wrong argument should not wait for it.
    from t2i_repro.metrics.standalone_features import StandaloneFeatures

    with tempfile.TemporaryDirectory() as scratch:
        extractors = StandaloneFeatures(params, args.weights, replaced)
        results = score_all(extractors, protocols, samples, real, captions, args.cache or Path(scratch))
    print(as_text(results))
    if args.json is not None:
        write_json(args.json, results)


def known_protocol(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """A protocol that can be scored without the pipeline. Raises ReproError naming those that can."""
    usable = [key for key, entry in params["protocols"].items() if metrics()[entry["metric"]].standalone]
    if name not in usable:
        raise ReproError(f"--protocol: found {name!r}; allowed: {', '.join(usable)}")
    return params["protocols"][name]


def replacement(entry: str, params: dict[str, Any]) -> tuple[str, str]:
    """Network and folder of NAME=FOLDER. Raises ReproError on other forms and on unknown networks."""
    name, _, folder = entry.partition("=")
    if not folder or name not in params["networks"]:
        allowed = ", ".join(params["networks"])
        raise ReproError(f"--network: found {entry!r}; expected NAME=FOLDER with a NAME of {allowed}")
    return name, folder


def score_all(
    extractors: "StandaloneFeatures",
    protocols: dict[str, dict[str, Any]],
    samples: Source,
    real: Source | None,
    captions: list[tuple[str, int]] | None,
    store: Path,
) -> list[dict[str, Any]]:
    """Score samples by every protocol. Each image is decoded once for all of them, and again for metrics that read
    images (MS-SSIM). ``captions``: caption and class of each sample."""
    for name, entry in protocols.items():
        if "reference" in entry and real is None:
            raise ReproError(f"{name}: give --real IMAGES to compare with")
        if "captions" in entry and captions is None:
            raise ReproError(f"{name}: give --captions FILE")
    views = {
        name: (entry["network"], entry.get("preparation", "unit"))
        for name, entry in protocols.items()
        if "network" in entry
    }
    side = samples.read(0, 1, None).shape[1]
    of_samples = extractors.of_images(samples, set(views.values()), None, store, captions)
    views_of_real = {views[name] for name, entry in protocols.items() if "reference" in entry}
    of_real = {} if real is None else extractors.of_images(real, views_of_real, side, store, None)
    of_captions: dict[str, Features] = {}
    for entry in protocols.values():
        if "captions" in entry and captions is not None and entry["network"] not in of_captions:
            of_captions[entry["network"]] = extractors.of_captions(entry["network"], captions)
    extractors.close()  # metrics need memory of their own
    images = Images(
        count=len(samples),
        size=side,
        read=lambda start, stop: samples.read(start, stop, None),
        real=False,
        data_is_standin=False,
        run=None,
        origin=origin_of(captions, samples),
    )
    results = []
    for name, entry in protocols.items():
        inputs = MetricInputs(images=images)
        if name in views:
            inputs = MetricInputs(
                features=of_samples[views[name]],
                reference=of_real.get(views[name]),
                captions=of_captions[entry["network"]] if "captions" in entry else None,
                images=images,
            )
        result = metrics()[entry["metric"]].score(inputs, {"protocol": name, **entry, "images": len(samples)})
        results.append(as_json(name, result, inputs, samples, real))
    return results


def origin_of(captions: list[tuple[str, int]] | None, samples: Source) -> np.ndarray:
    """Image, caption and class of each sample, int64 [N, 3]: sample i has caption i; -1 without captions."""
    rows, none = np.arange(len(samples), dtype=np.int64), np.full(len(samples), -1)
    if captions is None:
        return np.stack([rows, none, none], axis=1)
    return np.stack([rows, rows, np.array([class_id for _, class_id in captions])], axis=1)


def as_json(
    name: str, result: MetricResult, inputs: MetricInputs, samples: Source, real: Source | None
) -> dict[str, Any]:
    """A result with what it was measured on."""
    facts = {} if inputs.features is None else inputs.features.facts
    facts_of_real = {} if inputs.reference is None else inputs.reference.facts
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
        "samples": source_facts(samples, facts),
        "real": None if real is None else source_facts(real, facts_of_real),
        "details": result.details,
    }


def source_facts(source: Source, facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "path": str(source.path),
        "sha256": source.digest,
        "n": len(source),
        "lossy": source.lossy,
        "duplicates": source.duplicates,
        "constant": facts.get("constant", 0),
    }


def as_text(results: list[dict[str, Any]]) -> str:
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
