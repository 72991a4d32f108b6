"""`t2i-repro show`: a system on a dataset, or a protocol, with every value resolved and where it was set.

It needs no data: nothing is planned, so `--scale paper` works anywhere.
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TextIO

from t2i_repro.core.config import add_settings, parse_settings
from t2i_repro.core.schema import Schema
from t2i_repro.core.text import visible
from t2i_repro.data.layout import layouts
from t2i_repro.data.prepared import Prepared
from t2i_repro.errors import ReproError
from t2i_repro.metrics.registry import metrics
from t2i_repro.models.family import TRAIN_OPTIONS, Family, family_of
from t2i_repro.models.text_encoder import text_encoders
from t2i_repro.planning.graph import Graph
from t2i_repro.planning.origins import Origins, Setting, Tree, leaves, values_of
from t2i_repro.registry.papers import measured_in
from t2i_repro.registry.systems import NoEntryError

# Keys of a system, or of one of its stages, that define what the generator is trained on.
LOSSES = ("adversarial", "matching", "gammas", "kl", "similarity", "redundancy", "distillation", "image_loss")


@dataclass(frozen=True)
class Row:
    label: str
    value: str
    origin: str = ""
    """Where it was set, or how it is derived."""


Sections = dict[str, list[Row]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="a system, e.g. dm-gan, or a protocol, e.g. fid:tf")
    parser.add_argument("dataset", metavar="DATASET", nargs="?", help="of a system: the dataset, e.g. cub")
    parser.add_argument("--scale", metavar="S", help="a scale of params.yaml; short for --set scale=S")
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    overrides = parse_settings(args.set)
    if args.scale is not None:
        overrides["scale"] = args.scale
    graph = Graph(Path("."), overrides)
    origins = Origins(graph, overrides)
    scale = f"scale {graph.params['scale']}: {graph.params['label']}"
    if args.name in graph.params["protocols"]:
        if args.dataset is not None:
            raise ReproError(f"found dataset {args.dataset!r} after protocol {args.name}; leave it out")
        title, sections = f"Protocol {args.name}, {scale}", protocol_sections(graph, origins, args.name)
    else:
        dataset = checked(graph, args.name, args.dataset)
        title, sections = f"{args.name} on {dataset}, {scale}", system_sections(graph, origins, args.name, dataset)
        sections["Parameters"] = parameters(graph, args.name, dataset)
    write(title, sections, visible(sys.stdout))


def checked(graph: Graph, name: str, dataset: str | None) -> str:
    """The dataset. Raises ReproError, with what is allowed, unless it and the system exist."""
    if name not in graph.systems:
        known = [*graph.systems, *graph.params["protocols"]]
        near = get_close_matches(name, known, n=5, cutoff=0.5) or known
        raise ReproError(f"found {name!r}; expected a system or a protocol, such as {', '.join(near)}")
    if dataset is None or dataset not in graph.params["datasets"]:
        found = "no dataset" if dataset is None else f"dataset {dataset!r}"
        raise ReproError(f"found {found} after {name}; expected one of {', '.join(graph.params['datasets'])}")
    try:
        graph.system(name, dataset)
    except NoEntryError as error:
        raise ReproError(f"{name} is not defined on {dataset}: {error}") from error
    return dataset


def write(title: str, sections: Sections, file: TextIO) -> None:
    """Print the rows of all sections in the same columns."""
    rows = [row for section in sections.values() for row in section]
    label = max(len(row.label) for row in rows)
    value = max(len(row.value) for row in rows if row.origin)
    print(title, file=file)
    for heading, section in sections.items():
        if section:
            print(f"\n{heading}", file=file)
        for row in section:
            print(f"  {row.label:{label}}  {row.value:{value}}  {row.origin}".rstrip(), file=file)


def format_value(value: Any) -> str:
    """A value as YAML writes it."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(format_value, value))}]"
    if isinstance(value, float):
        return f"{value:g}" if value % 1 else f"{value:.1f}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def rows_of(tree: Tree) -> list[Row]:
    """One row for each Setting of a tree."""
    return [Row(path, format_value(setting.value), setting.origin) for path, setting in leaves(tree)]


