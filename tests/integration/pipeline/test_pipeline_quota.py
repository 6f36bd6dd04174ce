"""Budgets that are kept in memory are those of the database, at any moment."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from sqlite3 import connect

import pytest

from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.pipeline import budgets
from jupyter_quantum.testing.runner import MemoryRunner
from jupyter_quantum.wire.jobs import QuotaView
from tests.integration.pipeline.conftest import ADA, BEN, COURSE, House, request, until


async def _both(house: House) -> tuple[QuotaView, QuotaView]:
    """What the pipeline says, and what the database holds."""
    own = house.pipeline._deciding.budgets
    stored = await house.store.read(lambda view: own.quota_of(view, ADA.id, ADA.name, COURSE))
    return await house.pipeline.quota(ADA), stored


async def test_every_booking_is_seen_at_once(house: House, runner: MemoryRunner) -> None:
    """A hold, a settlement and a colleague's job change what is left; between them nothing is read."""
    for who in (ADA, BEN, ADA):
        runner.hold()
        job = await house.pipeline.submit(who, request("fake_torino"), key=None, wait_s=0.0)
        held, stored = await _both(house)
        assert held == stored
        runner.go()
        assert await until(partial(_done, house, who, job.id))
        said, stored = await _both(house)
        assert said == stored
        assert said is await house.pipeline.quota(ADA)
    assert said.left < 50 * CREDIT


async def _done(house: House, who: Principal, job: str) -> bool:
    return (await house.pipeline.job(who, job)).state in FINAL


async def test_what_another_program_writes_is_seen_soon(
    house: House, runner: MemoryRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has the database's file open: no longer than some seconds is believed what was read."""
    job = await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0.0)
    assert await until(partial(_done, house, ADA, job.id))
    before = await house.pipeline.quota(ADA)
    with closing(connect(house.store.path)) as other, other:
        other.execute("UPDATE accounts SET used = used + ? WHERE unit = 'credits'", (CREDIT,))
    monkeypatch.setattr(budgets, "_KNOWN_S", 0.0)
    after, stored = await _both(house)
    assert after == stored
    assert after.left == before.left - CREDIT


async def test_a_shared_database_is_read_each_time(
    house: House, runner: MemoryRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where other replicas book, nothing is kept."""
    await house.pipeline.submit(ADA, request("fake_torino"), key=None, wait_s=0.0)
    monkeypatch.setattr(type(house.store), "shared", property(lambda _: True))
    assert await house.pipeline.quota(ADA) is not await house.pipeline.quota(ADA)
