"""What every part of a view stands on: one connection, and how a row is read from it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from sqlalchemy import Connection, Select

from jupyter_quantum.exceptions import NotFound
from jupyter_quantum.store.codec import Codec
from jupyter_quantum.store.rows import KeyRow
from jupyter_quantum.store.safe import Safe

__all__ = ["Reading", "absent", "where"]

R = TypeVar("R")


def absent(what: str) -> NotFound:
    """The one answer for what is absent or belongs to somebody else."""
    return NotFound(f"No such {what}, or it is not visible to you.")


def where(query: Select[Any], columns: Any, **wanted: str | None) -> Select[Any]:
    """The query with a condition for each value that is given."""
    for name, value in wanted.items():
        if value is not None:
            query = query.where(columns[name] == value)
    return query


class Reading:
    """The base of the mixins that :class:`~jupyter_quantum.store.view.View` is made of, one an area."""

    def __init__(self, conn: Connection, safe: Safe) -> None:
        self._conn = conn
        self._safe = safe
        self._key_rows: dict[str, KeyRow] = {}
        """Keys that were looked up already."""

    def _reading(self) -> Connection:
        return self._conn

    def query(self, query: Select[Any]) -> Iterator[Any]:
        """Rows of any SELECT, a few thousand at a time; for checks and figures over the whole database."""
        yield from self._reading().execute(query.execution_options(yield_per=2_000))

    def _get(self, codec: Codec[R], key: str) -> R | None:
        found = codec.one.run(self._reading(), {"key": key}).first()
        return None if found is None else self._decoded(codec, found)

    def _decoded(self, codec: Codec[R], found: Any) -> R:
        row = codec.decode(found)
        return self._unveiled(codec, row) if codec.veiled else row

    def _unveiled(self, codec: Codec[R], row: R) -> R:
        """The row with its sealed texts opened; the mixin that has the keys does it."""
        raise NotImplementedError

    def _need(self, codec: Codec[R], key: str, what: str) -> R:
        found = self._get(codec, key)
        if found is None:
            raise absent(what)
        return found

    def _all(self, codec: Codec[R], query: Select[Any]) -> list[R]:
        return [self._decoded(codec, row) for row in self._reading().execute(query)]
