"""When will it start, and why does it wait: the scheduler run ahead. No I/O.

:func:`ahead` runs a copy of a device's queue with expected run times. :func:`plan` computes the same from a plain
:class:`Snapshot`, without heaps or caches; it is the oracle of the tests and the form in which a queue can be stored
and replayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heapify, heapreplace
from math import sqrt
from typing import Final

from jupyter_quantum.core.fairshare import LEVELS, Demand, DeviceSet, Lane, Path

__all__ = ["REASONS", "Forecast", "Snapshot", "ahead", "if_submitted", "plan", "snapshot"]

REASONS: Final[Mapping[str, str]] = {
    "wait.device": "It is next; the device is busy.",
    "wait.turn": "Others asked earlier.",
    "wait.share": "Its organisation, project or user used more than its share lately; others go first for a while.",
    "wait.paused": "The device is paused by the operators.",
    "wait.offline": "No runner serves the device at the moment.",
    "wait.drained": "The device takes no new jobs.",
}
"""Every reason to wait has a name."""

_Z90: Final = 1.2815515655446004
"""The ninth decile of the standard normal distribution."""
_LEFT: Final = 0.1
"""A job that has run longer than expected is expected to need this part of its time still."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known of one waiting job. Seconds from now; None where nobody knows (offline, paused without an end)."""

    job: str
    place: int
    p50: float | None
    p90: float | None
    reason: str
    level: str | None = None
    """With ``wait.share``: at which level others go first (organisation, project, user, class)."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A device's queue as plain values."""

    device: DeviceSet
    start: float
    half_life: float
    usages: Mapping[Path, tuple[float, float]]
    """Path → weight, inflated usage."""
    waiting: tuple[Demand, ...]
    running: tuple[tuple[Demand, float], ...]
    """Job, start."""


def snapshot(lane: Lane, half_life: float, now: float) -> Snapshot:
    """The queue of a device as plain values."""
    lane.shares.inflation(now)
    start = lane.shares.start
    assert start is not None
    usages = {path: (weight, usage or 0.0) for path, (weight, usage, _) in lane.shares.usages().items()}
    running = tuple(lane.running.values())
    return Snapshot(lane.device, start, half_life, usages, tuple(lane.shares.waiting), running)


def ahead(lane: Lane, now: float) -> list[Forecast]:
    """Every waiting job of a device, in the order in which they would start if nothing else came."""
    lane.shares.inflation(now)
    shares, slots = lane.shares.copy(), _Slots(lane.device, lane.running.values(), now)
    found: list[tuple[Demand, float | None, float | None]] = []
    while (job := shares.head) is not None:
        at, spread = slots.take(job)
        shares.pick(job.id, at)
        found.append((job, *_from_now(slots, at, spread, now)))
    return _explain(lane.device, found)


def if_submitted(lane: Lane, job: Demand, now: float) -> Forecast:
    """What :func:`ahead` would say of a job if it were submitted now; on a drained device it would not be taken."""
    shares = lane.shares.copy()
    shares.add(job, now)
    found = next(f for f in ahead(Lane(lane.device, shares, lane.running), now) if f.job == job.id)
    if lane.device.state == "drained":
        return Forecast(job.id, found.place, None, None, "wait.drained")
    return found


class _Slots:
    """When each slot is free: mean and variance of the time, from what runs and what is put there."""

    def __init__(self, device: DeviceSet, running: Iterable[tuple[Demand, float]], now: float) -> None:
        opens = device.opens(now)
        self.known = opens is not None
        begin = now if opens is None else opens
        ends = [self._end(job, started, now) for job, started in running]
        ends += [(now, 0.0)] * (device.slots - len(ends))
        # Where a device has fewer slots than it runs jobs, the first to end give none back.
        self._free = [(max(begin, at), spread) for at, spread in sorted(ends)[len(ends) - device.slots :]]
        heapify(self._free)

    @staticmethod
    def _end(job: Demand, started: float, now: float) -> tuple[float, float]:
        left = max(job.seconds - (now - started), _LEFT * job.seconds)
        return now + left, _variance(job)

    def take(self, job: Demand) -> tuple[float, float]:
        """Put a job where it can start first; when that is (mean, variance)."""
        at, spread = self._free[0]
        heapreplace(self._free, (at + job.seconds, spread + _variance(job)))
        return at, spread


def _variance(job: Demand) -> float:
    return (max(0.0, job.seconds_p90 - job.seconds) / _Z90) ** 2


def _from_now(slots: _Slots, at: float, spread: float, now: float) -> tuple[float | None, float | None]:
    """Median and ninth decile of the wait; sums of run times are close to normal."""
    return (at - now, at - now + _Z90 * sqrt(spread)) if slots.known else (None, None)


def _explain(device: DeviceSet, found: Iterable[tuple[Demand, float | None, float | None]]) -> list[Forecast]:
    """Name the reason of each: the device's state, its turn, or the latest comer that goes before it."""
    forecasts: list[Forecast] = []
    latest: Demand | None = None
    for place, (job, p50, p90) in enumerate(found, start=1):
        level = None
        if device.state in ("paused", "offline"):
            reason = f"wait.{device.state}"
        elif latest is None:
            reason = "wait.device"
        elif latest.order > job.order:
            reason, level = "wait.share", _parting(job, latest)
        else:
            reason = "wait.turn"
        forecasts.append(Forecast(job.id, place, p50, p90, reason, level))
        latest = job if latest is None or job.order > latest.order else latest
    return forecasts


def _parting(one: Demand, other: Demand) -> str:
    """The level at which the ways of two jobs part."""
    return next(level for level, a, b in zip(LEVELS, one.path, other.path, strict=True) if a != b)


# -- the oracle --------------------------------------------------------------------------------------------------------


def plan(given: Snapshot, now: float) -> list[Forecast]:
    """As :func:`ahead`, from plain values and by looking at everything at every step: O(n) a step."""
    usages = {path: usage for path, (_, usage) in given.usages.items()}
    waiting, slots = list(given.waiting), _Slots(given.device, given.running, now)
    found: list[tuple[Demand, float | None, float | None]] = []
    while waiting:
        job = _least(given, usages, waiting, ())
        waiting.remove(job)
        at, spread = slots.take(job)
        inflated = job.charge(job.seconds) * 2.0 ** ((at - given.start) / given.half_life)
        for depth in range(1, len(job.path) + 1):
            usages[job.path[:depth]] = usages.get(job.path[:depth], 0.0) + inflated
        found.append((job, *_from_now(slots, at, spread, now)))
    return _explain(given.device, found)


def _least(given: Snapshot, usages: Mapping[Path, float], jobs: list[Demand], path: Path) -> Demand:
    """The next of ``jobs``, all of which are below ``path``: of the child with the least usage per weight."""
    if len(path) == len(LEVELS):
        return min(jobs, key=lambda job: job.order)
    below: dict[Path, list[Demand]] = {}
    for job in jobs:
        below.setdefault(job.path[: len(path) + 1], []).append(job)

    def rank(child: Path) -> tuple[float, tuple[float, str]]:
        weight = given.usages[child][0]
        return usages[child] / weight, heads[child].order

    heads = {child: _least(given, usages, some, child) for child, some in below.items()}
    return heads[min(below, key=rank)]
