"""Attempts that operators look into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Route
from jupyter_quantum.wire.operations import Differences, Resolution, UnknownAttempt, UnknownAttempts

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]


async def unknown(api: Api) -> UnknownAttempts:
    """Attempts that nobody can tell about."""
    return await api.pipeline.resolving.unknown(api.who)


async def resolve(api: Api, tag: str) -> UnknownAttempt:
    """Say what became of one."""
    return await api.pipeline.resolving.resolve(api.who, tag, api.body(Resolution))


async def differences(api: Api) -> Differences:
    """Where the vendor counts otherwise."""
    return await api.pipeline.resolving.differences(api.who)


ROUTES: Final = (
    Route(
        "GET",
        "api/v1/attempts/unknown",
        Scope.OPERATE,
        "Attempts of which nobody can tell whether the device ran them",
        UnknownAttempts,
        unknown,
    ),
    Route(
        "POST",
        "api/v1/attempts/{tag}/resolution",
        Scope.OPERATE,
        "Say what became of an unknown attempt: it ran (charged), it did not (queued again), or have it looked for",
        UnknownAttempt,
        resolve,
        body=Resolution,
        errors=(404, 409),
    ),
    Route(
        "GET",
        "api/v1/attempts/differences",
        Scope.OPERATE,
        "Attempts of the last 30 days whose seconds the vendor counts otherwise than we do",
        Differences,
        differences,
    ),
)
"""Routes about attempts."""
