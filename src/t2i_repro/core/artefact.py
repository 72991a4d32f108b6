"""A node of the plan: one artefact, all that determines it, and where it stands."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from t2i_repro.core.digest import digest
from t2i_repro.errors import ReproError

# Raised when the meaning of what a kind builds changes (not for a refactoring): old artefacts are then rebuilt.
REVISIONS = {
    "standin": 1,
    "prepare": 1,
    "asset": 1,
    "classifier": 1,
    "damsm": 1,
    "clip": 1,
    "itm": 1,
    "char-cnn-rnn": 1,
    "train": 1,
    "sample": 1,
    "import-samples": 1,
    "import-run": 1,
    "embed": 2,
    "judge": 1,
    "score": 3,
    "table": 2,
    "figure": 2,
    "report": 2,
    "store": 1,
}

SECTIONS = {
    "standin": "data",
    "prepare": "data",
    "asset": "assets",
    "classifier": "encoders",
    "damsm": "encoders",
    "clip": "encoders",
    "itm": "encoders",
    "char-cnn-rnn": "encoders",
    "train": "runs",
    "sample": "samples",
    "import-samples": "outside",
    "import-run": "outside",
    "embed": "features",
    "judge": "judges",
    "score": "metrics",
    "table": "tables",
    "figure": "figures",
    "report": "report",
    "store": "store",
}

VERBS = {
    "import-samples": "import",
    "import-run": "import",
    "classifier": "pretrain",
    "damsm": "pretrain",
    "clip": "pretrain",
    "itm": "pretrain",
    "char-cnn-rnn": "pretrain",
    "table": "render",
    "figure": "render",
    "asset": "fetch-asset",
}


@dataclass(frozen=True)
class Input:
    """An artefact another one is built from: its folder, its digest and its kind."""

    path: str
    digest: str
    kind: str


@dataclass(frozen=True)
class Node:
    """One artefact.

    ``spec`` and the digests of ``inputs`` determine it, together with ``kind`` and ``revision``. ``where`` (locations)
    and ``how`` (how often to save, how many at a time) do not, and stay out of the digest.
    """

    kind: str
    name: str
    scale: str
    spec: dict[str, Any]
    inputs: dict[str, Input] = field(default_factory=dict)
    where: dict[str, str] = field(default_factory=dict)
    how: dict[str, Any] = field(default_factory=dict)

    @property
    def revision(self) -> int:
        return REVISIONS[self.kind]

    @property
    def verb(self) -> str:
        """The CLI verb that builds it."""
        return VERBS.get(self.kind, self.kind)

    @property
    def digest(self) -> str:
        """Identity: a Merkle digest over what determines the artefact."""
        return digest(
            {
                "kind": self.kind,
                "revision": self.revision,
                "scale": self.scale,
                "spec": self.spec,
                "inputs": {role: given.digest for role, given in self.inputs.items()},
            }
        )

    @property
    def is_leaf(self) -> bool:
        """Leaves (the report, what DVC stores) stand at a path people can type; their *record* carries the digest."""
        return self.kind in ("report", "store")

    @property
    def folder(self) -> str:
        """Folder relative to the project."""
        if self.kind == "report":
            return f"results/{self.scale}/report"
        if self.kind == "store":
            return f"results/{self.scale}/store/{self.name}"
        return f"results/{self.scale}/{SECTIONS[self.kind]}/{self.name}-{self.digest}"

    @property
    def record(self) -> str:
        """The file that, written last, says the artefact is complete."""
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
        node = Node(**{**raw, "inputs": {role: Input(**given) for role, given in raw["inputs"].items()}})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReproError(f"{path}: not a spec file ({error}); let `python -m t2i_repro plan` write it") from error
    if node.digest != stated:
        raise ReproError(
            f"{path}: its content has digest {node.digest} but it says {stated}: it was edited, or written by another "
            f"version of t2i-repro. Change params.yaml or papers/ instead and run `python -m t2i_repro plan`."
        )
    return node
