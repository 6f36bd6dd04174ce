"""Reports: all devices in one go, rows as they come, a failing runner costs its own rows only."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from qiskit import QuantumCircuit, qpy

from jupyter_quantum.core.fairshare import Demand
from jupyter_quantum.core.forecast import if_submitted
from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import NotFound, Unavailable
from jupyter_quantum.pipeline import Pipeline, Settings
from jupyter_quantum.pipeline.evidence import Found
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.base import CircuitBundle, ErrorBody
from jupyter_quantum.wire.devices import MirrorResult, Score, Wait
from jupyter_quantum.wire.jobs import JobRequest
from jupyter_quantum.wire.reports import DryRun, ReportLine, ReportRequest, ReportRow
from jupyter_quantum.wire.runner import DeviceAnnouncement, Prepared, ReportTask, Task, Work
from tests.integration.pipeline.conftest import ADA, BEN, COURSE, DEVICES, PRICES, House, running, until

CIRCUITS = CircuitBundle(format="qasm2", data=b"n=3")
BROKEN = ErrorBody(error="Unavailable", code="runner.garbage", message="It broke off.")
NAMES = [device.name for device in DEVICES]


class _Half(MemoryRunner):
    """Answers reports for its first device, then fails."""

    async def _answer(self, task: Task) -> Any:
        do = task.do
        if not isinstance(do, ReportTask):
            return await super()._answer(task)
        first = self._prepare(do.work, self._devices[do.devices[0]], keep=False)
        await self._report(task, "part", prepared=[first, first])
        return await self._report(
            task, "failed", error=ErrorBody(error="QuantumError", code="runner.garbage", message="It broke off.")
        )


async def lines(service: Pipeline, **how: Any) -> list[ReportLine]:
    """A streamed report, to its end."""
    return [line async for line in await service.report_lines(ADA, ReportRequest(circuits=CIRCUITS, **how))]


async def test_rows_come_one_by_one(house: House, runner: MemoryRunner) -> None:
    """First every device as pending, then each row once, then the stored report with the same rows in its order."""
    first, *parts, last = await lines(house.pipeline, name="bell")
    assert first.name == "bell"
    names = [row.device for row in first.rows]
    assert sorted(names) == sorted(NAMES)
    assert all(row.pending for row in first.rows)
    came = [row for line in parts for row in line.rows]
    assert len(came) == len({row.device for row in came}) <= len(NAMES)
    assert last.report is not None
    whole = {row.device: row for row in last.report.rows}
    assert set(whole) == set(NAMES)
    assert all(whole[row.device] == row for row in came)
    assert [row.device for row in last.report.rows] == names
    assert not any(row.pending for row in last.report.rows)
    assert await house.pipeline.get_report(ADA, last.report.id) == last.report


async def test_a_report_rests_on_a_named_calibration(house: House, runner: MemoryRunner) -> None:
    """Estimates say what they rest on; where a worker says nothing of it, nothing is said."""
    report = (await lines(house.pipeline))[-1].report
    assert report is not None
    assert {row.rests_on for row in report.rows} == {None}


async def test_measurements_stand_beside_estimates(house: House, runner: MemoryRunner) -> None:
    """What is known of mirror circuits stands in the rows of QPUs, scores in all."""
    mirror = MirrorResult(value=0.9, low=0.88, high=0.92, qubits=3, depth=3, at=datetime(2026, 1, 1, tzinfo=UTC))

    async def ask(device: str, qubits: int, depth: int) -> Found:
        assert (qubits, depth) == (3, 3)
        return Found(mirror, [Score(what="success", runs=12, error=0.02)])

    house.pipeline._reports.evidence.ask = ask
    report = (await lines(house.pipeline))[-1].report
    assert report is not None
    assert {row.device for row in report.rows if row.mirror is not None} == {"campus_qpu"}
    assert all(row.scores[0].runs == 12 for row in report.rows)


async def test_a_failing_runner_costs_its_rows(settings: Settings) -> None:
    """Of a runner that breaks off, the row that came stays, the others say why; other runners' rows are whole."""
    others = [announcement(f"other_{name}", DeviceKind.EMULATOR) for name in "ab"]
    prices = PRICES | {device.name: PRICES["fake_fez"] for device in others}
    async with running(settings, prices=prices) as house, house.runner(), _Half(house.pipeline, others):
        report = (await lines(house.pipeline))[-1].report
    assert report is not None
    rows = {row.device: row for row in report.rows}
    assert rows["other_a"].problem is None
    assert rows["other_b"].code == "runner.garbage"
    assert all(rows[name].problem is None for name in NAMES)


