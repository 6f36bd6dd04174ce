"""Artefacts, files to be removed, and who leads."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, LargeBinary, Table

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["artefacts", "leases", "trash"]

artefacts = Table(
    "artefacts",
    metadata,
    text("tenant", primary_key=True),
    text("digest", primary_key=True),
    Column("raw", LargeBinary, nullable=True),
    text("file", null=True),
    # None: kept before artefacts were sealed.
    text("key", null=True),
    integer("size"),
    integer("touched"),
    CheckConstraint("raw IS NOT NULL OR file IS NOT NULL", name="kept"),
)

# Files that no row names any more, until they are removed: a crash in between leaves none behind.
trash = Table(
    "trash",
    metadata,
    text("file", primary_key=True),
    integer("since"),
)

leases = Table(
    "leases",
    metadata,
    text("name", primary_key=True),
    text("holder"),
    integer("fence"),
    integer("until"),
)
