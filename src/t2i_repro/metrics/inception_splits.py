"""Inception Score (Salimans et al. 2016): exp of the mean Kullback-Leibler divergence from p(y|x) to p(y)."""

import numpy as np
import numpy.typing as npt

from t2i_repro.errors import ReproError
from t2i_repro.metrics.hashing import hashed_splits
from t2i_repro.metrics.moments import Array, blocks

SPLITS = 10


def contiguous_splits(count: int, splits: int) -> npt.NDArray[np.int64]:
    """Split of each sample when they are cut in their order, as released code does."""
    return np.arange(count, dtype=np.int64) * splits // count


def inception_score(
    probabilities: Array, splits: int = SPLITS, groups: npt.NDArray[np.int64] | None = None
) -> tuple[float, float]:
    """Mean and population standard deviation over splits of the Inception Score; both in float64.

    ``probabilities`` [N, K] are softmax outputs, row i of sample i. The released code shuffles images without a seed
    and cuts contiguous splits; ours are fixed by a hash of the sample's index (``hashed_splits``), which is as random,
    of equal sizes (to one), and the same for everybody. ``groups`` [N] gives other splits (``contiguous_splits``).

    Raises ReproError when there are fewer samples than splits, or rows that are no probabilities.
    """
    if probabilities.ndim != 2 or probabilities.shape[1] < 2:
        raise ReproError(f"probabilities: found shape {probabilities.shape}; expected [N, K] with K >= 2 classes")
    if splits < 1 or len(probabilities) < splits:
        raise ReproError(f"Inception Score over {splits} splits needs as many samples; there are {len(probabilities)}")
    split_of = hashed_splits(np.arange(len(probabilities)), splits) if groups is None else groups
    classes = probabilities.shape[1]
    counts, entropies, marginals = np.zeros(splits), np.zeros(splits), np.zeros((splits, classes))
    start = 0
    for block in blocks(probabilities):
        sums = block.sum(axis=1)
        bad = np.flatnonzero(~((block >= 0).all(axis=1) & (np.abs(sums - 1) < 1e-3)))
        if len(bad):
            raise ReproError(f"probabilities: row {start + bad[0]} does not sum to 1 or holds NaN; compute them again")
        block /= sums[:, None]
        split_ids = split_of[start : start + len(block)]
        logs = np.log(block, out=np.zeros_like(block), where=block > 0)
        np.add.at(entropies, split_ids, (block * logs).sum(axis=1))
        np.add.at(counts, split_ids, 1)
        for split in np.unique(split_ids):
            marginals[split] += block[split_ids == split].sum(axis=0)
        start += len(block)
    marginals /= counts[:, None]
    logs = np.log(marginals, out=np.zeros_like(marginals), where=marginals > 0)
    # mean_i sum_k p_ik (log p_ik - log q_k) = mean_i sum_k p_ik log p_ik - sum_k q_k log q_k
    scores = np.exp(np.maximum(entropies / counts - (marginals * logs).sum(axis=1), 0.0))
    return float(scores.mean()), float(scores.std())
