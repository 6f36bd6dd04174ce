"""Data at rest over a whole pipeline: sealed, rotated, shredded, deleted when due."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from jupyter_quantum.core.jobs import JobKind, JobState
from jupyter_quantum.exceptions import Conflict, InputError, NotFound, Refused, Unavailable
from jupyter_quantum.store import verify
from jupyter_quantum.store.artefacts import INLINE
from jupyter_quantum.store.tables import artefacts, jobs
from jupyter_quantum.testing.runner import MemoryRunner
from jupyter_quantum.wire.data import KeysView, RotateKeys, ShredKeys
from jupyter_quantum.wire.jobs import JobView, Pub
from jupyter_quantum.wire.reports import ReportRequest
from tests.integration.pipeline.conftest import ADA, BEN, COURSE, GRACE, LISE, House, person, request, running, until

ROOT = person("root", "quantum-admins", interactive=True)
SECRET = b"the circuit that nobody else may read"
ANGLE = 0.123456789012


def on_disk(house: House) -> bytes:
    """Every byte of the service's directory, the master key apart."""
    files = [path for path in house.settings.data_dir.rglob("*") if path.is_file() and path.name != "master-keys.json"]
    return b"".join(path.read_bytes() for path in files)


def padded(size: int) -> bytes:
    """A circuit of this size, found again easily."""
    return SECRET + b";" + b"x" * max(0, size - len(SECRET) - 1)


async def completed(house: House, who: Any = ADA, *, data: bytes = SECRET, **fields: Any) -> JobView:
    """A job that has run."""
    job = await house.pipeline.submit(who, request(data=data, **fields), key=None, wait_s=10)
    assert job.state is JobState.COMPLETED
    return job


async def later(house: House, days: float) -> None:
    """So many days pass."""
    house.pipeline._context.clock = lambda: datetime.now(UTC) + timedelta(days=days)


async def sealed_with(house: House) -> set[str | None]:
    """Keys that the artefacts of the course are under."""
    query = select(artefacts.c.key).where(artefacts.c.tenant == "qcourse")
    return {row[0] for row in await house.store.read(lambda view: list(view.query(query)))}


@pytest.fixture
async def kept(settings: Any) -> AsyncIterator[House]:
    """A service that keeps inputs for 30 days, results for 90; the course keeps results for 60."""
    course = COURSE.__class__(
        **{name: getattr(COURSE, name) for name in COURSE.__slots__ if name != "retention"}, retention={"results": 60}
    )
    projects = {**settings.projects, "qcourse": course}
    retention = {"inputs": 30, "results": 90, "logs": 10}
    async with running(settings, retention=retention, projects=projects) as house, house.runner():
        yield house


# -- sealed ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, INLINE + 1])
async def test_neither_circuit_nor_result_is_in_the_clear(house: House, runner: MemoryRunner, size: int) -> None:
    """What a job brought and gave is sealed, in the database and in files; its owner reads it as before."""
    job = await completed(house, data=padded(size))
    result = await house.pipeline.result(ADA, job.id)
    assert SECRET not in on_disk(house)
    assert b'"experiments"' not in on_disk(house)
    assert result.experiments
    bundle, _ = await house.pipeline.source(ADA, job.id)
    assert bundle.data == padded(size)
    assert (house.settings.data_dir / "master-keys.json").stat().st_mode & 0o077 == 0


async def test_projects_do_not_share_the_same_circuit(house: House, runner: MemoryRunner) -> None:
    """Two projects that send the same bytes have an object each, under keys of their own."""
    await completed(house)
    await completed(house, LISE)
    columns = (artefacts.c.tenant, artefacts.c.digest, artefacts.c.key)
    rows = await house.store.read(lambda view: list(view.query(select(*columns))))
    keys = {tenant: {row.key for row in rows if row.tenant == tenant} for tenant in ("qcourse", "lab", "service")}
    assert all(len(found) == 1 for found in keys.values())
    assert len({key for found in keys.values() for key in found}) == 3


