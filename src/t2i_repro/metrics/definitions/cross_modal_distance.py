"""Cross-Model Distance of GR-GAN, CMD, and its text part ITDis (`metrics/cross_modal.py`)."""

from dataclasses import asdict

from t2i_repro.metrics.cross_modal import PROTOCOLS, cross_modal_distance, cross_modal_interval, cross_modal_noise_floor
from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.intervals import FLOOR_REPEATS, jackknife_groups
from t2i_repro.metrics.moments import Array
from t2i_repro.metrics.registry import Metric, Protocol


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    """CMD or ITDis with its jackknife interval; CMD with the score of a perfect generator."""
    fake, real, text = (require(getattr(inputs, role), role) for role in ("features", "reference", "captions"))
    arrays: tuple[Array, Array, Array] = fake.pooled, real.pooled, text.pooled
    found = cross_modal_distance(*arrays, protocol["scaling"])
    details = {key: number for key, number in asdict(found).items() if key != "protocol"}
    details |= {"real": len(real.pooled), "captions": len(text.pooled), "scaling": protocol["scaling"]}
    count, value = len(fake.pooled), protocol["value"]
    interval = asdict(cross_modal_interval(*arrays, protocol["scaling"], jackknife_groups(count), of=value))
    if value != "cmd":
        return MetricResult(found.itdis, count, None, details, interval)
    floor = asdict(cross_modal_noise_floor(real.pooled, text.pooled, count, protocol["scaling"], FLOOR_REPEATS))
    return MetricResult(found.cmd, count, None, details, interval, floor)


METRIC = Metric(
    "cross-modal-distance",
    compute,
    inputs=("features", "reference", "captions"),
    options={"scaling": {"enum": list(PROTOCOLS)}, "value": {"enum": ["cmd", "itdis"]}},
    standalone=True,
)
