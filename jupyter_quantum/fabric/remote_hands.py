"""What a runner does for a run at a vendor's: workers, reports, the lease."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Final

from jupyter_quantum.fabric.failures import failure
from jupyter_quantum.fabric.frames import Order, Outcome
from jupyter_quantum.fabric.pool import Ended, Pool
from jupyter_quantum.fabric.remote_parts import Left
from jupyter_quantum.fabric.running import Running
from jupyter_quantum.fabric.vendors.fleet import Fleet
from jupyter_quantum.wire.runner import ExecuteTask, Reported, SessionReport, Task, TaskReport

__all__ = ["RunnerHands"]

_END_S: Final = 300.0
"""Seconds that a worker may take to write payloads, or to read answers."""


class RunnerHands:
    """:class:`~.remote_parts.Hands` of one task.

    Args:
        running: the task.
        fleet: of the runner.
        poll_s: the longest pause between two questions to the vendor.
        pool: gives the pool of now.
        report: sends a report; None: the service has not taken it.
        draining: set once the runner drains.
        lease_s: gives how long a lease lasts.
    """

    def __init__(
        self,
        running: Running,
        fleet: Fleet,
        poll_s: float,
        *,
        pool: Callable[[], Pool],
        report: Callable[[Task, TaskReport], Awaitable[Reported | None]],
        draining: asyncio.Event,
        lease_s: Callable[[], float],
    ) -> None:
        assert isinstance(running.task.do, ExecuteTask)
        self.poll_s = poll_s
        self.recovery = fleet.recovery(running.task.do.device)
        self.lease_s = lease_s
        self._do = running.task.do
        self._running = running
        self._fleet = fleet
        self._pool = pool
        self._report = report
        self._draining = draining

    async def work(self, order: Order) -> Outcome:
        """Have a locked worker do it, and let the worker go."""
        running = self._running
        if running.session is None:
            running.pool = self._pool()
            running.session = await running.pool.acquire(order.task.affinity, order.task.memory_mb)
        session, pool = running.session, running.pool
        assert pool is not None
        # The task's own limit counts days in the vendor's queue.
        bounded = order.task.model_copy(update={"timeout_s": min(order.task.timeout_s, _END_S)})
        try:
            outcome = await session.order(order.model_copy(update={"task": bounded}))
        except Ended as error:
            if self.leave():
                raise Left from None
            return Outcome(error=failure(order.task, error.why, 0.0).error)
        finally:
            running.session = running.pool = None
        pool.release(session)
        return outcome

    async def started(self, handles: list[str]) -> None:
        """Tell the service."""
        await self._report(self._running.task, TaskReport(runner="", fence=0, state="started", handles=handles))

    async def session(self, told: SessionReport) -> str | None:
        """Tell the service; nothing is handed over before it has answered."""
        said = TaskReport(runner="", fence=0, state="session", session=told)
        answer = await self._report(self._running.task, said)
        if answer is None:
            raise Left
        return answer.session

    def lease_left(self) -> float:
        """Seconds."""
        return self.lease_s() - (time.monotonic() - self._running.renewed)

    async def pause(self, seconds: float) -> None:
        """Wait, less where the task is stopped or the runner drains."""
        waits = [asyncio.ensure_future(event.wait()) for event in (self._running.news, self._draining)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def leave(self) -> bool:
        """Draining, or the lease is lost."""
        return self._draining.is_set() or (self._running.stopped and not self._running.cancelled)

    def cancelled(self) -> bool:
        """Whether its owner took it back."""
        return self._running.cancelled

    async def drifted(self) -> bool:
        """Whether the device was calibrated anew."""
        return await self._fleet.drifted(self._do.device, self._do.calibration)
