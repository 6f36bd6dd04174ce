"""The one table of the API, an area a module; handlers and the OpenAPI document are both made from it."""

from __future__ import annotations

from typing import Final

from jupyter_quantum.hub.api import (
    approvals,
    audit,
    data,
    devices,
    jobs,
    ledger,
    members,
    operations,
    people,
    policy,
    requests,
    series,
    sessions,
    tenancy,
    tokens,
    webhooks,
)
from jupyter_quantum.hub.api.route import Route

__all__ = ["ROUTES"]

ROUTES: Final[tuple[Route, ...]] = (
    *people.ROUTES,
    *devices.ROUTES,
    *operations.ROUTES,
    *jobs.ROUTES,
    *sessions.ROUTES,
    *approvals.ROUTES,
    *policy.ROUTES,
    *audit.ROUTES,
    *requests.ROUTES,
    *tenancy.ROUTES,
    *members.ROUTES,
    *ledger.ROUTES,
    *webhooks.ROUTES,
    *tokens.ROUTES,
    *data.ROUTES,
    *series.ROUTES,
)
"""Every route. Those without a body refuse none that is empty."""
