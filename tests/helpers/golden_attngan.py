"""Golden data of AttnGAN at reduced width: the map of official parameter names to ours, weights, inputs (float32)."""

import functools
from pathlib import Path

import numpy as np
import torch
from multi_stage_systems import systems
from torch import Tensor

from t2i_repro.models.base import Text
from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.multi_stage import MultiStageGenerator
from t2i_repro.models.stage_discriminators import StageDiscriminator

SIZES = (64, 128, 256)
TEXT = 16


def generator_name(official: str) -> str:
    parts = official.split(".")
    if parts[0] == "ca_net":
        return ".".join(["augment", *parts[1:]])
    number = int(parts[0][-1])
    if parts[0].startswith("img_net"):
        return f"paint_stages.{number - 1}.0.{parts[-1]}"
    if number == 1:
        if parts[1] == "fc":
            return ".".join(["initial", *parts[1:]])
        return ".".join(["initial.upsample", str(int(parts[1][-1]) - 1), *parts[2:]])
    inner = {"att.conv_context": "fusion.project", "residual": "residual", "upsample": "upsample"}
    key = "att.conv_context" if parts[1] == "att" else parts[1]
    rest = parts[3:] if parts[1] == "att" else [part.replace("block", "layers") for part in parts[2:]]
    return ".".join([f"refinements.{number - 2}", inner[key], *rest])


def discriminator_name(official: str, size: int) -> str:
    parts = official.split(".")
    if parts[0] == "UNCOND_DNET":
        return f"unconditional.{parts[-1]}"
    if parts[0] == "COND_DNET":
        return f"conditional.{parts[-1]}" if parts[1] == "outlogits" else ".".join(["joint", *parts[2:]])
    if parts[0] == "img_code_s16":
        index = int(parts[1])
        layer = 0 if index == 0 else (index + 1) // 3
        return ".".join([f"trunk.{layer}", "1" if index in (3, 6, 9) else "0", *parts[2:]])
    layers = {128: ("img_code_s32", "img_code_s32_1")}
    layers[256] = ("img_code_s32", "img_code_s64", "img_code_s64_1", "img_code_s64_2")
    return ".".join([f"trunk.{4 + layers[size].index(parts[0])}", *parts[1:]])


class Golden:
    """The stored numbers, and fresh networks carrying the golden weights."""

    def __init__(self, folder: Path) -> None:
        self.weights = torch.load(folder / "attngan_mini_weights.pt", weights_only=True)
        self.inputs, self.outputs, self.step = (
            dict(np.load(folder / f"attngan_mini_{part}.npz")) for part in ("inputs", "outputs", "step")
        )
        self.noise = torch.cat([self.input("z"), self.input("eps")], dim=1)
        lengths = self.input("cap_lens")
        self.text = Text.of(self.output("words_emb"), self.output("sent_emb"), lengths)
        self.real = [self.input(f"real{size}") for size in SIZES]

    def input(self, name: str) -> Tensor:
        return torch.from_numpy(self.inputs[name])

    def output(self, name: str) -> Tensor:
        return torch.from_numpy(self.outputs[name])

    def generator(self, mask: str) -> MultiStageGenerator:
        sizes = {"width": 4, "noise": 10, "condition": 8, "residual": 1, "compat": {"attention_mask": mask}}
        network = build_generator({**systems()["attngan"], **sizes}, text_dim=TEXT)
        assert isinstance(network, MultiStageGenerator)
        state = {generator_name(name): value for name, value in self.weights["netG"].items()}
        for name, value in state.items():
            if name.endswith("fusion.project.weight"):
                state[name] = value.squeeze(-1)
        network.load_state_dict(state)
        return network

    def discriminators(self) -> list[StageDiscriminator]:
        spec = {"width": 4, "normalisation": "batch"}
        networks = build_discriminator({**systems()["attngan"], "discriminator": spec}, text_dim=TEXT)
        for size, network in zip(SIZES, networks, strict=True):
            official = self.weights[f"netD{size}"]
            network.load_state_dict({discriminator_name(name, size): value for name, value in official.items()})
        return list(networks)


@functools.lru_cache(maxsize=1)
def load(shared: Path) -> Golden:
    return Golden(shared / "golden")
