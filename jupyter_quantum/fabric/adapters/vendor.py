"""The verbs with which a runner reaches a vendor's machine. A plug-in for remote hardware implements :class:`Vendor`.

A vendor object lives in a process of its own, the only one that holds the vendor's secret and may reach the network;
it never parses a circuit. What it sends was encoded by a locked worker, what comes back is decoded by one
(:meth:`~jupyter_quantum.fabric.adapters.base.Device.encode`, ``decode``).

=================  ====================================================================================================
``announce``       what the device is, once at start: its calibration comes with it
``submit``         hand over a payload under a tag; returns the vendor's id of it (the *handle*)
``find``           the handle of what was submitted under a tag; None: the vendor does not have it
``status``         where a submission is
``result``         the answer of one that is done, as bytes that only a worker reads
``cancel``         take it back; False where it has ended already
``calibration``    the Target with errors and durations as they are now
=================  ====================================================================================================

A vendor that has sessions (:meth:`~jupyter_quantum.fabric.adapters.base.Device.session_modes`) has four more. Without
them a user's session groups jobs at the service, and nothing else.

=====================  ================================================================================================
``open_session``       one for a user's session in a project; returns the vendor's id of it. Asked for with the first
                       run, never twice where the answer was lost, unless :attr:`Vendor.same_session`
``submit_in_session``  ``submit`` in one. What the vendor refuses there is submitted again outside of it
``session``            whether it takes jobs, and what the vendor counts for it
``end_session``        it takes no more jobs; those that it has go on. Harmless where it has ended
=====================  ================================================================================================

What can go wrong is one of three: :class:`VendorUnavailable` (nothing was done, try again), :class:`VendorRefused`
(the vendor said no and will say so again), :class:`VendorUnsure` (it was sent and nothing came back). Any other
exception counts as *unsure* during ``submit``, and as *unavailable* otherwise.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

__all__ = [
    "Answer",
    "Calibration",
    "SessionStatus",
    "Status",
    "Submission",
    "Vendor",
    "VendorError",
    "VendorRefused",
    "VendorUnavailable",
    "VendorUnsure",
]


class VendorError(Exception):
    """Something did not work at the vendor; the message is shown to people and names no secret."""

    code = "vendor.error"


class VendorUnavailable(VendorError):
    """Nothing was done (no connection, rate limit, maintenance): trying again is safe."""

    code = "vendor.unavailable"


class VendorRefused(VendorError):
    """The vendor said no (bad payload, no rights, no budget): trying again changes nothing."""

    code = "vendor.refused"


class VendorUnsure(VendorError):
    """A submission was sent and no answer came: the vendor may have it or not."""

    code = "vendor.unsure"


class Submission(StrEnum):
    """Where a submission is at the vendor."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Status:
    """A submission as the vendor describes it."""

    state: Submission
    words: str = ""
    """Of a failure: what the vendor says."""
    position: int | None = None
    """Place in the vendor's own queue, where it tells."""
    retry: bool = False
    """Of a failure: whether the same payload may well succeed at another try."""
    usage_s: float | None = None
    """Seconds that the vendor counts for it, where it tells."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the vendor returned."""

    data: bytes
    usage_s: float | None = None
    """Seconds that the vendor bills; None where it does not tell."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """JSON; kept with the result: the vendor's id, its versions, its times."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """A device at one moment."""

    target: dict[str, Any]
    """The document of :mod:`jupyter_quantum.targets`."""
    at: datetime | None
    """When it was measured; None where the vendor does not tell."""


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """A session as the vendor describes it."""

    open: bool
    """Whether it takes jobs."""
    usage_s: float | None = None
    """Seconds that the vendor counts for it as a whole, where it tells."""


class Vendor(ABC):
    """One device at a vendor.

    Made as ``Vendor(spec, secret)``: the device's settings and the values that the secrets provider has for it. Calls
    may block; they come from threads, several at once.
    """

    submit_s: float = 30.0
    """The longest that ``submit`` may take, seconds; it is given up then, and counts as unsure."""
    indexing_s: float = 0.0
    """For so long after a submission ``find`` may not see it yet, seconds."""
    same_session: bool = False
    """Whether ``open_session`` with the same name gives the same session, however often it is sent."""

    def announce(self) -> Calibration:
        """Connect, and describe the device. Raises :class:`VendorError`."""
        return self.calibration()

    @abstractmethod
    def submit(self, tag: str, payload: bytes) -> str:
        """Hand over what a worker encoded; returns the handle.

        The worker had read what a user sent, and is not trusted with it: take from the payload what belongs into a job
        and nothing else (no tag, no token, no other account), and refuse what cannot be read.

        For an *idempotent* vendor the same tag gives the same submission however often it is sent.
        """

    @abstractmethod
    def find(self, tag: str) -> str | None:
        """The handle of the submission with this tag; None where the vendor has none. An *opaque* vendor cannot tell
        and raises :class:`VendorUnsure`."""

    @abstractmethod
    def status(self, handle: str) -> Status:
        """Where the submission is."""

    @abstractmethod
    def result(self, handle: str) -> Answer:
        """What a submission that is done gave."""

    @abstractmethod
    def cancel(self, handle: str) -> bool:
        """Take it back; False where it had ended."""

    @abstractmethod
    def calibration(self) -> Calibration:
        """The device as it is now."""

    def open_session(self, name: str, mode: str, most_s: float) -> str:
        """Open a session, ``dedicated`` or ``batch``, for at most ``most_s`` seconds (0: as the vendor allows).

        ``name`` is ours, and names nobody. Nothing may be billed for a session without a job in it.
        """
        raise VendorRefused("this vendor has no sessions")

    def submit_in_session(self, session: str, tag: str, payload: bytes) -> str:
        """As :meth:`submit`, in this session."""
        raise VendorRefused("this vendor has no sessions")

    def session(self, handle: str) -> SessionStatus:
        """Where the session is; one that the vendor does not know (any more) is not open."""
        raise VendorRefused("this vendor has no sessions")

    def end_session(self, handle: str) -> SessionStatus:
        """Have it take no more jobs; as it is then. Jobs that it has are not cancelled."""
        raise VendorRefused("this vendor has no sessions")

    def close(self) -> None:  # noqa: B027  most have nothing to close
        """Let go of connections."""
