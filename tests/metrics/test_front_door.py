"""`python -m t2i_repro.metrics`: every function is listed, described, and applicable to files."""

import json
from pathlib import Path

import numpy as np
import pytest

from t2i_repro import metrics
from t2i_repro.metrics.__main__ import FUNCTIONS, main


def test_every_function_is_listed_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    listed = capsys.readouterr().out
    assert {"frechet_distance", "frechet_from_moments", "inception_score", "kernel_distance"} <= set(FUNCTIONS)
    for name, function in FUNCTIONS.items():
        assert f"\n{name}(" in listed
        assert function.__doc__
        assert main([name, "--help"]) == 0
        assert function.__doc__.split("\n")[0] in capsys.readouterr().out


def test_names_of_functions_are_no_modules() -> None:
    for name in metrics.__all__:
        assert callable(getattr(metrics, name))
        assert not (Path(metrics.__file__).parent / f"{name}.py").exists()


def test_applied_to_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((30, 4)), rng.standard_normal((20, 4))
    np.save("first.npy", first)
    np.savez("both.npz", second=second, probabilities=rng.dirichlet(np.ones(3), 30))
    assert main(["frechet_distance", "first.npy", "both.npz:second"]) == 0
    assert json.loads(capsys.readouterr().out) == metrics.frechet_distance(first, second)
    assert main(["inception_score", "both.npz:probabilities", "--splits", "3"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert main(["kernel_distance", "first.npy", "both.npz:second"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == [30, 20]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fid"], "found metric 'fid'; expected one of class_wise_ms_ssim"),
        (["frechet_distance", "absent.npy", "b.npy"], "absent.npy: no array"),
        (["wilson", "3"], "missing a required argument: 'count'"),
        (["wilson", "5", "3"], "expected 0 <= hits <= count"),
        (["wilson", "5", "--count"], "expected a value after it"),
    ],
)
def test_wrong_use_is_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
