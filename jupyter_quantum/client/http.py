"""One kept-alive connection pool to the service: the token, retries that are safe, and errors as exceptions.

Every write carries an ``Idempotency-Key``, so that sending it again after a lost connection is the same request.
The service may be away for half a minute while it is restarted; requests wait for it, up to :data:`PATIENCE_S`.
"""

from __future__ import annotations

import os
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import urlencode, urlsplit

import urllib3
from pydantic import BaseModel, ValidationError
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from jupyter_quantum.exceptions import QuantumError, TooBusy, Unauthenticated, Unavailable, error_from
from jupyter_quantum.wire.base import ErrorBody

__all__ = ["NDJSON", "PATIENCE_S", "Connection"]

NDJSON: Final = "application/x-ndjson"
"""An answer of JSON objects, one a line."""

PATIENCE_S: Final = 60.0
"""For how long a request waits for a service that does not answer, in seconds."""

_NEVER_SENT = (NewConnectionError, ConnectTimeoutError)
_PIECE = 64 * 1024
_AWAY = frozenset({502, 503, 504})
_Shape = TypeVar("_Shape", bound=BaseModel)


class _Headers(dict[str, str]):
    """Headers of a request; their representation leaves the values out, since tracebacks print variables."""

    def __repr__(self) -> str:
        return f"<headers {', '.join(self)}>"


