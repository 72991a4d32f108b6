"""The plan: from params.yaml and papers/ to the graph of artefacts that has to exist.

`Planner` has one method per kind of node, in the order of the flow: raw -> prepare -> pretrain -> train -> sample ->
embed -> score -> render -> report. Nodes with the same content are one node.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Input, Node
from t2i_repro.core.config import for_dataset, load_params, resolve_scale
from t2i_repro.core.record import as_json, write_json
from t2i_repro.errors import ReproError
from t2i_repro.planning import evaluation as scoring
from t2i_repro.planning import external as outside
from t2i_repro.planning import figures as drawing
from t2i_repro.registry.papers import load_papers
from t2i_repro.registry.systems import resolve_systems, scaled, system_on

RAW_FOLDERS = {"cub": "CUB_200_2011", "oxford": "oxford102", "coco": "coco"}


class Planner:
    """Plans everything for one scale. `nodes` holds the artefacts by the path of their record, `targets` the ones a
    user may ask for by name."""

    def __init__(self, project: Path, overrides: dict[str, Any] | None = None):
        self.project = project
        self.params = resolve_scale(load_params(project, overrides))
        self.registry = load_papers(project)
        self.systems = resolve_systems(self.registry, tuple(self.params["datasets"]))
        self.nodes: dict[str, Node] = {}
        self.by_digest: dict[str, Node] = {}
        outside.check_outside(self)
        for paper in self.params["papers"]:
            if paper not in self.registry:
                allowed = ", ".join(self.registry)
                raise ReproError(f"params.yaml: papers: found {paper!r}; allowed: {allowed}")
        self.targets = self.plan_targets()

    def add(
        self, kind: str, name: str, spec: dict[str, Any], inputs: Mapping[str, Node] | None = None, **extra: Any
    ) -> Node:
        """Make a node, or return the one with this content, whatever its name: systems that differ in what a scale
        overrides are one at that scale."""
        given: dict[str, Input] = {role: node.as_input() for role, node in (inputs or {}).items()}
        scale = "all" if kind == "asset" else self.params["scale"]
        node = Node(kind=kind, name=name, scale=scale, spec=spec, inputs=given, **extra)
        node = self.by_digest.setdefault(node.digest, node)
        return self.nodes.setdefault(node.record, node)

    def raw(self, dataset: str) -> tuple[dict[str, Node], dict[str, Any], dict[str, str]]:
        """Where a dataset's raw files come from: (inputs, manifest, location) of the node that prepares it."""
        layout = self.params["datasets"][dataset]
        if self.params["data_root"] is None:
            if self.params["standin"] is None:
                raise ReproError(
                    f"scale {self.params['scale']!r} is for real data, and data_root is null. Fetch it "
                    f"(`python -m t2i_repro fetch --help`) and give its folder: --config data_root=FOLDER"
                )
            spec = {
                "layout": layout["layout"],
                "year": layout["year"],
                "captions_per_image": layout["captions_per_image"],
                **self.params["standin"],
            }
            return {"raw": self.add("standin", f"raw-{dataset}", spec)}, {"manifest": None}, {}
        from t2i_repro.data.manifest import manifest_digest

        root = Path(self.params["data_root"]) / RAW_FOLDERS[layout["layout"]]
        manifest, _ = manifest_digest(layout["layout"], root, layout["year"], self.project / "results/.cache/raw.json")
        return {}, {"manifest": manifest}, {"raw_root": str(root)}

    def prepare(self, dataset: str, image_size: int) -> Node:
        """Images and captions ready for random access, with room for random crops of `image_size`."""
        inputs, manifest, where = self.raw(dataset)
        spec = {**self.params["datasets"][dataset], "image_size": image_size, **manifest}
        return self.add("prepare", f"{dataset}-{image_size}", spec, inputs, where=where)

    def network(self, name: str, dataset: str) -> Node:
        """A network that looks at images (and may read captions), by its name in params.yaml."""
        return scoring.network(self, name, dataset)

    def encoder_spec(self, section: str, dataset: str) -> dict[str, Any]:
        """A section of params.yaml that trains an encoder, on one dataset."""
        spec = dict(self.params[section])
        return {key: for_dataset(value, dataset, f"{section}.{key}") for key, value in spec.items()}

    def damsm(self, dataset: str) -> Node:
        """The text and image encoders that every system with a DAMSM loss shares."""
        spec = self.encoder_spec("damsm", dataset)
        trunk = self.network(spec.pop("trunk"), dataset)
        inputs = {"data": self.prepare(dataset, spec["image_size"]), "trunk": trunk}
        return self.add("damsm", f"{dataset}-damsm", spec, inputs, how=self.params["cadence"])

    def clip(self, dataset: str) -> Node:
        """CLIP's weights, or a small dual encoder trained in their place."""
        name = self.params["itm"]["clip"]
        if name != "standin":
            from t2i_repro.data.fetch import asset

            return self.add("asset", name, {"sha256": asset(name)["sha256"], "trunk": "clip"})
        spec = self.encoder_spec("clip", dataset)
        inputs = {"data": self.prepare(dataset, spec["image_size"])}
        return self.add("clip", f"{dataset}-clip-standin", spec, inputs, how=self.params["cadence"])

    def itm(self, dataset: str) -> Node:
        """GR-GAN's image-text matcher, words and sentences included."""
        spec = self.encoder_spec("itm", dataset)
        del spec["clip"]
        inputs = {"data": self.prepare(dataset, spec["image_size"]), "clip": self.clip(dataset)}
        return self.add("itm", f"{dataset}-itm", spec, inputs, how=self.params["cadence"])

    def char_cnn_rnn(self, dataset: str) -> Node:
        """The sentence embedding of StackGAN, StackGAN++, HDGAN and GAN-INT-CLS."""
        spec = self.encoder_spec("char_cnn_rnn", dataset)
        if spec.pop("source") == "published":
            return self.published_embeddings(dataset, spec["dim"])
        trunk = self.network(spec.pop("trunk"), dataset)
        inputs = {"data": self.prepare(dataset, spec["image_size"]), "trunk": trunk}
        return self.add("char-cnn-rnn", f"{dataset}-char-cnn-rnn", spec, inputs, how=self.params["cadence"])

    def published_embeddings(self, dataset: str, dim: int) -> Node:
        """StackGAN's and HDGAN's own files, in `data_root` (docs/data.md)."""
        if self.params["data_root"] is None:
            raise ReproError("params.yaml: char_cnn_rnn.source: found published; that needs real data (data_root)")
        from t2i_repro.data.manifest import content_digest

        folder = Path(self.params["data_root"]) / "char-cnn-rnn" / dataset
        content = content_digest(folder, self.project / "results/.cache/raw.json", (".pickle",))
        inputs = {"data": self.prepare(dataset, self.params["prepare"]["image_size"])}
        spec = {"published": content, "dim": dim}
        return self.add("char-cnn-rnn", f"{dataset}-published", spec, inputs, where={"embeddings": str(folder)})

    def text_encoder(self, encoder: str, dataset: str) -> Node:
        """The artefact that a system reads captions through."""
        return {"damsm": self.damsm, "itm": self.itm, "char-cnn-rnn": self.char_cnn_rnn}[encoder](dataset)

    def system(self, name: str, dataset: str) -> dict[str, Any]:
        """A system on a dataset at this scale. Raises ReproError where no paper defines it."""
        if name not in self.systems:
            raise ReproError(f"papers: system {name!r} is not defined; there are {', '.join(self.systems)}")
        laid = system_on(self.systems[name], dataset, tuple(self.params["datasets"]), f"systems.{name}")
        return scaled(laid, self.params["over_systems"], name)

    def train(self, system_name: str, dataset: str, seed: int) -> Node:
        """One GAN training; with `after`, upon a run of another system."""
        system = self.system(system_name, dataset)
        train, after = system.pop("train"), system.pop("after", None)
        size = max(train["image_size"], self.params["prepare"]["image_size"])
        inputs = {"data": self.prepare(dataset, size), "text": self.text_encoder(system["encoder"], dataset)}
        if after is not None:
            inputs["base"] = self.train(after, dataset, seed)
        spec = {"system": system, **train, "seed": seed}
        return self.add("train", f"{dataset}-{system_name}-s{seed}", spec, inputs, how=self.params["cadence"])

    def sample(self, run: Node, snapshot: int | None = None) -> Node:
        """The images a run is judged by; with ``snapshot``, as it was after that epoch (`snapshot_epochs`)."""
        given = self.inputs_of(run)
        inputs = {"run": run, "data": given["data"], "text": given["text"]}
        moment, suffix = ({}, "") if snapshot is None else ({"snapshot": snapshot}, f"-epoch-{snapshot}")
        spec = {**self.params["sample"], **moment}
        return self.add("sample", run.name + suffix, spec, inputs, how=self.params["cadence"])

    def score(self, run: Node | None, protocol: str, dataset: str, judged: str | None = None) -> Node:
        """One number: a protocol applied to a run's samples, or without a run to the network `judged`."""
        return scoring.score(self, run, protocol, dataset, judged)

    def table(self, paper: str, table_id: str) -> Node:
        """A printed table beside its rebuilt cells. A cell without a run says why."""
        table = self.registry[paper]["tables"][table_id]
        inputs: dict[str, Node] = {}
        missing: dict[str, str] = {}
        for row_id, row in table["rows"].items():
            for column_id, column in table["columns"].items():
                scores, reason = scoring.cell(self, row_id, row, column)
                inputs |= {f"{row_id}/{column_id}/{seed}": node for seed, node in scores.items()}
                if reason is not None:
                    missing[f"{row_id}/{column_id}"] = reason
        spec = {"paper": paper, "table": table_id, **table, "missing": missing, **self.labels()}
        return self.add("table", f"{paper}-{table_id}", spec, inputs)

    def figure(self, paper: str, figure_id: str) -> Node:
        """A figure and what it is drawn from. Raises ReproError where this scale cannot draw it."""
        return drawing.figure(self, paper, figure_id)

    def labels(self) -> dict[str, str]:
        """What must stand beside every number: the scale, and whether the data are real."""
        data = "stand-in data (procedural)" if self.params["data_root"] is None else "real data"
        return {"scale_label": self.params["label"], "data_label": data}

    def inputs_of(self, node: Node) -> dict[str, Node]:
        """The nodes another one is built from, by role."""
        return {role: self.nodes[f"{given.path}/record.json"] for role, given in node.inputs.items()}

    def report(self) -> Node:
        """The page: every table and figure of the chosen papers, the samples and the runs behind them, and the audit of
        all papers."""
        shown: dict[str, Node] = {}
        not_built: dict[str, dict[str, str]] = {}
        for paper in self.params["papers"]:
            for table_id in self.registry[paper]["tables"]:
                shown[f"{paper}/{table_id}"] = self.table(paper, table_id)
            for figure_id, figure in self.registry[paper]["figures"].items():
                reason = drawing.missing(self, figure, f"papers/{paper}.yaml: figures.{figure_id}")
                if reason is None:
                    shown[f"{paper}/{figure_id}"] = self.figure(paper, figure_id)
                else:  # no node: the page says why
                    told = {key: figure[key] for key in ("label", "where", "caption") if key in figure}
                    not_built[f"{paper}/{figure_id}"] = {**told, "reason": reason}
        kinds = ("train", "sample", "import-run", "import-samples")
        # Runs are shown as they ended.
        behind = [node for node in self.nodes.values() if node.kind in kinds and "snapshot" not in node.spec]
        shown |= {f"{node.kind}/{node.name}": node for node in behind}
        papers = {
            paper: {key: self.registry[paper][key] for key in ("title", "authors", "source")}
            for paper in self.params["papers"]
        }
        audited = ("id", "title", "systems", "tables", "claims")
        registry = {
            paper: {key: content[key] for key in audited if key in content} for paper, content in self.registry.items()
        }
        spec = {"papers": papers, "registry": registry, "not_built": not_built, **self.labels()}
        divergences = self.project / "docs/divergences.md"  # part of the page, so of what determines it
        spec["divergences"] = divergences.read_text(encoding="utf-8") if divergences.is_file() else ""
        return self.add("report", "report", spec, shown)

    def store(self, name: str, kinds: tuple[str, ...]) -> Node:
        """Leaves for DVC: copies of what is worth versioning, at paths that do not change."""
        leaves = {f"{node.kind}-{node.name}": node for node in self.nodes.values() if node.kind in kinds}
        return self.add("store", name, {}, leaves)

    def plan_targets(self) -> dict[str, Node]:
        """What a user may ask for by name: the report and the stores. Everything else follows from them."""
        return {
            "report": self.report(),
            "data": self.store("data", ("prepare",)),
            "encoders": self.store("encoders", ("damsm", "clip", "itm", "char-cnn-rnn", "classifier")),
            "checkpoints": self.store("checkpoints", ("train",)),
        }


def write_specs(planner: Planner) -> None:
    """Write the spec files that are not there, or whose `where` or `how`, which no digest tells of, has changed."""
    for node in planner.nodes.values():
        path = planner.project / node.spec_file
        content = node.to_json()
        if not path.exists() or path.read_bytes() != as_json(content):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, content)
