"""GPUs that a training ran on."""

from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.registry import Metric, Protocol


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    run = require(inputs.run, "run")
    hardware = run.get("facts", {}).get("trained", run).get("hardware", {})  # of a checkpoint: where it was trained
    count = int("gpu" in hardware)
    return MetricResult(count, count, None, {"hardware": hardware})


METRIC = Metric("devices", compute, inputs=("run", "text"), exact=True, quantities="gpus")
