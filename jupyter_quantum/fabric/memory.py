"""Address space: what a process takes, and what it may take on top."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["SLACK", "address_space"]

SLACK: Final = 192 * 1024 * 1024
"""Bytes for the stacks and arenas of simulation threads, which are reserved and hardly used."""


def address_space() -> int:
    """Bytes of address space of this process."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
