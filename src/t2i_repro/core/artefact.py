"""Artefacts: their kinds, and the node of the plan that says all that determines one and where it is built."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from t2i_repro.core.digest import digest
from t2i_repro.errors import ReproError


@dataclass(frozen=True)
class Kind:
    """A kind of artefact: its folder in results/<scale>/, the verb that builds it, and the module whose
    `run(node, out, build)` does the work (imported when needed: a table must not wait for torch).

    ``revision`` goes up when the meaning of what is built changes, not for a refactoring: old artefacts are then
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
    "table": Kind("tables", "render", "t2i_repro.rendering.render", revision=2),
    "figure": Kind("figures", "render", "t2i_repro.rendering.render", revision=2),
    "report": Kind("report", "report", "t2i_repro.rendering.report", revision=2),
    "store": Kind("store", "store", "t2i_repro.core.store"),
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

    ``spec`` and the digests of ``inputs`` determine it, together with ``kind`` and ``revision``. ``locations`` (where
    files lie) and ``runtime`` (how often to save, how many at a time) do not, and stay out of the digest.
    """

    kind: str
    name: str
    scale: str
    spec: dict[str, Any]
    inputs: dict[str, Input] = field(default_factory=dict)
    locations: dict[str, str] = field(default_factory=dict)
    runtime: dict[str, Any] = field(default_factory=dict)

    @property
    def revision(self) -> int:
        return KINDS[self.kind].revision

    @property
    def verb(self) -> str:
        """The CLI verb that builds it."""
        return KINDS[self.kind].verb

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
        return f"results/{self.scale}/{KINDS[self.kind].section}/{self.name}-{self.digest}"

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
