"""Organisations and projects: what is declared, the plan of a file, applying it. For administrators and their CI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Route
from jupyter_quantum.wire.tenancy import ApplyTenants, Tenants, TenantsPlan, TenantsView

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_SIZE: Final = 4 * 1024 * 1024


async def tenants(api: Api) -> TenantsView:
    """What is declared."""
    return await api.pipeline.tenancy.get(api.who)


async def plan_tenants(api: Api) -> TenantsPlan:
    """What a file would change."""
    return await api.pipeline.tenancy.plan(api.who, api.body(Tenants))


async def apply_tenants(api: Api) -> TenantsPlan:
    """Change it."""
    return await api.pipeline.tenancy.apply(api.who, api.body(ApplyTenants))


ROUTES: Final = (
    Route(
        "GET", "api/v1/tenants", Scope.ADMIN, "Organisations and projects as declared", TenantsView, tenants, fresh=True
    ),
    Route(
        "PUT",
        "api/v1/tenants",
        Scope.ADMIN,
        "Apply a plan that was made on this version",
        TenantsPlan,
        apply_tenants,
        body=ApplyTenants,
        size=_SIZE,
        errors=(409,),
    ),
    Route(
        "POST",
        "api/v1/tenants/plan",
        Scope.ADMIN,
        "What applying these tenants would do",
        TenantsPlan,
        plan_tenants,
        body=Tenants,
        size=_SIZE,
    ),
)
"""Routes about tenants."""
