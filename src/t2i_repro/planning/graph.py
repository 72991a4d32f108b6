"""The graph of artefacts: nodes for data, encoders, networks, trainings and samples.

One method per kind of node, in the order of the flow: raw -> prepare -> pretrain -> train -> sample. Evaluation,
external samples and figures are functions on a graph (evaluation.py, external.py, figures.py); the `Planner` (plan.py)
plans everything.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Input, Node
from t2i_repro.core.config import for_dataset, resolve_scale
from t2i_repro.data.fetch import asset
from t2i_repro.data.layout import layouts
from t2i_repro.data.manifest import content_digest, manifest_digest
from t2i_repro.errors import ReproError
from t2i_repro.models.text_encoder import text_encoders
from t2i_repro.planning.params import read_params
from t2i_repro.registry.papers import load_registry
from t2i_repro.registry.systems import resolve_systems, scaled, system_on


class Params(dict[str, Any]):
    """Parameters that remember which sections were read."""

    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__(params)
        self.read: set[str] = set()

    def __getitem__(self, section: str) -> Any:
        self.read.add(section)
        return super().__getitem__(section)


UNKNOWN = "unknown"  # in place of a digest of raw files that are not there


class Graph:
    """The artefacts of one scale: ``nodes`` by the path of their record, ``by_digest`` by their identity. ``registry``:
    the papers; ``systems``: their systems, resolved but for dataset and scale.

    ``estimate``: plan datasets that are not there too, to tell what they would cost. Digests of what depends on them
    are then not those of a build. ``absent`` has the reason for each, by dataset.
    """

    def __init__(self, project: Path, overrides: dict[str, Any] | None = None, *, estimate: bool = False):
        self.project, self.estimate = project, estimate
        self.absent: dict[str, str] = {}
        self.manifests: dict[str, str] = {}  # of raw files, by dataset: identified once, for each file costs a stat
        self.params = Params(resolve_scale(read_params(project, overrides)))
        registry = load_registry(project)
        self.registry, self.definitions = registry.papers, registry.definitions
        self.systems = resolve_systems(self.definitions, tuple(self.params["datasets"]))
        self.nodes: dict[str, Node] = {}
        self.by_digest: dict[str, Node] = {}

    def add(
        self, kind: str, name: str, spec: dict[str, Any], inputs: Mapping[str, Node] | None = None, **extra: Any
    ) -> Node:
        """Add a node, or return the one with the same content under another name: two systems that differ only in what
        a scale overrides share their run at that scale."""
        links: dict[str, Input] = {role: node.as_input() for role, node in (inputs or {}).items()}
        scale = "all" if kind == "asset" else self.params["scale"]
        node = Node(kind=kind, name=name, scale=scale, spec=spec, inputs=links, **extra)
        node = self.by_digest.setdefault(node.digest, node)
        return self.nodes.setdefault(node.record, node)

    def raw(self, dataset: str) -> tuple[dict[str, Node], dict[str, Any], dict[str, str]]:
        """Where a dataset's raw files come from: inputs, manifest and locations of the node that prepares it."""
        try:
            return self.identified(dataset)
        except ReproError as error:
            if not self.estimate:
                raise
            self.absent[dataset] = str(error)
            return {}, {"manifest": UNKNOWN}, {}

    def identified(self, dataset: str) -> tuple[dict[str, Node], dict[str, Any], dict[str, str]]:
        """`raw` of a dataset that is there. Raises ReproError if it is not."""
        entry = self.params["datasets"][dataset]
        layout, year = layouts()[entry["layout"]], entry.get("year")
        if self.params["data_root"] is None:
            if self.params["standin"] is None:
                raise ReproError(
                    f"scale {self.params['scale']!r} is for real data, and data_root is null. Fetch it "
                    f"(`python -m t2i_repro fetch --help`) and give its folder: `--config data_root=FOLDER` to "
                    f"Snakemake, `--set data_root=FOLDER` to t2i-repro"
                )
            spec = {
                "layout": layout.name,
                "year": year,
                "captions_per_image": entry["captions_per_image"],
                **self.params["standin"],
            }
            return {"raw": self.add("standin", f"raw-{dataset}", spec)}, {"manifest": None}, {}
        base = Path(self.params["data_root"]) / entry.get("folder", layout.folder)
        if dataset not in self.manifests:
            cache = self.project / "results/.cache/raw.json"
            self.manifests[dataset], _ = manifest_digest(layout, base, year, cache)
        return {}, {"manifest": self.manifests[dataset]}, {"raw_root": str(base)}

    def content(self, folder: Path, suffixes: tuple[str, ...]) -> str:
        """Digest of the files below a folder of ``data_root`` whose names end in ``suffixes``."""
        try:
            return content_digest(folder, self.project / "results/.cache/raw.json", suffixes)
        except ReproError:
            if not self.estimate:
                raise
            return UNKNOWN

    def prepare(self, dataset: str, image_size: int) -> Node:
        """Images and captions for random access, large enough for random crops of `image_size`."""
        inputs, manifest, locations = self.raw(dataset)
        entry = {key: value for key, value in self.params["datasets"][dataset].items() if key != "folder"}
        spec = {**entry, "image_size": image_size, **manifest}
        return self.add("prepare", f"{dataset}-{image_size}", spec, inputs, locations=locations)

    def network(self, name: str, dataset: str) -> Node:
        """A feature extractor by its name in params.yaml: downloaded weights, a classifier trained on the dataset's
        classes, or a text encoder with its image encoder."""
        entry = self.params["networks"][name]
        if entry["source"] == "asset":
            known = asset(entry["asset"])
            return self.add("asset", entry["asset"], {"sha256": known["sha256"], "trunk": entry["trunk"]})
        if entry["source"] in text_encoders():
            return text_encoders()[entry["source"]].plan(self, dataset)
        spec = dict(self.params["classifier"])
        spec["epochs"] = for_dataset(spec["epochs"], dataset, "classifier.epochs")
        spec = {**spec, "split": entry["split"], "trunk": "standin" if entry["trunk"] == "standin" else "inception"}
        if not layouts()[self.params["datasets"][dataset]["layout"]].has_classes:
            spec["target"] = "words"  # of the captions, in place of classes
        inputs = {"data": self.prepare(dataset, spec["image_size"])}
        if entry["trunk"] != "standin":
            inputs["trunk"] = self.network(entry["trunk"], dataset)
        name = f"{dataset}-{spec['trunk']}-{spec['split']}-classes"
        return self.add("classifier", name, spec, inputs, runtime=self.params["cadence"])

    def is_standin(self, name: str) -> bool:
        """Whether a network of params.yaml is a stand-in for the one of that name."""
        entry = self.params["networks"][name]
        if entry["source"] in text_encoders():
            return entry.get("standin", False) or text_encoders()[entry["source"]].is_standin(self)
        return entry.get("standin", False) or entry.get("trunk") == "standin"

    def text_encoder(self, encoder: str, dataset: str) -> Node:
        """The artefact that a system reads captions through."""
        return text_encoders()[encoder].plan(self, dataset)

    def system(self, name: str, dataset: str) -> dict[str, Any]:
        """A system on a dataset at this scale. Raises ReproError if no file of papers/ defines it."""
        if name not in self.systems:
            raise ReproError(f"papers: system {name!r} is not defined; there are {', '.join(self.systems)}")
        on_dataset = system_on(self.systems[name], dataset, tuple(self.params["datasets"]), f"systems.{name}")
        return scaled(on_dataset, self.params["over_systems"], name)

    def train(self, system_name: str, dataset: str, seed: int) -> Node:
        """One GAN training. A system with `after` continues a run of that system, with the same seed."""
        system = self.system(system_name, dataset)
        train, after = system.pop("train"), system.pop("after", None)
        size = max(train["image_size"], self.params["prepare"]["image_size"])
        inputs = {"data": self.prepare(dataset, size), "text": self.text_encoder(system["encoder"], dataset)}
        if after is not None:
            inputs["base"] = self.train(after, dataset, seed)
        spec = {"system": system, **train, "seed": seed}
        return self.add("train", f"{dataset}-{system_name}-s{seed}", spec, inputs, runtime=self.params["cadence"])

    def sample(self, run: Node, snapshot: int | None = None) -> Node:
        """The images that a run is scored by; with ``snapshot``, those of its weights after that epoch
        (`snapshot_epochs`)."""
        of_run = self.inputs_of(run)
        inputs = {"run": run, "data": of_run["data"], "text": of_run["text"]}
        epoch, suffix = ({}, "") if snapshot is None else ({"snapshot": snapshot}, f"-epoch-{snapshot}")
        spec = {**self.params["sample"], **epoch}
        return self.add("sample", run.name + suffix, spec, inputs)

    def labels(self) -> dict[str, str]:
        """Labels that go with every number: the scale, and whether the data are real."""
        data = "stand-in data (procedural)" if self.params["data_root"] is None else "real data"
        return {"scale_label": self.params["label"], "data_label": data}

    def inputs_of(self, node: Node) -> dict[str, Node]:
        """The nodes that a node is built from, by role."""
        return {role: self.nodes[f"{link.path}/record.json"] for role, link in node.inputs.items()}
