"""Sessions and batches with IBM Runtime's signatures.

They group jobs, for now: a session reserves nothing, each of its jobs waits its turn in the queue like any other, and
leaving it ends only the grouping.
"""

from __future__ import annotations

from contextvars import ContextVar, Token
from types import TracebackType
from typing import Any, ClassVar, Self

from jupyter_quantum.client.backend import HubBackend
from jupyter_quantum.client.jobs import PrimitiveJob, RunJob
from jupyter_quantum.core.ids import new_id
from jupyter_quantum.exceptions import Conflict, InputError

__all__ = ["Batch", "Mode", "Session", "backend_of"]

_current: ContextVar[Mode | None] = ContextVar("jupyter_quantum_mode", default=None)


class Mode:
    """What session and batch share."""

    _word: ClassVar[str] = "mode"

    def __init__(self, backend: HubBackend, max_time: int | str | None = None) -> None:
        self._backend = _ours(backend)
        self._id = new_id("ses")
        self._open = True
        self._token: Token[Mode | None] | None = None
        self.max_time = max_time
        """As given; nothing ends a group of jobs by itself yet."""
        self.jobs: list[RunJob | PrimitiveJob] = []
        """Jobs submitted in here, oldest first."""

    @property
    def session_id(self) -> str:
        """An id of this group, made here."""
        return self._id

    def backend(self) -> str:
        """Name of the device."""
        return str(self._backend.name)

    def status(self) -> str:
        """``open`` or ``closed``."""
        return "open" if self._open else "closed"

    def close(self) -> None:
        """Take no more jobs; those submitted go on."""
        self._open = False

    def cancel(self) -> None:
        """Take no more jobs and cancel those that have not ended."""
        self._open = False
        for job in self.jobs:
            if not job.in_final_state():
                job.cancel()

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
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} on {self._backend.name}: {self.status()}, {len(self.jobs)} jobs>"


class Session(Mode):
    """Jobs that belong together: ``with Session(backend=hub.backend("fake_torino")):``. It reserves no time yet."""

    _word = "session"


class Batch(Mode):
    """Independent jobs that belong together; like :class:`Session` it only groups them."""

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


def _ours(backend: Any) -> HubBackend:
    if not isinstance(backend, HubBackend):
        raise InputError(
            f"A {type(backend).__name__} is not a device of this hub.",
            code="mode.type",
            hint='Pass hub.backend("…"), a Session or a Batch; other backends have their own primitives.',
        )
    return backend
