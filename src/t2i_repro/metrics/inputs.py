"""What a metric reads, and what it returns."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.features import Features
from t2i_repro.metrics.images import Images


@dataclass(frozen=True)
class MetricInputs:
    """Inputs of a score by role; None for roles that the metric does not read (`Metric.inputs`)."""

    features: Features | None = None  # of the samples
    reference: Features | None = None  # of real images, by the same network
    captions: Features | None = None  # of every caption of a split
    images: Images | None = None  # the samples
    ranking_network: Path | None = None  # folder of the ranking network
    data: Prepared | None = None
    run: dict[str, Any] | None = None  # record of a training
    text: Path | None = None  # folder of the text encoder of that training


@dataclass(frozen=True)
class MetricResult:
    """``value`` in the unit that papers print, of ``n`` samples.

    ``std``: as papers print it, over ``details["std_over"]``. ``uncertainty``: 95% interval over samples
    (`intervals.py`). ``floor``: score of a perfect generator at this N. ``shortfalls``: reasons why the number is not
    comparable with print that only the metric knows.
    """

    value: float
    n: int
    std: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    uncertainty: dict[str, Any] | None = None
    floor: dict[str, Any] | None = None
    shortfalls: list[str] = field(default_factory=list)


def require(value: Any, role: str) -> Any:
    """``value``. Raises ReproError when the input is missing."""
    if value is None:
        raise ReproError(f"this metric reads the input {role!r}, and the spec has none; run `t2i-repro plan` again")
    return value
