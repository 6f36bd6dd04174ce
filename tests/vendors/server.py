"""The frame of the vendors' fakes: a real HTTP server on loopback, with the faults that a network has."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

__all__ = ["Fake", "Reply", "Request", "route"]


@dataclass(frozen=True)
class Request:
    """What a client sent."""

    method: str
    host: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Reply:
    """What the fake answers; ``lost`` breaks the connection off instead, after the work was done."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    lost: bool = False


def route(method: str, pattern: str) -> Callable[[Any], Any]:
    """Mark a method of a fake: it answers ``method`` on paths (or ``host/path``) that match ``pattern`` in full."""

    def mark(function: Any) -> Any:
        function.route = (method, re.compile(pattern))
        return function

    return mark


class Fake:
    """A vendor. Subclasses mark methods with :func:`route`; they get a :class:`Request` and the pattern's groups.

    ``plan`` holds what is to go wrong, one a request that ``breaks`` picks, in order: a status to answer before
    anything is done, ``"lost"`` (done, and the connection breaks off), ``"dropped"`` (nothing done, the same).
    """

    def __init__(self) -> None:
        self.plan: list[int | str] = []
        self.seen: list[Request] = []
        self.lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def breaks(self, request: Request) -> bool:
        """Whether this is a request on which the plan is carried out: a submission."""
        return False

    def failure(self, status: int) -> Reply:
        """How the vendor words an error."""
        return Reply(status, {"error": {"code": status, "message": f"planned {status}"}})

    def answer(self, request: Request) -> Reply:
        """The reply to one request."""
        with self.lock:
            self.seen.append(request)
            planned = self.plan.pop(0) if self.plan and self.breaks(request) else None
        if isinstance(planned, int):
            return self.failure(planned)
        if planned == "dropped":
            return Reply(lost=True)
        reply = self._routed(request)
        reply.lost = planned == "lost"
        return reply

    def _routed(self, request: Request) -> Reply:
        for name in dir(type(self)):
            function = getattr(type(self), name)
            method, pattern = getattr(function, "route", ("", None))
            if method != request.method:
                continue
            found = pattern.fullmatch(request.host + request.path) or pattern.fullmatch(request.path)
            if found:
                with self.lock:
                    return function(self, request, *found.groups())
        return self.failure(404)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _serve(self) -> None:
                parts = urlsplit(self.path)  # a proxy is sent the whole address
                size = int(self.headers.get("Content-Length") or 0)
                request = Request(
                    self.command,
                    parts.netloc or self.headers.get("Host", ""),
                    parts.path,
                    parse_qs(parts.query, keep_blank_values=True),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(size) if size else b"",
                )
                reply = fake.answer(request)
                if reply.lost:
                    self.close_connection = True
                else:
                    self._send(reply)

            def _send(self, reply: Reply) -> None:
                body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
                body = b"" if reply.body is None else body
                self.send_response(reply.status)
                for name, value in ({"Content-Type": "application/json"} | reply.headers).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _serve  # noqa: N815  the library's names

            def log_message(self, *_: object) -> None:
                return

        return Handler
