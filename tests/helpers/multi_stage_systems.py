"""The multi-stage systems of ``papers/``: as written, and shrunk to train in a moment."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any

from project_datasets import DATASETS

from t2i_repro.core.config import merged
from t2i_repro.registry.papers import load_definitions
from t2i_repro.registry.systems import NoEntryError, resolve_systems, system_on

TEXT = {"damsm": 256, "itm": 512, "char-cnn-rnn": 1024}


@lru_cache(maxsize=1)
def systems() -> dict[str, dict[str, Any]]:
    """By name as it is on CUB; ``<name>-oxford`` and ``<name>-coco`` where it differs there in more than training."""
    found: dict[str, dict[str, Any]] = {}
    for name, system in resolve_systems(load_definitions(Path(__file__).parents[2]), DATASETS).items():
        if system["kind"] != "multi-stage":
            continue
        seen: list[dict[str, Any]] = []
        for dataset in DATASETS:
            try:
                laid = system_on(system, dataset, DATASETS, name)
            except NoEntryError:
                continue
            network = {key: value for key, value in laid.items() if key != "train"}
            if network not in seen:
                seen.append(network)
                found[name if dataset == "cub" else f"{name}-{dataset}"] = laid
    return found


def text_dim(system: dict[str, Any]) -> int:
    return TEXT[system["encoder"]]


def tiny(name: str, **changes: Any) -> dict[str, Any]:
    """The system at widths of 2 to 4, grid 2, one residual block."""
    system = merged(
        deepcopy(systems()[name]), {"width": 4, "noise": 5, "condition": 3, "discriminator": {"width": 2, "common": 5}}
    )
    system["residual"] = min(1, system["residual"])
    for stage in system["stages"]:
        if stage.get("fusion", {}).get("kind") == "spatial-memory":
            stage["fusion"] |= {"grid": 2, "heads": min(2, stage["fusion"]["heads"])}
    return merged(system, changes)
