"""Health, metrics and the API's own description: open routes that say nothing about anybody."""

from __future__ import annotations

import ipaddress
import json
import time

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.exceptions import Unauthenticated
from jupyter_quantum.hub.api.base import Handler
from jupyter_quantum.hub.openapi import document

__all__ = ["Live", "Metrics", "OpenApi", "Ready"]


class _Open(Handler):
    scope = None

    def reply(self, body: dict[str, object], status: int = 200) -> None:
        """Answer with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(json.dumps(body))


class Live(_Open):
    """The process answers."""

    label = "health/live"

    async def get(self) -> None:
        """Always 200."""
        self.reply({"status": "live"})


class Ready(_Open):
    """Store, policy and runner are there: 200; otherwise 503, each part with its reason."""

    label = "health/ready"

    async def get(self) -> None:
        """Answer with each part's state."""
        parts = await self._parts()
        ready = all(state == "ready" for state in parts.values())
        self.reply({"status": "ready" if ready else "starting", "parts": dict(parts)}, 200 if ready else 503)

    async def _parts(self) -> dict[str, str]:
        """Looked at once a second at most: this address is open to everybody."""
        known: tuple[float, dict[str, str]] | None = self.settings.get("readiness")
        if known is None or time.monotonic() - known[0] > 1.0:
            known = time.monotonic(), await self.context.ready()
            self.settings["readiness"] = known
        return known[1]


class OpenApi(_Open):
    """``api/v1/openapi.json``."""

    label = "api/v1/openapi.json"

    async def get(self) -> None:
        """The document, made once."""
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.finish(document(self.context.prefix))


class Metrics(Handler):
    """Prometheus's metrics, for loopback without a proxy in between, or a token with the operate or admin scope."""

    label = "metrics"

    async def get(self) -> None:
        """Text in Prometheus's format."""
        if not self._local():
            who = await self.identify()
            if who is None:
                raise Unauthenticated("Metrics need a token.", hint="Scrape with a service token that may operate.")
            if Scope.ADMIN not in who.scopes:
                self._check_scopes(who, Scope.OPERATE)
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish(self.context.metrics.text())

    def _local(self) -> bool:
        proxied = any(name in self.request.headers for name in ("X-Forwarded-For", "X-Real-Ip", "Forwarded"))
        return not proxied and ipaddress.ip_address(self.request.remote_ip or "0.0.0.0").is_loopback  # noqa: S104
