"""Rows of the door: answers that are kept, webhooks, and what they could not deliver."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jupyter_quantum.store.rows.base import Json

__all__ = ["AnswerRow", "AnswerState", "DeadRow", "WebhookRow", "WebhookState", "answer_place"]

AnswerState = Literal["claimed", "acted", "done"]
"""``claimed``: nothing of it is committed; ``acted``: something is, its answer is not; ``done``: the answer is kept."""
WebhookState = Literal["active", "disabled"]


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """What a request with an idempotency key came to."""

    principal: str
    key: str
    request: str
    """Digest of method, address and body."""
    state: AnswerState
    holder: str
    """The attempt that acts; another one cannot commit."""
    until: datetime
    """Until when its process is believed to live."""
    created: datetime
    status: int | None = None
    body: bytes | None = None
    """As the pipeline packed and sealed it; None where an answer is not kept."""
    tenant: str | None = None
    """Whose key sealed it."""

    @property
    def place(self) -> str:
        """What stands for this row in its seal."""
        return answer_place(self.principal, self.key)


def answer_place(principal: str, key: str) -> str:
    """One text for the two parts of a key; no two pairs give the same."""
    return f"{len(principal)}:{principal}/{key}"


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """An address that is told of events, in their order."""

    id: str
    principal: str
    """``Principal.id`` of who registered it, whose rights decide what it is told."""
    url: str
    label: str
    events: Json
    """Types of events that it wants; an empty list: all."""
    secret: bytes
    """Sealed."""
    cursor: int
    """Number of the last event that was delivered, given up or of no concern."""
    created: datetime
    project: str | None = None
    """None: the owner's own jobs."""
    state: WebhookState = "active"
    reason: str | None = None
    """Why it is disabled, a code."""
    previous: bytes | None = None
    """The secret before the last rotation, sealed; messages are signed with both for a while."""
    previous_until: datetime | None = None
    attempts: int = 0
    """Failed tries of the message that is next."""
    next_at: datetime | None = None
    head_since: datetime | None = None
    """When the message that is next was tried first."""
    failing_since: datetime | None = None
    delivered: datetime | None = None
    error: str | None = None
    """What the last try came to."""


@dataclass(frozen=True, slots=True)
class DeadRow:
    """A message that was given up; it can be sent again by hand."""

    id: str
    webhook: str
    seq: int
    event: str
    type: str
    attempts: int
    error: str
    time: datetime
