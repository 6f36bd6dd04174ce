"""Requests for approval of a job, and their decision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Query, Route
from jupyter_quantum.wire.approvals import ApprovalsDecided, ApprovalsDecision
from jupyter_quantum.wire.jobs import ApprovalDecision, Approvals, ApprovalView

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_OPEN = Query("state", {"type": "string"}, "open (default), approved, rejected, expired, withdrawn or all.")


async def approvals(api: Api) -> Approvals:
    """Requests that the caller may see."""
    return await api.pipeline.approvals(api.who, state=api.get_query_argument("state", "open"))


async def decide(api: Api, id: str) -> ApprovalView:  # noqa: A002
    """Approve or reject."""
    return await api.pipeline.decide(api.who, id, api.body(ApprovalDecision))


async def decide_several(api: Api) -> ApprovalsDecided:
    """Approve or reject several."""
    return await api.pipeline.decide_several(api.who, api.body(ApprovalsDecision))


ROUTES: Final = (
    Route("GET", "api/v1/approvals", Scope.READ, "Requests for approval", Approvals, approvals, query=(_OPEN,)),
    Route(
        "POST",
        "api/v1/approvals/decisions",
        Scope.APPROVE,
        "Approve or reject several requests, each on its own",
        ApprovalsDecided,
        decide_several,
        body=ApprovalsDecision,
        cookie_only=True,
    ),
    Route(
        "POST",
        "api/v1/approvals/{id}/decision",
        Scope.APPROVE,
        "Approve or reject a request",
        ApprovalView,
        decide,
        body=ApprovalDecision,
        cookie_only=True,
        errors=(404, 409),
    ),
)
"""Routes about requests for approval."""
