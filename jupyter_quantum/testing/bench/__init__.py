"""Benchmarks that compare two things in one run and print a ratio.

Times of one machine say little on another; the ratio of two ways to do the same thing, measured in turns in one
process, says much. A :class:`Measurement` holds such ratios with their goals.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Measurement", "Pair", "paired"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Medians of one comparison: seconds of each side, and the median of the ratios of neighbouring runs."""

    ratio: float
    ours_s: float
    theirs_s: float
    rounds: int


@dataclass(slots=True)
class Measurement:
    """What one benchmark found. A ratio or figure passes where it is at most its goal, one of ``floors`` at least."""

    name: str
    goals: dict[str, float]
    pairs: dict[str, Pair] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    """What is not a ratio of two times."""
    floors: frozenset[str] = frozenset()
    notes: list[str] = field(default_factory=list)

    @property
    def ratios(self) -> dict[str, float]:
        """Everything that was measured, by name."""
        return {key: pair.ratio for key, pair in self.pairs.items()} | self.figures

    def met(self, key: str) -> bool:
        """Whether what was measured meets its goal; one that was not measured does not."""
        found, goal = self.ratios.get(key), self.goals[key]
        return found is not None and (found >= goal if key in self.floors else found <= goal)

    @property
    def passed(self) -> bool:
        """Whether every goal is met."""
        return all(map(self.met, self.goals))

    def document(self) -> dict[str, object]:
        """The JSON document of the command's last line."""
        return {
            "name": self.name,
            "ratios": {key: round(ratio, 4) for key, ratio in self.ratios.items()},
            "goals": self.goals,
            "passed": self.passed,
            "seconds": {key: {"ours": pair.ours_s, "theirs": pair.theirs_s} for key, pair in self.pairs.items()},
            "notes": self.notes,
        }


def _timed(act: Callable[[], object]) -> float:
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def paired(ours: Callable[[], object], theirs: Callable[[], object], *, rounds: int, warm: int = 3) -> Pair:
    """Run both in turns, ``rounds`` times after ``warm`` unmeasured ones; the order alternates, so drift hits both."""
    for _ in range(warm):
        ours()
        theirs()
    mine: list[float] = []
    other: list[float] = []
    gc.collect()
    for number in range(rounds):
        if number % 2:
            other.append(_timed(theirs))
            mine.append(_timed(ours))
        else:
            mine.append(_timed(ours))
            other.append(_timed(theirs))
    return Pair(
        ratio=statistics.median(a / b for a, b in zip(mine, other, strict=True)),
        ours_s=statistics.median(mine),
        theirs_s=statistics.median(other),
        rounds=rounds,
    )
