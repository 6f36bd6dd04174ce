"""Who waits for what inside the process: a job's next version, and the next numbered event. Nobody polls."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass

from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.results import ResultView

__all__ = ["Bell", "Bus", "News"]


@dataclass(frozen=True, slots=True)
class News:
    """A job as it is after a move; the result comes along where the move brought it."""

    row: JobRow
    result: ResultView | None = None


class Bell:
    """Wakes everybody who waits, and forgets."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        """Wake all waiters."""
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def wait(self, timeout_s: float | None = None) -> None:
        """Return at the next ring, or after ``timeout_s`` seconds."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait((future,), timeout=timeout_s)
        finally:
            self._waiting.discard(future)


class Bus:
    """Delivers committed moves to those who wait for a job."""

    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Queue[News]]] = defaultdict(set)

    def publish(self, row: JobRow, result: ResultView | None = None) -> None:
        """Tell everybody who waits for this job; call it after the commit."""
        for queue in self._waiting.get(row.id, ()):
            queue.put_nowait(News(row, result))

    def follow(self, job_id: str) -> Follower:
        """Follow a job from now on (a context manager); open it *before* reading the row, so that nothing is missed."""
        return Follower(self._waiting, job_id)


class Follower:
    """One waiter's view of one job."""

    def __init__(self, waiting: dict[str, set[asyncio.Queue[News]]], job_id: str) -> None:
        self._waiting, self._job = waiting, job_id
        self._news: asyncio.Queue[News] = asyncio.Queue()

    def __enter__(self) -> Follower:
        self._waiting[self._job].add(self._news)
        return self

    def __exit__(self, *_: object) -> None:
        waiting = self._waiting[self._job]
        waiting.discard(self._news)
        if not waiting:
            del self._waiting[self._job]

    async def newer(self, version: int, timeout_s: float) -> News | None:
        """The first news with a version over ``version``; None after ``timeout_s`` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                while (news := await self._news.get()).row.version <= version:
                    pass
                return news
        except TimeoutError:
            return None

    async def final(self, timeout_s: float) -> News | None:
        """The news that ends the job; None where it has not ended after ``timeout_s`` seconds."""
        try:
            async with asyncio.timeout(timeout_s):
                while (news := await self._news.get()).row.state not in FINAL:
                    pass
                return news
        except TimeoutError:
            return None