async def test_a_runner_speaks_of_its_own_devices_only(settings: Settings) -> None:
    """Rows and dry runs of devices that others serve are not taken from it, however early they come."""
    mine = announcement("other_qpu", DeviceKind.EMULATOR)

    class Liar(MemoryRunner):
        async def _answer(self, task: Task) -> Any:
            if not isinstance(task.do, ReportTask):
                return await super()._answer(task)
            own = self._prepare(task.do.work, mine, keep=False)
            foreign = [own.model_copy(update={"device": name, "depth": 666}) for name in NAMES]
            await self._report(task, "part", prepared=foreign)
            lie = DryRun(device="aer", shots=1, ideal={"0": 1.0})
            return await self._report(task, "done", prepared=[own, *foreign], dry_run=lie)

    prices = PRICES | {mine.name: PRICES["fake_fez"]}
    async with running(settings, prices=prices) as house, Liar(house.pipeline, [mine]), house.runner() as honest:
        answer, told = honest._answer, asyncio.Event()

        async def later(task: Task) -> Any:
            await asyncio.sleep(0.3)
            told.set()
            return await answer(task)

        honest._answer = later  # type: ignore[method-assign]
        report = (await lines(house.pipeline, dry_run="aer"))[-1].report
    assert told.is_set()
    assert report is not None
    assert {row.device: row.depth for row in report.rows} == dict.fromkeys([*NAMES, "other_qpu"], 3)
    assert report.dry_run is None


async def test_where_nothing_could_be_checked_the_report_fails(house: House) -> None:
    """A single runner that breaks off before any row: the error itself, no empty report."""

    class Broken(MemoryRunner):
        async def _answer(self, task: Task) -> Any:
            return await self._report(task, "failed", error=BROKEN)

    async with Broken(house.pipeline, DEVICES):
        with pytest.raises(Unavailable, match="It broke off"):
            await lines(house.pipeline)


async def test_a_dry_run_on_no_device_is_refused(house: House) -> None:
    """A name that is mistyped is said at once; no report without the dry run that was asked for."""
    with pytest.raises(NotFound, match="No such device"):
        await house.pipeline.report(ADA, ReportRequest(circuits=CIRCUITS, dry_run="fake_torinno"))


async def test_who_stops_listening_frees_the_runner(house: House, runner: MemoryRunner) -> None:
    """A stream that is closed after its first line leaves no task on the board."""
    stream = await house.pipeline.report_lines(ADA, ReportRequest(circuits=CIRCUITS))
    await anext(stream)
    await stream.aclose()
    board = house.pipeline._context.board
    assert await until(lambda: not board._waiting and not board._leased)


class _Counting(MemoryRunner):
    """Counts the devices that it was asked about."""

    asked = 0

    def _prepare(self, work: Work, device: DeviceAnnouncement, *, keep: bool) -> Prepared:
        self.asked += 1
        return super()._prepare(work, device, keep=keep)


def bell(name: str) -> CircuitBundle:
    """A QPY file of a Bell circuit with this name."""
    circuit = QuantumCircuit(2, name=name)
    circuit.h(0)
    circuit.cx(0, 1)
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer, version=13)
    return CircuitBundle(format="qpy", data=buffer.getvalue())


