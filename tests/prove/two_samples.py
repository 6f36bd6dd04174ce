"""Whether two samples of counts may come from one distribution.

The statistic is G (log-likelihood ratio) of the table of outcomes by sample. Its distribution under the hypothesis is
that of the table with its margins kept (a permutation test): exact for sparse tables, where χ² is not. χ² is only asked
first, with rare outcomes put together, to see which tables need the many draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

__all__ = ["p_value"]

_CLEAR: Final = 1e-2
"""A p-value above this is not looked at closer: no correction for many cases comes near it."""
_CHUNK: Final = 20_000


def p_value(one: Mapping[int, int], other: Mapping[int, int], least: float, seed: int) -> float:
    """The p-value of the hypothesis that both samples come from one distribution.

    It is resolved down to ``least`` / 4; smaller ones are told as that.
    """
    outcomes = sorted(set(one) | set(other))
    table = np.array([[sample.get(outcome, 0) for outcome in outcomes] for sample in (one, other)], dtype=np.int64)
    if len(outcomes) == 1:
        return 1.0
    rough = _rough(table)
    return rough if rough > _CLEAR else _exact(table, int(4 / least), seed)


def _rough(table: NDArray[np.int64]) -> float:
    """χ² with the outcomes that are rare in both put together."""
    rare = table.sum(axis=0) < 20
    merged = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)]) if rare.any() else table
    kept = merged[:, merged.sum(axis=0) > 0]
    if kept.shape[1] < 2:
        return 0.0  # nothing but rare outcomes: the exact test decides
    return float(stats.chi2_contingency(kept, correction=False).pvalue)


def _g(first: NDArray[np.int64], pooled: NDArray[np.int64], share: float) -> NDArray[np.float64]:
    second = pooled - first
    expected = pooled * share
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(first > 0, first * np.log(first / expected), 0.0)
        terms += np.where(second > 0, second * np.log(second / (pooled - expected)), 0.0)
    return np.asarray(terms.sum(axis=-1))


def _exact(table: NDArray[np.int64], draws: int, seed: int) -> float:
    """Share of random tables with the same margins whose G is as large."""
    random: Any = np.random.default_rng(seed)
    pooled, size = table.sum(axis=0), int(table[0].sum())
    share = size / int(pooled.sum())
    seen = float(_g(table[0], pooled, share))
    as_large = 0
    for start in range(0, draws, _CHUNK):
        some = min(_CHUNK, draws - start)
        drawn = random.multivariate_hypergeometric(pooled, size, size=some, method="marginals")
        as_large += int(np.count_nonzero(_g(drawn, pooled, share) >= seen - 1e-9))
        if as_large > 50:
            return as_large / (start + some)  # far above what is looked for
    return (1 + as_large) / (1 + draws)
