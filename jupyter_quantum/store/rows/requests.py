"""Rows of requests that a person decides."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jupyter_quantum.store.rows.base import Json

__all__ = ["RequestRow", "RequestState"]

RequestState = Literal["open", "approved", "rejected", "expired", "withdrawn"]


@dataclass(frozen=True, slots=True)
class RequestRow:
    """Something that was asked for, other than a job's approval: to join, more quota, a role for a while, an export."""

    id: str
    kind: str
    """``onboarding``, ``elevation``, ``quota``, ``export`` …: says how to read ``body``."""
    principal: str
    """``Principal.id`` of who asked."""
    asked_by: str
    """Their name; another principal of this name may not decide either."""
    role: str
    """Who decides: ``lead`` (of the project), ``operator``, ``auditor`` or ``admin``."""
    created: datetime
    expires: datetime
    project: str | None = None
    """None: not about one project."""
    reason: str = ""
    body: Json = "{}"
    state: RequestState = "open"
    decided_by: str | None = None
    """``Principal.id`` of the person."""
    decided: datetime | None = None
    note: str | None = None
    outcome: Json = "{}"
    """What approving it did: ids of what was made."""
