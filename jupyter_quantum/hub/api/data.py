"""Data at rest: keys and retention, for administrators; deleting one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import File, Query, Route
from jupyter_quantum.wire.data import (
    AskExport,
    ExportList,
    ExportView,
    KeysView,
    RetentionDone,
    RetentionPlan,
    RotateKeys,
    ShredKeys,
)
from jupyter_quantum.wire.jobs import JobView

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]


async def keys(api: Api) -> KeysView:
    """Every tenant's keys."""
    return await api.pipeline.data.keys.get(api.who)


async def rotate_keys(api: Api) -> KeysView:
    """A new key."""
    return await api.pipeline.data.keys.rotate(api.who, api.body(RotateKeys))


async def shred_keys(api: Api) -> KeysView:
    """No key any more."""
    return await api.pipeline.data.keys.shred(api.who, api.body(ShredKeys))


async def retention(api: Api) -> RetentionPlan:
    """What is due."""
    return await api.pipeline.data.retention.plan(api.who)


async def run_retention(api: Api) -> RetentionDone:
    """Delete it."""
    return await api.pipeline.data.retention.run_now(api.who)


async def archive_job(api: Api, id: str) -> JobView:  # noqa: A002
    """Delete one's own data early."""
    return await api.pipeline.data.retention.archive(api.who, id)


async def ask_export(api: Api) -> ExportView:
    """Let data leave."""
    return await api.pipeline.data.exports.ask(api.who, api.body(AskExport))


async def exports(api: Api) -> ExportList:
    """One's own, and those of projects that one leads."""
    return await api.pipeline.data.exports.list(
        api.who, job=api.get_query_argument("job", None), before=api.get_query_argument("before", None)
    )


async def get_export(api: Api, id: str) -> ExportView:  # noqa: A002
    """One export."""
    return await api.pipeline.data.exports.get(api.who, id)


async def take_export(api: Api, id: str) -> File:  # noqa: A002
    """The bundle, once."""
    return File(await api.pipeline.data.exports.take(api.who, id), f"{id}.zip")


ROUTES: Final = (
    Route("GET", "api/v1/keys", Scope.ADMIN, "Data keys of each tenant, and how far a rotation is", KeysView, keys),
    Route(
        "POST",
        "api/v1/keys/rotate",
        Scope.ADMIN,
        "Start a new data key, or a new master key; artefacts follow by and by",
        KeysView,
        rotate_keys,
        body=RotateKeys,
        errors=(404, 503),
    ),
    Route(
        "POST",
        "api/v1/keys/shred",
        Scope.ADMIN,
        "Destroy a tenant's keys: nobody can read its artefacts any more",
        KeysView,
        shred_keys,
        body=ShredKeys,
        errors=(404, 409),
        repeatable=True,
    ),
    Route("GET", "api/v1/retention", Scope.ADMIN, "What is due to be deleted", RetentionPlan, retention),
    Route(
        "POST",
        "api/v1/retention/run",
        Scope.ADMIN,
        "Delete what is due now",
        RetentionDone,
        run_retention,
        repeatable=True,
    ),
    Route(
        "POST",
        "api/v1/jobs/{id}/archive",
        Scope.SUBMIT,
        "Delete inputs and result of one's own job that has ended; what was recorded of it stays",
        JobView,
        archive_job,
        errors=(404, 409),
        repeatable=True,
    ),
    Route(
        "POST",
        "api/v1/exports",
        Scope.SUBMIT,
        "Let data of a job leave its project for a named target",
        ExportView,
        ask_export,
        body=AskExport,
        status=201,
        errors=(404, 409),
        fresh=True,
        limit="decide",
    ),
    Route(
        "GET",
        "api/v1/exports",
        Scope.READ,
        "Exports of one's own, and of projects that one leads",
        ExportList,
        exports,
        query=(
            Query("job", {"type": "string"}, "Only exports of this job."),
            Query("before", {"type": "string"}, "Id of the last one already seen."),
        ),
    ),
    Route("GET", "api/v1/exports/{id}", Scope.READ, "An export", ExportView, get_export, errors=(404,)),
    Route(
        "GET",
        "api/v1/exports/{id}/bundle",
        Scope.READ,
        "The bundle of an export that is ready, once, for who asked",
        None,
        take_export,
        errors=(404, 409),
        fresh=True,
        media="application/zip",
    ),
)
"""Routes about data at rest."""
