"""Declarations of metrics, and the protocols of params.yaml that are checked against them."""

import copy
from pathlib import Path
from typing import Any

import pytest

from t2i_repro.core.config import load_params
from t2i_repro.core.schema import validator_of
from t2i_repro.errors import ReproError
from t2i_repro.metrics.inputs import MetricInputs, MetricResult
from t2i_repro.metrics.preparation import PREPARATIONS
from t2i_repro.metrics.registry import PREPARATION, Metric, check_params, metric_of_quantities, metrics

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def params() -> dict[str, Any]:
    return load_params(PROJECT)


def with_protocol(params: dict[str, Any], protocol: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(params)
    changed["protocols"]["toy:one"] = protocol
    return changed


def test_the_project_keeps_its_own_rules(params: dict[str, Any]) -> None:
    check_params(params, "params.yaml")


FID = {"metric": "frechet-distance", "network": "imagenet", "reference": "test"}


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        ({"metric": "fid"}, r"p: protocols\.toy:one\.metric: found 'fid'; allowed: cross-modal-distance, .*ms-ssim"),
        (
            {**FID, "splits": 10},
            r"p: protocols\.toy:one: unknown key 'splits' \(value 10\); allowed: divide, metric, net",
        ),
        ({"metric": "frechet-distance", "network": "clip"}, r"protocols\.toy:one: 'reference' is a required property"),
        ({"metric": "inception-score", "splits": 10}, r"protocols\.toy:one: 'network' is a required property"),
        ({"metric": "inception-score", "network": "clip"}, r"protocols\.toy:one: 'splits' is a required property"),
        ({**FID, "reference": "all"}, r"protocols\.toy:one\.reference: found 'all'; allowed: 'train', 'test'"),
        ({**FID, "network": "resnet"}, r"protocols\.toy:one\.network: found 'resnet'; allowed: imagenet, inception-tf"),
        ({**FID, "preparation": "vgg"}, r"protocols\.toy:one\.preparation: found 'vgg'; allowed: 'unit', 'legacy'"),
        (
            {**FID, "network": "inception-tf", "preparation": "legacy"},
            r"protocols\.toy:one\.preparation: found 'legacy' for network 'inception-tf', which prepares images in one"
            r" way only; .* one of the networks imagenet, finetuned, clip",
        ),
        ({**FID, "network": "damsm", "preparation": "clip"}, "'clip' for network 'damsm'"),
        ({"metric": "dataset", "what": "images", "network": "clip"}, "unknown key 'network'"),
        ({"metric": "devices", "divide": 2}, "unknown key 'divide'"),
    ],
)
def test_protocols_that_no_metric_can_follow_are_refused(
    params: dict[str, Any], protocol: dict[str, Any], message: str
) -> None:
    with pytest.raises(ReproError, match=message):
        check_params(with_protocol(params, protocol), "p")


def test_a_standin_is_prepared_as_the_network_it_replaces(params: dict[str, Any]) -> None:
    """`fid:clip` says `preparation: clip`, which the stand-in of `clip` at smoke scale ignores."""
    changed = copy.deepcopy(params)
    changed["networks"]["clip"] = {"source": "clip", "standin": True}
    check_params(changed, "p")
    changed["networks"]["clip"] = {"source": "clip"}
    with pytest.raises(ReproError, match=r"protocols\.fid:clip\.preparation"):
        check_params(changed, "p")


def test_options_that_a_protocol_leaves_out_have_their_defaults() -> None:
    def compute(inputs: MetricInputs, protocol: dict[str, Any]) -> MetricResult:
        return MetricResult(protocol["k"] + protocol["shift"], 1)

    metric = Metric("toy", compute, inputs=(), options={"k": {"type": "integer"}, "shift": {"default": 10}})
    assert metric.score(MetricInputs(), {"k": 1}).value == 11
    assert metric.score(MetricInputs(), {"k": 1, "shift": 2}).value == 3
    assert metric.schema()["required"] == ["metric", "k"]


def test_inputs_that_nobody_plans_are_refused() -> None:
    with pytest.raises(
        ReproError, match="metric toy: inputs: found 'feature'; allowed: features, reference, captions, "
    ):
        Metric("toy", lambda inputs, protocol: MetricResult(0, 0), inputs=("feature",))


@pytest.mark.parametrize("name", list(metrics()))
def test_declarations_are_consistent(name: str) -> None:
    metric = metrics()[name]
    assert set(metric.inputs) <= set(MetricInputs.__dataclass_fields__)
    validator_of(metric.schema(), name).check_schema(metric.schema())
    assert not (metric.standalone and ({"run", "data", "text", "ranking_network"} & set(metric.inputs)))
    assert metric.exact is not (metric.reads_features or "images" in metric.inputs)


@pytest.mark.parametrize(
    ("protocol", "name"),
    [("dataset:images", "dataset"), ("gpus:train", "devices"), ("params:generator", "parameters"), ("fid:tf", None)],
)
def test_protocols_that_name_a_quantity(protocol: str, name: str | None) -> None:
    found = metric_of_quantities(protocol)
    assert (found.name if found else None) == name


def test_preparations_of_protocols_are_those_of_the_code() -> None:
    """They are declared apart, because planning must not import torch."""
    assert PREPARATION["enum"] == list(PREPARATIONS)
