"""Golden data of SSA-GAN at width 4: the map of official parameter names to ours, weights, inputs."""

import functools
import importlib.util
import json
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from t2i_repro.models.one_stage import OneStageGenerator, OneWayDiscriminator

BLOCKS = 7


def generator_name(official: str) -> str | None:
    """Our name of a generator entry; an official block owns the mask predictor of the *next* block."""
    parts = official.split(".")
    if parts[-1] == "num_batches_tracked":
        return None
    if parts[0] == "conv_mask":
        return ".".join(["blocks.0.predictor.layers", *parts[1:]])
    if parts[0] == "conv_img":
        return ".".join(["to_rgb", *parts[1:]])
    if parts[0] == "fc":
        return official
    index = int(parts[0].removeprefix("block"))
    if parts[1] == "conv_mask":
        return ".".join([f"blocks.{index + 1}.predictor.layers", *parts[2:]])
    inner = {"gamma": "gain", "c1": "conv1", "c2": "conv2", "c_sc": "shortcut"}
    norms = {"affine0": "norm1", "affine2": "norm2"}
    if parts[1] in inner:
        return ".".join([f"blocks.{index}", inner[parts[1]], *parts[2:]])
    rest = ".".join(parts[2:])
    for old, new in {
        "batch_norm2d": "norm",
        "fc_gamma": "gamma",
        "fc_beta": "beta",
        "linear1": "0",
        "linear2": "2",
    }.items():
        rest = rest.replace(old, new)
    return f"blocks.{index}.{norms[parts[1]]}.{rest}"


def discriminator_name(official: str) -> str:
    """Our name of a discriminator entry; shortcuts of blocks 4 and 5 are dead in the official code."""
    parts = official.split(".")
    if parts[0] == "conv_img":
        return ".".join(["stem", *parts[1:]])
    if parts[0] == "COND_DNET":
        return ".".join(["joint", *parts[2:]])
    index = int(parts[0].removeprefix("block"))
    shortcut = "unused" if index >= 4 else "shortcut"
    inner = {"gamma": "gain", "conv_r": "residual", "conv_s": shortcut}[parts[1]]
    return ".".join([f"blocks.{index}", inner, *parts[2:]])


NAMES = {"G": generator_name, "D": discriminator_name}


@functools.lru_cache(maxsize=1)
def recipe(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_recipe", folder / "recipe.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Golden:
    """The stored numbers, and fresh float64 networks carrying the golden weights."""

    def __init__(self, folder: Path) -> None:
        self.recipe = recipe(folder)
        self.numbers: dict[str, Any] = json.loads((folder / "ssagan_nf4_tiny" / "golden.json").read_text())
        with np.load(folder / "ssagan_nf4_tiny" / "arrays.npz") as arrays:
            self.arrays = {name: torch.from_numpy(arrays[name]).double() for name in arrays.files}
        self.noise, self.sentence = self.arrays["z"], self.arrays["sent"]
        self.real: Tensor = self.recipe.inp("imgs256", [4, 3, 256, 256], "image", torch.float64)

    def state(self, part: str) -> dict[str, Tensor]:
        state = {}
        for official, entry in self.numbers["recipe"][part].items():
            name = NAMES[part](official)
            if name is not None:
                tag = f"{self.numbers['name']}/{part}/{official}"
                gain = 1.0 if entry["gain"] is None else entry["gain"]
                value = self.recipe.value(tag, entry["shape"], entry["kind"], gain)
                state[name] = torch.from_numpy(np.asarray(value)).double()
        return state

    def load(self, network: nn.Module, part: str) -> None:
        """Every entry on both sides must be met, but for the batch counters, which the official code never moves."""
        missing, unexpected = network.load_state_dict(self.state(part), strict=False)
        assert not unexpected
        assert all(name.endswith("num_batches_tracked") for name in missing), missing

    def generator(self) -> OneStageGenerator:
        network = OneStageGenerator(
            width=4, masks=BLOCKS, image_size=256, noise_dim=100, hidden=256, mask_hidden=100
        ).double()
        self.load(network, "G")
        return network

    def discriminator(self) -> OneWayDiscriminator:
        network = OneWayDiscriminator(width=4, image_size=256, dead_shortcuts=True).double()
        self.load(network, "D")
        return network


@functools.lru_cache(maxsize=1)
def load(shared: Path) -> Golden:
    return Golden(shared / "golden")


def check_signature(value: Tensor, signature: Mapping[str, Any], rtol: float = 1e-9) -> None:
    """Mean, spread, norm and 64 strided samples of a large tensor."""
    assert list(value.shape) == signature["shape"]
    flat = value.detach().double().flatten()
    n = flat.numel()
    count = min(64, n)
    samples = flat[torch.tensor([i * n // count for i in range(count)])]
    scale = max(1e-12, float(np.abs(signature["samples"]).max()))
    np.testing.assert_allclose(samples, signature["samples"], rtol=rtol, atol=rtol * scale)
    np.testing.assert_allclose(flat.norm(), signature["l2"], rtol=rtol)
    np.testing.assert_allclose(flat.mean(), signature["mean"], rtol=rtol, atol=rtol * scale)
    if n > 1:
        np.testing.assert_allclose(flat.std(correction=0), signature["std"], rtol=rtol, atol=rtol * scale)
