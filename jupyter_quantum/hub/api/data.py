"""Data at rest: keys and retention, for administrators; deleting one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Route
from jupyter_quantum.wire.data import KeysView, RetentionDone, RetentionPlan, RotateKeys, ShredKeys
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


async def archive_job(api: Api, job: str) -> JobView:
    """Delete one's own data early."""
    return await api.pipeline.data.retention.archive(api.who, job)


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
        "api/v1/jobs/{job}/archive",
        Scope.SUBMIT,
        "Delete inputs and result of one's own job that has ended; what was recorded of it stays",
        JobView,
        archive_job,
        errors=(404, 409),
        repeatable=True,
    ),
)
"""Routes about data at rest."""
