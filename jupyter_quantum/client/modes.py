"""Sessions and batches with IBM Runtime's signatures.

Each of their jobs waits its turn in the queue like any other. Where the device's vendor has sessions, one is opened
there with the first job that runs, and ended when this one is closed and its last job has ended, when ``max_time`` is
over, or when no job runs in it for a while; :meth:`Mode.details` shows it. What costs more at a vendor than its jobs do
is opened only where the operator wants that: a session is a batch there otherwise. On other devices they group jobs.
"""

from __future__ import annotations

import contextlib
import re
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from jupyter_quantum.client.backend import HubBackend
from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.jobs import PrimitiveJob, RunJob
from jupyter_quantum.core.ids import new_id
from jupyter_quantum.exceptions import Conflict, InputError, QuantumError
from jupyter_quantum.wire.sessions import SessionKind, SessionRef, SessionView

__all__ = ["Batch", "Mode", "Session", "backend_of"]

_LONGEST_S: Final = 31 * 86_400
_SPAN: Final = re.compile(r"(?:(\d{1,6})d)?\s*(?:(\d{1,6})h)?\s*(?:(\d{1,6})m)?\s*(?:(\d{1,7})s)?", re.IGNORECASE)

_current: ContextVar[Mode | None] = ContextVar("jupyter_quantum_mode", default=None)


class Mode:
    """What session and batch share."""

    _word: ClassVar[SessionKind]

    def __init__(self, backend: HubBackend, max_time: int | str | None = None) -> None:
        self._backend = _ours(backend)
        self._id = new_id("ses")
        self._open = True
        self._told = False
        self._token: Token[Mode | None] | None = None
        self.max_time = max_time
        """As given: the longest that it is open at a vendor, counted from its first job there."""
        self._ref = SessionRef(id=self._id, kind=self._word, max_s=_seconds(max_time))
        self.jobs: list[RunJob | PrimitiveJob] = []
        """Jobs submitted in here, oldest first."""

    @property
    def session_id(self) -> str:
        """An id of this group, made here."""
        return self._id

    @property
    def at_vendor(self) -> str | None:
        """What it is at the device's vendor: ``dedicated``, ``batch``, or None: it only groups jobs here."""
        found: str | None = self._backend.view.sessions.get(self._word)
        return found

    @property
    def reference(self) -> SessionRef:
        """What its jobs say of it."""
        return self._ref

    def backend(self) -> str:
        """Name of the device."""
        return str(self._backend.name)

    def status(self) -> str:
        """``open`` or ``closed``."""
        return "open" if self._open else "closed"

    def close(self) -> None:
        """Take no more jobs; those submitted go on. Raises what the service says where it does not answer."""
        self._open = False
        if self.jobs and not self._told:
            self._backend.connection.post(f"sessions/{self._id}/close", SessionView)
            self._told = True

    def details(self) -> SessionView:
        """As the service knows it: its jobs that have not ended, and what it is at vendors. It begins with its first
        job: before, this raises :class:`Conflict`."""
        if not self.jobs:
            raise Conflict(f"This {self._word} has no job yet.", code="session.empty", hint="Run something in it.")
        connection: Connection = self._backend.connection
        return connection.get(f"sessions/{self._id}", SessionView)

    def cancel(self) -> None:
        """Take no more jobs and cancel those that have not ended."""
        self._open = False
        for job in self.jobs:
            if not job.in_final_state():
                job.cancel()
        self.close()

    def admit(self) -> HubBackend:
        """The device, for one more job; raises :class:`Conflict` when closed."""
        if not self._open:
            raise Conflict(f"This {self._word} is closed.", code="session.closed", hint="Open a new one.")
        return self._backend

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            _current.reset(self._token)
        self._open = False
        with contextlib.suppress(*(() if error is None else (QuantumError,))):  # what went wrong inside says more
            self.close()

    def __repr__(self) -> str:
        there = {"dedicated": ", dedicated at the vendor", "batch": ", a batch at the vendor"}.get(
            self.at_vendor or "", ""
        )
        return f"<{type(self).__name__} on {self._backend.name}: {self.status()}, {len(self.jobs)} jobs{there}>"


class Session(Mode):
    """Jobs that belong together: ``with Session(backend=hub.backend("fake_torino")):``."""

    _word = "session"


class Batch(Mode):
    """Independent jobs that belong together."""

    _word = "batch"


def backend_of(mode: HubBackend | Mode | None) -> tuple[HubBackend, Mode | None]:
    """The device that a primitive's ``mode=`` means, and the session or batch that it runs in."""
    mode = _current.get() if mode is None else mode
    if mode is None:
        raise InputError(
            "No device was given, and no session or batch is open.",
            code="mode.missing",
            hint='Give one: mode=hub.backend("aer").',
        )
    return (mode._backend, mode) if isinstance(mode, Mode) else (_ours(mode), None)


def _seconds(given: int | str | None) -> float | None:
    """Seconds of a number, or of words such as ``2h 30m 40s``. Raises InputError."""
    if given is None:
        return None
    found = _SPAN.fullmatch(given.strip()) if isinstance(given, str) else None
    if found is not None and any(found.groups()):
        given = sum(int(part or 0) * unit for part, unit in zip(found.groups(), (86_400, 3600, 60, 1), strict=True))
    if isinstance(given, bool) or not isinstance(given, int) or not 1 <= given <= _LONGEST_S:
        raise InputError(
            f"max_time = {given!r} is no time that a session can be open.",
            code="session.max_time",
            hint='Give seconds, or text such as "2h 30m"; 31 days at most.',
        )
    return float(given)


def _ours(backend: Any) -> HubBackend:
    if not isinstance(backend, HubBackend):
        raise InputError(
            f"A {type(backend).__name__} is not a device of this hub.",
            code="mode.type",
            hint='Pass hub.backend("…"), a Session or a Batch; other backends have their own primitives.',
        )
    return backend
