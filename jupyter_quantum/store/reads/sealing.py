"""Opening what is sealed with a tenant's keys."""

from __future__ import annotations

import base64
from typing import Any, Final, TypeVar

from sqlalchemy import bindparam

from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import KEYS, Codec, Statement
from jupyter_quantum.store.crypt import DataKey, header_of
from jupyter_quantum.store.crypt.envelope import damaged, open_sealed, seal
from jupyter_quantum.store.reading import Reading
from jupyter_quantum.store.rows import KeyRow

__all__ = ["CURRENT", "VEIL", "Opening"]

R = TypeVar("R")

VEIL: Final = "JQE1:"
"""What a sealed text begins with; base64 follows."""

CURRENT: Final = Statement(
    KEYS.select.where(
        t.keys.c.tenant == bindparam("wanted"), t.keys.c.retired.is_(None), t.keys.c.destroyed.is_(None)
    ).order_by(t.keys.c.version.desc())
)


class Opening(Reading):
    """Reading what is sealed."""

    def keys(self, tenant: str | None = None) -> list[KeyRow]:
        """Data keys (of a tenant), by tenant and version."""
        query = KEYS.select if tenant is None else KEYS.select.where(t.keys.c.tenant == tenant)
        return self._all(KEYS, query.order_by(t.keys.c.tenant, t.keys.c.version))

    def sealing_key(self, tenant: str) -> KeyRow | None:
        """The key that seals for this tenant now; None where it has none yet."""
        found = CURRENT.run(self._reading(), {"wanted": tenant}).first()
        return None if found is None else KEYS.decode(found)

    def warm(self, tenant: str) -> str | None:
        """Unwrap the key that seals for this tenant; its id, or None where there is none yet."""
        row = self.sealing_key(tenant)
        return None if row is None else self._safe.keyring.unwrapped(row).id

    def seal_with(self, key_id: str, tenant: str, table: str, row: str, raw: bytes) -> bytes:
        """Seal with a key that is there already."""
        return seal(self._opening_key(tenant, key_id), table, row, raw)

    def open(self, tenant: str, table: str, row: str, sealed: bytes) -> bytes:
        """What was sealed for this place.

        Raises Unavailable ``store.damaged`` where it was sealed for another place or changed since, Conflict
        ``data.shredded`` where its key was destroyed.
        """
        return open_sealed(self._opening_key(tenant, header_of(sealed).key), table, row, sealed)

    def _unveiled(self, codec: Codec[R], row: R) -> R:
        found: Any = row
        opened = {}
        for name in codec.veiled:
            text = getattr(row, name)
            if text is not None and text.startswith(VEIL):
                place = f"{getattr(row, codec.key)}/{name}"
                sealed = base64.b64decode(text[len(VEIL) :])
                opened[name] = self.open(found.project, codec.table.name, place, sealed).decode()
        return codec.replace(row, opened) if opened else row

    def _opening_key(self, tenant: str, key_id: str) -> DataKey:
        if key_id not in self._key_rows:
            row = self._get(KEYS, key_id)
            if row is None:
                raise damaged()
            self._key_rows[key_id] = row
        if self._key_rows[key_id].tenant != tenant:
            raise damaged()
        return self._safe.keyring.unwrapped(self._key_rows[key_id])