async def test_asking_the_same_again_asks_no_worker(house: House) -> None:
    """The same circuit, also under another name: the same rows. Other shots, person or calibration: anew."""

    async def report(who: Principal = ADA, name: str = "one", **how: Any) -> dict[str, ReportRow]:
        found = await house.pipeline.report(who, ReportRequest(circuits=bell(name), **how))
        return {row.device: row for row in found.rows}

    async with _Counting(house.pipeline, DEVICES) as runner:
        first = await report()
        assert runner.asked == len(DEVICES)
        assert await report() == first
        other = await report(name="two")
        assert runner.asked == len(DEVICES)
        assert {row.executable for row in other.values()} == {None}
        assert {name: row.depth for name, row in other.items()} == {name: row.depth for name, row in first.items()}
        await report(options={"shots": 7})
        await report(BEN)
        assert runner.asked == 3 * len(DEVICES)
        await runner.announce(announcement("aer", slots=2, epoch=2))
        assert (await report())["aer"].calibration != first["aer"].calibration
        assert runner.asked == 4 * len(DEVICES)


async def test_what_is_known_comes_in_one_line(house: House, runner: MemoryRunner) -> None:
    """Nobody has to be asked: no pending rows first, the whole report at once, and it is there for whoever wants it."""
    assert len(await lines(house.pipeline)) > 1
    (only,) = await lines(house.pipeline)
    assert only.report is not None
    assert not any(row.pending for row in only.report.rows)
    assert await house.pipeline.get_report(ADA, only.report.id) == only.report
    job = await house.pipeline.submit(ADA, JobRequest(device="aer", report=only.report.id), key=None, wait_s=0.0)
    assert job.report == only.report.id


async def test_a_report_that_could_not_be_stored_is_unknown(
    house: House, runner: MemoryRunner, caplog: pytest.LogCaptureFixture
) -> None:
    """One given out at once whose storing fails is in the log, and no job is made of it; one that was awaited fails."""
    await lines(house.pipeline)
    store = house.pipeline._context.store

    async def full(_work: Any) -> None:
        raise Unavailable("The disk is full.", code="store.unavailable")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "write", full)
        (only,) = await lines(house.pipeline)
        assert only.report is not None
        with pytest.raises(Unavailable, match="disk is full"):
            await house.pipeline.report(ADA, ReportRequest(circuits=CIRCUITS))
        with pytest.raises(Unavailable, match="disk is full"):
            await lines(house.pipeline, options={"shots": 9})
    with pytest.raises(NotFound):
        await house.pipeline.submit(ADA, JobRequest(device="aer", report=only.report.id), key=None, wait_s=0.0)
    assert only.report.id in caplog.text


async def test_where_processes_share_a_database_a_report_is_stored_first(
    house: House, runner: MemoryRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another replica may get the job of it the next moment."""
    await lines(house.pipeline)
    monkeypatch.setattr(type(house.pipeline._context.store), "shared", property(lambda _: True))
    (only,) = await lines(house.pipeline)
    assert only.report is not None
    assert not house.pipeline._reports._coming


async def test_a_free_device_starts_now_as_the_forecast_says(house: House, runner: MemoryRunner) -> None:
    """Where nobody waits and a slot is free the outlook is *now*, just what running ahead on the queue finds."""
    queues = house.pipeline._queues
    device = house.pipeline._context.registry.get("aer")
    assert device is not None
    lane = queues._scheduler.lane("aer")
    job = Demand("job_new", "aer", COURSE.organisation, COURSE.name, ADA.id, queues._now(), 1.0, 1.0)
    ahead = if_submitted(lane, job, queues._now())
    assert queues.outlook(device, COURSE, ADA.id, None) == Wait(p50=0.0, p90=0.0)
    assert (ahead.p50, ahead.p90, ahead.reason) == (0.0, 0.0, "wait.device")
