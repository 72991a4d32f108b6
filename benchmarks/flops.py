"""Floating-point operations and memory of training and sampling, counted by torch, for `t2i-repro plan`.

    python benchmarks/flops.py            count what src/t2i_repro/planning/flops.yaml lacks, and write it there
    python benchmarks/flops.py --anew     count everything anew (minutes of one core)

One step of every system at each scale of params.yaml is taken on the CPU with random data, at batch 2, as `train` takes
it. An entry is named by a digest of what determines it (`planning/cost.py: workload`), so that a changed system is
counted anew. Run it after adding a system: until then `plan` guesses its cost from a system of its family.
"""

import argparse
import tempfile
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest import mock

import numpy as np
import open_clip
import torch
import yaml
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry
from training_steps import CONTEXT, CPU, PROJECT, VOCABULARY, RandomBatches

from t2i_repro.core.artefact import Node
from t2i_repro.core.declarations import resolve
from t2i_repro.core.record import atomic_write
from t2i_repro.models.build import build_generator
from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn, characters
from t2i_repro.models.encoders.damsm import DamsmImageEncoder, DamsmTextEncoder
from t2i_repro.models.encoders.itm import ITM, Clip, OpenClip, StandinClip
from t2i_repro.models.family import family_of
from t2i_repro.models.state import evaluating, reproducible, save_torch
from t2i_repro.planning.cost import FLOPS, workload
from t2i_repro.planning.counts import VOCABULARIES
from t2i_repro.planning.plan import Planner
from t2i_repro.registry.papers import load_papers
from t2i_repro.sampling.conditioners import CharCnnRnnText, ClipTextCache, DamsmText, ItmText
from t2i_repro.sampling.text import TextConditioner
from t2i_repro.training.gan import GAN, GanInputs

BATCH = 2
HEADER = (
    "# Written by benchmarks/flops.py: operations of one image in a training step (train) and in sampling, and bytes.\n"
)
SCALES = ("paper", "small", "smoke")


def planner_of(scale: str) -> Planner:
    """All papers at a scale."""
    overrides: dict[str, Any] = {"scale": scale, "papers": list(load_papers(PROJECT))}
    return Planner(PROJECT, overrides, estimate=True)


class Damsm(DamsmText):
    """With an untrained image encoder."""

    def __init__(self, encoder: DamsmTextEncoder, words: int, trunk: str) -> None:
        super().__init__(encoder, words)
        self.trunk = trunk

    def image_encoder(self) -> nn.Module:
        return DamsmImageEncoder(build_backbone(cast(Any, self.trunk)), self.dim)


def conditioner(planner: Planner, encoder: str, words: int, dataset: str) -> TextConditioner:
    """Text conditioning at a planner's scale, with untrained networks."""
    params = planner.params
    if encoder == "damsm":
        section, trunk = params["damsm"], "standin" if planner.is_standin(params["damsm"]["trunk"]) else "inception"
        vocabulary = VOCABULARIES.get(dataset, VOCABULARIES["cub"]) if trunk == "inception" else 100
        return Damsm(DamsmTextEncoder(vocabulary, section["embedding"], section["hidden"]), words, trunk)
    if encoder == "char-cnn-rnn":
        section = params["char_cnn_rnn"]
        network = CharCnnRnn(section["dim"], section["width"])
        return CharCnnRnnText(network, np.zeros((0, section["dim"]), np.float32), "mean-of-4", "first")
    standin, section = params["itm"]["clip"] == "standin", params["clip"]
    vocabulary, context = (100, section["words"] + 2) if standin else (VOCABULARY, CONTEXT)
    clip: Clip = StandinClip(vocabulary, section["width"], section["dim"], context) if standin else OpenClip()
    itm = ITM(clip)
    rows = np.random.default_rng(0).integers(1, vocabulary - 2, (BATCH, context))
    rows[:, words + 1], rows[:, words + 2 :] = vocabulary - 1, 0
    with torch.no_grad():
        features, embeddings = itm.clip.eval().text(torch.from_numpy(rows))
    cache = ClipTextCache(features[:, : words + 1].half().numpy(), embeddings.numpy(), rows.astype(np.int32))
    return ItmText(itm, cache, lambda text: rows[int(text)], words)


class Counter(TorchDispatchMode):
    """Counts operations as torch's FlopCounterMode does, which fails on gradient penalties. Convolutions return zeros
    at once: they would be most of the time."""

    SKIPPED = (torch.ops.aten.convolution.default, torch.ops.aten.convolution_backward.default)

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        results = self.skip(func, args, kwargs) if func in self.SKIPPED else func(*args, **kwargs)
        operations = flop_registry.get(func._overloadpacket)
        if operations is not None:
            self.total += operations(*args, **kwargs, out_val=results)
        return results

    def skip(self, func: Any, args: Any, kwargs: Any) -> Any:
        results = func(*(value.to("meta") if isinstance(value, Tensor) else value for value in args), **kwargs)
        if isinstance(results, Tensor):
            return torch.zeros(results.shape)
        return tuple(None if result is None else torch.zeros(result.shape) for result in results)


