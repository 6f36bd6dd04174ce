"""Users' sessions: what is written of them."""

from __future__ import annotations

from typing import Any

from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store.reads.sessions import session_key
from jupyter_quantum.store.rows import JobRow, SessionRow
from jupyter_quantum.store.unit import Unit

__all__ = ["SessionWrites"]


class SessionWrites(Unit):
    """The part of a writing request for sessions. Their ends are events (``session.ended``)."""

    def join_session(self, job: JobRow, kind: str, max_s: float | None) -> SessionRow:
        """A new job belongs into this session, which begins with its first one.

        Raises Conflict ``session.closed`` where its owner has closed it.
        """
        self.check_open(job)
        found = self.session_of(job)
        return self._use(found) if found is not None else self._begin(job, kind, max_s)

    def seat(self, job: JobRow) -> SessionRow | None:
        """The session of a job that begins now, on the device that it begins on; None: it belongs into none."""
        found = self.session_of(job)
        if found is not None or job.session is None:
            return None if found is None else self._use(found)
        others = self.sessions_of(job.principal, job.session)  # the job was meant for another device before
        if not others:
            return None
        row = self._begin(job, others[0].kind, others[0].max_s)
        return self._shelf(c.SESSIONS).change(row, closed=others[0].closed)

    def open_session(self, key: str, *, handle: str, mode: str) -> SessionRow:
        """The vendor's session is open. Raises Conflict ``session.state`` where it was opened before."""
        row = self.session(key)
        if row.state != "new":
            raise Conflict("This session was opened already.", code="session.state")
        changes = {"state": "open", "handle": handle, "mode": mode, "opened": self.now, "used": self.now}
        return self._shelf(c.SESSIONS).change(row, **changes)

    def close_session(self, key: str, why: str) -> SessionRow:
        """No run goes into it any more; where nothing is open at the vendor, it has ended."""
        row = self.session(key)
        if row.state in ("closing", "ended"):
            return row
        if row.handle is None:
            return self.end_session(key, why)
        return self._shelf(c.SESSIONS).change(row, state="closing", why=why)

    def end_session(self, key: str, why: str, usage_s: float | None = None) -> SessionRow:
        """It is over, with an event; ``usage_s``: what the vendor counts for it."""
        row = self.session(key)
        if row.state == "ended":
            return row
        changes: dict[str, Any] = {"state": "ended", "ended": self.now, "why": row.why or why, "usage_s": usage_s}
        after = self._shelf(c.SESSIONS).change(row, **changes)
        data = {"session": row.name, "device": row.device, "vendor_session": row.handle, "mode": row.mode}
        # Canonical texts hold no floats that two databases might spell differently.
        data |= {"why": after.why, "usage_s": None if usage_s is None else f"{usage_s:.3f}"}
        self._tell("session.ended", actor="service", principal=row.principal, project=row.project, data=data)
        return after

    def close_sessions(self, principal: str, name: str) -> list[SessionRow]:
        """Their owner closes them: no more jobs. Answers the rows; none where there is no such session."""
        rows = self.sessions_of(principal, name)
        shelf = self._shelf(c.SESSIONS)
        held = [shelf.get(row.id) or row for row in rows]
        return [row if row.closed is not None else shelf.change(row, closed=self.now) for row in held]

    def _begin(self, job: JobRow, kind: str, max_s: float | None) -> SessionRow:
        assert job.session is not None
        key = session_key(job.principal, job.project, job.device, job.session)
        where = (job.session, job.principal, job.project, job.device)
        return self._shelf(c.SESSIONS).add(SessionRow(key, *where, kind, self.now, self.now, max_s))

    def _use(self, row: SessionRow) -> SessionRow:
        return self._shelf(c.SESSIONS).change(row, used=self.now)
