"""Requests that a person decides: asking, deciding, taking back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Query, Route
from jupyter_quantum.wire.requests import Ask, DecidedList, Decision, Decisions, RequestList, RequestView

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_LIST = (
    Query("state", {"type": "string"}, "open (default), approved, rejected, expired, withdrawn or all."),
    Query("kind", {"type": "string"}, "Only requests of this kind: onboarding, elevation, quota, export …"),
    Query("project", {"type": "string"}, "Only requests about this project."),
    Query("before", {"type": "string"}, "Cursor: `next` of the page before."),
    Query("limit", {"type": "integer", "minimum": 1, "maximum": 200}, "Requests on a page; 100 where omitted."),
)


async def requests(api: Api) -> RequestList:
    """Requests that the caller made or may decide."""
    return await api.pipeline.requests.list(
        api.who,
        state=api.get_query_argument("state", "open"),
        kind=api.get_query_argument("kind", None),
        project=api.get_query_argument("project", None),
        before=api.get_query_argument("before", None),
        limit=int(api.number("limit", 100, 200, low=1)),
    )


async def ask(api: Api) -> RequestView:
    """Ask for something."""
    return await api.pipeline.requests.ask(api.who, api.body(Ask))


async def request(api: Api, id: str) -> RequestView:  # noqa: A002
    """One request."""
    return await api.pipeline.requests.get(api.who, id)


async def decide_request(api: Api, id: str) -> RequestView:  # noqa: A002
    """Approve or reject."""
    return await api.pipeline.requests.decide(api.who, id, api.body(Decision))


async def decide_requests(api: Api) -> DecidedList:
    """Approve or reject several."""
    return await api.pipeline.requests.decide_several(api.who, api.body(Decisions))


async def withdraw_request(api: Api, id: str) -> RequestView:  # noqa: A002
    """Take one's own back."""
    return await api.pipeline.requests.withdraw(api.who, id)


_ONE: Final = "api/v1/requests/{id}"

ROUTES: Final = (
    Route("GET", "api/v1/requests", Scope.READ, "Requests, newest first", RequestList, requests, query=_LIST),
    Route(
        "POST",
        "api/v1/requests",
        Scope.SUBMIT,
        "Ask for something that a person decides",
        RequestView,
        ask,
        body=Ask,
        status=201,
        fresh=True,
        limit="decide",
        errors=(404, 409),
    ),
    Route(
        "POST",
        "api/v1/requests/decisions",
        Scope.APPROVE,
        "Approve or reject several requests; each is answered on its own",
        DecidedList,
        decide_requests,
        body=Decisions,
        cookie_only=True,
    ),
    Route("GET", _ONE, Scope.READ, "One request", RequestView, request, errors=(404,)),
    Route(
        "POST",
        f"{_ONE}/decision",
        Scope.APPROVE,
        "Approve or reject a request",
        RequestView,
        decide_request,
        body=Decision,
        cookie_only=True,
        errors=(404, 409),
    ),
    Route(
        "POST",
        f"{_ONE}/withdraw",
        Scope.SUBMIT,
        "Take one's own request back",
        RequestView,
        withdraw_request,
        errors=(404, 409),
    ),
)
"""Routes about requests. The bulk decision stands before those with an id in its place."""
