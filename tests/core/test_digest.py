"""Digests and seeds depend on content alone."""

import pytest

from t2i_repro.core.digest import canonical_json, derive_seed, digest


def test_digest_ignores_the_order_of_keys_and_nothing_else() -> None:
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 1.5})
    assert digest([1, 2]) != digest([2, 1])
    with pytest.raises(ValueError, match="Out of range"):
        canonical_json(float("nan"))


def test_seeds_are_stable_and_distinct() -> None:
    assert derive_seed(0, "noise", 1) == derive_seed(0, "noise", 1) < 2**63
    assert len({derive_seed(seed, use, i) for seed in range(3) for use in "ab" for i in range(50)}) == 300
    assert derive_seed("a", "bc") != derive_seed("ab", "c")
