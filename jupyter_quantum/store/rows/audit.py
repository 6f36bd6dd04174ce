"""Rows of the record's tree, and what an auditor may look for."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["CheckpointRow", "Sought", "TreeState"]


@dataclass(frozen=True, slots=True)
class TreeState:
    """The tree over the record at one moment."""

    size: int
    """Leaves: numbered events."""
    root: bytes


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A signed statement of the tree's size and root (C2SP tlog-checkpoint)."""

    size: int
    time: datetime
    note: str
    """The whole signed note, as its signer made it."""
    cosignatures: str = ""
    """Signature lines that witnesses added, each ending in a newline."""
    copied: datetime | None = None
    """When it was written to the second place; None until then."""
    witnessed: datetime | None = None
    """When the witness took it; None until then."""


@dataclass(frozen=True, slots=True)
class Sought:
    """What events an auditor looks for; they match all that is given. People are pseudonyms here."""

    who: tuple[str, ...] | None = None
    """Who did it, or whose it is: any of these."""
    project: str | None = None
    job: str | None = None
    device: str | None = None
    type: str | None = None
    """A type, or with ``*`` at its end the beginning of types: ``auth.*``."""
    effect: str | None = None
    """Policy's answer: allow, refuse, approval."""
    policy: str | None = None
    """Id of a policy that decided."""
    code: str | None = None
    """Code of a refusal."""
    since: datetime | None = None
    until: datetime | None = None
