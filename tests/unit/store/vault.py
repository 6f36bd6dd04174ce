"""A fake of Vault's transit engine, shaped after HashiCorp's documentation ("Transit secrets engine (API)").

Keys, versions, derivation by context, encrypt, decrypt, rewrap, rotate, config, trim; 403 without the token, 404 for an
absent key, 400 with ``{"errors": […]}`` for what it refuses.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["FakeVault"]


class Refuse(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, *errors: str) -> None:
        super().__init__(status)
        self.status = status
        self.errors = list(errors)


class FakeVault:
    """One transit engine at ``/v1/transit``."""

    def __init__(self, token: str) -> None:
        self.keys: dict[str, dict[str, Any]] = {}
        vault = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                try:
                    if self.headers.get("X-Vault-Token") != token:
                        raise Refuse(403, "permission denied")
                    data = vault.act(self.command, self.path, body)
                    status, said = (204, b"") if data is None else (200, json.dumps({"data": data}).encode())
                except Refuse as refused:
                    status, said = refused.status, json.dumps({"errors": refused.errors}).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = do_PUT = answer  # noqa: N815 - the base class's names

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> FakeVault:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def make(self, name: str, *, derived: bool) -> None:
        """A key."""
        self.keys.setdefault(
            name,
            {
                "derived": derived,
                "versions": {1: os.urandom(32)},
                "min_decryption_version": 1,
                "min_encryption_version": 0,
                "min_available_version": 0,
            },
        )

    def act(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        """One call below ``/v1/transit/``."""
        parts = path.removeprefix("/v1/transit/").split("/")
        if parts[0] == "keys":
            return self._keys(method, parts[1], parts[2] if len(parts) > 2 else "", body)
        acts: dict[str, Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]] = {
            "encrypt": self._encrypt,
            "decrypt": lambda key, body: {"plaintext": base64.b64encode(self._decrypt(key, body)).decode()},
            "rewrap": lambda key, body: self._encrypt(
                key, body | {"plaintext": base64.b64encode(self._decrypt(key, body)).decode()}
            ),
        }
        if parts[0] not in acts or method not in ("POST", "PUT"):
            raise Refuse(404)
        if parts[1] not in self.keys:
            raise Refuse(400, "encryption key not found")
        return acts[parts[0]](self.keys[parts[1]], body)

    def _keys(self, method: str, name: str, act: str, body: dict[str, Any]) -> dict[str, Any] | None:
        if method == "POST" and act == "":
            self.make(name, derived=bool(body.get("derived")))
            return None
        if name not in self.keys:
            raise Refuse(404)
        key = self.keys[name]
        versions = key["versions"]
        if method == "GET":
            return {
                "name": name,
                "type": "aes256-gcm96",
                "derived": key["derived"],
                "latest_version": max(versions),
                **{name: value for name, value in key.items() if name.startswith("min_")},
            }
        if act == "rotate":
            versions[max(versions) + 1] = os.urandom(32)
        elif act == "config":
            key.update(body)
            if 0 < key["min_encryption_version"] < key["min_decryption_version"]:
                raise Refuse(400, "min encryption version should not be less than min decryption version")
        elif act == "trim":
            lowest = body["min_available_version"]
            if not key["min_encryption_version"]:
                raise Refuse(400, "minimum available version cannot be set when minimum encryption version is not set")
            if lowest > key["min_decryption_version"]:
                raise Refuse(400, "minimum available version cannot be greater than minimum decryption version")
            key["min_available_version"] = lowest
            for number in [n for n in versions if n < lowest]:
                del versions[number]
        else:
            raise Refuse(404)
        return None

    def _secret(self, key: dict[str, Any], version: int, body: dict[str, Any]) -> AESGCM:
        if version not in key["versions"] or version < key["min_decryption_version"]:
            raise Refuse(400, "ciphertext or signature version is disallowed by policy (too old)")
        secret: bytes = key["versions"][version]
        if key["derived"]:
            if not body.get("context"):
                raise Refuse(400, "missing 'context' for key derivation; the key was created using a derived key")
            secret = hmac.digest(secret, base64.b64decode(body["context"]), hashlib.sha256)
        return AESGCM(secret)

    def _encrypt(self, key: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
        version = max(key["versions"])
        nonce = os.urandom(12)
        sealed = self._secret(key, version, body).encrypt(nonce, base64.b64decode(body["plaintext"]), None)
        return {"ciphertext": f"vault:v{version}:{base64.b64encode(nonce + sealed).decode()}", "key_version": version}

    def _decrypt(self, key: dict[str, Any], body: dict[str, Any]) -> bytes:
        try:
            vault, version, text = body["ciphertext"].split(":")
            raw = base64.b64decode(text, validate=True)
            if vault != "vault":
                raise ValueError(vault)
            return self._secret(key, int(version.removeprefix("v")), body).decrypt(raw[:12], raw[12:], None)
        except (ValueError, InvalidTag):
            raise Refuse(400, "invalid ciphertext: unable to decrypt") from None
