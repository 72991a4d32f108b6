"""Text encoders: what each one declares, in a module of `models/text_encoders/`. Needs no torch.

A declaration holds all that the rest of the project knows of an encoder: its section of params.yaml, the node that
trains it, and references to the functions that train it, load it and extract features with it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from t2i_repro.core.artefact import Node
from t2i_repro.core.config import for_dataset
from t2i_repro.core.declarations import declared
from t2i_repro.core.schema import Schema, keys
from t2i_repro.errors import ReproError

MatchingLoss = Literal["damsm", "itm"]

# Parts of a section's schema, defined in core/schemas/params.yaml; others are in core/schema.py.
BY_DATASET: Schema = {"$ref": "#/$defs/by_dataset"}
IMAGE_SIZE: Schema = {"$ref": "#/$defs/image_size"}

GENERIC_KIND = "text-encoder"


class Graph(Protocol):
    """The planner's graph, as far as encoders use it (planning/graph.py)."""

    params: Any
    estimate: bool

    def add(
        self, kind: str, name: str, spec: dict[str, Any], inputs: Mapping[str, Node] | None = None, **extra: Any
    ) -> Node: ...

    def prepare(self, dataset: str, image_size: int) -> Node: ...

    def content(self, folder: Path, suffixes: tuple[str, ...]) -> str: ...

    def network(self, name: str, dataset: str) -> Node: ...

    def is_standin(self, name: str) -> bool: ...


def never(graph: Graph) -> bool:
    return False


@dataclass(frozen=True)
class TextEncoder:
    """One text encoder.

    ``name``: value of ``encoder`` in papers/*.yaml and of ``source`` in ``networks`` of params.yaml.
    ``section``, ``options``: its section of params.yaml, and the JSON schema of every key there.
    ``plan(graph, dataset)``: the node that trains it on a dataset.
    ``is_standin(graph)``: whether that node takes the place of what the papers use (numbers are then labelled).
    ``dim``: size D of its sentence embedding in the papers.
    ``scaled_dim(graph)``: D at the chosen scale, for an encoder without a ``dim`` in its section.
    ``kind``: the kind of its artefact in core/artefact.py; a new encoder leaves it at its default.
    ``matching_loss``: the form of the losses that match images to its words and sentences, if it has an image encoder.

    References, ``module:function``, to what needs torch:
    ``pretrain(node, out, build, prepared)`` trains it and writes ``weights``, the file that holds its parameters.
    ``load(folder, prepared, spec, tuned)`` -> TextConditioner, for GANs; None: no system reads captions through it.
    ``extractor(folder, record, device)`` -> FeatureExtractor, for metrics; None: no metric uses it.
    ``full_size(vocabulary)`` -> the network at the papers' size, to count its parameters; None: not counted.
    """

    name: str
    section: str
    options: Schema
    plan: Callable[[Graph, str], Node]
    pretrain: str
    weights: str
    dim: int
    load: str | None = None
    extractor: str | None = None
    full_size: str | None = None
    scaled_dim: Callable[[Graph], int] | None = None
    matching_loss: MatchingLoss = "damsm"
    is_standin: Callable[[Graph], bool] = never
    kind: str = GENERIC_KIND

    def dim_at_scale(self, graph: Graph) -> int:
        """Size D of its sentence embedding at the chosen scale."""
        if self.scaled_dim is not None:
            return self.scaled_dim(graph)
        return int(graph.params[self.section].get("dim", self.dim))


def text_encoders() -> dict[str, TextEncoder]:
    """Every declared text encoder by name."""
    return declared("t2i_repro.models.text_encoders", TextEncoder)


def conditioning_encoders() -> dict[str, TextEncoder]:
    """Those that a system can read captions through."""
    return {name: encoder for name, encoder in text_encoders().items() if encoder.load is not None}


def encoder_of(kind: str, spec: Mapping[str, Any]) -> TextEncoder | None:
    """The encoder that an artefact of this kind and spec holds; None if it is no text encoder."""
    name = spec.get("encoder") if kind == GENERIC_KIND else kind
    return text_encoders().get(str(name))


def artefact_kinds() -> set[str]:
    """Kinds of artefacts that hold a text encoder."""
    return {GENERIC_KIND, *(encoder.kind for encoder in text_encoders().values())}


def section_on(graph: Graph, section: str, dataset: str) -> dict[str, Any]:
    """A section of params.yaml with its values for one dataset."""
    values = graph.params[section]
    return {key: for_dataset(value, dataset, f"{section}.{key}") for key, value in values.items()}


def param_sections() -> dict[str, Schema]:
    """JSON schemas of the encoders' sections of params.yaml, by name."""
    return {encoder.section: keys({}, encoder.options) for encoder in text_encoders().values()}


def check_params(params: dict[str, Any], source: str) -> None:
    """Raise ReproError where a network of params.yaml comes from a source that is neither an asset, a classifier nor
    a declared encoder."""
    allowed = ("asset", "classifier", *text_encoders())
    places = {"networks": params["networks"]} | {
        f"scales.{name}.networks": scale.get("networks", {}) for name, scale in params["scales"].items()
    }
    for place, networks in places.items():
        for name, network in networks.items():
            if network["source"] not in allowed:
                found = network["source"]
                raise ReproError(f"{source}: {place}.{name}.source: found {found!r}; allowed: {', '.join(allowed)}")
