"""The nested networks, StackGAN and GAN-INT-CLS on CUB, in full and shrunk until a step takes milliseconds."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from project_datasets import DATASETS
from torch import Tensor, nn

from t2i_repro.models.build import build_discriminator, build_generator
from t2i_repro.models.nested import ExtendedGenerator, NestedDiscriminators, NestedGenerator
from t2i_repro.registry.papers import load_definitions
from t2i_repro.registry.systems import resolve_systems, system_on
from t2i_repro.training.matching_aware import MatchingAwareObjective, matching_aware_step
from t2i_repro.training.nested import NestedObjective, nested_step

PROJECT = Path(__file__).parents[2]
TEXT = 6
BATCH = 3


SYSTEMS: dict[str, dict[str, Any]] = {
    name: system_on(system, "cub", DATASETS, name)
    for name, system in resolve_systems(load_definitions(PROJECT), DATASETS).items()
    if system["kind"] in ("nested", "stackgan", "gan-int-cls")
}


def tiny(name: str) -> tuple[dict[str, Any], int, int]:
    """Width 4, a quarter of the image: (system, image_size, base_size)."""
    whole = SYSTEMS[name]
    paper = whole["train"]["image_size"]
    shrunk = whole | {"width": 4, "latent": 5, "condition": 3, "residuals": 1}
    return shrunk, paper // 4, 2 if whole["kind"] == "nested" else 1


def networks(name: str, seed: int = 0) -> tuple[nn.Module, nn.Module]:
    """Both in float64, where equality within rounding means something."""
    torch.manual_seed(seed)
    shrunk, size, base = tiny(name)
    generator = build_generator(shrunk, size, base, TEXT).double()
    return awaken(generator), awaken(build_discriminator(shrunk, size, TEXT).double())


def awaken(network: nn.Module) -> nn.Module:
    """Weights of 0.02 make every gradient tiny at such widths: scale by the fan-in instead, leave no bias at zero."""
    with torch.no_grad():
        for value in network.parameters():
            if value.ndim > 1:
                value.normal_(0, value[0].numel() ** -0.5)
            else:
                value.add_(0.05 * torch.randn_like(value))
    return network


def batch(size: int, count: int = BATCH) -> tuple[Tensor, Tensor, Tensor]:
    """Right images, wrong images, sentences."""
    draw = np.random.default_rng(1)
    real, wrong = (torch.from_numpy(np.tanh(draw.standard_normal((count, 3, size, size)))) for _ in range(2))
    return real, wrong, torch.from_numpy(draw.standard_normal((count, TEXT)))


def optimisers(generator: nn.Module, discriminator: nn.Module) -> list[torch.optim.Optimizer]:
    trained = ([p for p in network.parameters() if p.requires_grad] for network in (generator, discriminator))
    return [torch.optim.Adam(parameters, lr=1e-3, betas=(0.5, 0.999)) for parameters in trained]


def step(name: str, generator: nn.Module, discriminator: nn.Module) -> dict[str, Tensor]:
    """One iteration as the system's switches say."""
    chosen = SYSTEMS[name]
    real, wrong, text = batch(cast(int, generator.image_size))
    noise = torch.randn(len(text), cast(int, generator.noise_dim), dtype=torch.float64)
    both = optimisers(generator, discriminator)
    if chosen["kind"] == "nested":
        switches = chosen["switches"]
        objective = NestedObjective(
            kl=chosen["kl"],
            l1=chosen.get("extension", {}).get("l1", 0.0),
            wrong_image=switches["wrong_image"],
            pair_weights=switches["pair_weights"],
        )
        assert isinstance(generator, NestedGenerator | ExtendedGenerator)
        assert isinstance(discriminator, NestedDiscriminators)
        return nested_step(generator, discriminator, *both, real, noise, text, wrong, objective, switches["mismatch"])
    objective_ = MatchingAwareObjective(kl=chosen.get("kl", 0.0), interpolation=chosen.get("interpolation"))
    return matching_aware_step(generator, discriminator, *both, real, noise, text, wrong, objective_)  # type: ignore[arg-type]
