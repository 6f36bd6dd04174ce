"""A run's place in a vendor's session: which one it goes into, and what its runner says became of it.

There is at most one session at the vendor for a person's session, project and device: its id is written before a run
is handed over in it. A run that cannot go into it runs without, and is marked (:data:`WITHOUT`).
"""

from __future__ import annotations

import json
import logging
from typing import Any, Final, cast

from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.pipeline.board import Ticket
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import AttemptRow, JobRow, SessionRow
from jupyter_quantum.wire.runner import ExecuteTask, SessionReport, SessionTask, TaskReport
from jupyter_quantum.wire.sessions import SessionKind, SessionMode

__all__ = ["WITHOUT", "Seats", "left_by_session", "limit_s", "seat", "seat_of"]

log = logging.getLogger(__name__)

WITHOUT: Final = "without-session"
"""Mark of a run that its vendor was to run in a session and did not."""
_ENDED: Final = "vendor.session"
"""Code of a run that the vendor cancelled with its session."""


def limit_s(row: SessionRow, device: Device | None) -> float:
    """The longest that the session may be open, seconds; 0: as the vendor allows."""
    limits = [row.max_s or 0.0, 0.0 if device is None else device.words.session_s]
    return min((limit for limit in limits if limit > 0), default=0.0)


def seat(tx: Tx, row: JobRow, device: Device | None) -> tuple[SessionTask | None, bool]:
    """The vendor's session that a run which begins now goes into; and whether it belongs into one that is over.

    Where the device has none for it, a session only groups jobs.
    """
    found = tx.seat(row)
    if found is None or device is None or (mode := device.words.sessions.get(cast(SessionKind, found.kind))) is None:
        return None, False
    most_s = limit_s(found, device)
    expired = found.opened is not None and 0 < most_s <= (tx.now - found.opened).total_seconds()
    if expired or found.state in ("closing", "ended"):
        return None, True
    opened = cast("SessionMode | None", found.mode)
    return SessionTask(name=found.id, mode=opened or mode, most_s=most_s, handle=found.handle), False


def seat_of(attempt: AttemptRow) -> SessionTask | None:
    """The session that an attempt of before was handed over in, where it was in one."""
    if attempt.session is None:
        return None
    mode = cast(SessionMode, attempt.session_mode or "batch")
    return SessionTask(name="", mode=mode, handle=attempt.session)


def left_by_session(tx: Tx, row: JobRow, ticket: Ticket, report: TaskReport) -> bool:
    """Whether the vendor cancelled the run because its session was over; no run goes into that any more.

    The next attempt is therefore in none, so that this happens to a job once.
    """
    do, said = ticket.do, report.session
    found = tx.session_of(row)
    if said is None or found is None or not isinstance(do, ExecuteTask) or row.cancel_asked is not None:
        return False
    if report.error is None or report.error.code != _ENDED or said.handle != found.handle:
        return False
    tx.close_session(found.id, "vendor")
    return True


class Seats:
    """Takes note of what runners say of sessions."""

    def __init__(self, context: Context, live: Live) -> None:
        self._context = context
        self._live = live

    async def told(self, ticket: Ticket, report: TaskReport) -> str | None:
        """The vendor's id of the session that the run goes into, None: into none. Written before it is answered.

        Raises Conflict where the attempt is no longer the caller's.
        """
        do, said = ticket.do, report.session
        assert isinstance(do, ExecuteTask)
        if said is None or do.session is None:
            raise Conflict("This run belongs into no session.", code="session.state")
        if said.why:
            log.warning("%s: run %s goes without its session (%s): %s", do.device, do.tag, said.why, said.words)
        task, actor = do.session, f"runner:{report.runner}"

        def write(tx: Tx) -> tuple[JobRow, str | None]:
            return _noted(tx, do.tag, ticket.fence, task, said, actor)

        row, counts = await self._context.store.write(write)
        self._live.moved(row)
        return counts


def _noted(
    tx: Tx, tag: str, fence: int, task: SessionTask, said: SessionReport, actor: str
) -> tuple[JobRow, str | None]:
    attempt = tx.attempt(tag)
    row = tx.job(attempt.job)
    if row.state in FINAL:
        raise Conflict("The job has ended.", code="job.move")
    found = _after(tx, row, task, said)
    counts = found.handle if found is not None and found.state == "open" and not said.why else None
    if counts is not None and attempt.session == counts:  # said again: the answer was lost
        tx.update_attempt(tag, fence=fence, session=counts)
        return row, counts
    marks = {*json.loads(attempt.marks), *([] if counts else [WITHOUT])}
    told: dict[str, Any] = {"session": counts, "session_mode": found.mode if found and counts else None}
    tx.update_attempt(tag, fence=fence, marks=json.dumps(sorted(marks)), **told)
    event = {"tag": tag, "code": "attempt.session", "session": counts or said.handle, "mode": task.mode}
    return tx.amend(row.id, actor=actor, event=event | {"why": said.why or None}), counts


def _after(tx: Tx, row: JobRow, task: SessionTask, said: SessionReport) -> SessionRow | None:
    """The session after what was said of it; of two that were opened at the same time the first counts."""
    found = tx.session_of(row)
    if found is None:
        return None
    if not said.why:
        opens = found.state == "new" and said.handle is not None
        return tx.open_session(found.id, handle=said.handle or "", mode=task.mode) if opens else found
    if said.why in ("refused", "unsure") and found.state == "new":
        return tx.end_session(found.id, said.why)
    if said.why == "ended" and said.handle == found.handle:
        return tx.close_session(found.id, "vendor")
    return found