class _Whole:
    """A connection that sends a request in one piece; otherwise head and body wake the service one after the other."""

    _pieces: list[bytes] | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Collect what is sent, then send it."""
        self._pieces = []
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]
            whole = b"".join(self._pieces)
        finally:
            self._pieces = None
        self.send(whole)

    def send(self, data: Any) -> None:
        """Called by :mod:`http.client` with each piece."""
        if self._pieces is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._pieces.append(data)


class _Http(_Whole, HTTPConnection):
    pass


class _Https(_Whole, HTTPSConnection):
    pass


class Connection:
    """Requests to one service with one token. Safe to share between threads, and usable after a fork.

    Args:
        url: address of the service with its prefix, no trailing slash.
        token: a token of the hub; it appears in no representation.
    """

    def __init__(self, url: str, token: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise Unavailable(
                f"{url!r} is not the address of a quantum service.",
                code="hub.url",
                hint="Give one like https://hub.example.org/services/quantum.",
            )
        self.url = url.rstrip("/")
        self._prefix = parts.path.rstrip("/")
        self._token: Callable[[], str] = lambda: token
        self._pool: urllib3.HTTPConnectionPool | None = None
        self._owner = 0

    def __repr__(self) -> str:
        return f"<Connection to {self.url}>"

    def __deepcopy__(self, _: object) -> Connection:
        """Itself: some libraries copy backends, and a copy would speak with the same service."""
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("A connection to the hub holds a token and is not pickled; keep the job's id instead.")

    def get(
        self,
        path: str,
        shape: type[_Shape],
        *,
        wait_s: float = 0.0,
        patience_s: float = PATIENCE_S,
        **params: object,
    ) -> _Shape:
        """``GET api/v1/<path>`` as ``shape``; ``wait_s`` is how long the service may hold the answer back."""
        if wait_s:
            params["wait"] = f"{wait_s:g}"
        return self._shaped(self.request("GET", path, params=params, wait_s=wait_s, patience_s=patience_s), shape)

    def post(self, path: str, shape: type[_Shape], body: BaseModel | None = None, *, wait_s: float = 0.0) -> _Shape:
        """``POST api/v1/<path>``, once however often it is sent, as ``shape``."""
        return self.send("POST", path, shape, body, wait_s=wait_s)

    def send(
        self, method: str, path: str, shape: type[_Shape], body: BaseModel | None = None, *, wait_s: float = 0.0
    ) -> _Shape:
        """A write with ``method`` to ``api/v1/<path>``, once however often it is sent, as ``shape``."""
        raw = b"{}" if body is None else body.model_dump_json(exclude_defaults=True).encode()
        params = {"wait": f"{wait_s:g}"} if wait_s else {}
        return self._shaped(self.request(method, path, body=raw, params=params, wait_s=wait_s), shape)

    def delete(self, path: str) -> None:
        """``DELETE api/v1/<path>``."""
        self.request("DELETE", path)

    def file(self, path: str, **params: object) -> bytes:
        """``GET api/v1/<path>``, whole, as it is: a table, lines, an archive."""
        return self.request("GET", path, params=params).data

    def request(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, object] | None = None,
        wait_s: float = 0.0,
        headers: Mapping[str, str] | None = None,
        patience_s: float = PATIENCE_S,
        whole: bool = True,
    ) -> urllib3.BaseHTTPResponse:
        """Send, and send again while that is safe and the service is away; ``whole`` waits for all of the answer.

        Raises the error that the service answered with, :class:`Unavailable` when it does not answer within
        ``patience_s`` seconds.
        """
        sent = self._headers(method, headers)
        target = self._target(path, params)
        timeout = urllib3.Timeout(connect=5.0, read=wait_s + 60.0)
        patience = _Patience(self.url, patience_s)
        while True:
            answer: urllib3.BaseHTTPResponse | None = None
            try:
                answer = self._open().urlopen(
                    method,
                    target,
                    body=body,
                    headers=sent,
                    timeout=timeout,
                    retries=False,
                    redirect=False,
                    preload_content=whole,
                )
            except HTTPError as error:
                if not (isinstance(error, _NEVER_SENT) or method == "GET" or "Idempotency-Key" in sent):
                    raise self._unreachable() from None
            if answer is None:
                patience.wait_or_raise(None, self._unreachable())
            elif answer.status < 400:
                return answer
            else:
                failure = _failure(answer)
                if not _passing(answer, failure):
                    raise failure
                patience.wait_or_raise(answer.headers.get("Retry-After"), failure)

    def pieces(self, path: str, **params: object) -> Iterator[bytes]:
        """``GET api/v1/<path>`` as it comes, for answers that are larger than memory; sent once.

        Raises Unavailable (``hub.broken_off``) where it ends before its end.
        """
        answer = self._open().urlopen(
            "GET",
            self._target(path, params),
            headers=self._headers("GET", {"Accept": "*/*"}),
            timeout=urllib3.Timeout(connect=5.0, read=60.0),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            if answer.status >= 400:
                answer.read()
                raise _failure(answer)
            yield from answer.stream(_PIECE)
        except HTTPError:
            raise Unavailable("The answer broke off.", code="hub.broken_off", hint="Try again.") from None
        finally:
            answer.close()

    def post_lines(self, path: str, shape: type[_Shape], body: BaseModel) -> Iterator[_Shape]:
        """``POST api/v1/<path>``, whose answer comes as JSON lines: each as ``shape`` as soon as it is there.

        It has no ``Idempotency-Key``, since lines are not kept: only for what may be asked twice. Raises what
        :meth:`request` raises before the first line; Unavailable (``hub.broken_off``) where it ends early.
        """
        raw = body.model_dump_json(exclude_defaults=True).encode()
        answer = self.request("POST", path, body=raw, headers={"Accept": NDJSON}, whole=False)
        try:
            if answer.headers.get("Content-Type") != NDJSON:
                raise HTTPError("not lines")
            for line in _split(answer):
                yield shape.model_validate_json(line)
            answer.release_conn()
        except (HTTPError, ValidationError):
            raise Unavailable("The answer broke off.", code="hub.broken_off", hint="Try again.") from None
        finally:
            if answer.connection is not None:
                answer.close()

    def lines(self, path: str, *, after: int | None = None) -> Iterator[str]:
        """Lines of a server-sent stream, until it ends; a connection of its own."""
        extra = {"Accept": "text/event-stream"}
        if after is not None:
            extra["Last-Event-ID"] = str(after)
        answer = self._open().urlopen(
            "GET",
            self._target(path, None),
            headers=self._headers("GET", extra),
            timeout=urllib3.Timeout(connect=5.0, read=60.0),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        try:
            if answer.status >= 400:
                answer.read()
                raise _failure(answer)
            yield from _split(answer)
        finally:
            answer.close()

    def _shaped(self, answer: urllib3.BaseHTTPResponse, shape: type[_Shape]) -> _Shape:
        try:
            return shape.model_validate_json(answer.data)
        except ValidationError:
            raise Unavailable(
                f"{self.url} answered with something else than the quantum service does.",
                code="hub.answer",
                hint="Check the address; a proxy or a login page may answer in its place.",
            ) from None

    def _headers(self, method: str, extra: Mapping[str, str] | None) -> _Headers:
        headers = _Headers({"Authorization": f"token {self._token()}", "Accept": "application/json"})
        headers.update(extra or {})
        if method != "GET":
            headers["Content-Type"] = "application/json"
            if headers["Accept"] != NDJSON:
                headers["Idempotency-Key"] = str(uuid.uuid4())
        return headers

    def _target(self, path: str, params: Mapping[str, object] | None) -> str:
        query = urlencode({k: v for k, v in (params or {}).items() if v is not None})
        return f"{self._prefix}/api/v1/{path}" + (f"?{query}" if query else "")

    def _open(self) -> urllib3.HTTPConnectionPool:
        """The pool of this process: sockets are never shared with a forked child."""
        if self._pool is None or self._owner != os.getpid():
            self._pool = urllib3.connection_from_url(self.url, maxsize=8, block=False)
            self._pool.ConnectionCls = _Https if self._pool.scheme == "https" else _Http
            self._owner = os.getpid()
        return self._pool

    def _unreachable(self) -> Unavailable:
        return Unavailable(
            f"The quantum service at {self.url} does not answer.",
            hint="Submitted jobs go on; try again in a minute, and tell the operators if it lasts.",
        )


class _Patience:
    """Pauses between tries (seconds, growing to 2), until the total is used up."""

    def __init__(self, url: str, patience_s: float) -> None:
        self._url, self._patience_s = url, patience_s
        self._ends = time.monotonic() + patience_s
        self._next = 0.05
        self._told = False

    def wait_or_raise(self, retry_after: str | None, failure: QuantumError) -> None:
        asked = float(retry_after) if retry_after and retry_after.isdigit() else 0.0
        pause = max(asked, self._next * random.uniform(0.5, 1.0))  # noqa: S311 (spreads retries; guards nothing)
        if time.monotonic() + pause > self._ends:
            raise failure from None
        self._tell()
        time.sleep(pause)
        self._next = min(self._next * 2, 2.0)

    def _tell(self) -> None:
        if not self._told and self._next >= 0.8 and sys.stderr.isatty():
            self._told = True
            sys.stderr.write(
                f"The quantum service at {self._url} does not answer; waiting up to {self._patience_s:.0f} s.\n"
            )


def _failure(answer: urllib3.BaseHTTPResponse) -> QuantumError:
    """The error that an answer stands for, whether the service or something in front of it sent it."""
    try:
        body = ErrorBody.model_validate_json(answer.data)
    except ValidationError:
        return _foreign(answer.status)
    details = dict(body.details) | ({"job": body.job} if body.job else {})
    return error_from(body.error, body.message, code=body.code, hint=body.hint, details=details)


def _foreign(status: int) -> QuantumError:
    if status in {401, 403}:
        return Unauthenticated(
            "The hub does not accept this token.",
            code="auth.rejected",
            hint="Restart your server from the hub's control panel to get a fresh one.",
        )
    return Unavailable(f"The quantum service answered with status {status}.", hint="Try again in a minute.")


def _passing(answer: urllib3.BaseHTTPResponse, failure: QuantumError) -> bool:
    """Whether waiting helps: a proxy without its service, a service that says when to come back, a full intake."""
    if answer.status == 429:
        return isinstance(failure, TooBusy)
    if answer.status not in _AWAY:
        return False
    return "Retry-After" in answer.headers or not answer.headers.get("Content-Type", "").startswith("application/json")


def _split(answer: urllib3.BaseHTTPResponse) -> Iterator[str]:
    """Lines as they arrive: bytes are taken as soon as there are any, never collected to a block first."""
    rest = b""
    while piece := answer.read1(65536):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.rstrip(b"\r").decode(errors="replace") for line in whole)
