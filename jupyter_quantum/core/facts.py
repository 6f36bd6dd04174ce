"""What policy is told about a request, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from jupyter_quantum.core.jobs import DeviceKind

__all__ = ["Decision", "Facts"]


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one decision (REQUIREMENTS.md P2). A fact that is not known is an error, never a default."""

    user: str
    groups: frozenset[str]
    role: str
    project: str
    tier: str
    action: str
    """``submit`` or ``export``."""
    device: str
    device_kind: DeviceKind
    vendor: str
    region: str
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
class Decision:
    """The answer of policy to :class:`Facts`."""

    effect: Literal["allow", "refuse", "needs_approval"]
    policies: tuple[str, ...]
    """Ids of the policies that made it."""
    version: str
    """Digest of the policy files."""
    words: str
    """A sentence or two for the user."""
    role: str | None = None
    """Who must approve, where the effect is needs_approval."""
    code: str | None = None
    """Stable name of a refusal: ``policy.<id>``."""
    deciding: dict[str, Any] = field(default_factory=dict)
    """The facts that the named policies look at, with their values."""
