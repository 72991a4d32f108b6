"""Artefacts: their kinds, and `Node`, the plan's description of one: what determines it and where it is built."""

import json
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from t2i_repro.core.digest import digest
from t2i_repro.errors import ReproError


@dataclass(frozen=True)
class Kind:
    """A kind of artefact: its folder in results/<scale>/, the verb that builds it, and the module whose
    `run(node, out, build)` does the work (imported when needed, so that tables do not load torch).

    Increase ``revision`` when the meaning of the results changes, not for a refactoring: existing artefacts are then
    rebuilt.
    """

    section: str
    verb: str
    module: str
    revision: int = 1


KINDS = {
    "standin": Kind("data", "standin", "t2i_repro.data.standins"),
    "prepare": Kind("data", "prepare", "t2i_repro.data.prepare"),
    "asset": Kind("assets", "fetch-asset", "t2i_repro.data.fetch"),
    "classifier": Kind("encoders", "pretrain", "t2i_repro.training.pretrain"),
    "damsm": Kind("encoders", "pretrain", "t2i_repro.training.pretrain"),
    "clip": Kind("encoders", "pretrain", "t2i_repro.training.pretrain"),
    "itm": Kind("encoders", "pretrain", "t2i_repro.training.pretrain"),
    "char-cnn-rnn": Kind("encoders", "pretrain", "t2i_repro.training.pretrain"),
    "text-encoder": Kind("encoders", "pretrain", "t2i_repro.training.pretrain"),
    "train": Kind("runs", "train", "t2i_repro.training.train"),
    "sample": Kind("samples", "sample", "t2i_repro.sampling.sample"),
    "import-samples": Kind("outside", "import", "t2i_repro.metrics.external"),
    "import-run": Kind("outside", "import", "t2i_repro.metrics.external"),
    "embed": Kind("features", "embed", "t2i_repro.metrics.embed", revision=2),
    "judge": Kind("judges", "judge", "t2i_repro.metrics.ranking_network"),
    "score": Kind("metrics", "score", "t2i_repro.metrics.score", revision=3),
    "table": Kind("tables", "render", "t2i_repro.rendering.tables", revision=2),
    "figure": Kind("figures", "render", "t2i_repro.rendering.figures", revision=2),
    "report": Kind("report", "report", "t2i_repro.rendering.report", revision=2),
    "store": Kind("store", "store", "t2i_repro.core.store"),
}


@dataclass(frozen=True)
class Input:
    """An input of an artefact: the folder, digest and kind of another one."""

    path: str
    digest: str
    kind: str


@dataclass(frozen=True)
class Node:
    """One artefact.

    ``kind``, ``revision``, ``scale``, ``spec`` and the digests of ``inputs`` determine it and enter its digest.
    ``locations`` (paths of files) and ``runtime`` (how often to save and log) do not.
    """

    kind: str
    name: str
    scale: str
    spec: dict[str, Any]
    inputs: dict[str, Input] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)
    runtime: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Names become paths, and may come from a record that somebody else wrote. Raises ReproError on a bad one."""
        if self.kind not in KINDS:
            raise ReproError(f"artefact {self.name!r}: kind: found {self.kind!r}; allowed: {', '.join(KINDS)}")
        for what, value in (("name", self.name), ("scale", self.scale)):
            if re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", value) is None:
                raise ReproError(
                    f"artefact of kind {self.kind}: {what}: found {value!r}; expected lower-case letters, digits and "
                    f"single hyphens"
                )

    @property
    def revision(self) -> int:
        return KINDS[self.kind].revision

    @property
    def verb(self) -> str:
        """The CLI verb that builds it."""
        return KINDS[self.kind].verb

    @property
    def digest(self) -> str:
        """Merkle digest of everything that determines the artefact."""
        return digest(
            {
                "kind": self.kind,
                "revision": self.revision,
                "scale": self.scale,
                "spec": self.spec,
                "inputs": {role: source.digest for role, source in self.inputs.items()},
            }
        )

    @property
    def is_leaf(self) -> bool:
        """Whether the folder has no digest in its name (the report, what DVC stores); the *record* then has it."""
        return self.kind in ("report", "store")

    @property
    def folder(self) -> str:
        """Folder relative to the project."""
        if self.kind == "report":
            return f"results/{self.scale}/report"
        if self.kind == "store":
            return f"results/{self.scale}/store/{self.name}"
        return f"results/{self.scale}/{KINDS[self.kind].section}/{self.name}-{self.digest}"

    @property
    def record(self) -> str:
        """The file that is written last and marks the artefact as complete."""
        return f"{self.folder}/record-{self.digest}.json" if self.is_leaf else f"{self.folder}/record.json"

    @property
    def spec_file(self) -> str:
        return f"results/{self.scale}/specs/{self.kind}-{self.name}-{self.digest}.json"

    def as_input(self) -> Input:
        return Input(path=self.folder, digest=self.digest, kind=self.kind)

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "revision": self.revision, "digest": self.digest}


def read_node(path: Path) -> Node:
    """Read a spec file. Raises ReproError when its content does not match its digest (edited by hand, or from
    another version of the project)."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        stated = raw.pop("digest")
        raw.pop("revision")
        node = Node(**{**raw, "inputs": {role: Input(**source) for role, source in raw["inputs"].items()}})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReproError(f"{path}: not a spec file ({error}); `t2i-repro plan --write-specs` writes it") from error
    if node.digest != stated:
        raise ReproError(
            f"{path}: its content has digest {node.digest}, but it states {stated}: it was edited, or written by "
            f"another version of t2i-repro. Change params.yaml or papers/ instead; `t2i-repro plan --write-specs` "
            f"writes the spec."
        )
    return node
