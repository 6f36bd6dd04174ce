"""Rate limits that hold across replicas: token buckets in the database, from which each process draws a few at a time.

A request takes a token from its process's *purse*; only an empty purse costs a write, and one that runs low is filled
beside the requests. What all replicas let pass in ``s`` seconds is at most ``burst + rate * s``: a token in a purse is
gone from the bucket, and a purse that is not used in time is forfeited, not saved up.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from jupyter_quantum.exceptions import TooBusy
from jupyter_quantum.store import claims

__all__ = ["KINDS", "Draw", "Rate", "RateLimits"]

Draw = Callable[[str, float, int, int], Awaitable[tuple[int, float]]]
"""``(bucket, rate, burst, wanted)`` → tokens drawn, and seconds until there is one where it is none."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What may pass: ``rate`` requests a second in the long run, ``burst`` at once."""

    rate: float
    burst: int

    def times(self, factor: float) -> Rate:
        """So many times as much."""
        return Rate(self.rate * factor, max(1, round(self.burst * factor)))


KINDS: Final[Mapping[str, Rate]] = {
    "read": Rate(300.0, 600),
    "submit": Rate(300.0, 600),
    "validate": Rate(50.0, 200),
    "decide": Rate(10.0, 50),
    "administer": Rate(20.0, 100),
    "runner": Rate(1000.0, 2000),
    "exchange": Rate(2.0, 30),
    "stranger": Rate(10.0, 100),
    "peer": Rate(100.0, 1000),
    "project.submit": Rate(1000.0, 2000),
    "project.validate": Rate(200.0, 800),
}
"""Classes of requests, and what one principal may send of each. ``exchange`` (tokens) and ``stranger`` (nobody known)
count by address, ``peer`` by the machine that forwards them, ``project.…`` what all members of a project send."""

_LIFE_S: Final = 60.0
"""So long a purse is good, seconds: somebody who polls slowly costs a write a minute, not one a request."""
_MOST: Final = 20_000


@dataclass(slots=True)
class _Purse:
    left: int = 0
    until: float = 0.0
    """When what is left is forfeited."""
    closed: float = 0.0
    """Until when the bucket is known to be empty."""
    filling: asyncio.Task[None] | None = None


class RateLimits:
    """Lets requests pass, or says when to come back.

    Args:
        draw: how tokens are drawn from the bucket that all replicas share.
        rates: by class, where they differ from :data:`KINDS`.
    """

    def __init__(
        self,
        draw: Draw,
        rates: Mapping[str, Rate] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._draw = draw
        self._rates = {**KINDS, **(rates or {})}
        self._clock = clock
        self._spread = spread
        self._purses: OrderedDict[str, _Purse] = OrderedDict()

    async def take(self, kind: str, key: str, *, factor: float = 1.0) -> None:
        """Count one request of ``key``; raise TooBusy (``busy.rate``) where there are too many of its kind.

        Raises Unavailable where the purse is empty and the database does not answer.
        """
        name = f"{kind}:{key}"
        purse = self._purse(name)
        rate = self._rates[kind]
        if factor != 1.0:
            rate = rate.times(factor)
        few = _batch(rate)
        while True:
            now = self._clock()
            if purse.left > 0 and now < purse.until:
                purse.left -= 1
                if purse.left < few // 2 and purse.filling is None and now >= purse.closed:
                    self._fill(name, purse, rate, few)
                return
            if now < purse.closed:
                raise self._busy(purse.closed - now)
            await asyncio.shield(purse.filling or self._fill(name, purse, rate, few))

    def refuses(self, kind: str, key: str) -> bool:
        """Whether the bucket is known to be empty; asks nobody."""
        purse = self._purses.get(f"{kind}:{key}")
        return purse is not None and purse.left == 0 and self._clock() < purse.closed

    def _purse(self, name: str) -> _Purse:
        purse = self._purses.get(name)
        if purse is None:
            purse = self._purses[name] = _Purse()
            if len(self._purses) > _MOST:
                self._purses.popitem(last=False)
        else:
            self._purses.move_to_end(name)
        return purse

    def _fill(self, name: str, purse: _Purse, rate: Rate, few: int) -> asyncio.Task[None]:
        async def fill() -> None:
            try:
                drawn, wait_s = await self._draw(name, rate.rate, rate.burst, few)
                now = self._clock()
                kept = purse.left if now < purse.until else 0
                purse.left, purse.until = kept + drawn, now + _LIFE_S
                # Who is refused does not make the database work: the next draw waits for a batch, not for a token.
                purse.closed = now + max(wait_s, few / rate.rate) if drawn == 0 else 0.0
            finally:
                purse.filling = None

        with claims.apart():  # counting a request is no part of its act
            task = purse.filling = asyncio.get_running_loop().create_task(fill(), name="rate limit")
        task.add_done_callback(_looked_at)
        return task

    def _busy(self, wait_s: float) -> TooBusy:
        # Spread, so that those who were refused together do not come back together.
        return TooBusy(
            "You send requests faster than the service takes them.",
            code="busy.rate",
            hint="Wait a moment and try again.",
            details={"retry_after": math.ceil(max(1.0, wait_s) * self._spread(1.0, 1.5))},
        )


def _batch(rate: Rate) -> int:
    """Tokens that a process draws at once: few beside the burst, none where each one counts."""
    return max(1, min(64, rate.burst // 16, int(rate.rate)))


def _looked_at(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()  # who waits for it raises it; beside a request, the next one tries again
