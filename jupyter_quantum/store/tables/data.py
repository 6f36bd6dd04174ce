"""Data keys of tenants, wrapped by the master key."""

from __future__ import annotations

from sqlalchemy import Column, LargeBinary, Table, UniqueConstraint

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["keys"]

keys = Table(
    "keys",
    metadata,
    text("id", primary_key=True),
    text("tenant"),
    integer("version"),
    text("algorithm"),
    text("master"),
    Column("wrapped", LargeBinary, nullable=False),
    integer("created"),
    integer("retired", null=True),
    integer("destroyed", null=True),
    UniqueConstraint("tenant", "version"),
)
