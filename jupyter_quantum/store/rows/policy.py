"""Rows of policy: decisions with their facts, and envelopes that were approved ahead."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jupyter_quantum.store.rows.base import Json

__all__ = ["DecisionRow", "EnvelopeKind", "EnvelopeRow", "EnvelopeState", "EnvelopeUseRow"]

EnvelopeKind = Literal["circuit", "budget"]
EnvelopeState = Literal["approved", "revoked"]


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """One answer of policy, with everything that it was told. Names no person but by pseudonym."""

    id: str
    time: datetime
    action: str
    person: str
    """Pseudonym of whom it was about; stands for the user in ``context``, too."""
    project: str
    context: Json
    effect: str
    version: str
    words: str
    job: str | None = None
    request: str | None = None
    """Id of the report, export or request that it was about, where it is not a job."""
    policies: Json = "[]"
    roles: Json = "[]"
    """Who had to approve."""
    code: str | None = None


@dataclass(frozen=True, slots=True)
class EnvelopeRow:
    """Within which jobs go on without asking: what one approval binds, or a project's budget on a device for a while.

    It is in force from when it was approved until ``until``, unless it is revoked.
    """

    id: str
    kind: EnvelopeKind
    project: str
    device: str
    principal: str
    """Who asked; jobs of a ``circuit`` are theirs, those of a ``budget`` anybody's in the project."""
    asked_by: str
    decided_by: str
    """``Principal.id`` of who approved it; it covers no job of theirs."""
    origin: str
    """Id of the job's approval or of the request that it came from."""
    created: datetime
    until: datetime
    roles: Json = "[]"
    """Roles whose approval it stands for."""
    reason: str = ""
    terms: Json = "{}"
    """``circuit``: source digest, PUBs, options, transpile, and whether parameters are free."""
    price_cap: int | None = None
    """The most that one job may cost; None: no more than is left."""
    success_floor: float | None = None
    amount: int | None = None
    """The most that all jobs may cost together; None: what the budgets hold."""
    held: int = 0
    used: int = 0
    state: EnvelopeState = "approved"

    @property
    def left(self) -> int | None:
        """What may still be put on hold in it; None: no bound of its own."""
        return None if self.amount is None else max(0, self.amount - self.held - self.used)


@dataclass(frozen=True, slots=True)
class EnvelopeUseRow:
    """A job that went on because an envelope covers it."""

    job: str
    envelope: str
    time: datetime
    held: int
    """What it may cost at most; stays when it has ended."""
    cost: int | None = None
    """What it did cost; None while it is under way."""
