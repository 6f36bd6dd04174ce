"""Where webhooks arrive: an address on loopback that keeps what it is sent, if the signature is right."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook


class Receiver:
    """An address, the secrets of the webhooks that post to it, and the messages that came."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        self.messages: list[dict[str, Any]] = []
        self.forged = 0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.take(body, {name.lower(): value for name, value in self.headers.items()})
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/quantum"

    def take(self, body: bytes, headers: dict[str, str]) -> None:
        """Keep a message that one of the secrets signed; count the others."""
        for secret in self.secrets:
            with contextlib.suppress(Exception):
                Webhook(secret).verify(body, headers)
                self.messages.append(json.loads(body))
                return
        self.forged += 1

    def told(self, job: str) -> list[str]:
        """Types of what was told about a job."""
        return [str(message["type"]) for message in self.messages if message.get("job") == job]

    def states(self, job: str) -> list[str]:
        """States that were told of a job."""
        return [str(message["data"].get("state")) for message in self.messages if message.get("job") == job]

    def serve(self) -> None:
        """Take messages until :meth:`close`."""
        self._server.serve_forever(poll_interval=0.1)

    def close(self) -> None:
        """Take no more."""
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def running_receiver() -> Iterator[Receiver]:
    """A receiver in a thread."""
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.close()
        thread.join(5)
