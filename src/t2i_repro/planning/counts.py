"""`t2i-repro params`: parameters of every system at full width, counted on the meta device."""

import argparse
import csv
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from t2i_repro.core.config import merged
from t2i_repro.core.declarations import resolve
from t2i_repro.models.build import build_discriminator, build_generator, count_parameters
from t2i_repro.models.encoders.backbone import build_backbone
from t2i_repro.models.encoders.char_cnn_rnn import CharCnnRnn
from t2i_repro.models.encoders.damsm import DamsmImageEncoder, DamsmTextEncoder
from t2i_repro.models.encoders.itm import ITM, OpenClip
from t2i_repro.models.text_encoder import text_encoders
from t2i_repro.planning.params import read_params
from t2i_repro.registry.papers import load_definitions
from t2i_repro.registry.systems import NoEntryError, resolve_systems, system_on

# Words of the captions as AttnGAN's code keeps them, padding included; those of Oxford-102 are not published.
VOCABULARIES = {"cub": 5_450, "coco": 27_297}
# Released configurations that no row names.
RELEASED: dict[str, tuple[str, dict[str, Any]]] = {"df-gan (released, width 32)": ("df-gan", {"width": 32})}


@dataclass(frozen=True)
class Counts:
    """Parameters of one system on one dataset. ``discriminators``: those that are trained; ``released``: as created by
    the released code, with unused parameters. ``text``: the text encoder; ``test_time``: generator and text encoder, as
    in MSMT-GAN Table 2. None: unknown."""

    system: str
    dataset: str
    generator: int
    discriminators: tuple[int, ...]
    released: tuple[int, ...]
    encoder: str
    text: int | None
    test_time: int | None


def encoders() -> dict[str, int]:
    """Parameters of the encoders that systems share, by name."""
    with torch.device("meta"):
        image, itm = DamsmImageEncoder(build_backbone("inception"), text_encoders()["damsm"].dim), ITM(OpenClip())
        found = {
            f"text encoder, {dataset}": count_parameters(DamsmTextEncoder(v)) for dataset, v in VOCABULARIES.items()
        }
        found["DAMSM image encoder"] = count_parameters(image)
        found["DAMSM image encoder, trained"] = count_parameters(image, trainable=True)
        found["ITM on CLIP RN101"] = count_parameters(itm)
        found["ITM head, trained"] = count_parameters(itm, trainable=True)
        found["char-CNN-RNN"] = count_parameters(CharCnnRnn())
    return found


@cache
def text_count(encoder: str, dataset: str) -> int | None:
    """Parameters of a text encoder at the papers' size; None if they depend on a vocabulary that is unknown."""
    reference = text_encoders()[encoder].full_size
    if reference is None:
        return None
    build = cast(Callable[[int], nn.Module], resolve(reference))
    words = [VOCABULARIES[dataset]] if dataset in VOCABULARIES else [1, 2]  # equal counts: no dependence
    with torch.device("meta"):
        found = {count_parameters(build(vocabulary)) for vocabulary in words}
    return found.pop() if len(found) == 1 else None


def each(network: nn.Module) -> tuple[int, ...]:
    """Trainable parameters of each network in a list, or of the single network."""
    children = list(network.children())
    if len(children) == 1 and isinstance(children[0], nn.ModuleDict):
        network = children[0]
    parts = list(network.children()) if isinstance(network, nn.ModuleList | nn.ModuleDict) else [network]
    return tuple(count_parameters(part, trainable=True) for part in parts)


def network_counts(system: dict[str, Any], text_dim: int, as_released: bool = False) -> tuple[int, tuple[int, ...]]:
    """Parameters of the generator and of each discriminator of a system that reads sentence embeddings [text_dim].
    ``as_released``: with those that the released discriminators create and never use."""
    size, base = system["train"]["image_size"], system["train"]["base_size"]
    with torch.device("meta"):
        generator = count_parameters(build_generator(system, size, base, text_dim))
        return generator, each(build_discriminator(system, size, text_dim, as_released=as_released))


def count(name: str, dataset: str, system: dict[str, Any]) -> Counts:
    dim = text_encoders()[system["encoder"]].dim
    generator, discriminators = network_counts(system, dim)
    _, released = network_counts(system, dim, as_released=True)
    text = text_count(system["encoder"], dataset)
    test_time = None if text is None else generator + text
    return Counts(name, dataset, generator, discriminators, released, system["encoder"], text, test_time)


def counts(project: Path) -> Iterator[Counts]:
    """Count every system on the datasets with a known vocabulary, and on others where its generator differs; then the
    released configurations."""
    datasets = tuple(read_params(project)["datasets"])
    systems = resolve_systems(load_definitions(project), datasets)
    for name, (base, changes) in {**{name: (name, {}) for name in systems}, **RELEASED}.items():
        seen: list[Counts] = []
        for dataset in datasets:
            try:
                system = system_on(systems[base], dataset, datasets, f"systems.{base}")
            except NoEntryError:
                continue
            found = count(name, dataset, merged(system, changes))
            if dataset in VOCABULARIES or found.generator not in [one.generator for one in seen]:
                seen.append(found)
                yield found


def format_count(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, tuple):
        return " + ".join(map(format_count, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", action="store_true", help="aligned for reading; otherwise CSV")
    parser.add_argument("--project", type=Path, default=Path(), help="folder with papers/ (default: here)")


def main(args: argparse.Namespace) -> None:
    """Print the counts, and those of the shared encoders."""
    names = [field.name for field in fields(Counts)]
    rows = [
        [format_count(value) if args.table else plain(value) for value in asdict(row).values()]
        for row in counts(args.project)
    ]
    shared = [(name, f"{value:,}" if args.table else str(value)) for name, value in encoders().items()]
    if not args.table:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
        writer.writerows([name, "", *[""] * 4, value, ""] for name, value in shared)
        return
    widths = [max(map(len, column)) for column in zip(names, *rows, strict=True)]
    for row in [names, *rows]:
        text = [
            cell.ljust(width) if at < 2 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        print("  ".join(text).rstrip())
    print()
    for name, value in shared:
        print(f"{name:30}{value:>14}")


def plain(value: Any) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
