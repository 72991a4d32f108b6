"""Where shown things come from: the records behind them, followed from input to input."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from t2i_repro.core.record import read_record
from t2i_repro.errors import ReproError


@dataclass(frozen=True)
class Artefact:
    """A built artefact: folder and record. ``record`` is None where the folder is no longer there."""

    path: Path
    kind: str
    digest: str
    record: dict[str, Any] | None

    @property
    def key(self) -> str:
        """Name of its folder, unique in a scale: it ends in the digest."""
        return self.path.name

    @property
    def name(self) -> str:
        return self.record["name"] if self.record else self.key

    @property
    def inputs(self) -> dict[str, dict[str, str]]:
        return self.record["inputs"] if self.record else {}


class Library:
    """Artefacts by path, each record read once."""

    def __init__(self) -> None:
        self.known: dict[str, Artefact] = {}

    def get(self, path: str, kind: str = "", digest: str = "") -> Artefact:
        """The artefact in a folder. One that was removed since (intermediate files may be) keeps what its consumer's
        record says of it."""
        if path not in self.known:
            try:
                record = read_record(Path(path))
                found = Artefact(Path(path), record["kind"], record["digest"], record)
            except ReproError:
                found = Artefact(Path(path), kind, digest, None)
            self.known[path] = found
        return self.known[path]

    def chain(self, path: str) -> list[Artefact]:
        """An artefact and all it was built from, nearest first, each once."""
        found: dict[str, Artefact] = {path: self.get(path)}
        pending = [path]
        while pending:
            for given in self.get(pending.pop(0)).inputs.values():
                if given["path"] not in found:
                    found[given["path"]] = self.get(given["path"], given["kind"], given["digest"])
                    pending.append(given["path"])
        return list(found.values())


def flat(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    """A nested configuration as (dotted key, text)."""
    if isinstance(value, dict) and value:
        return [pair for key, inner in value.items() for pair in flat(inner, f"{prefix}.{key}" if prefix else str(key))]
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    words = {None: "none", True: "yes", False: "no"}
    return [(prefix, words[value] if value is None or isinstance(value, bool) else str(value))]


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `5 h 12 min`, `2 d 4 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, inner, inner_name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // inner
            return f"{whole // size} {name}" + (f" {rest} {inner_name}" if rest else "")
    return f"{whole} s"