@contextmanager
def activations(kept: set[int]) -> Iterator[list[int]]:
    """[now, peak] bytes that are saved for backward passes; storages in ``kept`` are not counted."""
    found = [0, 0]
    references: dict[int, int] = {}

    class Saved:
        def __init__(self, tensor: Tensor) -> None:
            self.tensor = tensor
            storage = tensor.untyped_storage()
            weakref.finalize(self, release, storage.data_ptr(), storage.nbytes())

    def release(pointer: int, size: int) -> None:
        if pointer in kept:
            return
        references[pointer] -= 1
        if references[pointer] == 0:
            found[0] -= size

    def pack(tensor: Tensor) -> Saved:
        storage = tensor.untyped_storage()
        pointer = storage.data_ptr()
        if pointer not in kept:
            references[pointer] = references.get(pointer, 0) + 1
            if references[pointer] == 1:
                found[0] += storage.nbytes()
                found[1] = max(found)
        return Saved(tensor)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
        yield found


def count_training(planner: Planner, node: Node, folder: Path) -> dict[str, Any]:
    """Operations of an image in a training step and in sampling; memory of the networks, and that of each image."""
    dataset, name = node.name.split("-", 1)[0], node.name.split("-", 1)[1].rsplit("-", 1)[0]
    spec = {**node.spec, "batch": BATCH}
    encoder = spec["system"]["encoder"]
    text = conditioner(planner, encoder, spec["words"], dataset)
    base = None
    if "base" in node.inputs:
        before = planner.inputs_of(node)["base"].spec
        network = build_generator(before["system"], before["image_size"], before["base_size"], text.dim)
        save_torch(folder / "generator.pt", network.state_dict())
        base = folder
    sentence = text.dim if encoder == "char-cnn-rnn" else None
    batches = RandomBatches(spec["image_size"], spec["words"], 100, sentence, size=BATCH)
    trainer = cast(type[GAN], resolve(family_of(spec["system"]).trainer))
    gan = trainer(GanInputs(spec, text, batches, CPU, None, base))  # type: ignore[arg-type]
    networks = {id(part): part for part in (*vars(gan).values(), text.encoder) if isinstance(part, nn.Module)}
    parameters = {p.data_ptr(): p for part in networks.values() for p in part.parameters()}
    trained = {
        id(p): p.nbytes for optimiser in gan.optimisers().values() for g in optimiser.param_groups for p in g["params"]
    }
    average = sum(p.nbytes for p in gan.generator.parameters()) if gan.averages() else 0
    batch = batches.batch(0)
    with reproducible(), Counter() as training, activations(set(parameters)) as saved:
        gan.step(batch, 0)
    with evaluating(gan.generator), Counter() as sampling:
        output = gan.generator.outputs(gan.generator.draw_noise(BATCH, CPU), text.of_batch(batch))
    return {
        "system": name,
        "dataset": dataset,
        "scale": planner.params["scale"],
        "family": spec["system"]["kind"],
        "image_size": spec["image_size"],
        "train": training.total // BATCH,
        "sample": sampling.total // BATCH,
        "fixed_bytes": sum(p.nbytes for p in parameters.values()) + 3 * sum(trained.values()) + average,
        "image_bytes": saved[1] // BATCH,
        "stages": [images.shape[-1] for images in output.images],
    }


def count_networks() -> dict[str, int]:
    """Operations of a forward pass of one image, or one caption, of the networks that trainings share."""
    torch.backends.mha.set_fastpath_enabled(False)  # its operations are not counted
    image = torch.zeros(1, 3, 64, 64)
    passes: dict[str, Callable[[], object]] = {
        "inception": partial(build_backbone("inception").eval(), image),
        "standin": partial(build_backbone("standin").eval(), image),
        "clip-rn101": partial(OpenClip().eval().image, image),
        "clip-vit-b-32": partial(vit().eval(), torch.zeros(1, 3, 224, 224)),
        "clip-standin": partial(StandinClip(100).eval().image, image),
        "char-cnn-rnn": partial(CharCnnRnn().eval(), characters(["a red bird"])),
        "char-cnn-rnn-64": partial(CharCnnRnn(64, 32).eval(), characters(["a red bird"])),
    }
    found = {}
    for name, forward in passes.items():
        with torch.no_grad(), Counter() as counter:
            forward()
        found[name] = counter.total
    return found


def vit() -> nn.Module:
    """The image encoder of CLIP ViT-B/32."""
    network: Any = open_clip.create_model("ViT-B-32-quickgelu", pretrained=None)
    return cast(nn.Module, network.visual)


def write(table: dict[str, Any]) -> None:
    with atomic_write(FLOPS) as file:
        file.write((HEADER + yaml.safe_dump(table, sort_keys=False, width=200)).encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anew", action="store_true", help="count what is there, too")
    known = yaml.safe_load(FLOPS.read_text(encoding="utf-8")) if FLOPS.exists() and not parser.parse_args().anew else {}
    table: dict[str, Any] = {"networks": count_networks(), "trainings": {}}
    for scale in SCALES:
        planner = planner_of(scale)
        for node in [node for node in planner.nodes.values() if node.kind == "train"]:
            key = workload(node.spec)
            if key in table["trainings"]:
                continue
            entry = known.get("trainings", {}).get(key)
            if entry is None:
                # Orthogonal weights take as long as all else.
                with tempfile.TemporaryDirectory() as folder, mock.patch.object(nn.init, "orthogonal_"):
                    entry = count_training(planner, node, Path(folder))
                print(f"{scale} {node.name}: {entry['train'] / 1e9:.1f} GFLOP an image and step", flush=True)
            table["trainings"][key] = entry
            write({**table, "trainings": {**known.get("trainings", {}), **table["trainings"]}})  # so far
    write(table)


if __name__ == "__main__":
    main()
