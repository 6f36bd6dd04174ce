"""What every request passes before its stage: keys that act once, and rate limits that hold across replicas."""

from __future__ import annotations

import asyncio
import hmac
from datetime import timedelta
from typing import Final, Literal

from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import QuantumError
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.limits import RateLimits
from jupyter_quantum.pipeline.once import Once

__all__ = ["Door"]

_SWEEP_S: Final = 3600.0
_FULL_AGAIN: Final = timedelta(days=1)


class Door:
    """The parts of the way in that every area's routes share."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._swept = 0.0
        self.once = Once(context)
        self.limits = RateLimits(self._draw, context.settings.rates)

    async def start(self) -> None:
        """Called once events are numbered."""
        await self.once.start()

    async def turn(self) -> None:
        """What time brings; each second."""
        await self.once.turn()
        now = asyncio.get_running_loop().time()
        if now - self._swept > _SWEEP_S:
            self._swept = now
            before = self._context.clock() - _FULL_AGAIN
            await self._context.store.write(lambda tx: tx.sweep_buckets(before))

    async def admit_to_project(
        self, who: Principal, project: str | None, kind: Literal["project.submit", "project.validate"]
    ) -> None:
        """Count a request against what all members of the project may send; its tier says how much that is.

        Raises TooBusy ``busy.rate``. A project that is not the caller's is refused further in.
        """
        try:
            spec = self._context.people.project(who, project)
        except QuantumError:
            return
        await self.limits.take(kind, spec.name, factor=self._context.settings.tier_rates.get(spec.tier, 1.0))

    async def _draw(self, name: str, rate: float, burst: int, wanted: int) -> tuple[int, float]:
        # The database learns neither names nor addresses of people who only read.
        hidden = hmac.digest(self._context.settings.secret or b"unset", name.encode(), "sha256").hex()[:40]
        now = self._context.clock()
        return await self._context.store.write(
            lambda tx: tx.draw(hidden, rate=rate, burst=burst, wanted=wanted, now=now)
        )