def system_sections(graph: Graph, origins: Origins, name: str, dataset: str) -> Sections:
    """All that a run of a system is planned with, but for its data and seed."""
    system = origins.system(name, dataset)
    train, stages = system.pop("train"), system.pop("stages", [])
    losses = {key: system.pop(key) for key in LOSSES if key in system}
    encoder = text_encoders()[system["encoder"].value]
    family = family_of(values_of(system))
    network = [*rows_of(system), *defaults(family.optional, system)]
    if chain := origins.chain(name):
        network.insert(0, Row("base", " < ".join(chain)))
    return {
        "Network": network,
        "Stages": stage_rows(stages, train["image_size"].value),
        "Losses and weights": [*rows_of(losses), *stage_losses(stages)],
        "Training": [
            *rows_of(train),
            *train_defaults(family, train),
            *steps(graph, dataset, values_of(train)),
        ],
        "Constants": [Row(key, format_value(value), "in code") for key, value in family.constants.items()],
        f"Text encoder: {encoder.name}": rows_of(origins.section(encoder.section, dataset)),
    }


def stage_rows(stages: list[Tree], image_size: int) -> list[Row]:
    """The networks of each stage. Image sizes double from stage to stage."""
    rows = []
    for number, stage in enumerate(stages, 1):
        rows.append(Row(f"stage {number}", f"{image_size >> (len(stages) - number)} px"))
        rows += rows_of({f"stage {number}": {key: value for key, value in stage.items() if key not in LOSSES}})
    return rows


def stage_losses(stages: list[Tree]) -> list[Row]:
    """The losses of each stage."""
    return [
        row
        for number, stage in enumerate(stages, 1)
        for row in rows_of({f"stage {number}": {key: value for key, value in stage.items() if key in LOSSES}})
    ]


def defaults(schemas: Mapping[str, Schema], tree: Tree) -> list[Row]:
    """The defaults of the keys that a tree leaves out."""
    return [
        Row(key, format_value(schema["default"]), "default")
        for key, schema in schemas.items()
        if key not in tree and "default" in schema
    ]


def train_defaults(family: Family, train: Tree) -> list[Row]:
    """What a family's training does if a system leaves out these keys."""
    rows = defaults({key: TRAIN_OPTIONS[key] for key in family.train_options}, train)
    if "halve_every" in family.train_options and "halve_every" not in train:
        rows.append(Row("halve_every", "never", "default"))
    return rows


def steps(graph: Graph, dataset: str, train: dict[str, Any]) -> list[Row]:
    """The number of training images, and of steps: an epoch drops its incomplete last batch."""
    images, source = training_images(graph, dataset, train["image_size"])
    if images is None:
        return [Row("training images", "unknown", source)]
    per_epoch = images // train["batch"]
    return [
        Row("training images", f"{images:,}", source),
        Row("steps per epoch", f"{per_epoch:,}", "training images // batch"),
        Row("steps", f"{per_epoch * train['epochs']:,}", "steps per epoch x epochs"),
    ]


def training_images(graph: Graph, dataset: str, image_size: int) -> tuple[int | None, str]:
    """How many images a system trains on, and the source of that: the size of the stand-in, the prepared data if there
    are any at this scale, or the official split."""
    entry, standin = graph.params["datasets"][dataset], graph.params["standin"]
    if graph.params["data_root"] is None and standin is not None:
        return standin["train_classes"] * standin["images_per_class"], "stand-in data (params.yaml: standin)"
    size = max(image_size, graph.params["prepare"]["image_size"])
    if graph.params["data_root"] is not None:
        folders = f"results/{graph.params['scale']}/data/{dataset}-{size}-*/record.json"
        if any(graph.project.glob(folders)):  # else planning would read all raw files to identify them
            prepared = graph.project / graph.prepare(dataset, size).folder
            if (prepared / "record.json").exists():
                return len(Prepared(prepared).splits["train"]), f"prepared data: {prepared.name}"
    count = None if "folder" in entry else layouts()[entry["layout"]].train_images(entry.get("year"))
    known = "official split; the data are not prepared here"
    return count, known if count else "no prepared data, and no official split is known"


