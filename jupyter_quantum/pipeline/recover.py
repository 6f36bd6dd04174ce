"""Looking for attempts whose runner is gone, at vendors that can be asked: the same attempt, never a new submission.

Whoever serves the device gets a task that finds the attempt by the vendor's ids, or by its tag. What is not found is
believed to be absent only once the runner of before can no longer be handing it over, and the vendor has had its time
to list it: its lease, ``submit_s`` and ``indexing_s`` after its last sign.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final

from jupyter_quantum.exceptions import QuantumError, Unavailable
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.attempts import unknown
from jupyter_quantum.pipeline.board import Ticket
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.schedule import SERVICE, Scheduling
from jupyter_quantum.pipeline.views import error_body
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import AttemptRow, AttemptState, JobRow
from jupyter_quantum.wire.devices import Wait
from jupyter_quantum.wire.runner import ExecuteTask

__all__ = ["Recovering"]

log = logging.getLogger(__name__)

_OPEN: Final = (AttemptState.SCHEDULED, AttemptState.RUNNING)
_PATIENCE_S: Final = 1.0


class Recovering:
    """Sends somebody to look."""

    def __init__(self, context: Context, scheduling: Scheduling, live: Live) -> None:
        self._context = context
        self._scheduling = scheduling
        self._live = live

    def write(self, tx: Tx, row: JobRow, attempt: AttemptRow, *, actor: str = SERVICE) -> JobRow:
        """The attempt goes on under a new fence, and the job says so. Call :meth:`follow` after the commit."""
        device = self._context.registry.get(row.device)
        lease = timedelta(seconds=self._context.settings.lease_s)
        slow = 0.0 if device is None else device.words.submit_s + device.words.indexing_s
        believed = tx.now + lease + timedelta(seconds=slow)
        fence = self._context.board.next_fence()
        tx.take_over(attempt.tag, fence=fence, until=tx.now + lease, absent_after=believed)
        said = sentences.looked_for(row.device) if row.cancel_asked is None else sentences.cancelling(row.device)
        wait = Wait(reason="wait.recover", words=said).model_dump_json()
        event = {"tag": attempt.tag, "code": "attempt.recover"}
        return tx.amend(row.id, actor=actor, event=event, error=None, wait=wait)

    def follow(self, row: JobRow) -> None:
        """Offer the task when its time has come; the device's slot is the attempt's as long as it is looked for."""
        self._scheduling.occupied(row)
        self._context.background.start(self._offer(f"{row.id}-{row.attempts}"), f"recover {row.id}")

    async def _offer(self, tag: str) -> None:
        fence: int | None = None
        offered: Ticket | None = None
        while True:
            try:
                row, attempt = await self._context.store.read(lambda view: _read(view, tag))
                fence = fence or attempt.fence
                if attempt.fence != fence or attempt.state not in _OPEN:
                    return
                if offered is not None and self._stands(offered, row):
                    return
                if (left := self._left(row, attempt)) > 0:
                    await asyncio.sleep(left)
                    continue
                executable = await self._context.store.artefacts.get(row.project, row.executable or "")
                offered = self._scheduling.recovery(row, attempt, executable)
                self._context.board.put(offered)
            except Unavailable:  # the store will answer again
                await asyncio.sleep(_PATIENCE_S)
            except QuantumError as damaged:
                await self._give_up(tag, damaged)
                return

    def _stands(self, offered: Ticket, row: JobRow) -> bool:
        """Whether the task is still what is wanted: its job may have been cancelled while it was made."""
        if row.cancel_asked is None or (isinstance(offered.do, ExecuteTask) and offered.do.cancel):
            return True
        self._context.board.stop(offered)
        return offered.leased

    def _left(self, row: JobRow, attempt: AttemptRow) -> float:
        """Seconds until it may be looked for: at once by the vendor's ids, or where submitting again is harmless."""
        device = self._context.registry.get(row.device)
        harmless = device is not None and device.words.recovery == "idempotent" and row.cancel_asked is None
        believed = attempt.absent_after
        early = attempt.recoveries == 1 and (attempt.handles != "[]" or harmless)
        if early or believed is None:
            return 0.0
        return (believed - self._context.clock()).total_seconds()

    async def _give_up(self, tag: str, why: QuantumError) -> None:
        """What it would be compared with is gone: a person decides."""
        text = error_body(why).model_dump_json()

        def write(tx: Tx) -> JobRow:
            row, attempt = _read(tx, tag)
            return unknown(tx, row, attempt, text=text)

        row = await self._context.store.write(write)
        self._live.moved(row)
        self._scheduling.free(row.id, row.device, 0.0)


def _read(view: View, tag: str) -> tuple[JobRow, AttemptRow]:
    attempt = view.attempt(tag)
    return view.job(attempt.job), attempt
