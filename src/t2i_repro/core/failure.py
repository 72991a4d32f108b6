"""Failures that another attempt would only repeat.

`retries` of a Snakemake profile start every failed job again: this helps a training that ran out of time, and repeats a
mistake ten times. Therefore a verb that fails for another reason leaves a note in the artefact's folder, and further
attempts of the same Snakemake call end at once in the same way. The first attempt of a new call removes the note. A
process that is killed leaves none, and is tried again.
"""

import json
from pathlib import Path

from t2i_repro.core.record import write_json
from t2i_repro.errors import Interrupted, ReproError

NOTE = ".failed.json"


class Repeated(ReproError):
    """An earlier attempt failed, and this one would fail in the same way."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def check_attempt(out: Path, attempt: int) -> None:
    """Raise Repeated if an earlier attempt of this Snakemake call failed; forget failures of earlier calls."""
    path = out / NOTE
    if attempt == 1:
        path.unlink(missing_ok=True)
        return
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    raise Repeated(f"{note['message']} (attempt {attempt} is not made: it would end in the same way)", note["status"])


def note_failure(out: Path, error: Exception) -> None:
    """Note that the artefact in ``out`` failed, unless another attempt can help."""
    if isinstance(error, (Interrupted, Repeated)):
        return
    message = str(error) if isinstance(error, ReproError) else f"{type(error).__name__}: {error}"
    status = error.exit_code if isinstance(error, ReproError) else 1
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / NOTE, {"status": status, "message": message})
    except (OSError, ReproError):  # a full disk, a read-only folder: then it is tried again
        return
