"""Users' sessions: shown, closed by their owners, and ended at the vendor when nothing needs them any more.

A vendor's session ends when its owner has closed it and its last job has ended, when its time is up, and when no job
has run in it for a while. The vendor is told by a task of its own; telling it twice is harmless, so that whatever is
lost on the way is told again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, cast

from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.pipeline.board import LeaseLost, Ticket
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.seats import limit_s
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.reads.sessions import SessionUse
from jupyter_quantum.store.rows import SessionRow
from jupyter_quantum.wire.runner import EndSessionTask, TaskReport
from jupyter_quantum.wire.sessions import SessionAt, SessionKind, SessionView

__all__ = ["Sessions"]

log = logging.getLogger(__name__)

_END_S: Final = 150.0
"""A runner is given so long to tell the vendor."""
_PAUSE_S: Final = 30.0
"""Between two tries to tell it."""
_GIVE_UP: Final = timedelta(days=2)
"""A session that nobody could end by then has ended by itself."""
_MEMORY_MB: Final = 64
_SHOWN: Final = ("device", "project", "state", "mode", "opened", "ended", "why", "usage_s")


class Sessions:
    """What becomes of sessions, for their owners and at vendors."""

    def __init__(self, context: Context, live: Live) -> None:
        self._context = context
        self._live = live
        self._telling: set[str] = set()
        self._not_before: dict[str, float] = {}
        """By session: monotonic seconds before which the vendor is not told again."""

    async def of(self, who: Principal, name: str) -> SessionView:
        """One's own session."""
        return await self._context.store.read(lambda view: _view(view, view.sessions_of(who.id, name)))

    async def close(self, who: Principal, name: str) -> SessionView:
        """Take no more jobs into it; those submitted go on. Closing it again changes nothing."""

        def write(tx: Tx) -> SessionView:
            return _view(tx, tx.close_sessions(who.id, name))

        view = await self._context.store.write(write)
        self._live.committed()
        return view

    async def turn(self) -> None:
        """End what is due."""
        for row, use in await self._context.store.read(lambda view: view.live_sessions()):
            why = self._due(row, use)
            if why is not None and row.id not in self._telling and self._not_before.get(row.id, 0.0) < time.monotonic():
                self._telling.add(row.id)
                self._context.background.start(self._end(row, why), f"end session {row.handle}")

    def _due(self, row: SessionRow, use: SessionUse) -> str | None:
        """Why the session is to end now; None: it is not."""
        now = self._context.clock()
        if row.state == "closing":
            return row.why or "vendor"
        most_s = limit_s(row, self._context.registry.get(row.device))
        if row.opened is not None and 0 < most_s <= (now - row.opened).total_seconds():
            return "expired"
        if use.open_jobs:
            return None
        if row.closed is not None:
            return "closed"
        idle = now - max(row.used, use.last or row.used)
        return "idle" if idle.total_seconds() >= self._context.settings.session_idle_s else None

    async def _end(self, row: SessionRow, why: str) -> None:
        try:
            row = await self._context.store.write(lambda tx: tx.close_session(row.id, why))  # no run goes in now
            self._live.committed()
            if row.state == "closing":
                await self._tell(row)
        except Conflict:  # a run went in at this moment
            pass
        finally:
            self._telling.discard(row.id)

    async def _tell(self, row: SessionRow) -> None:
        """Have the vendor told, once somebody serves the device who knows of sessions: an older runner does not."""
        report = await self._told(row) if self._serves(row.device) else None
        if report is not None and (report.state == "done" or not report.retry):
            await self._ended(row, row.why or "closed", report.vendor_s)
        elif self._context.clock() - row.used > _GIVE_UP:
            await self._ended(row, "lost", None)
        else:
            self._not_before[row.id] = time.monotonic() + _PAUSE_S

    def _serves(self, name: str) -> bool:
        device = self._context.registry.get(name)
        return device is not None and bool(device.words.sessions) and self._context.board.serving(name) is not None

    async def _told(self, row: SessionRow) -> TaskReport | None:
        board = self._context.board
        do = EndSessionTask(device=row.device, handle=row.handle or "")
        ticket = Ticket(do, self._context.affinity(row.principal), _END_S, _MEMORY_MB)
        board.put(ticket)
        try:
            return await asyncio.wait_for(asyncio.shield(ticket.outcome), _END_S)
        except (LeaseLost, TimeoutError):
            return None
        finally:
            board.close(ticket)

    async def _ended(self, row: SessionRow, why: str, usage_s: float | None) -> None:
        await self._context.store.write(lambda tx: tx.end_session(row.id, why, usage_s))
        self._not_before.pop(row.id, None)
        self._live.committed()
        if usage_s is not None and row.mode == "dedicated":
            log.info("%s: session %s is over; the vendor counts %.1f s for it", row.device, row.handle, usage_s)


def _view(view: View, rows: Sequence[SessionRow]) -> SessionView:
    if not rows:
        raise absent("session")
    first = rows[0]
    at: list[dict[str, Any]] = [
        {name: getattr(row, name) for name in _SHOWN} | {"vendor_session": row.handle} for row in rows
    ]
    return SessionView(
        id=first.name,
        kind=cast(SessionKind, first.kind),
        state="open" if first.closed is None else "closed",
        created=first.created,
        max_s=first.max_s,
        open_jobs=sum(view.session_use(row).open_jobs for row in rows),
        devices=[SessionAt.model_validate(one) for one in at],
    )
