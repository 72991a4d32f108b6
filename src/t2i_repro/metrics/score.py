"""Verb `score`: one number by a named protocol, from features; writes `metric.json`. Needs no torch.

``metric.json``::

    protocol     "fid:tf", or "fid:standin" for a stand-in network
    asked        protocol of params.yaml that the cell asks for
    metric       name of its declaration (`definitions/`)
    value, std   in the unit that papers print; std over `details.std_over` (IS: population std over splits), or null
    n            number of samples
    network      artefact of the feature extractor; `network_sha256`: of its weights; `preparation`: of the images
    standin      whether the network is a stand-in
    comparable   whether the number may be compared with print; `obstacles`: why not
    release      version of the shipped parameters that it was checked against, null at other scales than the papers'
    caveats      what still differs from the printed protocol
    reference    real set of a distance: {split, n, data}; null for others
    run          path and digest of the training, null for images without one
    outside      null, or who made samples or checkpoint: {source, by, from, date, sha256, remarks}
    uncertainty  interval over samples: {low, high, error, method, confidence}, or null
    noise_floor  score of a perfect generator at this N: {mean, std, samples, repeats}, or null
    details      what only this metric reports
"""

from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build, read_record, write_json
from t2i_repro.data import released
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.comparison import COMPARABLE_SCALE, UNPLANNED
from t2i_repro.metrics.features import Features, open_features
from t2i_repro.metrics.images import open_images, outside_of, outside_remarks
from t2i_repro.metrics.inputs import MetricInputs
from t2i_repro.metrics.registry import Metric, metrics

EMPTY_FACTS: dict[str, Any] = {"network": None, "network_sha256": None, "preparation": None, "standin": False}
EMPTY_FACTS |= {
    "run": None,
    "network_trained_by_us": False,
    "data_is_standin": False,
    "reduced": False,
    "outside": None,
}


def run(node: Node, out: Path, build: Build) -> None:
    """Score the inputs by the spec's protocol.

    Raises ReproError on the wrong N, and on features of different networks or image sizes.
    """
    metric, protocol = metrics()[node.spec["metric"]], node.spec["protocol"]
    inputs = open_inputs(node, build)
    facts = facts_of(inputs, node)
    if inputs.features is not None:
        if "images" in node.spec:  # real images in the place of samples are as many as there are
            check_count(inputs.features, node.spec["images"], protocol)
        if inputs.reference is not None:
            check_same(inputs.features, inputs.reference)
    if inputs.images is not None and inputs.images.count != node.spec["images"]:
        raise ReproError(wrong_count(protocol, node.spec["images"], inputs.images.count, facts["images"]))
    result = metric.score(inputs, node.spec)
    obstacles, open_questions = obstacles_to_comparison(node, facts)
    obstacles += result.shortfalls
    content = {
        "protocol": label(protocol, facts["standin"]),
        "asked": protocol,
        "metric": metric.name,
        "value": result.value,
        "std": result.std,
        "n": result.n,
        "network": facts["network"] or "none",
        "network_sha256": facts["network_sha256"],
        "preparation": facts["preparation"],
        "standin": facts["standin"],
        "comparable": not obstacles,
        "obstacles": obstacles,
        "release": node.runtime.get("release"),
        "caveats": caveats(protocol, metric, facts) + open_questions,
        "reference": None if inputs.reference is None else describe(inputs.reference),
        "run": facts["run"],
        "outside": facts["outside"],
        "uncertainty": result.uncertainty,
        "noise_floor": result.floor,
        "details": result.details,
    }
    write_json(out / "metric.json", content)
    build.facts |= {key: content[key] for key in ("protocol", "value", "std", "n", "standin", "comparable")}


def open_inputs(node: Node, build: Build) -> MetricInputs:
    """The inputs by role."""
    opened: dict[str, Any] = {
        role: open_features(build.input(role)) for role in ("features", "reference", "captions") if role in node.inputs
    }
    if "images" in node.inputs:
        opened["images"] = open_images(build.input("images"), node.inputs["images"].kind, None, node.spec.get("size"))
    if "judge" in node.inputs:  # the role's name is part of digests
        opened["ranking_network"] = build.input("judge")
    if "text" in node.inputs:
        opened["text"] = build.input("text")
    if "data" in node.inputs:
        opened["data"] = Prepared(build.input("data"))
    if "run" in node.inputs:
        opened["run"] = read_record(build.input("run"))
    return MetricInputs(**opened)


