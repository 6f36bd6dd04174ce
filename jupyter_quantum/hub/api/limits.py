"""Intake of what is open to everybody, per address: a token bucket in memory, which needs no store."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable

from jupyter_quantum.exceptions import TooBusy

__all__ = ["Bucket"]


class Bucket:
    """Lets ``rate`` requests a second pass for each key, ``burst`` at once."""

    def __init__(
        self, rate: float, burst: float, *, clock: Callable[[], float] = time.monotonic, size: int = 10_000
    ) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._size = size
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> None:
        """Count one request; raise :class:`TooBusy` (``busy.rate``) with seconds to wait where there are too many."""
        now = self._clock()
        left, since = self._left.get(key, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        if left < 1:
            raise TooBusy(
                "You send requests faster than the service takes them.",
                code="busy.rate",
                hint="Wait a moment and try again.",
                details={"retry_after": max(1, math.ceil((1 - left) / self._rate))},
            )
        self._left[key] = (left - 1, now)
        self._left.move_to_end(key)
        if len(self._left) > self._size:
            self._left.popitem(last=False)
