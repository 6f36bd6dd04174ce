"""The record: for auditors, and proofs of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import File, Query, Route
from jupyter_quantum.pipeline.audit import Asked
from jupyter_quantum.wire.audit import (
    AuditCheck,
    AuditEvents,
    AuditKey,
    CheckpointView,
    ConsistencyProof,
    ExportLine,
    Forget,
    Forgotten,
    InclusionProof,
)

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_TEXT: Final = {"type": "string"}
_NUMBER: Final = {"type": "integer", "minimum": 0}
_SEARCH: Final = (
    Query("who", _TEXT, "Who did it, or whose it is: a name, name@created or a pseudonym."),
    Query("project", _TEXT, "Only entries about this project."),
    Query("job", _TEXT, "Only entries about this job."),
    Query("device", _TEXT, "Only entries about this device."),
    Query("type", _TEXT, "Only entries of this type; auth.* for all that begin so."),
    Query("effect", _TEXT, "Only decisions with this answer: allow, refuse, approval."),
    Query("policy", _TEXT, "Only decisions by the policy with this id."),
    Query("code", _TEXT, "Only refusals with this code."),
    Query("since", {"type": "string", "format": "date-time"}, "Not before this moment."),
    Query("until", {"type": "string", "format": "date-time"}, "Before this moment."),
    Query("before", _NUMBER, "Cursor: `next` of the page before."),
    Query("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "Entries on a page; 100 where omitted."),
)


async def events(api: Api) -> AuditEvents:
    """Entries that match."""
    words = {name: api.get_query_argument(name, None) for name in (query.name for query in _SEARCH[:8])}
    asked = Asked(**words, since=api.moment("since"), until=api.moment("until"))
    before = api.whole("before") if api.get_query_argument("before", None) is not None else None
    return await api.pipeline.audit.search(
        api.who, asked, before=before, limit=int(api.number("limit", 100, 1000, low=1))
    )


async def export(api: Api) -> File:
    """The whole record."""
    return File(await api.pipeline.audit.export(api.who), "record.jsonl")


async def checkpoint(api: Api) -> CheckpointView:
    """The newest checkpoint."""
    return await api.pipeline.audit.checkpoint(api.who)


async def inclusion(api: Api) -> InclusionProof:
    """That an entry is in the record."""
    return await api.pipeline.audit.inclusion(api.who, api.get_query_argument("event"))


async def consistency(api: Api) -> ConsistencyProof:
    """That the record only grew."""
    return await api.pipeline.audit.consistency(api.who, api.whole("first"), api.whole("second"))


async def key(api: Api) -> AuditKey:
    """The public keys."""
    return await api.pipeline.audit.key(api.who)


async def check(api: Api) -> AuditCheck:
    """Whether the record is whole."""
    return await api.pipeline.audit.check(api.who)


async def rotate(api: Api) -> AuditKey:
    """A new signing key."""
    return await api.pipeline.audit.rotate(api.who)


async def forget(api: Api) -> Forgotten:
    """Forget a person."""
    return await api.pipeline.forgetting.forget(api.who, api.body(Forget).user)


_A: Final = Scope.AUDIT

ROUTES: Final = (
    Route(
        "GET",
        "api/v1/audit/events",
        _A,
        "Entries of the record, newest first",
        AuditEvents,
        events,
        query=_SEARCH,
        fresh=True,
    ),
    Route(
        "GET",
        "api/v1/audit/export",
        _A,
        "The whole record, for the verifier",
        ExportLine,
        export,
        errors=(409,),
        media="application/jsonl",
        fresh=True,
    ),
    Route(
        "GET", "api/v1/audit/checkpoint", _A, "The newest signed checkpoint", CheckpointView, checkpoint, errors=(404,)
    ),
    Route(
        "GET",
        "api/v1/audit/proof/inclusion",
        _A,
        "That an entry is in the record",
        InclusionProof,
        inclusion,
        query=(Query("event", _TEXT, "Id or number of the entry."),),
        errors=(404, 409),
    ),
    Route(
        "GET",
        "api/v1/audit/proof/consistency",
        _A,
        "That the record at one size is how it began at another",
        ConsistencyProof,
        consistency,
        query=(Query("first", _NUMBER, "The smaller size."), Query("second", _NUMBER, "The larger size.")),
        errors=(404,),
    ),
    Route("GET", "api/v1/audit/key", _A, "Public keys that checkpoints are verified with", AuditKey, key),
    Route(
        "GET", "api/v1/audit/check", _A, "Read the whole record and say what is wrong", AuditCheck, check, fresh=True
    ),
    Route("POST", "api/v1/audit/key/rotate", Scope.ADMIN, "Sign with a new key", AuditKey, rotate),
    Route(
        "POST",
        "api/v1/admin/forget",
        Scope.ADMIN,
        "Forget a person: nobody can tell any more whose their pseudonym was",
        Forgotten,
        forget,
        body=Forget,
        errors=(404, 409),
    ),
)
