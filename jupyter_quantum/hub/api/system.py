"""Health and the API's own description, open and saying nothing about anybody; and the metrics, which need a token."""

from __future__ import annotations

import hmac
import json
import time

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.exceptions import Unauthenticated
from jupyter_quantum.hub.api.base import Handler
from jupyter_quantum.hub.api.limits import Bucket
from jupyter_quantum.hub.openapi import document

__all__ = ["Live", "Metrics", "OpenApi", "Ready"]


class _Open(Handler):
    scope = None

    async def prepare(self) -> None:
        """Everybody may ask, but not without end; counted in memory, since it must answer without the store."""
        bucket: Bucket = self.settings["open_bucket"]
        bucket.take(self.address)

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
        ready = all(state.partition(";")[0] == "ready" for state in parts.values())
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
    """Prometheus's metrics: for its own token, or one of the hub that may operate or administrate.

    Being on loopback is not enough: on one machine every kernel is.
    """

    label = "metrics"

    async def get(self) -> None:
        """Text in Prometheus's format."""
        if not self._is_scraper():
            who = await self.identify()
            if who is None:
                raise Unauthenticated(
                    "Metrics need a token.", hint="Send the one in metrics.token in the service's data directory."
                )
            await self.authenticate(Scope.ADMIN if Scope.ADMIN in who.scopes else Scope.OPERATE)
        self.set_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.finish(self.context.metrics.text())

    def _is_scraper(self) -> bool:
        said = self.request.headers.get("Authorization", "").encode("utf8", "replace")
        return hmac.compare_digest(said, f"Bearer {self.context.metrics_token}".encode())
