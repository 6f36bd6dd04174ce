"""Small artefacts, and who leads."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, Table

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["blobs", "leases"]

blobs = Table(
    "blobs",
    metadata,
    text("digest", primary_key=True),
    Column("raw", LargeBinary, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    text("name", primary_key=True),
    text("holder"),
    integer("fence"),
    integer("until"),
)
