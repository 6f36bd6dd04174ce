"""Writing artefacts within a request: sealed with the tenant's key, once for a tenant and digest."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import case
from sqlalchemy.dialects import postgresql, sqlite

from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.artefacts import INLINE
from jupyter_quantum.store.crypt.envelope import seal
from jupyter_quantum.store.reads.artefacts import TABLE
from jupyter_quantum.store.sealing import Sealing
from jupyter_quantum.wire.base import digest_of

__all__ = ["BlobWrites"]

_NAMES: Final = ["tenant", "digest", "raw", "file", "key", "size", "touched"]


def _upsert(dialect: Any) -> Any:
    """What is there stays, and counts as used now, so that nobody removes it meanwhile.

    What was kept unsealed, before artefacts were sealed, is replaced.
    """
    insert = dialect.insert(t.artefacts)
    kept, new = t.artefacts.c, insert.excluded
    sealed = {name: case((kept.key.is_(None), new[name]), else_=kept[name]) for name in ("raw", "file", "key")}
    return insert.on_conflict_do_update(index_elements=["tenant", "digest"], set_={**sealed, "touched": new.touched})


_PUT: Final = {dialect.dialect.name: c.Statement(_upsert(dialect), _NAMES) for dialect in (sqlite, postgresql)}
_PLACE: Final = {
    dialect.dialect.name: c.Statement(_upsert(dialect).returning(t.artefacts.c.file, t.artefacts.c.key), _NAMES)
    for dialect in (sqlite, postgresql)
}


class BlobWrites(Sealing):
    """Artefacts of a writing request."""

    def put_blob(self, tenant: str, raw: bytes) -> str:
        """Keep bytes for a tenant and return their digest.

        Small ones are written with this transaction. Call ``store.artefacts.put`` before for larger ones, so that the
        writer does not wait for the file.
        """
        digest = digest_of(raw)
        if (tenant, digest) in self._blobs:
            return digest
        self._blobs.add((tenant, digest))
        if len(raw) >= INLINE:
            file, key = self.place_blob(tenant, digest, len(raw))
            if file is not None and not self._safe.files.has(file):
                self._safe.files.put(file, seal(self._opening_key(tenant, key), TABLE, digest, raw))
            return digest
        key_of = self._current(tenant)
        self._put(_PUT, tenant, digest, raw=seal(key_of, TABLE, digest, raw), key=key_of.id, size=len(raw))
        return digest

    def place_blob(self, tenant: str, digest: str, size: int) -> tuple[str | None, str]:
        """Make room for a larger artefact: the file that it is to be in (None: it is in the database) and its key."""
        key = self._current(tenant)
        row = self._put(_PLACE, tenant, digest, file=self._safe.files.fresh(), key=key.id, size=size).one()
        return row.file, row.key

    def _put(self, statements: dict[str, c.Statement], tenant: str, digest: str, **values: Any) -> Any:
        whole = {"tenant": tenant, "digest": digest, "raw": None, "file": None, "touched": c.micros(self.now)}
        return statements[self._conn.dialect.name].run(self._conn, whole | values)
