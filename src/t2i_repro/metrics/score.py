"""Verb `score`: one number by a named protocol, from features; writes `metric.json`. Needs no torch.

``metric.json``::

    protocol     "fid:tf", or "fid:standin" where a stand-in network takes the protocol's place
    asked        protocol of params.yaml that the cell asks for
    metric       key of `protocols.METRICS`
    value, std   in the unit that papers print; std over `details.std_over` (IS: population std over splits), or null
    n            number of samples
    network      artefact the network comes from; `network_sha256`: of its weights; `preparation`: of the images
    standin      whether the network is a stand-in
    comparable   whether the number may be compared with print; `obstacles` says why not
    caveats      what still differs from the printed protocol
    reference    real set of a distance: {split, n, data}; null for others
    run          path and digest of the training, null for images without one
    outside      null, or who made samples or checkpoint: {source, by, from, date, sha256, remarks}
    uncertainty  interval over samples: {low, high, error, method, confidence}, or null
    noise_floor  what a perfect generator scores at this N: {mean, std, samples, repeats}, or null
    details      what the metric alone has to tell
"""

from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.record import Build, read_record, write_json
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.features import Features, open_features
from t2i_repro.metrics.images import open_images, outside_of
from t2i_repro.metrics.inputs import Given
from t2i_repro.metrics.registry import METRICS
from t2i_repro.planning.external import told_outside

COMPARABLE_SCALE = "paper"  # of params.yaml: the only scale whose numbers may stand beside printed ones
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
    given = open_given(node, build)
    facts = facts_of(given, node)
    if given.features is not None:
        if "images" in node.spec:  # real images in the place of samples are as many as there are
            check_count(given.features, node.spec["images"], node.spec["protocol"])
        if given.reference is not None:
            check_same(given.features, given.reference)
    if given.images is not None and given.images.count != node.spec["images"]:
        raise ReproError(wrong_count(node.spec["protocol"], node.spec["images"], given.images.count, facts["images"]))
    result = METRICS[node.spec["metric"]](given, node.spec)
    obstacles = obstacles_to_comparison(node.scale, facts) + result.shortfalls
    metric = {
        "protocol": label(node.spec["protocol"], facts["standin"]),
        "asked": node.spec["protocol"],
        "metric": node.spec["metric"],
        "value": result.value,
        "std": result.std,
        "n": result.n,
        "network": facts["network"] or "none",
        "network_sha256": facts["network_sha256"],
        "preparation": facts["preparation"],
        "standin": facts["standin"],
        "comparable": not obstacles,
        "obstacles": obstacles,
        "caveats": caveats(node.spec["protocol"], facts),
        "reference": None if given.reference is None else describe(given.reference),
        "run": facts["run"],
        "outside": facts["outside"],
        "uncertainty": result.uncertainty,
        "noise_floor": result.floor,
        "details": result.details,
    }
    write_json(out / "metric.json", metric)
    build.facts |= {key: metric[key] for key in ("protocol", "value", "std", "n", "standin", "comparable")}


def open_given(node: Node, build: Build) -> Given:
    """The inputs, by role."""
    opened: dict[str, Any] = {
        role: open_features(build.input(role)) for role in ("features", "reference", "captions") if role in node.inputs
    }
    if "images" in node.inputs:
        opened["images"] = open_images(build.input("images"), node.inputs["images"].kind, None, node.spec.get("size"))
    opened |= {role: build.input(role) for role in ("judge", "text") if role in node.inputs}
    if "data" in node.inputs:
        opened["data"] = Prepared(build.input("data"))
    if "run" in node.inputs:
        opened["run"] = read_record(build.input("run"))
    return Given(**opened)


def facts_of(given: Given, node: Node) -> dict[str, Any]:
    """What is known of network, data and run, from whichever input knows it."""
    facts = dict(EMPTY_FACTS)
    looked = [features for features in (given.captions, given.reference, given.features) if features is not None]
    for features in looked:  # the samples' facts last: they win
        facts |= features.facts
    facts["standin"] = any(features.facts["standin"] for features in looked)
    facts["data_is_standin"] = any(features.facts["data_is_standin"] for features in looked)
    if given.images is not None:
        facts |= {"run": given.images.run, "images": node.inputs["images"].path, "reduced": given.images.reduced}
        facts["outside"] = given.images.outside
        facts["data_is_standin"] = given.images.data_is_standin
    if given.run is not None:
        facts["run"] = {key: getattr(node.inputs["run"], key) for key in ("path", "digest")}
        facts["data_is_standin"] = given.run["facts"].get("standin", False)
        facts["outside"] = outside_of(given.run)
    if given.data is not None:
        facts["data_is_standin"] = given.data.raw_is_standin
    return facts


def label(protocol: str, standin: bool) -> str:
    """Name that stands beside the number: a stand-in network never carries the name of the network it stands for."""
    return f"{protocol.split(':')[0]}:standin" if standin else protocol


def check_count(features: Features, asked: int, protocol: str) -> None:
    """A metric depends on its N (a FID falls with it), so the wrong one is refused."""
    if len(features.pooled) != asked:
        raise ReproError(wrong_count(protocol, asked, len(features.pooled), features.facts["images"]))


def wrong_count(protocol: str, asked: int, there: int, where: str) -> str:
    return (
        f"protocol {protocol} asks {asked} images, there are {there} in {where}. Sample the run again with {asked} "
        f"images (params.yaml: sample.images)."
    )


def check_same(features: Features, reference: Features) -> None:
    """Samples and real images must have been seen by the same weights, at the same size, prepared alike."""
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


def obstacles_to_comparison(scale: str, facts: dict[str, Any]) -> list[str]:
    """Why a number may not stand beside a printed one; empty when it may."""
    told = {
        f"{scale} scale": scale != COMPARABLE_SCALE,
        "stand-in data": facts["data_is_standin"],
        "stand-in network": facts["standin"],
    }
    return [reason for reason, holds in told.items() if holds]


def caveats(protocol: str, facts: dict[str, Any]) -> list[str]:
    """What differs from the printed protocol even where numbers are comparable (docs/metrics.md)."""
    found = []
    if facts["reduced"]:
        found.append(f"{protocol}: images of the last stage, reduced; the run keeps none of its earlier stages")
    if facts["network_trained_by_us"] and not facts["standin"]:
        found.append(f"{protocol}: the network was {TRAINED.get(protocol.split(':')[0], 'trained by this project')}")
    return found + told_outside(facts["outside"])


TRAINED = {"is": "fine-tuned by this project; the one released in 2016 is another"}


def describe(reference: Features) -> dict[str, Any]:
    return {
        "split": reference.record["spec"]["split"],
        "n": len(reference.pooled),
        "data": reference.facts["images"],
        "standin": reference.facts["data_is_standin"],
    }
