"""Rows of pseudonyms."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

__all__ = ["PersonRow"]


@dataclass(frozen=True, slots=True)
class PersonRow:
    """Whose a pseudonym is. Without this row nobody can tell any more."""

    pseudonym: str
    """``ppl_…``; drawn by chance, so that it says nothing of the person."""
    principal: str
    """``Principal.id``."""
    created: datetime
