"""Routes about sessions and batches."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Route
from jupyter_quantum.wire.sessions import SessionView

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]


async def session(api: Api, id: str) -> SessionView:  # noqa: A002 (the path's own name)
    """One's own session."""
    return await api.pipeline.sessions.of(api.who, id)


async def close(api: Api, id: str) -> SessionView:  # noqa: A002
    """No more jobs."""
    return await api.pipeline.sessions.close(api.who, id)


_S: Final = "api/v1/sessions/{id}"

ROUTES: Final = (
    Route("GET", _S, Scope.READ, "A session or batch, and what it is at vendors", SessionView, session, errors=(404,)),
    Route(
        "POST",
        f"{_S}/close",
        Scope.SUBMIT,
        "Take no more jobs into a session; those submitted go on, then it ends at the vendor too",
        SessionView,
        close,
        errors=(404,),
    ),
)
"""Routes about sessions and batches."""
