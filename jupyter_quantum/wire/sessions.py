"""Sessions and batches: what a user asks for with a job, and what became of it at vendors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from jupyter_quantum.wire.base import Answer, Request, Time

__all__ = ["SessionAt", "SessionKind", "SessionMode", "SessionRef", "SessionView"]

SessionKind = Literal["session", "batch"]
"""What a user opens."""
SessionMode = Literal["dedicated", "batch"]
"""What it is at the vendor. *dedicated*: the machine is kept for it, and what it waits between jobs is billed too.
*batch*: its jobs go together, and are billed as they would be without it."""


class SessionRef(Request):
    """The session or batch that a job belongs into. It begins with its first job."""

    id: Annotated[str, Field(pattern=r"^ses_[0-9a-f]{32}$", description="the client's; nobody else's is the same one")]
    kind: SessionKind = "session"
    max_s: Annotated[float | None, Field(ge=1, le=31 * 86_400)] = Field(
        default=None, description="the longest that it may be open at a vendor, seconds; counted from its first job"
    )


class SessionAt(Answer):
    """A session on one device, for one project."""

    device: str
    project: str
    state: Literal["new", "open", "closing", "ended"] = Field(
        description="at the vendor: not opened yet, open, being ended, over. Without a vendor_session it only groups"
    )
    mode: SessionMode | None = Field(default=None, description="what it is at the vendor; None: nothing")
    vendor_session: str | None = Field(default=None, description="the vendor's id")
    opened: Time | None = None
    ended: Time | None = None
    why: str | None = Field(default=None, description="closed, expired, idle, vendor, refused, unsure, lost")
    usage_s: float | None = Field(
        default=None, description="seconds that the vendor counts for it as a whole, where it tells"
    )


class SessionView(Answer):
    """A user's session or batch."""

    id: str
    kind: SessionKind
    state: Literal["open", "closed"] = Field(description="closed: it takes no more jobs; those submitted go on")
    created: Time
    max_s: float | None = None
    open_jobs: int = Field(description="of its jobs, those that have not ended")
    devices: list[SessionAt]