# -- rotated -----------------------------------------------------------------------------------------------------------


def pending(view: KeysView, tenant: str = "qcourse") -> int:
    """Artefacts that wait for the current key."""
    return next(one.pending for one in view.tenants if one.tenant == tenant)


@pytest.mark.parametrize("size", [0, INLINE + 1])
async def test_rotation_seals_everything_again(house: House, runner: MemoryRunner, size: int) -> None:
    """After a rotation everything is under the new key, the old files are gone, and all is readable."""
    job = await completed(house, data=padded(size))
    before = await sealed_with(house)
    files = set((house.settings.data_dir / "artefacts").rglob("*"))
    view = await house.pipeline.data.keys.rotate(ROOT, RotateKeys(tenant="qcourse"))
    (course,) = (one for one in view.tenants if one.tenant == "qcourse")
    assert [key.state for key in course.keys] == ["retired", "current"]

    async def done() -> bool:
        return pending(await house.pipeline.data.keys.get(ROOT)) == 0

    await until(done)
    assert await sealed_with(house) == {course.keys[1].id} != before
    assert (await house.pipeline.source(ADA, job.id))[0].data == padded(size)
    assert (await house.pipeline.result(ADA, job.id)).experiments
    old = {path for path in files if path.is_file()}
    await until(lambda: not any(path.exists() for path in old))


async def test_a_rotation_that_was_cut_off_goes_on(settings: Any) -> None:
    """The service stops in the middle; the next start finishes the work."""
    async with running(settings) as house:
        async with house.runner():
            job = await completed(house)
        await house.store.write(lambda tx: tx.rotate_key("qcourse", actor="root"))
    async with running(settings) as house:

        async def done() -> bool:
            return pending(await house.pipeline.data.keys.get(ROOT)) == 0

        await until(done)
        assert (await house.pipeline.source(ADA, job.id))[0].data == SECRET


async def test_a_new_master_key_wraps_every_key(house: House, runner: MemoryRunner) -> None:
    """Every data key is wrapped anew, the old master key is destroyed, and all is readable, also after a restart."""
    job = await completed(house)
    old = (await house.pipeline.data.keys.get(ROOT)).master
    view = await house.pipeline.data.keys.rotate(ROOT, RotateKeys(master=True))
    assert view.master != old
    assert {key.master for one in view.tenants for key in one.keys} == {view.master}
    assert len(json.loads((house.settings.data_dir / "master-keys.json").read_text())["keys"]) == 1
    await house.close()
    await house.open()
    assert (await house.pipeline.source(ADA, job.id))[0].data == SECRET


async def test_only_administrators_handle_keys(house: House) -> None:
    """Leads, operators and users are refused."""
    for who in (ADA, GRACE):
        for act in (
            house.pipeline.data.keys.get(who),
            house.pipeline.data.keys.rotate(who, RotateKeys()),
            house.pipeline.data.keys.shred(who, ShredKeys(tenant="qcourse", confirm="qcourse")),
            house.pipeline.data.retention.plan(who),
            house.pipeline.data.retention.run_now(who),
        ):
            with pytest.raises(Refused):
                await act


# -- shredded ----------------------------------------------------------------------------------------------------------


async def test_what_is_shredded_is_gone_and_says_so(house: House, runner: MemoryRunner) -> None:
    """Nobody reads it any more, neighbours do; provenance, ledger and record stay; the project goes on."""
    job = await completed(house, data=padded(INLINE + 1))
    other = await completed(house, LISE)
    with pytest.raises(InputError) as unsure:
        await house.pipeline.data.keys.shred(ROOT, ShredKeys(tenant="qcourse", confirm="qcours"))
    assert unsure.value.code == "data.confirm"
    view = await house.pipeline.data.keys.shred(ROOT, ShredKeys(tenant="qcourse", confirm="qcourse", reason="asked"))
    (course,) = (one for one in view.tenants if one.tenant == "qcourse")
    assert [key.state for key in course.keys] == ["destroyed"]
    for read in (house.pipeline.result, house.pipeline.source, house.pipeline.executable):
        with pytest.raises(Conflict) as gone:
            await read(ADA, job.id)
        assert gone.value.code == "data.shredded"
    assert (await house.pipeline.provenance(ADA, job.id)).id == job.id
    assert (await house.pipeline.source(LISE, other.id))[0].data == SECRET
    assert not [path for path in (house.settings.data_dir / "artefacts").rglob("*") if path.is_file()]
    assert await house.store.read(verify) == []

    async def said() -> bool:
        types = [event.type for event in await house.store.read(lambda view: view.events(0))]
        return types.count("data.shredded") == 1

    assert await until(said)  # once it has its number
    again = await completed(house, data=padded(INLINE + 1))
    assert (await house.pipeline.source(ADA, again.id))[0].data == padded(INLINE + 1)