def facts_of(inputs: MetricInputs, node: Node) -> dict[str, Any]:
    """Facts about network, data and run, from whichever input has them."""
    facts = dict(EMPTY_FACTS)
    extracted = [one for one in (inputs.captions, inputs.reference, inputs.features) if one is not None]
    for features in extracted:  # the samples' facts last: they win
        facts |= features.facts
    facts["standin"] = any(features.facts["standin"] for features in extracted)
    facts["data_is_standin"] = any(features.facts["data_is_standin"] for features in extracted)
    if inputs.images is not None:
        facts |= {"run": inputs.images.run, "images": node.inputs["images"].path, "reduced": inputs.images.reduced}
        facts["outside"] = inputs.images.outside
        facts["data_is_standin"] = inputs.images.data_is_standin
    if inputs.run is not None:
        facts["run"] = {key: getattr(node.inputs["run"], key) for key in ("path", "digest")}
        facts["data_is_standin"] = inputs.run["facts"].get("standin", False)
        facts["outside"] = outside_of(inputs.run)
    if inputs.data is not None:
        facts["data_is_standin"] = inputs.data.raw_is_standin
    return facts


def label(protocol: str, standin: bool) -> str:
    """Name shown with the number: a stand-in network never carries the name of the network it replaces."""
    return f"{protocol.split(':')[0]}:standin" if standin else protocol


def check_count(features: Features, asked: int, protocol: str) -> None:
    """Refuse another number of samples: metrics depend on it (FID falls as N grows)."""
    if len(features.pooled) != asked:
        raise ReproError(wrong_count(protocol, asked, len(features.pooled), features.facts["images"]))


def wrong_count(protocol: str, asked: int, there: int, where: str) -> str:
    return (
        f"protocol {protocol} asks {asked} images, there are {there} in {where}. Sample the run again with {asked} "
        f"images (params.yaml: sample.images)."
    )


def check_same(features: Features, reference: Features) -> None:
    """Refuse samples and real images that differ in network, image size or preparation."""
    compared = {
        "network_sha256": "network",
        "image_size": "image size",
        "dimensions": "dimensions",
        "preparation": "preparation",
    }
    for key, what in compared.items():
        if features.facts[key] != reference.facts[key]:
            raise ReproError(
                f"{features.folder} and {reference.folder}: {what}: found {features.facts[key]} and "
                f"{reference.facts[key]}; expected the same. Embed both with one network, at one size."
            )


def obstacles_to_comparison(node: Node, facts: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Why a number is not comparable with a printed one, and caveats on what could not be checked.

    The plan compares the parameters of the score and of all that it is built from with those that this project ships
    (planning/released.py); the data are counted here.
    """
    obstacles = {
        f"{node.scale} scale": node.scale != COMPARABLE_SCALE,
        "stand-in data": facts["data_is_standin"],
        "stand-in network": facts["standin"],
    }
    found = [reason for reason, holds in obstacles.items() if holds]
    if node.scale != COMPARABLE_SCALE:
        return found, []
    if "changed" not in node.runtime:
        return [*found, UNPLANNED], []
    differences, caveats = ([], []) if facts["data_is_standin"] else released.check(node.runtime["data"])
    return [*found, *node.runtime["changed"], *differences], caveats


def caveats(protocol: str, metric: Metric, facts: dict[str, Any]) -> list[str]:
    """What differs from the printed protocol even where numbers are comparable (docs/metrics.md)."""
    found = []
    if facts["reduced"]:
        found.append(f"{protocol}: images of the last stage, reduced; the run keeps none of its earlier stages")
    if facts["network_trained_by_us"] and not facts["standin"]:
        found.append(f"{protocol}: the network was {metric.trained_network}")
    return found + outside_remarks(facts["outside"])


def describe(reference: Features) -> dict[str, Any]:
    return {
        "split": reference.record["spec"]["split"],
        "n": len(reference.pooled),
        "data": reference.facts["images"],
        "standin": reference.facts["data_is_standin"],
    }
