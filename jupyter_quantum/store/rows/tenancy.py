"""Rows of what is declared, who is a member for how long, and tokens of workloads."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jupyter_quantum.store.rows.base import Json

__all__ = ["DeclaredRow", "MembershipKind", "MembershipRow", "RevisionRow", "WorkloadRow"]

MembershipKind = Literal["member", "elevation", "breakglass"]


@dataclass(frozen=True, slots=True)
class RevisionRow:
    """How often something changed: ``tenants`` (what is declared) and ``members`` (timed grants)."""

    name: str
    version: int
    changed: datetime | None = None
    changed_by: str | None = None
    """``Principal.id``."""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredRow:
    """An organisation or a project, as it was applied."""

    id: str
    """``organisation:campus``, ``project:vqe``."""
    kind: Literal["organisation", "project"]
    name: str
    body: Json
    """``wire.tenancy.Organisation`` or ``Project``."""


@dataclass(frozen=True, slots=True)
class MembershipRow:
    """A role that the service itself gave, beside the hub's groups."""

    id: str
    principal: str
    """``Principal.id``: another user of the same name, later, has nothing of it."""
    name: str
    role: str
    """``user`` or ``lead`` in a project; ``operator``, ``auditor`` or ``admin`` on the whole hub."""
    kind: MembershipKind
    start: datetime
    granted_by: str
    project: str | None = None
    end: datetime | None = None
    """None: until somebody ends it."""
    request: str | None = None
    reason: str = ""
    ended: datetime | None = None
    """When it was taken back, before its end."""
    ended_by: str | None = None
    reviewed: datetime | None = None
    """Of a break-glass: when somebody else looked at it."""
    reviewed_by: str | None = None
    review: str | None = None
    """What they said."""
    reminded: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        """Whether it gives its role at this moment."""
        return self.ended is None and self.start <= now and (self.end is None or now < self.end)


@dataclass(frozen=True, slots=True)
class WorkloadRow:
    """A token that was given in exchange for one of an OIDC issuer; only its hash is kept."""

    hash: str
    """SHA-256 of the token, hexadecimal."""
    id: str
    principal: str
    project: str
    issuer: str
    created: datetime
    expires: datetime
    revoked: datetime | None = None
    revoked_by: str | None = None
