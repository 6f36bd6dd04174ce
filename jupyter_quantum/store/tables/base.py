"""What every table is made of: the metadata, and columns that both databases have."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData, Text

__all__ = ["SERIAL", "integer", "metadata", "text"]

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# SQLite numbers rows by itself only for INTEGER keys.
SERIAL = BigInteger().with_variant(Integer, "sqlite")


def text(name: str, *more: Any, null: bool = False, **options: Any) -> Column[str]:
    """A column of texts."""
    return Column(name, Text, *more, nullable=null, **options)


def integer(name: str, *, null: bool = False, **options: Any) -> Column[int]:
    """A column of integers of 64 bits: amounts, moments, counts."""
    return Column(name, BigInteger, nullable=null, **options)
