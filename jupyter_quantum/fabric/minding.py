"""Keeping up with vendors: new devices and new calibrations are served without dropping what runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection

from jupyter_quantum.fabric.frames import Hello
from jupyter_quantum.fabric.pool import Pool
from jupyter_quantum.fabric.settings import Settings
from jupyter_quantum.fabric.vendors.fleet import Fleet

__all__ = ["Minding"]

log = logging.getLogger(__name__)


class Minding:
    """Asks vendors for their devices, and has a new zygote built where one is new or was calibrated anew.

    Args:
        settings: of the runner.
        fleet: of the runner.
        serve: takes the pool that serves from now on, announces what it says, and returns the one of before.
        used: whether a task has, or waits for, a worker of this pool.
    """

    def __init__(
        self,
        settings: Settings,
        fleet: Fleet,
        serve: Callable[[Pool, Hello], Awaitable[Pool]],
        used: Callable[[Pool], bool],
    ) -> None:
        self._settings = settings
        self._fleet = fleet
        self._serve = serve
        self._used = used
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, remote: Collection[str]) -> None:
        """Mind these devices until :meth:`close`."""
        self._spawn(self._mind(remote))

    def _spawn(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _mind(self, remote: Collection[str]) -> None:
        while True:
            try:
                if await self._fleet.look(remote):
                    await self._rebuild()
            except Exception:
                log.exception("the calibrations could not be looked at")
            await asyncio.sleep(self._fleet.rest_s())

    async def _rebuild(self) -> None:
        """A new zygote, which knows the calibrations of now; what runs goes on in workers of the old one."""
        fresh = Pool(self._settings, self._fleet.take())
        try:
            hello = await fresh.start()
        except BaseException as error:
            await fresh.close()
            if not isinstance(error, RuntimeError | TimeoutError):
                raise
            log.error("the new calibrations cannot be used: %s", error)
            return
        old = await self._serve(fresh, hello)
        old.retire()
        self._spawn(self._outlive(old))

    async def _outlive(self, pool: Pool) -> None:
        """Close a pool once nobody has a worker of it."""
        try:
            while self._used(pool):  # noqa: ASYNC110  for seconds
                await asyncio.sleep(0.5)
        finally:
            await pool.close()

    async def close(self) -> None:
        """Stop minding; pools of before are closed."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
