"""Who the caller is, and what they may spend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Query, Route
from jupyter_quantum.wire.jobs import Me, QuotaView

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_PROJECT = Query("project", {"type": "string"}, "The project; the caller's only one where omitted.")


async def me(api: Api) -> Me:
    """Who the caller is."""
    return await api.pipeline.me(api.who)


async def quota(api: Api) -> QuotaView:
    """Budgets that bind the caller."""
    return await api.pipeline.quota(api.who, api.get_query_argument("project", None))


ROUTES: Final = (
    Route("GET", "api/v1/me", Scope.READ, "Who the service takes the caller for", Me, me),
    Route("GET", "api/v1/quota", Scope.READ, "Budgets that bind the caller", QuotaView, quota, query=(_PROJECT,)),
)
"""Routes about the caller."""
