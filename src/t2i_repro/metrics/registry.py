"""The declaration of a metric, and all metrics by name. Needs no torch.

Each module of `definitions/` declares one metric: what it reads, which keys its protocols have, how it computes.
Planner, evaluator, tables and audit read these declarations (docs/adding-a-metric.md).
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from t2i_repro.core.declarations import declared
from t2i_repro.core.schema import COUNT, RATE, SEED, SPLIT, SWITCH, keys, validate
from t2i_repro.errors import ReproError
from t2i_repro.metrics.inputs import MetricInputs, MetricResult

Protocol = dict[str, Any]  # an entry of `protocols` in params.yaml

NETWORK = {"type": "string"}
PREPARATION = {"enum": ["unit", "legacy", "clip", "squash"]}  # metrics/preparation.py
DIVIDE = {"enum": [2, 4]}
RANKING = keys(  # metrics/ranking_network.py
    {
        "joint": COUNT,
        "batch": {"type": "integer", "minimum": 2},
        "epochs": COUNT,
        "lr": RATE,
        "margin": RATE,
        "loss": SWITCH,
        "seed": SEED,
    }
)
PREPARED_TRUNKS = ("inception", "clip")  # released networks whose inputs a protocol's `preparation` determines


def never(protocol: Protocol) -> bool:
    return False


def always(protocol: Protocol) -> bool:
    return True


@dataclass(frozen=True)
class Metric:
    """A metric, declared once.

    ``compute(inputs, protocol)``: the number. ``inputs``: the roles it reads, fields of `MetricInputs`.
    ``options``: JSON schema of each key of its protocols beyond those that its inputs imply (`schema`); a key whose
    schema has no ``default`` is required.
    """

    name: str
    compute: Callable[[MetricInputs, Protocol], MetricResult]
    inputs: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    exact: bool = False  # a count: nothing about it is random
    standalone: bool = False  # `score --samples` offers it
    needs_captions: Callable[[Protocol], bool] = never  # whether each sample needs the caption it was made from
    compares_networks: bool = False  # a table's row names the network, not the protocol
    quantities: str | None = None  # first part of protocol names whose second part is a quantity, not a network
    trained_network: str = "trained by this project"  # caveat when the network has no published weights

    def __post_init__(self) -> None:
        roles = [role.name for role in fields(MetricInputs)]
        for role in self.inputs:
            if role not in roles:
                raise ReproError(f"metric {self.name}: inputs: found {role!r}; allowed: {', '.join(roles)}")

    @property
    def reads_features(self) -> bool:
        """Whether a feature extractor comes before it."""
        return bool({"features", "reference", "captions"} & set(self.inputs))

    @property
    def of_run(self) -> bool:
        """Whether it reads the record of a training: images alone are not enough."""
        return "run" in self.inputs

    @property
    def of_data(self) -> bool:
        """Whether it reads neither samples nor a training."""
        return not {"features", "images", "run"} & set(self.inputs)

    @property
    def of_system(self) -> bool:
        """Whether its numbers are a system's or a network's, not a dataset's."""
        return not self.of_data or self.compares_networks

    def score(self, inputs: MetricInputs, protocol: Protocol) -> MetricResult:
        """Compute, with defaults for the options that the protocol leaves out."""
        defaults = {key: schema["default"] for key, schema in self.options.items() if "default" in schema}
        return self.compute(inputs, {**defaults, **protocol})

    def schema(self) -> dict[str, Any]:
        """JSON schema of a protocol of this metric."""
        properties = {"metric": {"const": self.name}, **self.options}
        required = ["metric", *(key for key, schema in self.options.items() if "default" not in schema)]
        if self.reads_features or "images" in self.inputs:
            properties["divide"] = DIVIDE
        if self.reads_features:
            properties |= {"network": NETWORK, "preparation": PREPARATION}
            required += [] if self.compares_networks else ["network"]
        for role in ("reference", "captions"):
            if role in self.inputs:
                properties[role] = SPLIT
                required.append(role)
        if "captions" in self.inputs:
            properties["text"] = NETWORK
        if "ranking_network" in self.inputs:
            properties["ranking"] = RANKING
            required.append("ranking")
        return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


def metrics() -> dict[str, Metric]:
    """Every metric by its name."""
    return declared("t2i_repro.metrics.definitions", Metric)


def is_exact(name: str) -> bool:
    """Whether a metric is a count. False for names of other versions of the project."""
    return name in metrics() and metrics()[name].exact


def metric_of_quantities(protocol: str) -> Metric | None:
    """The metric of protocols such as ``dataset:images``, whose second part is a quantity. None for all others, whose
    second part is a network."""
    family = protocol.partition(":")[0]
    return next((metric for metric in metrics().values() if metric.quantities == family), None)


def check_params(params: dict[str, Any], source: str) -> None:
    """Check `protocols` of params.yaml against the metrics. Raises ReproError naming the key, the value found and what
    is allowed."""
    for name, protocol in params["protocols"].items():
        at = f"protocols.{name}"
        metric = metrics().get(protocol["metric"])
        if metric is None:
            raise ReproError(f"{source}: {at}.metric: found {protocol['metric']!r}; allowed: {', '.join(metrics())}")
        validate(protocol, metric.schema(), source, at=at)
        for key in ("network", "text"):
            if key in protocol and protocol[key] not in params["networks"]:
                allowed = ", ".join(params["networks"])
                raise ReproError(f"{source}: {at}.{key}: found {protocol[key]!r}; allowed: {allowed}")
        if "preparation" in protocol:
            check_preparation(protocol, params["networks"], f"{source}: {at}.preparation")


def check_preparation(protocol: Protocol, networks: dict[str, Any], at: str) -> None:
    """Refuse a ``preparation`` without a network, or for a network that prepares images in one way only. Names of
    networks are those of the papers' scale: a stand-in accepts what the network in its place does."""
    preparing = [name for name, entry in networks.items() if has_preparation(entry)]
    if protocol.get("network") not in preparing:
        raise ReproError(
            f"{at}: found {protocol['preparation']!r} for network {protocol.get('network')!r}, which prepares images "
            f"in one way only; leave `preparation` out, or use one of the networks {', '.join(preparing)}"
        )


def has_preparation(network: dict[str, Any]) -> bool:
    """Whether a network of params.yaml lets the protocol choose how images are resized and scaled."""
    if network["source"] == "asset":
        return network["trunk"] in PREPARED_TRUNKS
    return network["source"] == "classifier" or network.get("standin", False)
