"""Who asks: principals, and the role each has in a project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = ["Principal", "ProjectSpec", "Role", "Scope", "name_of"]


class Scope(StrEnum):
    """Custom scopes of the hub. Tokens of user servers carry the first two at most: kernel code can read them."""

    READ = "custom:quantum:read"
    SUBMIT = "custom:quantum:submit"
    APPROVE = "custom:quantum:approve"
    OPERATE = "custom:quantum:operate"
    AUDIT = "custom:quantum:audit"
    ADMIN = "custom:quantum:admin"


class Role(StrEnum):
    """A role in one project."""

    USER = "user"
    LEAD = "lead"


def name_of(principal_id: str) -> str:
    """The name in a :attr:`Principal.id` (it may be an address, with an ``@`` of its own); other actors as they are."""
    name, _, created = principal_id.rpartition("@")
    return name or created


@dataclass(frozen=True, slots=True)
class Principal:
    """A hub user or service. Names are used again, so the identity is the name and when it was created."""

    name: str
    created: str
    """The hub's own time stamp, as text."""
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    admin: bool = False
    interactive: bool = False
    """Signed in by cookie on the hub's page: a person, not a token of a server."""
    mfa: bool = False
    token: str = ""
    """The hub's id of the token or session, for the audit; never the token."""

    @property
    def id(self) -> str:
        """``ada@2026-05-12T09:00:00Z``: what rows refer to."""
        return f"{self.name}@{self.created}"


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """A project as the operator declares it. Amounts are micro-credits."""

    name: str
    organisation: str
    tier: str
    members: frozenset[str]
    """Hub groups whose members may submit."""
    leads: frozenset[str]
    """Hub groups whose members approve (and submit)."""
    grant: int
    """What the project may spend in all."""
    user_quota: int
    """What one member may spend in a calendar month."""
    weight: float = 1.0
    data_class: str = "internal"
    extra: Mapping[str, Any] = field(default_factory=dict)

    def role_of(self, who: Principal) -> Role | None:
        """The role of ``who`` here: lead before user; None for a stranger."""
        if who.groups & self.leads:
            return Role.LEAD
        if who.groups & self.members:
            return Role.USER
        return None
