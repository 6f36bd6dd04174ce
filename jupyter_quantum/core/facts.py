"""What policy is told about a request, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from jupyter_quantum.core.jobs import DeviceKind

__all__ = ["Approver", "Decision", "ExportFacts", "Facts", "NearMiss"]


class Approver(StrEnum):
    """Whose approval a policy may ask for: each is a question that the service can answer about a person."""

    LEAD = "lead"
    """Leads the project."""
    OWNER = "owner"
    """The project's declared owner."""
    OPERATOR = "operator"
    """Operates the devices."""
    ADMIN = "admin"
    """Administers the service."""


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one decision (REQUIREMENTS.md P2). A fact that is not known is an error, never a default."""

    user: str
    groups: frozenset[str]
    role: str
    organisation: str
    project: str
    tier: str
    action: str
    """``submit``, or another action on a device that the schema declares."""
    device: str
    device_kind: DeviceKind
    vendor: str
    region: str
    """Where the device is."""
    regions: frozenset[str]
    """Where the project may run; empty: anywhere."""
    data_class: str
    num_qubits: int
    depth: int
    shots: int
    """The most shots of one circuit."""
    executions: int
    """Shots over all circuits and bindings."""
    price: int
    """Estimated price, micro-credits."""
    price_at_most: int
    validated: bool
    mfa: bool
    approvals: frozenset[str]
    """Roles that have approved this request."""
    now: datetime
    """With the lab's time zone: hour and weekday come from it."""


@dataclass(frozen=True, slots=True)
class ExportFacts:
    """The facts of a decision about results or artefacts that leave a project (P6)."""

    user: str
    groups: frozenset[str]
    role: str
    organisation: str
    project: str
    tier: str
    target: str
    """Name of the target that they go to."""
    target_region: str
    """Where the target is."""
    targets: frozenset[str]
    """Targets that the project declares."""
    regions: frozenset[str]
    """Where the project's data may be; empty: anywhere."""
    data_class: str
    classes: frozenset[str]
    """Classes of the artefacts: ``inputs``, ``results``, ``logs``, ``audit``."""
    num_bytes: int
    mfa: bool
    approvals: frozenset[str]
    """Roles that have approved this request."""
    now: datetime
    """With the lab's time zone."""
    action: str = "export"


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A policy that would have allowed the request but for a few conditions."""

    policy: str
    words: str
    """What does not hold: ``shots 20 000 is over 10 000 in the sandbox tier``."""
    change: str
    """What would have to be otherwise: ``shots at most 10 000``."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer of policy to :class:`Facts`."""

    effect: Literal["allow", "refuse", "needs_approval"]
    policies: tuple[str, ...]
    """Ids of the policies that made it."""
    version: str
    """Digest of the policy files."""
    words: str
    """A sentence or two for the user."""
    roles: tuple[str, ...] = ()
    """Who must approve, where the effect is needs_approval: each role, by a different person."""
    code: str | None = None
    """Stable name of a refusal: ``policy.<id>``."""
    deciding: dict[str, Any] = field(default_factory=dict)
    """The facts that the named policies look at, with their values."""
    near: tuple[NearMiss, ...] = ()
    """Where no policy allows it: those that almost did, the closest first."""

    @property
    def role(self) -> str | None:
        """The first of :attr:`roles`; None where nobody is asked."""
        return self.roles[0] if self.roles else None
