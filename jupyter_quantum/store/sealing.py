"""Sealing bytes with a tenant's keys, inside a writing request."""

from __future__ import annotations

import base64
from typing import Any, Final, TypeVar

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import Codec
from jupyter_quantum.store.crypt import DataKey
from jupyter_quantum.store.crypt.envelope import seal
from jupyter_quantum.store.reads.sealing import CURRENT, VEIL
from jupyter_quantum.store.rows import KeyRow
from jupyter_quantum.store.unit import Unit

__all__ = ["Sealing"]

R = TypeVar("R")

_LAST: Final = select(func.coalesce(func.max(t.keys.c.version), 0))
_ADD: Final = {
    dialect.dialect.name: c.Statement(dialect.insert(t.keys).on_conflict_do_nothing(), c.KEYS.names)
    for dialect in (sqlite, postgresql)
}


class Sealing(Unit):
    """Sealing within a writing request."""

    def seal(self, tenant: str, table: str, row: str, raw: bytes) -> bytes:
        """Seal bytes for one place; the tenant's first key is made where it has none.

        Call ``await store.ready(tenant)`` before, so that the writer need not wait for the provider of the master key.
        """
        return seal(self._current(tenant), table, row, raw)

    def sealing_key(self, tenant: str) -> KeyRow | None:
        """As in a view, but past what waits to be written: texts are sealed on their way there."""
        found = CURRENT.run(self._conn, {"wanted": tenant}).first()
        return None if found is None else c.KEYS.decode(found)

    def _veil(self, codec: Codec[R], row: R, name: str, text: str) -> str:
        found: Any = row
        place = f"{getattr(row, codec.key)}/{name}"
        sealed = seal(self._current(found.project), codec.table.name, place, text.encode())
        return VEIL + base64.b64encode(sealed).decode("ascii")

    def add_key(self, tenant: str) -> KeyRow:
        """The tenant's key, made where it has none; one of two that try at once makes it."""
        found = self.sealing_key(tenant)
        if found is None:
            wrapped = self._safe.keyring.fresh(tenant)
            last: int = self._conn.execute(_LAST.where(t.keys.c.tenant == tenant)).scalar_one()
            version = last + 1
            algorithm = self._safe.keyring.algorithm
            row = KeyRow(new_id("key"), tenant, version, algorithm, wrapped.master, wrapped.wrapped, self.now)
            _ADD[self._conn.dialect.name].run(self._conn, c.KEYS.encode(row))
            found = self.sealing_key(tenant)
            if found is None:
                raise Conflict("Something else changed this at the same moment.", hint="Try again.")
            if found.id == row.id:
                self._tell("key.added", actor="service", project=tenant, data={"key": row.id, "version": version})
        return found

    def _current(self, tenant: str) -> DataKey:
        if tenant not in self._sealing:
            self._sealing[tenant] = self._safe.keyring.unwrapped(self.sealing_key(tenant) or self.add_key(tenant))
        return self._sealing[tenant]
