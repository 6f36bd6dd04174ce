"""The policies in force, decisions explained, and what other files would have decided."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Query, Route
from jupyter_quantum.wire.approvals import Envelopes, EnvelopeView, Revoke
from jupyter_quantum.wire.policy import Explanation, PolicyFiles, PolicyView, ReplayView

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_ENDED = Query("ended", {"type": "string", "enum": ["0", "1"]}, "1: also those that cover nothing any more.")


async def policy(api: Api) -> PolicyView:
    """The policies in force."""
    return await api.pipeline.policy.show(api.who)


async def explain(api: Api, id: str) -> Explanation:  # noqa: A002 (the path's own name)
    """Why a job was decided as it was."""
    return await api.pipeline.policy.explain(api.who, id)


async def replay(api: Api) -> ReplayView:
    """What other files would have decided."""
    return await api.pipeline.policy.replay(api.who, api.body(PolicyFiles))


async def envelopes(api: Api) -> Envelopes:
    """Envelopes of the caller's projects."""
    return await api.pipeline.envelopes.list(api.who, ended=api.get_query_argument("ended", "0") == "1")


async def envelope(api: Api, id: str) -> EnvelopeView:  # noqa: A002
    """One, with its jobs."""
    return await api.pipeline.envelopes.get(api.who, id)


async def revoke(api: Api, id: str) -> EnvelopeView:  # noqa: A002
    """End one."""
    return await api.pipeline.envelopes.revoke(api.who, id, api.body(Revoke))


_ENVELOPE: Final = "api/v1/envelopes/{id}"

ROUTES: Final = (
    Route("GET", "api/v1/policy", Scope.READ, "The policies in force", PolicyView, policy),
    Route(
        "GET",
        "api/v1/jobs/{id}/decision",
        Scope.READ,
        "Why a job was decided as it was, and what would have to change",
        Explanation,
        explain,
        errors=(404,),
    ),
    Route(
        "POST",
        "api/v1/policy/replay",
        Scope.OPERATE,
        "The decisions of the last days under other policy files",
        ReplayView,
        replay,
        body=PolicyFiles,
        size=1024 * 1024,
    ),
    Route(
        "GET",
        "api/v1/envelopes",
        Scope.READ,
        "What was approved ahead in the caller's projects",
        Envelopes,
        envelopes,
        query=(_ENDED,),
    ),
    Route("GET", _ENVELOPE, Scope.READ, "An envelope, and its jobs", EnvelopeView, envelope, errors=(404,)),
    Route(
        "POST",
        f"{_ENVELOPE}/revoke",
        Scope.SUBMIT,
        "End an envelope; jobs that go on in it are not disturbed",
        EnvelopeView,
        revoke,
        body=Revoke,
        fresh=True,
        errors=(404, 409),
    ),
)
"""Routes about policy."""
