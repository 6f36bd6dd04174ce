"""Sending to addresses that users named: one resolution, whose checked address is the one connected to."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tornado.httpclient import HTTPError, HTTPRequest
from tornado.netutil import Resolver
from tornado.simple_httpclient import SimpleAsyncHTTPClient

from jupyter_quantum.core.egress import Egress, Target
from jupyter_quantum.exceptions import QuantumError

__all__ = ["Sender", "Sent"]

_ANSWER: Final = 64 * 1024
_CONNECT_S: Final = 10.0
_WHOLE_S: Final = 20.0
_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Sent:
    """What sending came to."""

    status: int | None
    """None: there was no answer."""
    words: str
    """For the owner of the target; nothing of the answer's body."""
    retry_after: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the receiver has taken it."""
        return self.status is not None and 200 <= self.status < 300


class _Checked(Resolver):
    """Resolves a name once; all of its addresses must be open to us, and they are what is connected to."""

    def initialize(self, egress: Egress) -> None:
        self._egress = egress

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, Any]]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
        # A scope (fe80::1%eth0) is no part of the address that is checked, and makes it local.
        self._egress.check(host, [ipaddress.ip_address(address[0]) for *_, address in found])
        return [(kind, address) for kind, *_, address in found]


class Sender:
    """Posts bytes; follows no redirect, reads no long answer, waits for no slow one, uses no proxy of the environment.

    Args:
        egress: where it may send.
        authorities: a file of certificates that are trusted instead of the system's.
    """

    def __init__(self, egress: Egress, authorities: Path | None = None) -> None:
        self.egress = egress
        self._tls = ssl.create_default_context(cafile=None if authorities is None else str(authorities))
        self._client: SimpleAsyncHTTPClient | None = None

    async def post(self, target: Target, body: bytes, headers: Mapping[str, str]) -> Sent:
        """Send; what goes wrong is in the answer."""
        request = HTTPRequest(
            target.url,
            method="POST",
            headers={"Content-Type": "application/json", "User-Agent": "jupyter-quantum-webhooks", **headers},
            body=body,
            connect_timeout=_CONNECT_S,
            request_timeout=_WHOLE_S,
            follow_redirects=False,
            decompress_response=False,
            ssl_options=self._tls if target.secure else None,
        )
        try:
            answer = await self._open().fetch(request, raise_error=False)
        except QuantumError as error:
            return Sent(None, error.message)
        except (OSError, HTTPError, ssl.SSLError, ValueError) as error:
            return Sent(None, _words(error))
        if answer.code == 599:
            return Sent(None, _words(answer.error))
        return Sent(answer.code, f"It answered with status {answer.code}.", _seconds(answer.headers.get("Retry-After")))

    def close(self) -> None:
        """Close open connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _open(self) -> SimpleAsyncHTTPClient:
        if self._client is None:
            self._client = SimpleAsyncHTTPClient(
                force_instance=True,
                max_clients=_AT_ONCE,
                max_body_size=_ANSWER,
                max_header_size=_ANSWER,
                resolver=_Checked(egress=self.egress),
            )
        return self._client


def _words(error: BaseException | None) -> str:
    """Why there was no answer, without what the network's inside says of itself."""
    if isinstance(error, QuantumError):
        return error.message
    if isinstance(error, ssl.SSLCertVerificationError):
        return "Its certificate is not valid for this address."
    if isinstance(error, ssl.SSLError):
        return "It does not speak TLS as it should."
    if isinstance(error, socket.gaierror):
        return "Its name cannot be resolved."
    if isinstance(error, TimeoutError) or "imeout" in str(error):
        return f"It did not answer within {_WHOLE_S:.0f} s."
    if isinstance(error, OSError) and not isinstance(error, HTTPError):
        return "It cannot be reached."
    return "It did not answer as it should."


def _seconds(text: str | None) -> float | None:
    return float(text) if text is not None and text.isdecimal() and len(text) < 8 else None
