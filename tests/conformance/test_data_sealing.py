"""Sealing inside requests and views, on every database."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.store import Store, Tx
from jupyter_quantum.store.crypt import header_of
from jupyter_quantum.store.tables import events


async def test_what_a_request_seals_a_view_opens(store: Store) -> None:
    """The tenant's first key is made by the way; the next request uses it; the record names the key."""
    await store.ready("qcourse")
    sealed = await store.write(lambda tx: tx.seal("qcourse", "webhooks", "whk_1", b"secret"))
    again = await store.write(lambda tx: tx.seal("qcourse", "webhooks", "whk_1", b"secret"))
    assert header_of(sealed).key == header_of(again).key
    assert await store.read(lambda view: view.open("qcourse", "webhooks", "whk_1", sealed)) == b"secret"
    (key,) = await store.read(lambda view: view.keys("qcourse"))
    assert (key.version, key.algorithm, key.retired) == (1, "A256GCM", None)
    types = await store.read(lambda view: [row[0] for row in view.query(select(events.c.type))])
    assert types == ["key.added"]


async def test_sealing_without_getting_ready_works(store: Store) -> None:
    """A request that nobody prepared makes the key itself, and opens what it sealed."""

    def work(tx: Tx) -> bytes:
        return tx.open("lab", "t", "r", tx.seal("lab", "t", "r", b"text"))

    assert await store.write(work) == b"text"


@pytest.mark.parametrize("place", [("lab", "t", "r"), ("qcourse", "u", "r"), ("qcourse", "t", "s")])
async def test_an_envelope_does_not_open_elsewhere(store: Store, place: tuple[str, str, str]) -> None:
    """Another tenant, table or row is refused, also where that tenant has a key of its own."""
    await store.ready("lab")
    sealed = await store.write(lambda tx: tx.seal("qcourse", "t", "r", b"text"))
    with pytest.raises(Unavailable) as refused:
        await store.read(lambda view: view.open(*place, sealed))
    assert refused.value.code == "store.damaged"


async def test_a_key_of_a_failed_request_is_never_used(store: Store) -> None:
    """What a request made before it failed is not there, neither in the database nor in memory."""

    def fails(tx: Tx) -> None:
        tx.seal("qcourse", "t", "r", b"text")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await store.write(fails)
    assert await store.read(lambda view: view.keys("qcourse")) == []
    sealed = await store.write(lambda tx: tx.seal("qcourse", "t", "r", b"text"))
    assert await store.read(lambda view: view.open("qcourse", "t", "r", sealed)) == b"text"


async def test_many_at_once_agree_on_one_key(store: Store) -> None:
    """However many requests meet a new tenant, it has one key."""
    await asyncio.gather(*(store.ready("qcourse") for _ in range(20)))
    await asyncio.gather(*(store.write(lambda tx: tx.seal("lab", "t", "r", b"")) for _ in range(20)))
    keys = await store.read(lambda view: view.keys())
    assert [(key.tenant, key.version) for key in keys] == [("lab", 1), ("qcourse", 1)]
