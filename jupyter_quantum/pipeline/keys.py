"""Keys of the tenants: shown, rotated, shredded; artefacts are sealed again with the current key by and by."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import InputError, QuantumError, Refused, Unavailable
from jupyter_quantum.pipeline.bus import Bell
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.store import Tx
from jupyter_quantum.store.crypt import SERVICE, Wrapped
from jupyter_quantum.store.rows import ArtefactRow, KeyRow, TenantData
from jupyter_quantum.wire.data import KeysView, KeyView, RotateKeys, ShredKeys, TenantKeys

__all__ = ["Keys", "administrator"]

log = logging.getLogger(__name__)

_EVERY_S: Final = 60.0
"""Another replica may have rotated a key."""
_BATCH: Final = 20


def administrator(context: Context, who: Principal) -> None:
    """Raise Refused unless ``who`` is an administrator."""
    if "admin" not in context.people.staff(who):
        raise Refused("Administrators do this.", code="admin.role")


class Keys:
    """Commands about keys, and the work that they leave behind."""

    def __init__(self, context: Context, live: Live) -> None:
        self._context = context
        self._live = live
        self._bell = Bell()
        self._stuck: set[tuple[str, str]] = set()
        """Artefacts that cannot be opened; said once, and left as they are."""

    async def get(self, who: Principal) -> KeysView:
        """Every tenant's keys. For administrators."""
        administrator(self._context, who)
        return await self._view()

    async def rotate(self, who: Principal, asked: RotateKeys) -> KeysView:
        """Start a new key: of a tenant, of all of them, or the master key. What they sealed follows by and by.

        Raises NotFound for a tenant that keeps nothing, Unavailable ``keys.provider``.
        """
        administrator(self._context, who)
        if asked.master:
            await self._rotate_master(who)
        else:
            known = {key.tenant for key in await self._rows()}
            if asked.tenant is not None and asked.tenant not in known:
                raise absent("tenant")
            for tenant in sorted(known) if asked.tenant is None else [asked.tenant]:
                await self._rotate(tenant, who.id)
        self._live.committed()
        self._bell.ring()
        return await self._view()

    async def _rotate(self, tenant: str, actor: str) -> None:
        await self._context.store.write(lambda tx: tx.rotate_key(tenant, actor=actor))

    async def _rotate_master(self, who: Principal) -> None:
        keyring = self._context.store.keyring
        master = await self._context.store.in_thread(keyring.master.rotate)
        data = {"master": master, "provider": keyring.master.name}
        await self._context.store.write(lambda tx: tx.add_event("key.master_rotated", actor=who.id, data=data))
        await self._rewrap()

    async def shred(self, who: Principal, asked: ShredKeys) -> KeysView:
        """Destroy a tenant's keys. What is recorded of its jobs, and the ledger, stay.

        Raises InputError ``data.confirm`` unless the name is said twice, Conflict ``data.open_jobs``.
        """
        administrator(self._context, who)
        tenant = asked.tenant
        if tenant not in {key.tenant for key in await self._rows()} or tenant == SERVICE:
            raise absent("tenant")
        if asked.confirm != tenant:
            raise InputError("The names differ, so nothing was shredded.", code="data.confirm", hint="Say it twice.")
        store = self._context.store
        keys = await store.write(lambda tx: _shred(tx, tenant, who.id, asked.reason))
        for key in keys:
            store.keyring.drop(key.id)
        await store.scrub()
        self._live.committed()
        return await self._view()

    # By and by

    async def run(self) -> None:
        """For ever, in the process that leads: wrap keys anew, and seal what is not under its tenant's current key."""
        first = True
        while True:
            await self._live.leads.wait()
            try:
                if first:
                    await self._rewrap()
                    first = False
                await self._seal_all()
            except QuantumError as error:
                log.error("Keys: %s", error)
            except Exception:
                log.exception("sealing again failed")
            await self._bell.wait(_EVERY_S)

    async def _rewrap(self) -> None:
        """Every data key under the current master key, then the older ones are destroyed. Can be begun again."""
        store, master = self._context.store, self._context.store.keyring.master
        current = await store.in_thread(master.current)
        for key in [row for row in await self._rows() if row.destroyed is None and row.master != current]:
            await self._rewrap_one(key)
        used = {row.master for row in await self._rows() if row.destroyed is None}
        gone = await store.in_thread(lambda: master.forget(used))
        if gone:
            data = {"masters": gone}
            await store.apart(lambda tx: tx.add_event("key.master_destroyed", actor=SERVICE, data=data))
            self._live.committed()

    async def _rewrap_one(self, key: KeyRow) -> None:
        store = self._context.store
        old = Wrapped(key.master, key.wrapped)
        wrapped = await store.in_thread(lambda: store.keyring.master.rewrap(key.tenant, old))
        await store.apart(lambda tx: tx.rewrapped(key, wrapped))

    async def _seal_all(self) -> None:
        """A few at a time, so that jobs come between."""
        while rows := await self._to_seal():
            await asyncio.gather(*(self._seal(row) for row in rows))
            await self._context.store.scrub()

    async def _to_seal(self) -> list[ArtefactRow]:
        most = _BATCH + len(self._stuck)
        rows = await self._context.store.read(lambda view: view.to_seal(most))
        return [row for row in rows if (row.tenant, row.digest) not in self._stuck][:_BATCH]

    async def _seal(self, row: ArtefactRow) -> None:
        try:
            await self._context.store.seal_again(row)
        except Unavailable as error:
            if error.code != "store.damaged":
                raise
            self._stuck.add((row.tenant, row.digest))
            log.error("An artefact of %s (%s) cannot be opened: %s", row.tenant, row.digest, error.message)

    # Shown

    async def _rows(self) -> list[KeyRow]:
        return await self._context.store.read(lambda view: view.keys())

    async def _view(self) -> KeysView:
        store = self._context.store
        try:
            master = await store.in_thread(store.keyring.master.current)
        except Unavailable as error:
            log.error("Keys: %s", error)
            master = None
        kept = {data.tenant: data for data in await store.read(lambda view: view.kept())}
        keys: dict[str, list[KeyRow]] = {tenant: [] for tenant in kept}
        for row in await self._rows():
            keys.setdefault(row.tenant, []).append(row)
        tenants = [_tenant(tenant, rows, kept.get(tenant)) for tenant, rows in sorted(keys.items())]
        return KeysView(provider=store.keyring.master.name, master=master, tenants=tenants)


def _shred(tx: Tx, tenant: str, actor: str, reason: str) -> list[KeyRow]:
    if reason.strip():
        tx.add_event("data.shredding", actor=actor, project=tenant, data={"reason": reason.strip()})
    return tx.shred(tenant, actor=actor)


def _tenant(tenant: str, rows: list[KeyRow], kept: TenantData | None) -> TenantKeys:
    keys = [
        KeyView(
            id=row.id,
            version=row.version,
            algorithm=row.algorithm,
            master=row.master,
            state="destroyed" if row.destroyed else "retired" if row.retired else "current",
            created=row.created,
            retired=row.retired,
            destroyed=row.destroyed,
        )
        for row in rows
    ]
    counts = {} if kept is None else {"artefacts": kept.artefacts, "bytes": kept.size, "pending": kept.pending}
    return TenantKeys(tenant=tenant, keys=keys, **counts)
