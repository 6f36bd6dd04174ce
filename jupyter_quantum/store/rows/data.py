"""Rows of data keys and artefacts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

__all__ = ["DATA_CLASSES", "ArtefactRow", "KeyRow", "TenantData"]

DATA_CLASSES: Final = frozenset({"inputs", "results", "logs"})
"""What of a job can be erased. *inputs*: circuits as sent and as run, PUBs; *results*; *logs*: what errors said."""


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


@dataclass(frozen=True, slots=True)
class ArtefactRow:
    """An artefact, without its bytes."""

    tenant: str
    digest: str
    file: str | None
    """None: it is in the database."""
    key: str | None
    """None: it was kept before artefacts were sealed."""
    touched: int
    """Microseconds; when it was kept last."""


@dataclass(frozen=True, slots=True)
class TenantData:
    """What a tenant keeps."""

    tenant: str
    artefacts: int
    size: int
    """Bytes, before sealing."""
    pending: int
    """How many wait to be sealed with the current key."""
