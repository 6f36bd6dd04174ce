"""Ports for what starts a moment later: free, different, and not among those of outgoing connections."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from jupyter_quantum.hub import ports


def test_ports_are_different_free_and_below_those_of_connections() -> None:
    """Each can be bound, and the system would give none of them to a connection."""
    found = ports.free_ports(5)
    assert len(set(found)) == 5
    assert max(found) < ports._first_of_connections()
    for port in found:
        with socket.socket() as server:
            server.bind(("127.0.0.1", port))


def test_a_taken_port_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all but one of the range are taken, that one is found, and the next comes from the system."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        busy = int(taken.getsockname()[1])
        monkeypatch.setattr(ports.random, "sample", lambda _range, _count: [busy])
        assert busy not in ports.free_ports(2)


def test_a_system_that_says_nothing_of_its_range_still_gets_ports(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No range file: the usual one is assumed."""
    monkeypatch.setattr(ports, "_RANGE", tmp_path / "none")
    assert ports.free_port() < 32768
