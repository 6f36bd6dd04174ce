"""Artefacts: sealed for a tenant, once for the same bytes, on every database."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select, update

from jupyter_quantum.exceptions import NotFound, Unavailable
from jupyter_quantum.store import Store, Tx
from jupyter_quantum.store.artefacts import INLINE
from jupyter_quantum.store.tables import artefacts
from jupyter_quantum.wire.base import digest_of

SIZES = [0, 11, INLINE - 1, INLINE, 3 * INLINE]
TEXT = b"a text that is easily found again"


def some(size: int) -> bytes:
    """Bytes of this size that are easily found again."""
    return (TEXT * (size // len(TEXT) + 1))[:size]


def on_disk(tmp_path: Path) -> bytes:
    """Every byte that a thief of the machine's disk finds (SQLite, files), the master key apart."""
    return b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file() and p.name != "master-keys.json")


@pytest.mark.parametrize("size", SIZES)
async def test_bytes_come_back_by_their_digest(store: Store, size: int) -> None:
    """Small and large, twice, alone and with a transaction; once in the store."""
    raw = some(size)
    digest = await store.artefacts.put("lab", raw)
    assert digest == digest_of(raw)
    assert await store.artefacts.put("lab", raw) == digest
    assert await store.write(lambda tx: tx.put_blob("lab", raw)) == digest
    assert await store.artefacts.get("lab", digest) == raw
    rows = await store.read(lambda view: list(view.query(select(artefacts.c.size, artefacts.c.key))))
    assert len(rows) == 1
    assert rows[0].size == size


@pytest.mark.parametrize("size", [len(TEXT), INLINE])
async def test_nothing_is_in_the_clear(store: Store, tmp_path: Path, size: int) -> None:
    """Neither the database's file, nor its log, nor a file of the artefacts holds the text."""
    raw = some(size)
    digest = await store.artefacts.put("lab", raw)
    await store.write(lambda tx: tx.put_blob("qcourse", raw))
    assert TEXT not in on_disk(tmp_path)
    assert await store.artefacts.get("qcourse", digest) == raw


@pytest.mark.parametrize("size", [11, INLINE])
async def test_tenants_share_nothing(store: Store, tmp_path: Path, size: int) -> None:
    """The same bytes of two tenants are two objects with two keys; another tenant's digest is absent."""
    raw = some(size)
    digest = await store.artefacts.put("lab", raw)
    with pytest.raises(NotFound):
        await store.artefacts.get("qcourse", digest)
    await store.artefacts.put("qcourse", raw)
    columns = (artefacts.c.raw, artefacts.c.file, artefacts.c.key)
    rows = await store.read(lambda view: list(view.query(select(*columns))))
    assert len({row.key for row in rows}) == 2
    assert len({row.raw or row.file for row in rows}) == 2
    assert len([path for path in (tmp_path / "artefacts").rglob("*") if path.is_file()]) == (2 if size >= INLINE else 0)


@pytest.mark.parametrize("digest", ["sha256:" + 64 * "0", "../../etc/passwd", "sha256:../x", ""])
async def test_absent_bytes_are_absent(store: Store, digest: str) -> None:
    """Whatever is asked for."""
    with pytest.raises(NotFound):
        await store.artefacts.get("lab", digest)


async def test_swapped_rows_are_refused(store: Store) -> None:
    """Ciphertext moved to another digest, or to another tenant together with its key's name, does not open."""
    one, two = [await store.artefacts.put("lab", raw) for raw in (b"one", b"two")]
    await store.artefacts.put("qcourse", b"one")

    def swap(tx: Tx) -> None:
        rows = list(tx.query(select(artefacts.c.tenant, artefacts.c.digest, artefacts.c.raw, artefacts.c.key)))
        (mine,) = (row for row in rows if (row.tenant, row.digest) == ("lab", one))
        for tenant, digest in (("lab", two), ("qcourse", one)):
            where = (artefacts.c.tenant == tenant) & (artefacts.c.digest == digest)
            tx._conn.execute(update(artefacts).where(where).values(raw=mine.raw, key=mine.key))

    await store.write(swap)
    for tenant, digest in (("lab", two), ("qcourse", one)):
        with pytest.raises(Unavailable) as refused:
            await store.artefacts.get(tenant, digest)
        assert refused.value.code == "store.damaged"
    assert await store.artefacts.get("lab", one) == b"one"


async def test_a_damaged_file_is_noticed(store: Store, tmp_path: Path) -> None:
    """One flipped bit in a file, and a file that is gone."""
    digest = await store.artefacts.put("lab", some(INLINE))
    (path,) = [path for path in (tmp_path / "artefacts").rglob("*") if path.is_file()]
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)
    with pytest.raises(Unavailable):
        await store.artefacts.get("lab", digest)
    path.unlink()
    with pytest.raises(NotFound):
        await store.artefacts.get("lab", digest)
    await store.artefacts.put("lab", some(INLINE))
    assert await store.artefacts.get("lab", digest) == some(INLINE)


async def test_many_at_once(store: Store) -> None:
    """Writers and readers of the same and of other bytes, some of them large, do not get in each other's way."""
    raws = [some(11) + bytes([n]) for n in range(10)] + [some(INLINE) + bytes([n % 2]) for n in range(6)]

    async def one(raw: bytes) -> bytes:
        return await store.artefacts.get("lab", await store.artefacts.put("lab", raw))

    assert await asyncio.gather(*(one(raw) for raw in raws * 2)) == raws * 2
