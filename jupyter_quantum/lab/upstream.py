"""The way from a user's server to the service: one client, the server's own token, and what is known of the link."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest, HTTPResponse

from jupyter_quantum.core.words import moment
from jupyter_quantum.exceptions import Unavailable

__all__ = ["Link", "Upstream"]

_CONNECT_S: Final = 3.0
_REQUEST_S: Final = 20.0
_MAX_BYTES: Final = 16 * 1024 * 1024


@dataclass
class Link:
    """Whether the service answers. ``online`` is None until somebody has asked."""

    online: bool | None = None
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    on_change: Callable[[Link], None] | None = None

    def say(self, online: bool) -> None:
        """Note what the last exchange showed; listeners hear of changes only."""
        if online is self.online:
            return
        self.online, self.since = online, datetime.now(UTC)
        if self.on_change is not None:
            self.on_change(self)

    def error(self) -> Unavailable:
        """The sentence for a user while the service does not answer."""
        now = datetime.now().astimezone()
        return Unavailable(
            f"Quantum service unreachable since {moment(self.since.astimezone(), now)}.",
            code="service.offline",
            hint="Jobs continue there; this view catches up by itself.",
            details={"since": self.since.isoformat()},
        )


class Upstream:
    """The service as this server reaches it.

    Args:
        url: address of the service with its prefix, without a final slash; empty where none is configured.
        token: the server's own hub token; sent to ``url`` only.
    """

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.link = Link()
        self._token = token
        self._http = AsyncHTTPClient(force_instance=True, max_clients=32, max_body_size=_MAX_BYTES)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Upstream:
        """The service that the hub named in this server's environment."""
        return cls(environment.get("JUPYTER_QUANTUM_URL", ""), environment.get("JUPYTERHUB_API_TOKEN", ""))

    def headers(self) -> dict[str, str]:
        """What proves who asks."""
        return {"Authorization": f"token {self._token}"}

    async def fetch(self, path: str, *, query: str = "", body: bytes | None = None) -> HTTPResponse:
        """GET ``path`` below the service's prefix, or POST where there is a ``body``; never follows a redirect.

        Returns whatever the service answered, errors included.

        Raises:
            Unavailable: (``service.offline``) it did not answer, or what answered is not the service.
        """
        if not self.url:
            raise self._unconfigured()
        request = HTTPRequest(
            f"{self.url}/{path}" + (f"?{query}" if query else ""),
            method="GET" if body is None else "POST",
            headers=self.headers() | ({} if body is None else {"Content-Type": "application/json"}),
            body=body,
            connect_timeout=_CONNECT_S,
            request_timeout=_REQUEST_S,
            follow_redirects=False,
        )
        try:
            answer = await self._http.fetch(request, raise_error=False)
        except (OSError, HTTPClientError):
            self.link.say(False)
            raise self.link.error() from None
        alive = answer.code not in {502, 504, 599} and _is_json(answer)
        self.link.say(alive)
        if not alive:
            raise self.link.error()
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def _unconfigured(self) -> Unavailable:
        return Unavailable(
            "This server knows no quantum service.",
            code="service.unconfigured",
            hint="An administrator adds it to the hub with jupyter_quantum.hub.configure.",
        )


def _is_json(answer: HTTPResponse) -> bool:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip() == "application/json"
