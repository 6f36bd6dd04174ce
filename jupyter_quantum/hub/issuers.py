"""Keys of OIDC issuers: discovery (OpenID Connect Discovery 1.0) and JWKS, fetched rarely and within limits.

Only issuers that a project declares are ever asked. HTTPS, except on loopback where the configuration allows it; no
redirects, since those could lead anywhere.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.pipeline.planning import is_loopback

__all__ = ["Issuers"]

_FRESH_S: Final = 600.0
"""For so long keys are believed."""
_AGAIN_S: Final = 30.0
"""So long after asking an issuer it is not asked again, not even about a key that we do not know."""
_SIZE: Final = 128 * 1024
_KEYS: Final = 50
_CURVES: Final = {"EC": "P-256", "OKP": "Ed25519"}


@dataclass(slots=True)
class _Known:
    asked: float
    keys: KeySet | None
    """None: the issuer did not answer."""
    learnt: float
    """When it last said so; asking in vain makes keys no younger."""


class Issuers:
    """Public keys by issuer.

    Args:
        insecure_loopback: whether issuers on this machine may speak plain HTTP.
    """

    def __init__(self, *, insecure_loopback: bool = False) -> None:
        self._insecure = insecure_loopback
        self._known: dict[str, _Known] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._client = AsyncHTTPClient(force_instance=True, max_clients=8, defaults={}, max_body_size=_SIZE)

    async def keys(self, issuer: str, kid: str | None) -> KeySet:
        """The keys of an issuer, asked for again where the one of this id is new. Raises Unavailable.

        An id that does not exist makes no more than one question in half a minute.
        """
        async with self._locks.setdefault(issuer, asyncio.Lock()):
            known, now = self._known.get(issuer), time.monotonic()
            if known is None or now - _since(known, kid) > (_FRESH_S if _has(known, kid) else _AGAIN_S):
                known = self._known[issuer] = await self._fetched(issuer, known, now)
        if known.keys is None:
            raise Unavailable(
                "The token's issuer does not answer.", code="token.issuer_silent", hint="Try again in half a minute."
            )
        return known.keys

    async def _fetched(self, issuer: str, known: _Known | None, now: float) -> _Known:
        try:
            return _Known(now, await self._fetch(issuer), now)
        except (HTTPClientError, OSError, ValueError, TypeError, KeyError, JoseError):
            # What is known still holds for its time: an issuer that stumbles does not stop every workload.
            if known is not None and now - known.learnt <= _FRESH_S:
                return _Known(now, known.keys, known.learnt)
            return _Known(now, None, now)

    async def _fetch(self, issuer: str) -> KeySet:
        about = await self._json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
        if about.get("issuer") != issuer:
            raise ValueError("the issuer calls itself something else")
        found = (await self._json(str(about["jwks_uri"])))["keys"]
        return KeySet([key for one in found[:_KEYS] if (key := _key(one)) is not None])

    async def _json(self, url: str) -> dict[str, Any]:
        if urlsplit(url).scheme != "https" and not (self._insecure and is_loopback(url)):
            raise ValueError("not HTTPS")
        request = HTTPRequest(
            url,
            connect_timeout=3.0,
            request_timeout=5.0,
            follow_redirects=False,
            headers={"Accept": "application/json"},
        )
        found = json.loads((await self._client.fetch(request)).body)
        if not isinstance(found, dict):
            raise TypeError("not an object")
        return found

    def close(self) -> None:
        """Close open connections."""
        self._client.close()


def _since(known: _Known, kid: str | None) -> float:
    """Of a key that is known counts when it was learnt, of others when the issuer was last asked."""
    return known.learnt if _has(known, kid) else known.asked


def _has(known: _Known, kid: str | None) -> bool:
    return known.keys is not None and (kid is None or any(key.kid == kid for key in known.keys))


def _key(told: Any) -> RSAKey | ECKey | OKPKey | None:
    """A public key for one of the algorithms that we take; None for every other."""
    if not isinstance(told, dict) or told.get("use", "sig") != "sig":
        return None
    kind = told.get("kty")
    try:
        if kind == "RSA":
            key = RSAKey.import_key(told)
            return key if key.raw_value.key_size >= 2048 else None
        if _CURVES.get(str(kind)) != told.get("crv"):
            return None
        return ECKey.import_key(told) if kind == "EC" else OKPKey.import_key(told)
    except (JoseError, ValueError, TypeError, KeyError):
        return None
