"""A small OIDC issuer: discovery, keys, and tokens with whatever claims and signature a test wants."""

from __future__ import annotations

import contextlib
import json
import threading
import time
import uuid
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

KEYS: dict[str, Any] = {
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec"}),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
}


@dataclass
class Issuer:
    """What it says of itself, its keys, and how often it was asked."""

    url: str = ""
    keys: dict[str, Any] = field(default_factory=lambda: dict(KEYS))
    name: str | None = None
    """What it calls itself, where that is not its address."""
    redirect: str | None = None
    padding: int = 0
    down: bool = False
    asked: list[str] = field(default_factory=list)

    def claims(self, **changes: Any) -> dict[str, Any]:
        """A CI job's; None takes a claim out."""
        now = int(time.time())
        whole = {
            "iss": self.url,
            "sub": "repo:lab/vqe:ref:refs/heads/main",
            "aud": "quantum",
            "iat": now,
            "nbf": now,
            "exp": now + 300,
            "jti": uuid.uuid4().hex,
        } | changes
        return {name: value for name, value in whole.items() if value is not None}

    def token(
        self, alg: str = "RS256", *, key: Any = None, header: dict[str, Any] | None = None, **changes: Any
    ) -> str:
        """Signed with its key for this algorithm, or with another."""
        signs = key or self.keys[alg]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return jwt.encode(
                {"alg": alg, "kid": signs.kid} | (header or {}), self.claims(**changes), signs, algorithms=[alg]
            )

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        """Discovery and keys."""
        self.asked.append(path)
        if self.down:
            return 503, {}
        if path == "/.well-known/openid-configuration":
            return 200, {"issuer": self.name or self.url, "jwks_uri": f"{self.url}/keys", "x": "x" * self.padding}
        return 200, {"keys": [key.as_dict(private=False) for key in self.keys.values()]}


@contextlib.contextmanager
def issuing() -> Iterator[Issuer]:
    """An issuer on a free port of loopback."""
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = issuer.answer(self.path)
            if issuer.redirect is not None:
                self.send_response(302)
                self.send_header("Location", issuer.redirect)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            raw = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield issuer
    server.shutdown()
    server.server_close()
