"""The store: one writer, several readers, artefacts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from jupyter_quantum.store.tx import Tx, View

__all__ = ["Artefacts", "Store"]

T = TypeVar("T")


class Artefacts:
    """Bytes by their digest: small ones in the database, larger ones in files."""

    async def put(self, raw: bytes) -> str: ...
    async def get(self, digest: str) -> bytes: ...


class Store:
    """Everything that is kept. ``Store("sqlite:////srv/jq/quantum.sqlite", artefacts="file:///srv/jq/artefacts")``."""

    artefacts: Artefacts

    def __init__(self, url: str, *, artefacts: str) -> None: ...
    def migrate(self) -> None: ...
    async def write(self, fn: Callable[[Tx], T]) -> T:
        """Run ``fn`` in the writer thread, all or nothing; returns when it is on disk."""
        ...

    async def read(self, fn: Callable[[View], T]) -> T:
        """Run ``fn`` in a reader thread, on one snapshot."""
        ...

    def close(self) -> None: ...
