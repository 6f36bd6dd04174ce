"""Pseudonyms: the record names people by them, and forgetting a person is deleting one row here."""

from __future__ import annotations

from sqlalchemy import Table

from jupyter_quantum.store.tables.base import integer, metadata, text

__all__ = ["people"]

people = Table(
    "people",
    metadata,
    text("pseudonym", primary_key=True),
    text("principal", unique=True),
    integer("created"),
)
