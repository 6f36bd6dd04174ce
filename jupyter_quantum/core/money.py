"""Credits, counted as integer micro-credits: 1 credit = 1 000 000.

Every amount in code, rows and messages is an ``int`` of micro-credits; only :mod:`jupyter_quantum.core.words` turns it
into text.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Final

__all__ = ["CREDIT", "Cost", "PriceList", "credits_to_micro"]

CREDIT: Final = 1_000_000


def credits_to_micro(amount: str | int | float | Decimal) -> int:
    """Credits as micro-credits, rounded up; floats are taken by their shortest text (0.42 is 0.42)."""
    return int((Decimal(str(amount)) * CREDIT).to_integral_value(ROUND_CEILING))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a run is expected to cost and the most it can cost, in micro-credits."""

    estimate: int
    at_most: int


@dataclass(frozen=True, slots=True)
class PriceList:
    """Prices of one device, in micro-credits: for a task, for a shot, for a second on the device."""

    per_task: int = 0
    per_shot: int = 0
    per_second: int = 0

    @property
    def free(self) -> bool:
        """Whether nothing on this list costs anything."""
        return not (self.per_task or self.per_shot or self.per_second)

    def amount(self, *, tasks: int, executions: int, seconds: float) -> int:
        """Price of ``tasks`` circuits run ``executions`` times in all, for ``seconds`` on the device; rounded up."""
        timed = (Decimal(str(seconds)) * self.per_second).to_integral_value(ROUND_CEILING)
        return tasks * self.per_task + executions * self.per_shot + int(timed)

    def cost(self, *, tasks: int, executions: int, seconds: float, seconds_at_most: float) -> Cost:
        """Price before a run, from its estimated and its longest allowed time on the device (seconds)."""
        return Cost(
            self.amount(tasks=tasks, executions=executions, seconds=seconds),
            self.amount(tasks=tasks, executions=executions, seconds=max(seconds, seconds_at_most)),
        )
