"""What Lab's tabs may ask this server: a short list of the service's routes, forwarded with the server's own token.

Deciding on approvals and acting on devices are not on the list: those need a person signed in on the hub's page.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from jupyter_server.base.handlers import APIHandler
from jupyter_server.utils import url_path_join
from tornado import web

from jupyter_quantum.exceptions import NotFound, QuantumError
from jupyter_quantum.lab.bridge import Bridge
from jupyter_quantum.lab.upstream import Upstream
from jupyter_quantum.wire.base import ErrorBody

__all__ = ["GET_ROUTES", "POST_ROUTES", "routes"]

_ID = r"[a-z]{2,8}_[0-9a-f]{32}"
_NAME = r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}"

GET_ROUTES: Final = ("me", "quota", "devices", rf"devices/{_NAME}", "jobs", rf"jobs/{_ID}", "approvals")
"""Patterns below ``api/v1/`` that may be read."""
POST_ROUTES: Final = (rf"jobs/{_ID}/cancel",)
"""Patterns below ``api/v1/`` that may be posted to; none takes a body."""
QUERY: Final = frozenset({"active", "before", "limit", "project", "state"})
"""Arguments that are passed on."""

_MAX_QUERY: Final = 2048


def _one_of(patterns: tuple[str, ...]) -> Callable[[str], object]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)).fullmatch


_MAY: Final = {"GET": _one_of(GET_ROUTES), "POST": _one_of(POST_ROUTES)}


class _Base(APIHandler):
    auth_resource = "contents"
    _track_activity = False  # looking at a quota is not work: the idle culler must not be held off

    def initialize(self, upstream: Upstream, bridge: Bridge) -> None:
        self.upstream = upstream
        self.bridge = bridge

    def refuse(self, error: QuantumError) -> None:
        """Answer with the error's status and the shape of the service's own errors."""
        self.set_status(error.status)
        body = ErrorBody(
            error=type(error).__name__, code=error.code, message=error.message, hint=error.hint, details=error.details
        )
        self.finish(body.model_dump_json())


class Forward(_Base):
    """``quantum/api/v1/…``: one request of Lab becomes one request of this server."""

    @web.authenticated
    async def get(self, path: str) -> None:
        """Read, where the list allows it."""
        await self._forward(path, None)

    @web.authenticated
    async def post(self, path: str) -> None:
        """Act, where the list allows it; the body is always the empty object."""
        await self._forward(path, b"{}")

    async def _forward(self, path: str, body: bytes | None) -> None:
        try:
            if not _MAY[self.request.method](path):
                raise NotFound("Lab does not use this route.", code="absent")
            answer = await self.upstream.fetch(f"api/v1/{path}", query=self._query(), body=body)
        except QuantumError as error:
            self.refuse(error)
            return
        self.set_status(answer.code)
        if retry := answer.headers.get("Retry-After"):
            self.set_header("Retry-After", retry)
        self.finish(answer.body)

    def _query(self) -> str:
        pairs = [(name, value) for name in sorted(QUERY) for value in self.get_query_arguments(name)]
        return urlencode(pairs)[:_MAX_QUERY]


class Status(_Base):
    """``quantum/status``: what this server knows of the service, without asking it. Starts the event stream.

    Lab's fallback: when ``seq`` is not the last number a tab has seen, the tab has missed something.
    """

    @web.authenticated
    async def get(self) -> None:
        """Answer ``{"configured", "online", "since", "seq", "page"}``; ``online`` is null before the first contact."""
        configured = bool(self.upstream.url)
        if configured:
            self.bridge.start()
        link = self.upstream.link
        body: dict[str, Any] = {
            "configured": configured,
            "online": link.online,
            "since": link.since.isoformat(),
            "seq": self.bridge.seq,
            "page": self.settings.get("jupyter_quantum_page", ""),
        }
        self.finish(body)


def routes(base_url: str, upstream: Upstream, bridge: Bridge) -> list[tuple[str, type[_Base], dict[str, Any]]]:
    """The handlers of this extension below the server's base URL."""
    parts = {"upstream": upstream, "bridge": bridge}
    return [
        (url_path_join(base_url, r"/quantum/api/v1/(.+)"), Forward, parts),
        (url_path_join(base_url, "/quantum/status"), Status, parts),
    ]
