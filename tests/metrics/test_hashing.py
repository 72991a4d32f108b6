"""Ids of samples and their hashes."""

import numpy as np
import pytest

from t2i_repro.errors import ReproError
from t2i_repro.metrics.hashing import hashed, hashed_order, identities


def test_ids() -> None:
    assert identities(None, 3).tolist() == [0, 1, 2]
    assert len(set(identities(["a", "b", "ab"], 3).tolist())) == 3
    assert identities(["a", "b"], 2)[0] == identities(["b", "a"], 2)[1]
    for ids, says in (
        ([1, 1, 2], "1 of 3 samples are there twice"),
        ([0.5, 1, 2], "integers"),
        ([-1, 0, 1], "integers"),
        ([1], "shape"),
    ):
        with pytest.raises(ReproError, match=says):
            identities(ids, 3)


def test_hashes_are_fixed_uniform_and_differ_by_purpose() -> None:
    assert hashed(np.arange(2, dtype=np.uint64), "purpose").tolist() == [
        12752985673217232000,
        12226696326223401451,
    ]  # results on disk depend on them
    bits = hashed(np.arange(10_000, dtype=np.uint64), "one")
    assert len(np.unique(bits)) == 10_000
    for shift in (0, 21, 42, 63):
        assert np.mean((bits >> np.uint64(shift)) & np.uint64(1)) == pytest.approx(0.5, abs=0.02)
    order, other = hashed_order(None, 1000, "one"), hashed_order(None, 1000, "two")
    assert sorted(order) == list(range(1000))
    assert abs(np.corrcoef(order, other)[0, 1]) < 0.15
