"""Parameters of the networks of a training, in millions."""

import zipfile
from pathlib import Path

from t2i_repro.core.record import read_record
from t2i_repro.errors import ReproError
from t2i_repro.metrics.inputs import MetricInputs, MetricResult, require
from t2i_repro.metrics.registry import Metric, Protocol
from t2i_repro.models.text_encoder import encoder_of


def compute(inputs: MetricInputs, protocol: Protocol) -> MetricResult:
    """Sum over ``parts``: as the training counted them; of a frozen text encoder, as its file holds them."""
    counts: dict[str, int] = dict(require(inputs.run, "run")["facts"]["parameters"])
    if "text_encoder" not in counts and inputs.text is not None:
        record = read_record(inputs.text)
        encoder = encoder_of(record["kind"], record["spec"])
        if encoder is not None and (inputs.text / encoder.weights).exists():  # published embeddings have no weights
            counts["text_encoder"] = stored_values(inputs.text / encoder.weights)
    absent = [part for part in protocol["parts"] if part not in counts]
    if absent:
        raise ReproError(
            f"{protocol['protocol']}: no count of {', '.join(absent)}; the training has {', '.join(counts)}"
        )
    parts = {part: counts[part] for part in protocol["parts"]}
    return MetricResult(sum(parts.values()) / 1e6, sum(parts.values()), None, {"parts": parts, "of": counts})


def stored_values(path: Path) -> int:
    """Float32 values in a file of torch: a zip archive with one member below `data/` for each storage."""
    with zipfile.ZipFile(path) as archive:
        return sum(entry.file_size for entry in archive.infolist() if "/data/" in entry.filename) // 4


METRIC = Metric(
    "parameters",
    compute,
    inputs=("run", "text"),
    options={"parts": {"type": "array", "items": {"type": "string"}, "minItems": 1}},
    exact=True,
    quantities="params",
)
