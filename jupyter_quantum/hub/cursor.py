"""Numbers of events as readers see them.

The record numbers all events of all tenants without gaps, so the number itself would tell a reader how much everybody
else does. Each reader gets numbers of their own instead: a keyed permutation of 52 bits (which every JSON reader keeps
exactly), a Feistel network of four rounds (Luby and Rackoff, 1988). They name a place in the stream and nothing else.
"""

from __future__ import annotations

import hmac
from typing import Final

__all__ = ["Cursors"]

_HALF: Final = 26
_MASK: Final = (1 << _HALF) - 1
_ROUNDS: Final = 4
_LARGEST: Final = 1 << 44
"""No record has so many events: what stands for more was never given out."""


class Cursors:
    """Numbers of events to readers' numbers and back.

    Args:
        key: the service's secret; the same after a restart, so that streams go on where they were.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def show(self, seq: int, reader: str) -> int:
        """The reader's number of an event."""
        key = self._of(reader)
        left, right = seq >> _HALF, seq & _MASK
        for turn in range(_ROUNDS):
            left, right = right, left ^ _mixed(key, turn, right)
        return (left << _HALF) | right

    def read(self, shown: int, reader: str) -> int | None:
        """The event's number; None for one that this reader was never given."""
        if not 0 <= shown < 1 << (2 * _HALF):
            return None
        key = self._of(reader)
        left, right = shown >> _HALF, shown & _MASK
        for turn in reversed(range(_ROUNDS)):
            left, right = right ^ _mixed(key, turn, left), left
        seq = (left << _HALF) | right
        return seq if seq < _LARGEST else None

    def _of(self, reader: str) -> bytes:
        return hmac.digest(self._key, b"cursor " + reader.encode(), "sha256")


def _mixed(key: bytes, turn: int, half: int) -> int:
    return int.from_bytes(hmac.digest(key, bytes([turn]) + half.to_bytes(4, "big"), "sha256")[:4], "big") & _MASK
