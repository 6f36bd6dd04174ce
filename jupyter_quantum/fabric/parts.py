"""A report on its way: rows are sent on as the worker finds them, and none is lost where a message is.

One message is under way at a time; what comes meanwhile goes with the next one. Rows whose message was not
confirmed go with the last report again, so that the service has every row however the messages fare.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from jupyter_quantum.fabric.frames import Outcome
from jupyter_quantum.wire.runner import Prepared

__all__ = ["Parts"]

_SOON_S: Final = 0.004
"""Rows that come within so many seconds go in one message: what a worker remembers comes all at once."""


class Parts:
    """Rows of one report task.

    Args:
        devices: those that were asked about; a row of another one, or a second row, makes the answer garbage.
        send: sends rows on; its result says whether they arrived.
    """

    def __init__(self, devices: Sequence[str], send: Callable[[list[Prepared]], Awaitable[bool]]) -> None:
        self._missing = set(devices)
        self._send = send
        self._open: list[Prepared] = []
        self._sending: asyncio.Task[None] | None = None
        self.sound = True
        """Whether the worker spoke only about what it was asked."""

    def take(self, outcome: Outcome) -> None:
        """Note the rows of a part, or of the last message, and send them on."""
        for row in outcome.prepared:
            if row.device not in self._missing:
                self.sound = False
                return
            self._missing.discard(row.device)
            self._open.append(row)
        if self.sound and self._sending is None and self._open and outcome.more:
            self._sending = asyncio.get_running_loop().create_task(self._drain())

    @property
    def missing(self) -> list[str]:
        """Devices without a row so far."""
        return sorted(self._missing)

    def rest(self) -> list[Prepared]:
        """Every row that the service has not confirmed; nothing is sent from here on."""
        if self._sending is not None:
            self._sending.cancel()
        return list(self._open)

    async def _drain(self) -> None:
        await asyncio.sleep(_SOON_S)
        while self._open:
            rows = list(self._open)
            if not await self._send(rows):
                return
            self._open = [row for row in self._open if row not in rows]
        self._sending = None
