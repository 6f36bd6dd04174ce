"""A receiver of webhooks on loopback that checks signatures with the library of Standard Webhooks."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler


@dataclass
class Receiver:
    """What came, verified; ``answers`` are the statuses that it gives, the last one for ever."""

    port: int = 0
    secret: str = ""
    taken: list[dict[str, Any]] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    signatures: list[int] = field(default_factory=list)
    hosts: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=lambda: [204])
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def url(self) -> str:
        """Its plain address."""
        return f"http://127.0.0.1:{self.port}/hook"

    def verified(self, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        """The message; raises where no signature is right."""
        found: dict[str, Any] = Webhook(self.secret).verify(body, headers)
        return found


class _Hook(RequestHandler):
    def post(self) -> None:
        receiver: Receiver = self.settings["receiver"]
        status = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
        headers = {name.lower(): value for name, value in self.request.headers.get_all()}
        receiver.ids.append(headers["webhook-id"])
        receiver.hosts.append(headers["host"])
        receiver.signatures.append(len(headers["webhook-signature"].split()))
        message = receiver.verified(self.request.body, headers)
        if status < 300:
            receiver.taken.append(message)
        self.set_status(status)
        for name, value in receiver.headers.items():
            self.set_header(name, value)
        if receiver.body:
            self.write(receiver.body)


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver that runs."""
    receiver = Receiver()
    sockets = bind_sockets(0, "127.0.0.1")
    receiver.port = sockets[0].getsockname()[1]
    server = HTTPServer(Application([("/hook", _Hook)], receiver=receiver), ssl_options=tls)
    server.add_sockets(sockets)
    try:
        yield receiver
    finally:
        server.stop()
        await server.close_all_connections()
