"""Approvals of jobs, one or several, and the envelopes within which nobody is asked again."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from jupyter_quantum.wire.base import Answer, Credits, Digest, ErrorBody, Request, Time
from jupyter_quantum.wire.jobs import ApprovalView

__all__ = [
    "ApprovalsDecided",
    "ApprovalsDecision",
    "BudgetAsked",
    "DecidedApproval",
    "EnvelopeView",
    "Envelopes",
    "Revoke",
]

_Amount = Annotated[Credits, Field(gt=0, lt=2**63)]


class ApprovalsDecision(Request):
    """The same answer to several requests; each is decided on its own."""

    ids: Annotated[list[str], Field(min_length=1, max_length=100)]
    verdict: Literal["approve", "reject"]
    note: Annotated[str | None, Field(max_length=1000)] = None


class DecidedApproval(Answer):
    """What came of one of several: the request as it is now, or why it was not decided."""

    id: str
    approval: ApprovalView | None = None
    error: ErrorBody | None = None


class ApprovalsDecided(Answer):
    decided: list[DecidedApproval]


class BudgetAsked(Request):
    """A project's budget on a device for a while (body of a request of kind ``budget``)."""

    device: Annotated[str, Field(max_length=200)]
    amount: _Amount
    until: Time
    role: Annotated[str, Field(max_length=20, description="whose approval it stands for: lead, operator, admin")] = (
        "lead"
    )
    price_cap: _Amount | None = Field(default=None, description="the most that one job may cost")
    success_floor: Annotated[float, Field(ge=0, le=1)] | None = None


class EnvelopeView(Answer):
    """What was approved ahead, and what is left of it."""

    id: str
    kind: Literal["circuit", "budget"]
    project: str
    device: str
    roles: list[str] = Field(description="whose approval it stands for")
    asked_by: str
    decided_by: str
    origin: str = Field(description="id of the approval or request that it came from")
    reason: str
    source: Digest | None = Field(default=None, description="of the circuits; None: any")
    free_parameters: bool = False
    price_cap: Credits | None = None
    success_floor: float | None = None
    amount: Credits | None = None
    held: Credits = 0
    used: Credits = 0
    left: Credits | None = Field(default=None, description="None: no bound of its own")
    created: Time
    until: Time
    state: Literal["approved", "revoked", "ended"]
    jobs: list[str] = Field(default_factory=list, description="jobs that went on in it, newest first")


class Envelopes(Answer):
    envelopes: list[EnvelopeView]


class Revoke(Request):
    """End an envelope."""

    note: Annotated[str | None, Field(max_length=1000)] = None