async def test_nothing_is_shredded_under_a_running_job(house: House) -> None:
    """Refused while jobs are under way; an unknown tenant, and the service itself, are absent."""
    async with house.runner() as held:
        held.hold()
        job = await house.pipeline.submit(ADA, request(), key=None, wait_s=0)
        with pytest.raises(Conflict) as refused:
            await house.pipeline.data.keys.shred(ROOT, ShredKeys(tenant="qcourse", confirm="qcourse"))
        assert refused.value.code == "data.open_jobs"
        await house.pipeline.cancel(ADA, job.id)
    for tenant in ("service", "absent"):
        with pytest.raises(NotFound):
            await house.pipeline.data.keys.shred(ROOT, ShredKeys(tenant=tenant, confirm=tenant))


# -- deleted -----------------------------------------------------------------------------------------------------------


async def test_each_class_goes_when_it_is_due(kept: House) -> None:
    """Inputs after 30 days, results after the project's 60, then the job is archived; the record stays."""
    job = await completed(kept)
    retention = kept.pipeline.data.retention
    assert (await retention.plan(ROOT)).due == []
    await later(kept, 31)
    assert {(one.data, one.count) for one in (await retention.plan(ROOT)).due} == {("inputs", 1), ("logs", 1)}
    await retention.run_now(ROOT)
    with pytest.raises(Conflict) as gone:
        await kept.pipeline.source(ADA, job.id)
    assert gone.value.code == "job.archived"
    assert "30 days" in gone.value.message
    assert (await kept.pipeline.result(ADA, job.id)).experiments
    await later(kept, 61)
    done = await retention.run_now(ROOT)
    assert (done.jobs, done.archived) == (1, 1)
    assert (await kept.pipeline.job(ADA, job.id)).state is JobState.ARCHIVED
    with pytest.raises(Conflict) as gone:
        await kept.pipeline.result(ADA, job.id)
    assert gone.value.code == "job.archived"
    provenance = await kept.pipeline.provenance(ADA, job.id)
    assert provenance.id == job.id
    await kept.ledger()
    assert await kept.store.read(verify) == []


