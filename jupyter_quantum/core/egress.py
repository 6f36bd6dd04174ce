"""Where the service may send what users ask it to: rules about addresses, no network.

A target that a user names could be inside: the cloud's metadata, a database on loopback, a neighbour's printer. So only
public addresses are sent to, unless the operator lists the target. ``ipaddress.is_global`` is no help alone: it calls
NAT64 and 6to4 forms of private addresses global, and multicast too.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final
from urllib.parse import urlsplit

from jupyter_quantum.exceptions import InputError, Refused

__all__ = ["Egress", "Target"]

Address = IPv4Address | IPv6Address

_DENIED: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # carrier-grade NAT
            "127.0.0.0/8",  # loopback
            "169.254.0.0/16",  # link-local; clouds answer with credentials here
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # IETF protocols
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
            "::/96",  # unspecified, loopback, IPv4-compatible
            "::ffff:0:0/96",  # IPv4-mapped
            "::ffff:0:0:0/96",  # IPv4-translated
            "64:ff9b::/96",  # NAT64
            "64:ff9b:1::/48",  # NAT64, local use
            "100::/64",  # discard
            "2001::/23",  # IETF protocols, Teredo, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
            "5f00::/16",  # segment routing
            "fc00::/7",  # unique local
            "fe80::/10",  # link-local
            "fec0::/10",  # site-local
            "ff00::/8",  # multicast
        ),
    )
)
_V6: Final = ipaddress.ip_network("2000::/3")
"""All global unicast of today; what lies outside is not sent to."""
_LONGEST: Final = 2000


@dataclass(frozen=True, slots=True)
class Target:
    """An address that was read and may be tried."""

    url: str
    host: str
    port: int
    secure: bool


class Egress:
    """The operator's rules.

    Args:
        allowed: names of hosts and networks inside that may be sent to (``hooks.lab.example``, ``10.1.2.0/24``).
        ports: that may be sent to.
        plain: allow ``http`` to targets in ``allowed``.

    Raises ValueError for an entry that is neither a name nor a network.
    """

    def __init__(self, allowed: Iterable[str] = (), *, ports: Iterable[int] = (443,), plain: bool = False) -> None:
        self._networks = []
        self._names = set()
        for entry in allowed:
            if "/" in entry or _address(entry) is not None:
                self._networks.append(ipaddress.ip_network(entry))
            else:
                self._names.add(entry.lower().rstrip("."))
        self._ports = frozenset(ports)
        self._plain = plain

    def target(self, url: str) -> Target:
        """Read an address. Raises InputError ``webhook.url`` with what is wrong with it."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise _unusable("cannot be read") from None
        host = (parts.hostname or "").rstrip(".")
        if len(url) > _LONGEST or not host or not url.isascii() or any(c.isspace() or c == "\\" for c in url):
            raise _unusable("cannot be read")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise _unusable("holds a user name, a password or a fragment")
        secure = parts.scheme == "https"
        if not secure and not (parts.scheme == "http" and self._plain and self._listed(host)):
            raise _unusable("is not https")
        found = Target(url, host, port or (443 if secure else 80), secure)
        if found.port not in self._ports:
            raise _unusable(f"names port {found.port}; {', '.join(map(str, sorted(self._ports)))} may be used")
        address = _address(host)
        if address is not None:
            self.check(host, [address])
        return found

    def check(self, host: str, addresses: Iterable[Address]) -> None:
        """What a host resolved to, all of it. Raises Refused ``webhook.target`` where one of them is inside."""
        for address in addresses:
            if host.lower() not in self._names and not self._open(address):
                raise Refused(
                    "This address is inside the operator's network, or not one of the public internet.",
                    code="webhook.target",
                    hint="An operator can allow it: webhook_allow.",
                )

    def _listed(self, host: str) -> bool:
        address = _address(host)
        listed = address is not None and any(_within(address, network) for network in self._networks)
        return listed or host.lower() in self._names

    def _open(self, address: Address) -> bool:
        if any(_within(address, network) for network in self._networks):
            return True
        if isinstance(address, IPv6Address) and (address not in _V6 or address.scope_id is not None):
            return False
        return address.is_global and not any(_within(address, network) for network in _DENIED)


def _within(address: Address, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    return address.version == network.version and address in network


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _unusable(what: str) -> InputError:
    return InputError(
        f"The address {what}.", code="webhook.url", hint="Give one like https://hooks.example.org/quantum."
    )
