"""Users' sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select

from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import SESSIONS, moment
from jupyter_quantum.store.reading import Reading
from jupyter_quantum.store.rows import JobRow, SessionRow
from jupyter_quantum.wire.base import canonical, digest_of

__all__ = ["SessionClosed", "SessionReads", "SessionUse", "session_key"]

_OPEN: Final = func.count().filter(t.jobs.c.state.not_in(sorted(FINAL))).label("left")
_LAST: Final = func.max(t.jobs.c.ended).label("last")


def session_key(principal: str, project: str, device: str, name: str) -> str:
    """Id of a session's row: whoever is another person, or pays from another project, has another session."""
    return digest_of(canonical([principal, project, device, name]))


class SessionClosed(Conflict):
    """Its owner has closed it."""

    def __init__(self) -> None:
        super().__init__("This session is closed.", code="session.closed", hint="Open a new one.")


@dataclass(frozen=True, slots=True)
class SessionUse:
    """What is left to do in a session."""

    open_jobs: int
    last: datetime | None
    """When a job of it last ended."""


class SessionReads(Reading):
    """One or several."""

    def session(self, key: str) -> SessionRow:
        """The session with this :func:`session_key`."""
        return self._need(SESSIONS, key, "session")

    def session_of(self, job: JobRow) -> SessionRow | None:
        """The session that the job belongs into on the device that it is for now."""
        if job.session is None:
            return None
        return self._get(SESSIONS, session_key(job.principal, job.project, job.device, job.session))

    def sessions_of(self, principal: str, name: str) -> list[SessionRow]:
        """A person's session under the client's id: a row for each device and project, the oldest first."""
        c = t.sessions.c
        query = SESSIONS.select.where(c.principal == principal, c.name == name)
        return self._all(SESSIONS, query.order_by(c.created, c.id))

    def check_open(self, job: JobRow) -> None:
        """Raise :class:`SessionClosed` where a new job belongs into a session that takes none any more."""
        rows = [] if job.session is None else self.sessions_of(job.principal, job.session)
        if any(row.closed is not None for row in rows):
            raise SessionClosed

    def live_sessions(self) -> list[tuple[SessionRow, SessionUse]]:
        """Those that have not ended, and what is left to do in each."""
        c, j = t.sessions.c, t.jobs.c
        rows = self._all(SESSIONS, SESSIONS.select.where(c.state != "ended").order_by(c.id))
        if not rows:
            return []
        theirs = (j.session == c.name) & (j.principal == c.principal) & (j.project == c.project)
        query = select(c.id, _OPEN, _LAST).where(c.state != "ended", theirs, j.device == c.device).group_by(c.id)
        uses = {found.id: _use(found) for found in self._reading().execute(query)}
        return [(row, uses.get(row.id, SessionUse(0, None))) for row in rows]

    def session_use(self, row: SessionRow) -> SessionUse:
        """What is left to do in one."""
        j = t.jobs.c
        theirs = (j.session == row.name) & (j.principal == row.principal) & (j.project == row.project)
        return _use(self._reading().execute(select(_OPEN, _LAST).where(theirs, j.device == row.device)).one())


def _use(found: Any) -> SessionUse:
    return SessionUse(int(found.left), None if found.last is None else moment(int(found.last)))
