"""Ports on loopback for what a hub starts a moment later."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Final

__all__ = ["free_port", "free_ports", "is_free"]

_LOWEST: Final = 10240
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_USUAL: Final = 32768
"""Where Linux begins to hand out ports to outgoing connections unless it is told otherwise."""
_TRIES: Final = 200


def free_ports(count: int) -> list[int]:
    """``count`` different ports on loopback that are free now, none of which the system gives to a connection.

    A port that the system itself chooses (port 0) is one that it may choose again, for any outgoing connection of any
    program, before its server listens there: hubs take seconds to start.
    """
    below = _first_of_connections()
    found: list[int] = []
    if below > _LOWEST + count:
        for port in random.sample(range(_LOWEST, below), min(_TRIES, below - _LOWEST)):
            if len(found) == count:
                break
            if is_free(port):
                found.append(port)
    while len(found) < count:
        port = _any_port()
        if port not in found:
            found.append(port)
    return found


def free_port() -> int:
    """One of them."""
    return free_ports(1)[0]


def _first_of_connections() -> int:
    try:
        return int(_RANGE.read_text().split()[0])
    except (OSError, ValueError, IndexError):  # not Linux
        return _USUAL


def is_free(port: int) -> bool:
    """Whether a server could listen at a port on loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that closes just now is free
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
