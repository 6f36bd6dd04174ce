"""Artefacts by tenant and digest."""

from __future__ import annotations

from typing import Final

from sqlalchemy import bindparam, select

from jupyter_quantum.exceptions import NotFound
from jupyter_quantum.store.codec import Statement
from jupyter_quantum.store.crypt import shredded
from jupyter_quantum.store.crypt.envelope import damaged
from jupyter_quantum.store.reads.sealing import Opening
from jupyter_quantum.store.tables import artefacts
from jupyter_quantum.wire.base import digest_of

__all__ = ["GONE", "TABLE", "ArtefactReads"]

TABLE: Final = "artefacts"
"""The table's name, as the seals bind it."""
GONE: Final = "shredded:"
"""Before the digest of what was shredded: the row is all that is left of it."""

_ONE: Final = Statement(
    select(artefacts.c.raw, artefacts.c.file, artefacts.c.key).where(
        artefacts.c.tenant == bindparam("owner"), artefacts.c.digest == bindparam("wanted")
    )
)


class ArtefactReads(Opening):
    """Reading artefacts."""

    def blob(self, tenant: str, digest: str) -> bytes:
        """The bytes with this digest that the tenant keeps, from the database or from the files.

        Raises NotFound, also for what another tenant keeps; Conflict ``data.shredded``; Unavailable ``store.damaged``.
        """
        found = _ONE.run(self._reading(), {"owner": tenant, "wanted": digest}).first()
        if found is None:
            if _ONE.run(self._reading(), {"owner": tenant, "wanted": GONE + digest}).first() is not None:
                raise shredded(tenant)
            raise NotFound("No such artefact.")
        raw = self._safe.files.get(found.file) if found.raw is None else bytes(found.raw)
        if found.key is not None:
            return self.open(tenant, TABLE, digest, raw)
        if digest_of(raw) != digest:  # from before artefacts were sealed
            raise damaged()
        return raw
