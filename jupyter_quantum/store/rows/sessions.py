"""Rows of users' sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ["SessionRow", "SessionState"]

SessionState = Literal["new", "open", "closing", "ended"]


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A user's session in one project on one device. At the vendor there is at most one for it, ever."""

    id: str
    """``store.sessions.session_key``; what the vendor is told where it takes a name."""
    name: str
    """The client's id of the session."""
    principal: str
    project: str
    device: str
    kind: str
    """``session`` or ``batch``: what the user opened."""
    created: datetime
    used: datetime
    """When a job last joined it, or began."""
    max_s: float | None = None
    """The longest that it may be open at the vendor, seconds, as the user says."""
    closed: datetime | None = None
    """When its owner closed it: it takes no more jobs."""
    state: SessionState = "new"
    """At the vendor. *closing*: no run goes into it any more, and the vendor is told."""
    mode: str | None = None
    """``dedicated`` or ``batch``: what was opened at the vendor."""
    handle: str | None = None
    """The vendor's id."""
    opened: datetime | None = None
    ended: datetime | None = None
    why: str | None = None
    """Why it ends: ``closed``, ``expired``, ``idle``, ``vendor`` (it takes no more jobs), ``refused`` and ``unsure``
    (it was not opened), ``lost`` (nobody serves the device any more)."""
    usage_s: float | None = None
    """Seconds that the vendor counts for it as a whole."""
