"""What a runner and a vendor process say to each other: four bytes of length (big endian), then JSON.

The first line on the vendor process's standard input is :class:`Start`; it holds the secret, and nothing else does.
Once it can reach its vendor it says so (:data:`READY`). After that the runner sends :class:`Call` and the process
answers :class:`Reply`, in any order, over a socket pair.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from jupyter_quantum.fabric.adapters.vendor import SessionStatus, Status
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.wire.base import Blob, Digest

__all__ = ["MOST", "READY", "UNSURE", "Call", "Reading", "Reply", "Start", "Verb"]

MOST: Final = 128 * 1024 * 1024
"""Bytes of the largest message."""

READY: Final = 0
"""The id of the first reply, which answers no call."""

Verb = Literal[
    "announce",
    "submit",
    "find",
    "status",
    "result",
    "cancel",
    "calibration",
    "open_session",
    "session",
    "end_session",
]


UNSURE: Final[tuple[Verb, ...]] = ("submit", "open_session")
"""Verbs after which, without an answer, nobody knows whether something is there now."""


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Start(_Message):
    """The device, and what the secrets provider has for it."""

    device: DeviceSpec
    secret: dict[str, str] = Field(repr=False)


class Call(_Message):
    """One verb. ``name`` is the tag of *submit* and *find*, our name of *open_session*, the handle of all others."""

    id: int
    verb: Verb
    name: str = ""
    payload: Blob = b""
    session: str = ""
    """Of *submit*: the handle of the session that it goes into, where it goes into one."""
    mode: str = ""
    most_s: float = 0.0
    about: str = ""
    """The run's tag, for the log."""


class Reading(_Message):
    """A calibration with the digest of its document."""

    target: dict[str, Any]
    at: datetime | None
    digest: Digest
    submit_s: float
    indexing_s: float
    same_session: bool = False


class Reply(_Message):
    """The answer to the call with the same id: one of its fields, or an error of one of the three kinds."""

    id: int
    error: Literal["unavailable", "refused", "unsure"] | None = None
    words: str = ""
    handle: str | None = None
    status: Status | None = None
    data: Blob | None = None
    usage_s: float | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    ended: bool = False
    session: SessionStatus | None = None
    reading: Reading | None = None
