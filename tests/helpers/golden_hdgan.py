"""Golden data of HDGAN at width 8: the map of official parameter names to ours, weights, inputs."""

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden_ssagan import recipe
from torch import Tensor, nn

from t2i_repro.models.nested import NestedDiscriminators, NestedGenerator

SIZES = (64, 128, 256)
MAPS = (4, 8, 16, 32, 64, 128, 256)
SCALE = {"64": "4", "128": "2", "256": "1"}


def generator_name(official: str) -> str | None:
    parts = official.split(".")
    if parts[-1] == "num_batches_tracked":
        return None
    if parts[0] == "condEmbedding":
        return ".".join(["augmentation.linear", parts[-1]])
    if parts[0] == "vec_to_tensor":
        return ".".join(["embed", *parts[2:]])
    if parts[0].startswith("tensor_to_img_"):
        return f"compress.{SCALE[parts[0].rpartition('_')[2]]}.0.conv.weight"
    index = MAPS.index(int(parts[0].removeprefix("scale_")))
    if parts[2] == "res_block":
        half, layer = int(parts[3]), int(parts[4])
        inner = {(0, 1): "0.conv", (0, 2): "1", (1, 1): "3.conv", (1, 2): "4"}[half, layer]
        place = 0 if index == 0 else 1
        return f"stages.{index}.{place}.residual.{inner}.{parts[-1]}"
    layer = {"1": "1.conv", "2": "2"}[parts[2]]
    return f"stages.{index}.0.{layer}.{parts[-1]}"


def discriminator_name(official: str) -> str | None:
    parts = official.split(".")
    if parts[-1] == "num_batches_tracked":
        return None
    if parts[0] == "pre_encode":
        return ".".join(["by_scale.1.narrow", *parts[1:]])
    part, _, size = parts[0].rpartition("_")
    home = f"by_scale.{SCALE[size]}"
    if part == "img_encoder":
        last = {"64": 3, "128": 4}.get(size)
        place, layer = int(parts[2]), parts[3]
        inner = f"narrow.{layer}" if place == last else f"trunk.{place}.{layer}"
    elif part == "pair_disc":
        inner = f"pair.joint.{parts[3]}" if parts[2] == "0" else "pair.joint.3"
    else:
        inner = {"local_img_disc": "image", "context_emb_pipe": "pair.project.0"}[part]
    return f"{home}.{inner}.{parts[-1]}"


NAMES = {"G": generator_name, "D": discriminator_name}


class Golden:
    """The stored numbers, and fresh float64 networks carrying the golden weights."""

    def __init__(self, folder: Path) -> None:
        self.recipe = recipe(folder)
        self.numbers: dict[str, Any] = json.loads((folder / "hdgan_hid8_tiny" / "golden.json").read_text())
        with np.load(folder / "hdgan_hid8_tiny" / "arrays.npz") as arrays:
            self.arrays = {name: torch.from_numpy(arrays[name]).double() for name in arrays.files}
        self.text = self.arrays["text"]
        self.noise = torch.cat([self.arrays["z"], self.arrays["eps"]], dim=1)
        self.real = [self.image(f"imgs{size}", size) for size in SIZES]
        self.wrong = [self.image(f"wrong{size}", size) for size in SIZES]

    def image(self, name: str, size: int) -> Tensor:
        return self.recipe.inp(name, [4, 3, size, size], "image", torch.float64)

    def load(self, network: nn.Module, part: str) -> None:
        """Every entry on both sides must be met; batch counters start at zero on both."""
        state = {}
        for official, entry in self.numbers["recipe"][part].items():
            name = NAMES[part](official)
            if name is not None:
                gain = 1.0 if entry["gain"] is None else entry["gain"]
                tag = f"{self.numbers['name']}/{part}/{official}"
                value = self.recipe.value(tag, entry["shape"], entry["kind"], gain)
                state[name] = torch.from_numpy(np.asarray(value)).double()
        missing, unexpected = network.load_state_dict(state, strict=False)
        assert not unexpected
        assert all(name.endswith("num_batches_tracked") for name in missing), missing

    def generator(self) -> NestedGenerator:
        network = NestedGenerator(width=8, z_dim=100, cond_dim=128).double()
        self.load(network, "G")
        return network

    def discriminators(self) -> NestedDiscriminators:
        network = NestedDiscriminators(features=32, cond_dim=128).double()
        self.load(network, "D")
        return network


@functools.lru_cache(maxsize=1)
def load(shared: Path) -> Golden:
    return Golden(shared / "golden")
