"""How good estimates were, once it is known what came: coverage of their ranges, and how far off they were."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

__all__ = ["Scored", "Summary", "summary"]


@dataclass(frozen=True, slots=True)
class Scored:
    """One estimate with its range, and what came. ``low`` None: the range has no lower end."""

    value: float
    low: float | None
    high: float
    actual: float

    @property
    def inside(self) -> bool:
        """Whether it came out within the range."""
        return (self.low is None or self.low <= self.actual) and self.actual <= self.high


@dataclass(frozen=True, slots=True)
class Summary:
    """Over several runs."""

    runs: int
    covered: float
    """Share of the runs that came out within the range."""
    error: float
    """Median of \\|actual - estimate\\|, divided by the estimate where it is relative."""


def summary(points: Iterable[Scored], *, relative: bool = False) -> Summary | None:
    """What can be said of these; None where there are none.

    ``relative``: errors are parts of the estimate; estimates of nothing are left out, since nothing is a part of them.
    """
    kept = [point for point in points if point.value > 0 or not relative]
    if not kept:
        return None
    errors = [abs(point.actual - point.value) / (point.value if relative else 1.0) for point in kept]
    return Summary(len(kept), sum(point.inside for point in kept) / len(kept), median(errors))