def parameters(graph: Graph, name: str, dataset: str) -> list[Row]:
    """Parameter counts of the networks at this scale, and of the text encoder unless it is a stand-in."""
    from t2i_repro.planning import counts  # imports torch, which resolving a system does not need

    system = graph.system(name, dataset)
    encoder = text_encoders()[system["encoder"]]
    generator, discriminators = counts.network_counts(system, encoder.dim_at_scale(graph))
    rows = [Row("generator", f"{generator:,}"), Row("discriminators", " + ".join(f"{one:,}" for one in discriminators))]
    if not encoder.is_standin(graph):
        text = counts.text_count(encoder.name, dataset)
        rows.append(
            Row("text encoder", "unknown" if text is None else f"{text:,}", "at the papers' size and vocabulary")
        )
    return rows


def protocol_sections(graph: Graph, origins: Origins, name: str) -> Sections:
    """A protocol with the defaults of its metric, what it reads, and where the papers use it."""
    protocol = origins.params["protocols"][name]
    metric = metrics()[protocol["metric"].value]
    options = {
        key: Setting(schema["default"], "default") for key, schema in metric.options.items() if "default" in schema
    }
    inputs = [Row("reads", ", ".join(metric.inputs) or "nothing")]
    for key in ("network", "text"):
        if key in protocol:
            inputs += network_rows(graph, origins, key, protocol[key])
    samples = origins.params["sample"]
    if {"features", "images"} & set(metric.inputs):
        inputs += rows_of({"samples": {key: samples[key] for key in ("images", "split")}})
        divide = values_of(protocol.get("divide", 1))
        inputs.append(Row("image size", "that of the last stage" + (f" / {divide}" if divide > 1 else "")))
    if "preparation" not in protocol and metric.reads_features:
        inputs.append(Row("preparation", "the network's own"))
    columns = columns_of(graph, name)
    return {
        "Protocol": rows_of(
            {**options, **{key: value for key, value in protocol.items() if key not in ("network", "text")}}
        ),
        "Inputs": inputs,
        "Columns": columns or [Row("none", "no table uses it")],
        "Figures": figures_of(graph, name),
    }


def network_rows(graph: Graph, origins: Origins, role: str, network: Setting) -> list[Row]:
    """A network of a protocol, and what it is at this scale."""
    rows = [Row(role, format_value(network.value), network.origin)]
    rows += rows_of({f"networks.{network.value}": origins.params["networks"][network.value]})
    if graph.is_standin(network.value):
        rows.append(Row(f"networks.{network.value}", "a stand-in at this scale"))
    return rows


def columns_of(graph: Graph, name: str) -> list[Row]:
    """Columns of the papers' tables whose numbers a protocol computes, or rows if these name the protocol."""
    found: dict[Row, None] = {}
    for paper_id, paper in graph.registry.items():
        for table_id, table in paper["tables"].items():
            for row in table["rows"].values():
                for column in table["columns"].values():
                    measured = measured_in(row, column)
                    if measured["protocol"] == name:
                        label = row["label"] if "protocol" in row else column["label"]
                        found[Row(f"{paper_id} {table_id}", f"{label}, {measured['dataset'] or 'any dataset'}")] = None
    return list(found)


def figures_of(graph: Graph, name: str) -> list[Row]:
    return [
        Row(f"{paper_id} {figure_id}", figure["dataset"])
        for paper_id, paper in graph.registry.items()
        for figure_id, figure in paper["figures"].items()
        if name in [*figure.get("protocols", []), figure.get("protocol")]
    ]
