"""Rows of data keys."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

__all__ = ["KeyRow"]


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A tenant's data key, wrapped. The one that is neither retired nor destroyed seals; retired ones still open."""

    id: str
    tenant: str
    """A project, or ``service``."""
    version: int
    """1, 2, 3 … within the tenant."""
    algorithm: str
    """What it seals with: a name in ``store.crypt.ALGORITHMS``."""
    master: str
    """The provider's name of the master key that wraps it."""
    wrapped: bytes = field(repr=False)
    """Empty once it is destroyed."""
    created: datetime
    retired: datetime | None = None
    destroyed: datetime | None = None
