"""Master keys: what wraps the data keys, wherever it is kept."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from jupyter_quantum.exceptions import Unavailable

__all__ = ["MasterKey", "Wrapped", "unanswered"]


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key as it may be stored."""

    master: str
    """The provider's name of the master key and its version."""
    wrapped: bytes


class MasterKey(Protocol):
    """A provider of the master key. Its methods block, and may be called from any thread.

    ``tenant`` is bound to the wrapped key where the provider can (the envelopes bind it in any case). Every method
    raises Unavailable: ``keys.provider`` where it does not answer, ``keys.unwrap`` where it refuses what it is given.
    """

    name: str
    """``file``, ``vault``, ``pkcs11``."""

    def current(self) -> str:
        """The master key that wraps now."""
        ...

    def wrap(self, tenant: str, raw: bytes) -> Wrapped:
        """Wrap a data key with the current master key."""
        ...

    def unwrap(self, tenant: str, wrapped: Wrapped) -> bytes:
        """The data key."""
        ...

    def rewrap(self, tenant: str, wrapped: Wrapped) -> Wrapped:
        """The same data key under the current master key."""
        ...

    def rotate(self) -> str:
        """Start a new version of the master key; the older ones still unwrap."""
        ...

    def forget(self, used: Collection[str]) -> list[str]:
        """Destroy the versions of the master key that wrap nothing any more; those destroyed."""
        ...


def unanswered(what: str, error: Exception) -> Unavailable:
    """What to raise where a provider does not answer; the cause is kept for the log, and never shown."""
    found = Unavailable(f"{what} did not answer, so the keys cannot be had.", code="keys.provider")
    found.__cause__ = error
    return found
