"""What a metric is given, and what it gives."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.features import Features
from t2i_repro.metrics.images import Images


@dataclass(frozen=True)
class Given:
    """Inputs of a score, by role; None where the protocol does not ask for it."""

    features: Features | None = None  # of the samples
    reference: Features | None = None  # of real images, seen by the same network
    captions: Features | None = None  # of every caption of a split
    images: Images | None = None  # the samples themselves
    judge: Path | None = None  # folder of a ranking network
    data: Prepared | None = None
    run: dict[str, Any] | None = None  # record of a training
    text: Path | None = None  # folder of the encoder it reads captions through


@dataclass(frozen=True)
class Result:
    """``std``: as papers print it, over ``details["std_over"]``. ``uncertainty``: an interval over samples.
    ``floor``: what a perfect generator scores at this N. ``shortfalls``: where fewer samples than the protocol asks
    were to be had."""

    value: float
    n: int
    std: float | None = None
    details: dict[str, Any] = field(default_factory=dict)
    uncertainty: dict[str, Any] | None = None
    floor: dict[str, Any] | None = None
    shortfalls: list[str] = field(default_factory=list)


def needed(value: Any, role: str) -> Any:
    if value is None:
        raise ReproError(f"this metric needs the input {role!r}, and the spec gives none; plan again")
    return value