@pytest.mark.parametrize("size", [0, INLINE + 1])
async def test_nothing_is_left_of_what_was_deleted(kept: House, size: int) -> None:
    """No byte of plaintext or ciphertext is in the database's file, its log or the artefacts' directory."""
    pubs = [Pub(circuit=0, parameters=[ANGLE])]
    await completed(kept, data=padded(size), kind=JobKind.SAMPLER, pubs=pubs)
    report = ReportRequest(circuits=request(data=b"another: " + SECRET).circuits, devices=["aer"], project="qcourse")
    await kept.pipeline.report(ADA, report)
    query = select(artefacts.c.raw, artefacts.c.file).where(artefacts.c.tenant == "qcourse")
    rows = await kept.store.read(lambda view: list(view.query(query)))
    store = kept.settings.data_dir / "artefacts"
    ciphers = [bytes(row.raw) if row.raw is not None else (store / row.file).read_bytes() for row in rows]
    pieces = [piece for raw in ciphers for piece in (raw[60:92], raw[-32:], raw[len(raw) // 2 :][:32])]
    before = on_disk(kept)
    assert all(piece in before for piece in pieces)
    await later(kept, 61)
    await kept.pipeline.data.retention.run_now(ROOT)
    await kept.store.scrub()
    after = on_disk(kept)
    assert [piece for piece in pieces if piece in after] == []
    assert SECRET not in after
    assert str(ANGLE).encode() not in after
    assert not [path for path in store.rglob("*") if path.is_file() and path.name in str(rows)]


async def test_what_a_live_job_shares_stays(kept: House) -> None:
    """The circuit of a job that was archived is also that of a younger job: it stays, until that one goes too."""
    first = await completed(kept)
    await later(kept, 40)
    second = await completed(kept)
    await kept.pipeline.data.retention.archive(ADA, first.id)
    with pytest.raises(Conflict):
        await kept.pipeline.source(ADA, first.id)
    assert (await kept.pipeline.source(ADA, second.id))[0].data == SECRET
    await kept.pipeline.data.retention.archive(ADA, second.id)
    query = select(artefacts.c.digest).where(artefacts.c.tenant == "qcourse")
    assert await kept.store.read(lambda view: list(view.query(query))) == []


async def test_an_owner_deletes_early(house: House, runner: MemoryRunner) -> None:
    """One's own final job, once or twice; not an open one, not another's: a stranger's is absent."""
    job = await completed(house)
    archive = house.pipeline.data.retention.archive
    for who, error in ((BEN, NotFound), (LISE, NotFound), (GRACE, Refused)):
        with pytest.raises(error):
            await archive(who, job.id)
    assert (await archive(ADA, job.id)).state is JobState.ARCHIVED
    assert (await archive(ADA, job.id)).state is JobState.ARCHIVED
    with pytest.raises(Conflict) as gone:
        await house.pipeline.result(ADA, job.id)
    assert gone.value.code == "job.archived"


async def test_what_nothing_refers_to_is_swept(house: House, tmp_path: Path) -> None:
    """An artefact whose transaction never came, and a file without a row, go when they are old; young ones stay."""
    await house.store.artefacts.put("qcourse", padded(INLINE))
    stray = house.settings.data_dir / "artefacts" / "zz" / "stray"
    stray.parent.mkdir(parents=True)
    stray.write_bytes(b"left by a crash")
    await house.pipeline.data.retention.enforce(actor="root")
    assert len([path for path in (house.settings.data_dir / "artefacts").rglob("*") if path.is_file()]) == 2
    await later(house, 2)
    done = await house.pipeline.data.retention.enforce(actor="root")
    assert done.artefacts == 1
    assert not [path for path in (house.settings.data_dir / "artefacts").rglob("*") if path.is_file()]


async def test_values_and_reports_are_sealed_in_their_rows(house: House, runner: MemoryRunner) -> None:
    """PUBs with their values, what was prepared of them and reports are texts of rows: sealed for their very place."""
    job = await completed(house, kind=JobKind.SAMPLER, pubs=[Pub(circuit=0, parameters=[ANGLE])])
    asked = ReportRequest(circuits=request(data=SECRET).circuits, devices=["aer"], project="qcourse")
    report = await house.pipeline.report(ADA, asked)
    assert str(ANGLE).encode() not in on_disk(house)
    assert b"runner.answer" not in on_disk(house)
    assert (await house.pipeline.source(ADA, job.id))[1][0].parameters == [ANGLE]
    assert (await house.pipeline.get_report(ADA, report.id)).rows == report.rows
    columns = select(jobs.c.pubs, jobs.c.prepared).where(jobs.c.id == job.id)
    (row,) = await house.store.read(lambda view: list(view.query(columns)))
    assert row.pubs.startswith("JQE1:")
    assert row.prepared.startswith("JQE1:")
    await house.store.write(lambda tx: tx._conn.execute(update(jobs).values(pubs=row.prepared)))
    with pytest.raises(Unavailable) as damaged:
        await house.pipeline.job(ADA, job.id)
    assert damaged.value.code == "store.damaged"
