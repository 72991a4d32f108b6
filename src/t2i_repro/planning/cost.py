"""What artefacts take: steps, images, floating-point operations, memory and disk. Needs no torch.

Operations of trainings and of samples are counted by torch (benchmarks/flops.py, which writes flops.yaml). Those of
encoders follow from the forward pass of their networks. Seconds follow in `devices.py`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from math import log2
from pathlib import Path
from typing import Any

from t2i_repro.core.artefact import Node
from t2i_repro.core.digest import digest
from t2i_repro.core.schema import read_yaml
from t2i_repro.data.fetch import assets
from t2i_repro.data.layout import layouts
from t2i_repro.data.prepared import SPLITS, Prepared
from t2i_repro.models.text_encoder import artefact_kinds, encoder_of
from t2i_repro.planning.graph import Graph
from t2i_repro.training.schedules import snapshot_epochs

FLOPS = Path(__file__).with_name("flops.yaml")
TRAINS = 3  # operations of a training step in forward passes: one forward, and a backward of two
FLOAT = 4  # bytes
# Features of an image by a network's trunk: dimensions of the pooled vector and of the class probabilities.
DIMENSIONS = {"inception": 2048 + 200, "inception-tf": 2048 + 1008, "clip": 512, "standin": 128 + 20}
REGIONS = 17 * 17  # of an image, in the losses that match words to it
SIDE_RATIO = 1.33  # of the longer side of a photograph to the shorter one
CAPTION_BYTES = 16 * 512 * 2 + 77 * 4 + 512 * 4  # of a caption in the cache of an ITM


def workload(spec: dict[str, Any]) -> str:
    """Name in flops.yaml of what determines the cost of a training step and of an image, from a ``train`` spec."""
    return digest({key: spec[key] for key in ("system", "image_size", "base_size")})


@cache
def counted() -> dict[str, dict[str, Any]]:
    """The table of counted operations: ``networks`` by name, ``trainings`` by `workload`."""
    table: dict[str, dict[str, Any]] = read_yaml(FLOPS)
    return table


@dataclass(frozen=True)
class Work:
    """What building one artefact takes, on any device.

    ``images``: how many are trained on, generated or embedded. ``memory``: bytes of the networks, of what optimisers
    keep, and of activations. ``side``: pixels of a sample's images.
    ``guessed``: operations are those of another system of its family.
    """

    steps: int = 0
    images: int = 0
    operations: float = 0.0
    memory: int = 0
    disk: int = 0
    download: int = 0
    side: int = 0
    guessed: bool = False


class Costs:
    """The work of each node of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.works: dict[str, Work] = {}
        self.prepared: dict[str, dict[str, int]] = {}

    def work(self, node: Node) -> Work:
        """What building a node takes, without its inputs."""
        if node.record not in self.works:
            self.works[node.record] = self.computed(node)
        return self.works[node.record]

    def computed(self, node: Node) -> Work:
        match node.kind:
            case "train":
                return self.training(node)
            case "sample":
                return self.sampling(node)
            case "embed":
                return self.embedding(node)
            case "prepare":
                return self.preparing(node)
            case "asset":
                return self.asset(node)
            case "classifier":
                return self.pretraining(node, node.spec["split"], TRAINS)
            case kind if kind in artefact_kinds() and "epochs" in node.spec:
                return self.pretraining(node, "train", TRAINS if kind == "clip" else 1)
            case _:
                return Work()

    def training(self, node: Node) -> Work:
        spec, (entry, guessed) = node.spec, self.entry(node.spec)
        images = self.images_of(node, "train")
        steps = spec["epochs"] * (images // spec["batch"])
        memory = entry["fixed_bytes"] + spec["batch"] * entry["image_bytes"]
        # The full state once, and the weights of the generator, about a fourth of it, at each snapshot.
        disk = int(entry["fixed_bytes"] * (1 + len(snapshot_epochs(spec)) / 4))
        seen = steps * spec["batch"]
        return Work(steps, seen, float(entry["train"]) * seen, memory, disk, guessed=guessed)

    def sampling(self, node: Node) -> Work:
        run, count = self.graph.inputs_of(node)["run"], node.spec["images"]
        entry, guessed = self.entry(run.spec)
        pixels = sum(side * side for side in entry["stages"])
        operations, side = float(entry["sample"]) * count, entry["image_size"]
        return Work(0, count, operations, entry["fixed_bytes"], 3 * count * pixels, side=side, guessed=guessed)

    def embedding(self, node: Node) -> Work:
        inputs = self.graph.inputs_of(node)
        network, images = inputs["network"], inputs["images"]
        split = node.spec["split"]
        count = images.spec["images"] if split is None else self.images_of(images, split)
        if node.spec.get("captions"):
            captions = count * self.dataset_entry(images)["captions_per_image"]
            return Work(0, captions, self.captions_operations(network) * captions, 0, captions * 512 * FLOAT)
        trunk = self.trunk(network)
        dimensions = DIMENSIONS.get(trunk, DIMENSIONS["clip"]) if network.kind in ("asset", "classifier") else 256
        return Work(0, count, self.forward(network) * count, 0, count * dimensions * FLOAT)

    def preparing(self, node: Node) -> Work:
        images = sum(self.images_of(node, split) for split in SPLITS)
        side = int(node.spec["image_size"] * 76 / 64)
        return Work(0, images, 0.0, 0, int(images * 3 * side * side * SIDE_RATIO))

    def asset(self, node: Node) -> Work:
        size = assets()[node.name]["size"] or 350_000_000  # CLIP's addresses state no size
        return Work(0, 0, 0.0, 0, size, size)

    def pretraining(self, node: Node, split: str, passes: int) -> Work:
        """``passes``: forward passes that a step costs; 1 where the network on images is frozen."""
        spec, images = node.spec, self.images_of(node, split)
        steps = spec["epochs"] * (images // spec["batch"])
        seen, forward = steps * spec["batch"], self.forward(node)
        captions = TRAINS * self.captions_operations(node)
        if (
            encoder_of(node.kind, spec) is not None and "gamma1" in spec
        ):  # each image attends to each caption of a batch
            captions += TRAINS * 4 * REGIONS * spec.get("dim", 512) * spec["words"] * spec["batch"]
        disk = 120_000_000 if forward > 1e9 else 2_000_000
        if node.kind == "itm":
            captions_of = self.dataset_entry(node)["captions_per_image"]
            disk += sum(self.images_of(node, each) for each in SPLITS) * captions_of * CAPTION_BYTES
        return Work(steps, seen, (passes * forward + captions) * seen, int(disk * 4), disk)

    def entry(self, spec: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """The counted cost of a training; or, with True, of the nearest one of its family, by the area of images."""
        table = counted()["trainings"]
        found = table.get(workload(spec))
        if found is not None:
            return found, False
        kind, size = spec["system"]["kind"], spec["image_size"]
        alike = [entry for entry in table.values() if entry["family"] == kind] or list(table.values())
        near = min(alike, key=lambda entry: (abs(log2(entry["image_size"] / size)), -entry["train"]))
        ratio = (size / near["image_size"]) ** 2
        scaled = {key: int(near[key] * ratio) for key in ("train", "sample", "image_bytes")}
        sides = [max(1, round(side * size / near["image_size"])) for side in near["stages"]]
        return {**near, **scaled, "stages": sides}, True

    def trunk(self, network: Node) -> str:
        """The network on images in an encoder, a classifier or downloaded weights, by its name in flops.yaml."""
        if network.kind == "asset":
            return str(network.spec["trunk"])
        if network.kind == "classifier":
            return str(network.spec["trunk"])
        inputs = self.graph.inputs_of(network)
        return self.trunk(inputs["trunk"]) if "trunk" in inputs else "clip"

    def forward(self, network: Node) -> float:
        """Operations of a network on one image."""
        passes = counted()["networks"]
        trunk = self.trunk(network)
        if trunk == "clip":
            inputs = {**self.graph.inputs_of(network), "itself": network}
            clip = inputs.get("clip", network)
            return float(passes["clip-standin"] if clip.kind == "clip" else passes.get(clip.name, 0))
        return float(passes["inception" if trunk == "inception-tf" else trunk])

    def captions_operations(self, network: Node) -> float:
        """Operations of a text encoder on one caption; those of recurrent layers are not counted, they are small."""
        if encoder_of(network.kind, network.spec) is None or network.kind != "char-cnn-rnn":
            return 0.0
        full = counted()["networks"]["char-cnn-rnn"]
        return float(full) * (network.spec.get("width", 512) / 512) ** 2

    def data_of(self, node: Node) -> Node:
        """The prepared data that a node is built from."""
        if node.kind == "prepare":
            return node
        inputs = self.graph.inputs_of(node)
        return self.data_of(next(inputs[role] for role in ("data", "images", "run") if role in inputs))

    def dataset_of(self, node: Node) -> str:
        return self.data_of(node).name.rpartition("-")[0]

    def dataset_entry(self, node: Node) -> dict[str, Any]:
        entry: dict[str, Any] = self.graph.params["datasets"][self.dataset_of(node)]
        return entry

    def images_of(self, node: Node, split: str) -> int:
        """Images of a split of the data behind a node: as prepared, or as `sizes` has it; 0 where that is not known."""
        data = self.data_of(node)
        if data.record not in self.prepared:
            built = (self.graph.project / data.record).exists()
            splits = Prepared(self.graph.project / data.folder).splits if built else {}
            self.prepared[data.record] = {name: len(images) for name, images in splits.items()}
        return self.prepared[data.record].get(split, self.sizes[self.dataset_of(node)].get(split, 0))

    @cached_property
    def sizes(self) -> dict[str, dict[str, int]]:
        """Images by dataset and split: of the stand-in, or of the official release."""
        params, found = self.graph.params, {}
        standin = params["standin"] if params["data_root"] is None else None
        for name, entry in params["datasets"].items():
            release = None if "folder" in entry else layouts()[entry["layout"]].release(entry.get("year"))
            if standin is not None:
                found[name] = {split: standin[f"{split}_classes"] * standin["images_per_class"] for split in SPLITS}
            else:
                found[name] = {} if release is None else dict(release.images)
        return found

    def unknown(self, nodes: Iterable[Node]) -> list[str]:
        """Datasets behind nodes whose size is not known, so that what is trained on them counts as nothing."""
        used = {self.dataset_of(node) for node in nodes if node.kind == "prepare"}
        return sorted(name for name in used if not self.sizes[name])
