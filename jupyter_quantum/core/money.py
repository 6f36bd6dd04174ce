"""Credits, counted as integer micro-credits: 1 credit = 1 000 000.

Every amount in code, rows and messages is an ``int`` of micro-credits; only :mod:`jupyter_quantum.core.words` turns it
into text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from typing import Final

__all__ = ["CREDIT", "Cost", "PriceList", "credits_to_micro", "in_force"]

CREDIT: Final = 1_000_000


def credits_to_micro(amount: str | int | float | Decimal) -> int:
    """Credits as micro-credits, rounded up; floats are taken by their shortest text (0.42 is 0.42)."""
    return int((Decimal(str(amount)) * CREDIT).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices of one device, in micro-credits: for a task, a shot, a second on the device, a minute in its queue."""

    per_task: int = 0
    per_shot: int = 0
    per_second: int = 0
    per_queue_minute: int = 0
    queue_minutes: int = 60
    """So many minutes in the queue are charged at most."""

    @property
    def free(self) -> bool:
        """Whether nothing on this list costs anything."""
        return not (self.per_task or self.per_shot or self.per_second or self.per_queue_minute)

    def amount(self, *, tasks: int, executions: int, seconds: float, queue_minutes: float = 0.0) -> int:
        """Price of ``tasks`` circuits run ``executions`` times in all, for ``seconds`` on the device; rounded up."""
        timed = _up(seconds * self.per_second, Decimal(str(seconds)), self.per_second)
        waited = min(queue_minutes, float(self.queue_minutes))
        queued = _up(waited * self.per_queue_minute, Decimal(str(waited)), self.per_queue_minute)
        return tasks * self.per_task + executions * self.per_shot + timed + queued

    def cost(
        self, *, tasks: int, executions: int, seconds: float, seconds_at_most: float, queue_minutes: float = 0.0
    ) -> Cost:
        """Price before a run, from its estimated and its longest allowed time on the device (seconds).

        ``queue_minutes`` is how long it will probably wait; at most, :attr:`queue_minutes` of the list are charged.
        """
        most = max(seconds, seconds_at_most)
        return Cost(
            self.amount(tasks=tasks, executions=executions, seconds=seconds, queue_minutes=queue_minutes),
            self.amount(tasks=tasks, executions=executions, seconds=most, queue_minutes=self.queue_minutes),
            self,
        )


def _up(rough: float, units: Decimal, price: int) -> int:
    """``units * price`` rounded up, exactly; nothing is computed where it is nothing."""
    return int((units * price).to_integral_value(ROUND_CEILING)) if rough else 0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run is expected to cost and the most it can cost, in micro-credits; and by which list."""

    estimate: int
    at_most: int
    prices: PriceList = field(default_factory=PriceList, compare=False)


def in_force(lists: Sequence[tuple[datetime, PriceList]], now: datetime) -> PriceList | None:
    """Of dated lists, in their order, the one that holds now; None before the first."""
    return next((prices for since, prices in reversed(lists) if since <= now), None)
