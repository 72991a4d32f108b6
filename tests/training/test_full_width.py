"""At full width, a complete training step of batch 4 fits a laptop: every architecture of papers/, on the CPU.

`benchmarks/training_steps.py` takes the steps, each in a process of its own; docs/cost.md shows what it prints.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from project_datasets import DATASETS

from t2i_repro.registry.papers import load_definitions
from t2i_repro.registry.systems import resolve_systems

PROJECT = Path(__file__).parents[2]
LIMIT_GB = 8.0
FAMILIES = {
    *("attngan", "dm-gan", "gr-gan", "msmt-gan", "hdgan", "hdgan-512", "stackgan-stage-1", "stackgan"),
    *("stackgan-plus-plus", "gan-int-cls", "df-gan", "ssa-gan", "ssa-gan-tuned-text", "ms-gan", "icsd-gan"),
}


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("training_steps", PROJECT / "benchmarks/training_steps.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


steps = load()
REPRESENTATIVES = steps.representatives()


def test_every_system_has_a_measured_architecture() -> None:
    known = [name for one in REPRESENTATIVES.values() for name in one.systems]
    assert sorted(known) == sorted(resolve_systems(load_definitions(PROJECT), DATASETS))
    assert set(known) >= FAMILIES
    for one in REPRESENTATIVES.values():
        assert one.name in one.systems


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not steps.STATUS.exists(), reason=f"needs {steps.STATUS}")
@pytest.mark.parametrize("architecture", REPRESENTATIVES)
def test_a_step_of_four_fits_eight_gigabytes(architecture: str, capsys: pytest.CaptureFixture[str]) -> None:
    one = REPRESENTATIVES[architecture]
    found = steps.in_own_process(one)
    with capsys.disabled():
        print(f"\n{steps.row(one, found)}")
    size = steps.system_of(one.name, one.dataset)["train"]["image_size"]
    assert found["images"] == [4, 3, size, size]
    assert found["losses"]
    assert not found["untouched"]
    floor = 4 * 4 * sum(found["parameters"].values()) / 1e9  # weights, gradients and two moments of Adam
    assert floor / 2 < found["peak_gb"] < LIMIT_GB
