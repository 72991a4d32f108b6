"""The names of the project's datasets, for tests that resolve systems without a plan."""

from pathlib import Path

from t2i_repro.core.config import load_params

DATASETS = tuple(load_params(Path(__file__).parents[2])["datasets"])
