"""How a runner reaches its service: a unix socket on the same machine, HTTPS from elsewhere.

Over a network the service's certificate is verified, redirects are not followed (the token would follow them), and no
proxy or ``.netrc`` of the environment is used. Plain HTTP is for loopback.
"""

from __future__ import annotations

import ipaddress
import json
import ssl
from types import TracebackType
from typing import Final, Self, TypeVar
from urllib.parse import urlsplit

import aiohttp
from pydantic import BaseModel, ValidationError

from jupyter_quantum.fabric.metrics import METRICS
from jupyter_quantum.fabric.settings import Settings

__all__ = ["OUTAGES", "Refusal", "Transport", "is_loopback"]

OUTAGES: Final = (aiohttp.ClientError, TimeoutError, OSError)
"""The service does not answer, or a proxy answers in its place: to be tried again."""

_FINAL: Final = frozenset({400, 401, 403, 409, 410, 413, 422})
_JSON: Final = {"Content-Type": "application/json"}
_ANSWER_MOST: Final = 128 * 1024 * 1024
_ERROR_MOST: Final = 64 * 1024
_TOTAL_S: Final = 60.0

_Model = TypeVar("_Model", bound=BaseModel)


class Refusal(Exception):
    """The service answered, and will not change its mind about this message."""

    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.code = code


def is_loopback(url: str) -> bool:
    """Whether an address names this machine: what goes there crosses no network."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Transport:
    """Posts the runner's messages; use it as an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._base = f"{settings.url.rstrip('/')}/runner/v1/" if settings.url else "http://service/runner/v1/"
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            connector=self._connector(),
            headers={"Authorization": f"Bearer {self._settings.token}"},
            timeout=aiohttp.ClientTimeout(total=_TOTAL_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._http is not None:
            await self._http.close()

    def _connector(self) -> aiohttp.BaseConnector:
        if not self._settings.url:
            return aiohttp.UnixConnector(path=self._settings.socket, limit=0)
        context = ssl.create_default_context(cafile=self._settings.ca)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return aiohttp.TCPConnector(ssl=context, limit=0)

    async def post(self, route: str, message: BaseModel, answer: type[_Model]) -> _Model:
        """Send ``message``. Raises :class:`Refusal`, or one of :data:`OUTAGES`."""
        outcome = "outage"
        try:
            found = await self._post(route, message, answer)
            outcome = "answered"
        except Refusal as error:
            outcome = error.code or str(error.status)
            raise
        finally:
            METRICS.messages.labels(route.rpartition("/")[2], outcome).inc()
        return found

    async def _post(self, route: str, message: BaseModel, answer: type[_Model]) -> _Model:
        assert self._http is not None
        body = message.model_dump_json().encode()
        async with self._http.post(self._base + route, data=body, headers=_JSON, allow_redirects=False) as response:
            if response.status in _FINAL:
                raise _refusal(response.status, await response.content.read(_ERROR_MOST))
            if response.status != 200:
                raise aiohttp.ClientError(f"status {response.status}")
            if (response.content_length or 0) > _ANSWER_MOST:
                raise aiohttp.ClientError("an answer that is too large")
            try:
                return answer.model_validate_json(await response.read())
            except ValidationError:
                raise aiohttp.ClientError("an answer that is not the service's") from None


def _refusal(status: int, raw: bytes) -> Refusal:
    """The service's own words where it has any."""
    try:
        said = json.loads(raw)
        words = " ".join(filter(None, (said["message"], said.get("hint"))))
        return Refusal(status, str(said["code"]), words)
    except (ValueError, KeyError, TypeError):
        return Refusal(status, "", f"status {status}")
