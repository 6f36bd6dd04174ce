"""Where a request comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection

from tornado.httputil import HTTPServerRequest

__all__ = ["address_of"]

_NETWORK = 64
"""Bits of an IPv6 address that one customer has; the rest is theirs to choose."""


def address_of(request: HTTPServerRequest, trusted: Collection[str]) -> str:
    """The peer's address; where a trusted proxy forwards, the last address it was told of that is not a proxy's.

    Of an IPv6 address its network. A forwarded text that is no address counts as the proxy's own.
    """
    peer = str(request.remote_ip)
    if peer in trusted:
        for said in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
            known = _known(said.strip())
            if known is None:
                break
            peer = known
            if known not in trusted:
                break
    return _network(peer)


def _known(text: str) -> str | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _network(text: str) -> str:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return text
    if address.version == 4 or address.is_loopback:
        return text
    return str(ipaddress.ip_network((address, _NETWORK), strict=False))
