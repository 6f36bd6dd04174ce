"""Rows of the ledger: budgets and entries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

__all__ = ["AccountRow", "AccountSpec", "EntryKind", "EntryRow"]

EntryKind = Literal["grant", "hold", "settle", "release"]


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account as the operator's settings want it; made, or its limit adjusted, when something is put on hold."""

    id: str
    """``project:<name>`` or ``user:<principal id>:<project>:<YYYY-MM>``."""
    scope: Literal["user", "project"]
    name: str
    project: str
    limit: int
    period: str | None = None
    """``2026-05``; None for a grant."""
    resets: datetime | None = None


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A budget and its balances. Always ``used + held <= limit``, unless the operator lowered the limit."""

    id: str
    scope: Literal["user", "project"]
    name: str
    project: str
    limit: int
    used: int = 0
    held: int = 0
    period: str | None = None
    resets: datetime | None = None

    @property
    def available(self) -> int:
        """What may still be put on hold; never below zero."""
        return max(0, self.limit - self.used - self.held)


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry of the ledger: by how much it changed an account's limit, used and held. Entries are only added."""

    id: int
    account: str
    kind: EntryKind
    time: datetime
    job: str | None = None
    attempt: int = 0
    granted: int = 0
    used: int = 0
    held: int = 0
    actor: str = "service"
