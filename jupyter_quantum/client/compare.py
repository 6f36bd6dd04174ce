"""Whether two runs of the same work agree: tests on their raw results, and what their calibrations explain.

*same*
    No test finds a difference at the level (0.01 for all tests together, by Holm's correction: S. Holm, Scand. J. Stat.
    6, 65, 1979). Bit for bit the same is *identical*.
*drifted*
    There is a difference, and the errors that both calibrations admit could make it.
*different*
    There is a difference that they could not make, or nobody knows what errors to expect.

Counts are compared by the G-test of homogeneity with Williams' correction (R. R. Sokal, F. J. Rohlf, *Biometry*,
chapter 17; D. A. Williams, Biometrika 63, 33, 1976). Outcomes too rare for it (expected less than five times on either
side) are counted together; where all are, G is compared with its values under random exchange of shots between the runs
(a permutation test). Expectation values are compared by a two-sided z-test on their standard errors.

What calibrations explain: a run whose modelled errors all stay away with probability *s* is distributed as
*s* · ideal + (1 - *s*) · anything. So two such runs of one circuit are at most 1 - min(*s*) apart in total variation,
and expectation values at most twice that times the sum of the coefficients' sizes. A difference counts as more than
that where it is so beyond sampling error: for counts by McDiarmid's inequality (1989), for values by the z-test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc, xlogy

from jupyter_quantum.client.html import clean, columns, table
from jupyter_quantum.client.results import array_of, counts_of
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.wire.results import Experiment, PubResult, ResultView

__all__ = ["LEVEL", "Check", "Verdict", "compare"]

LEVEL: Final = 0.01
"""How often honest repeats are taken for something else, all tests of a comparison together."""

_RARE: Final = 5.0
_EXCHANGES: Final = 1999
_FEWER: Final = 499
_CELLS: Final = 1 << 20
_MANY: Final = 2_000
"""Outcomes from which on fewer exchanges are drawn."""


@dataclass(frozen=True, slots=True)
class Check:
    """One test: of which part, by which method, and what came out.

    ``distance`` is the total variation distance of counts (0…1), or the difference of values; ``explained`` the most
    of it that both calibrations explain (None: unknown), ``beyond`` whether it is more, sampling error considered.
    """

    part: str
    test: str
    statistic: float
    p: float
    distance: float
    adjusted: float = 1.0
    explained: float | None = None
    beyond: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """How two runs compare; the check that decides is :attr:`deciding`."""

    verdict: Literal["same", "drifted", "different"]
    identical: bool
    checks: tuple[Check, ...]
    level: float = LEVEL

    @property
    def deciding(self) -> Check | None:
        """The check with the least p-value; None where the runs are identical."""
        return min(self.checks, key=lambda one: (not one.beyond, one.adjusted), default=None)

    @property
    def words(self) -> str:
        """The verdict as a sentence, with its test and p-value."""
        found = self.deciding
        if self.identical or found is None:
            return "Same: identical, bit for bit."
        said = f"{found.part}: {found.test}, p {_p(found.adjusted, '= ')}"
        if self.verdict == "same":
            return f"Same: no difference at the level {self.level:g} ({said})."
        apart = f"{_size(found.distance)} apart"
        if self.verdict == "drifted":
            return f"Drifted: {apart}; both calibrations explain up to {_size(found.explained)} ({said})."
        if found.explained is None:
            return f"Different: {apart}, and no calibration says what errors to expect ({said})."
        return f"Different: {apart}, more than the {_size(found.explained)} that both calibrations explain ({said})."

    def __repr__(self) -> str:
        rows = [tuple(map(clean, row)) for row in self._rows()]
        return self.words if len(rows) < 2 else f"{self.words}\n{columns([_HEAD, *rows])}"

    def _repr_html_(self) -> str:
        return table(_HEAD, self._rows(), self.words) if self.checks else table((), [(self.words,)])

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (one.part, one.test, _p(one.adjusted), _size(one.distance), _size(one.explained)) for one in self.checks
        ]


_HEAD = ("Part", "Test", "p (corrected)", "Apart", "Explained up to")


def _p(value: float, equals: str = "") -> str:
    return "< 0.0001" if value < 1e-4 else f"{equals}{value:.2g}"


def _size(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def compare(
    first: ResultView,
    second: ResultView,
    *,
    success: tuple[float | None, float | None],
    norms: Sequence[NDArray[np.float64]] = (),
    same_work: bool = True,
    level: float = LEVEL,
) -> Verdict:
    """Compare the raw results of two runs.

    Args:
        success: the least chance of success that each run's calibration promised; 1 without noise, None where unknown.
        norms: for each PUB of an estimator, the sum of the sizes of each observable's coefficients.
        same_work: whether both ran the same circuits; what others differ by is no drift.

    Raises Conflict ``compare.shape`` where the results do not have the same parts, ``compare.missing`` where a part of
    one is missing.
    """
    _check_shape(first, second)
    if _raw(first) == _raw(second):
        return Verdict("same", True, (), level)
    known = [one for one in success if one is not None]
    error = 1.0 - min(known) if same_work and len(known) == 2 else None
    if first.experiments or first.kind.value == "sampler":
        checks = _counts_checks(first, second, error, level)
    else:
        checks = _value_checks(first, second, error, norms, level)
    checks = _holm(checks)
    if all(one.adjusted >= level for one in checks):
        return Verdict("same", False, tuple(checks), level)
    found = [one for one in checks if one.adjusted < level]
    far = any(one.beyond for one in checks) or any(one.explained is None for one in found)
    return Verdict("different" if far else "drifted", False, tuple(checks), level)


def _parts(view: ResultView) -> Sequence[Experiment | PubResult]:
    return [*view.experiments, *view.pubs]


def _check_shape(first: ResultView, second: ResultView) -> None:
    for view in (first, second):
        if any(part.missing for part in _parts(view)):
            raise Conflict(
                "A part of one result is missing, so that the runs cannot be compared as a whole.",
                code="compare.missing",
            )
    if _shape(first) != _shape(second):
        raise Conflict(
            "These results have different parts: other circuits, registers or shapes.",
            code="compare.shape",
            hint="Compare a job with its replay.",
        )


def _shape(view: ResultView) -> Any:
    pubs = [
        (tuple(one.shape), sorted((name, bits.num_bits) for name, bits in one.registers.items()), one.evs is not None)
        for one in view.pubs
    ]
    return view.kind, len(view.experiments), pubs


def _raw(view: ResultView) -> Any:
    """What the device said, without times, names and seeds."""
    ran = [(one.shots, one.counts, one.memory, one.data) for one in view.experiments]
    return ran, [(one.registers, one.evs, one.stds) for one in view.pubs]


# Counts


def _counts_checks(first: ResultView, second: ResultView, error: float | None, level: float) -> list[Check]:
    pairs = list(zip(counts_of(first), counts_of(second), strict=True))
    return [_counts_check(name, one, other, error, level / len(pairs)) for (name, one), (_, other) in pairs]


def _counts_check(
    part: str, one: Mapping[str, int], other: Mapping[str, int], error: float | None, level: float
) -> Check:
    seen = np.array([[one.get(key, 0), other.get(key, 0)] for key in sorted({*one, *other})], dtype=np.int64)
    shots = seen.sum(axis=0)
    shares = seen / shots
    distance = float(np.abs(shares[:, 0] - shares[:, 1]).sum() / 2)
    test, statistic, p = _homogeneous(seen)
    beyond = error is not None and _surely(seen, shots, distance, level) > error
    return Check(part, test, statistic, p, distance, explained=error, beyond=beyond)


def _surely(seen: NDArray[np.int64], shots: NDArray[np.int64], distance: float, level: float) -> float:
    """A bound that the true distance is over, but for one case in ``1 / level``."""
    spread = float((1 / shots).sum())
    pooled = seen.sum(axis=1) / shots.sum()
    bias = float(np.sqrt(pooled * (1 - pooled) * spread).sum() / 2)
    return distance - bias - math.sqrt(math.log(1 / level) * spread / 2)


def _homogeneous(seen: NDArray[np.int64]) -> tuple[str, float, float]:
    """Name, statistic and p-value of the test that both columns are drawn from one distribution."""
    if len(seen) < 2:
        return "G-test", 0.0, 1.0
    kept = _pooled(seen)
    if len(kept) < 2:
        return _exchanged(seen)
    statistic = _g(kept) / _williams(kept)
    return "G-test", statistic, float(gammaincc((len(kept) - 1) / 2, statistic / 2))


def _pooled(seen: NDArray[np.int64]) -> NDArray[np.int64]:
    """The table with its rare outcomes in one row. Which ones are rare depends on the sums of both runs alone."""
    total = seen.sum(axis=1)
    least = total * seen.sum(axis=0).min() / total.sum()
    common: NDArray[np.int64] = seen[least >= _RARE]
    rare: NDArray[np.int64] = seen[least < _RARE].sum(axis=0, keepdims=True)
    rest = rare.sum() * seen.sum(axis=0).min() / total.sum()
    if not rare.sum():
        return common
    if rest >= _RARE or not len(common):
        whole: NDArray[np.int64] = np.concatenate([common, rare])
        return whole
    smallest = int(common.sum(axis=1).argmin())
    common[smallest] += rare[0]
    return common


def _g(seen: NDArray[np.int64]) -> float:
    expected = np.outer(seen.sum(axis=1), seen.sum(axis=0)) / seen.sum()
    there = seen > 0
    return float(2 * (seen[there] * np.log(seen[there] / expected[there])).sum())


def _williams(seen: NDArray[np.int64]) -> float:
    total, rows, two = seen.sum(), seen.sum(axis=1), seen.sum(axis=0)
    return float(1 + (total * (1 / rows).sum() - 1) * (total * (1 / two).sum() - 1) / (6 * total * (len(seen) - 1)))


def _exchanged(seen: NDArray[np.int64]) -> tuple[str, float, float]:
    """G against its values where the shots of both runs are dealt out anew; the same each time."""
    rng = np.random.default_rng(0)
    total, size = seen.sum(axis=1), int(seen[:, 0].sum())
    times = _EXCHANGES if len(seen) < _MANY else _FEWER
    found, above, left = _g(seen), 0, times
    while left:
        now = min(left, max(1, _CELLS // len(seen)))
        dealt = rng.multivariate_hypergeometric(total, size, size=now, method="count")
        above += int((_g_of_each(dealt, total, size) >= found - 1e-9).sum())
        left -= now
    return "permutation test (G)", found, (1 + above) / (1 + times)


def _g_of_each(dealt: NDArray[np.int64], total: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    """G of each row of ``dealt`` against what is left of ``total``."""
    shares = size / total.sum(), 1 - size / total.sum()
    rest = total - dealt
    sums = xlogy(dealt, dealt / (total * shares[0])) + xlogy(rest, rest / (total * shares[1]))
    each: NDArray[np.float64] = 2 * sums.sum(axis=1)
    return each


# Expectation values


def _value_checks(
    first: ResultView, second: ResultView, error: float | None, norms: Sequence[NDArray[np.float64]], level: float
) -> list[Check]:
    checks: list[Check] = []
    count = sum(max(1, math.prod(one.shape)) for one in first.pubs)
    for at, (one, other) in enumerate(zip(first.pubs, second.pubs, strict=True)):
        norm = np.broadcast_to(norms[at], one.shape) if at < len(norms) else np.full(one.shape, np.nan)
        values = [_values(each, norm) for each in (one, other)]
        for index in np.ndindex(*one.shape):
            (ev, std), (ev2, std2) = ((values[k][0][index], values[k][1][index]) for k in (0, 1))
            name = f"PUB {at}" + (f" {list(index)}" if index else "")
            checks.append(_value_check(name, ev - ev2, math.hypot(std, std2), error, float(norm[index]), level / count))
    return checks


def _values(one: PubResult, norm: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Values and standard errors; of n shots that all agree, an error of at least 1/n."""
    assert one.evs is not None
    assert one.stds is not None
    precision = float(one.metadata.get("target_precision") or 0.0)
    floor = precision**2 * np.where(np.isnan(norm), 1.0, norm)
    return array_of(one.evs), np.maximum(array_of(one.stds), floor)


def _value_check(part: str, apart: float, sigma: float, error: float | None, norm: float, level: float) -> Check:
    size = abs(apart)
    z = size / sigma if sigma else (0.0 if size == 0 else math.inf)
    explained = None if error is None or math.isnan(norm) else 2 * error * norm
    over = (size - explained) / sigma if explained is not None and sigma else 0.0
    beyond = explained is not None and math.erfc(max(0.0, over) / math.sqrt(2)) / 2 < level
    return Check(part, "z-test", z, math.erfc(z / math.sqrt(2)), size, explained=explained, beyond=beyond)


def _holm(checks: Sequence[Check]) -> list[Check]:
    """The checks with p-values that hold for all of them together."""
    order = sorted(range(len(checks)), key=lambda at: checks[at].p)
    adjusted, least = [1.0] * len(checks), 0.0
    for rank, at in enumerate(order):
        least = max(least, min(1.0, checks[at].p * (len(checks) - rank)))
        adjusted[at] = least
    return [replace(one, adjusted=value) for one, value in zip(checks, adjusted, strict=True)]
