"""Benchmark series through the door: when they run, what they say, what begins another; how estimates are scored."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jupyter_quantum.core.jobs import DeviceKind, JobClass, JobState
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.core.tenancy import ProjectSpec, Role
from jupyter_quantum.exceptions import Conflict, InputError, NotFound, Refused
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.pipeline.scoring import scores
from jupyter_quantum.pipeline.settings import Isolation, SeriesSettings
from jupyter_quantum.pipeline.standings import COLUMNS
from jupyter_quantum.store.rows import ScoreRow
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.reports import ReportRequest
from jupyter_quantum.wire.results import Agreement
from jupyter_quantum.wire.series import CircuitSet, CircuitSets, SeriesCircuit, SeriesView
from tests.integration.pipeline.conftest import ADA, COURSE, EVE, LISE, OTHER, OTTO, House, request, running, until

BENCHMARKS = ProjectSpec(
    "benchmarks",
    "campus",
    "pilot",
    frozenset(),
    frozenset(),
    10 * CREDIT,
    10 * CREDIT,
    service_accounts={"quantum": Role.USER},
)


def a_set(data: bytes = b"n=2", **ideal: float) -> CircuitSet:
    """One mirror circuit; the runner in memory answers half 00, half 11."""
    circuit = SeriesCircuit(
        name="mirror-2", family="mirror", num_qubits=2, depth=4, measure="success", ideal=ideal or {"0x3": 1.0}
    )
    return CircuitSet(name="one", num_qubits=2, recipe={}, qpy=data, qpy_digest=digest_of(data), circuits=[circuit])


def measured(folder: Path, *sets: CircuitSet, devices: tuple[str, ...] = ("fake_torino",), **told: Any) -> Any:
    """Settings of a service that measures these devices every hour."""
    path = folder / "circuits.json"
    path.write_text(CircuitSets(sets=list(sets) or [a_set()]).model_dump_json())
    fields = {"project": "benchmarks", "every_s": 3600.0, "shots": 400, "sets": path}
    return SeriesSettings(**(fields | {"devices": frozenset(devices)} | told))


@asynccontextmanager
async def house_with(settings: Settings, series: SeriesSettings, **changes: Any) -> AsyncIterator[House]:
    """A service that has the benchmarks' project, too."""
    projects = {spec.name: spec for spec in (COURSE, OTHER, changes.pop("project", BENCHMARKS))}
    async with running(settings, series=series, projects=projects, **changes) as house:
        house.directory.now["quantum@service"] = frozenset()  # a service of the hub has no groups
        yield house


async def series_of(house: House, runs: int) -> list[SeriesView]:
    """The series, once so many runs are done."""

    async def look() -> list[SeriesView] | None:
        found = (await house.pipeline.series.all(ADA)).series
        return found if sum(len(one.runs) for one in found) >= runs else None

    found: list[SeriesView] = await until(look, 10)
    return found


async def test_a_device_is_measured_by_itself_through_the_door(settings: Settings, tmp_path: Path) -> None:
    """One job of the service account, of the benchmarks' class, paid by its project; once an interval."""
    async with house_with(settings, measured(tmp_path)) as house, house.runner() as runner:
        (series,) = await series_of(house, 1)
        run = series.runs[0]
        figure = run.figures[0]
        assert (figure.value, figure.shots, run.score) == (0.5, 400, 0.5)
        assert figure.low < 0.5 < figure.high
        row = await house.store.read(lambda view: view.job(run.job or ""))
        assert (row.priority, row.owner, row.project) == (JobClass.BENCHMARK, "quantum", "benchmarks")
        assert row.principal == "quantum@service"
        assert row.cost
        assert row.idempotency == run.id
        for _ in range(3):
            await house.pipeline._turn()
        assert runner.executed == [f"{row.id}-1"]
        context = house.pipeline._context
        later = context.clock() + timedelta(seconds=3601)
        context.clock = lambda: later
        (series,) = await series_of(house, 2)
        assert [one.series for one in series.runs] == [series.id, series.id]
        await house.ledger()


async def test_other_conditions_begin_another_series(settings: Settings, tmp_path: Path) -> None:
    """A calibration, other shots, other circuits: each a series of its own; old conditions go on where they were."""
    async with house_with(settings, measured(tmp_path, devices=())) as house, house.runner() as runner:

        async def run_again(count: int) -> list[SeriesView]:
            await house.pipeline.series.run(OTTO, "fake_torino")
            return await series_of(house, count)

        (first,) = await run_again(1)
        await runner.announce(announcement("fake_torino", DeviceKind.EMULATOR, epoch=2))
        newer, older = await run_again(2)
        assert older.id == first.id
        assert newer.calibration != older.calibration
        assert len(newer.runs) == len(older.runs) == 1
        measuring = house.pipeline._measuring
        measuring._told = replace(measuring._told, shots=500)
        assert len(await run_again(3)) == 3
        measuring.sets = [a_set(b"n=2 ")]
        assert len(await run_again(4)) == 4
        measuring.sets, measuring._told = [a_set()], replace(measuring._told, shots=400)
        await runner.announce(announcement("fake_torino", DeviceKind.EMULATOR, epoch=1))
        again = await run_again(5)
        assert len(next(one for one in again if one.id == first.id).runs) == 2


async def test_a_run_that_was_cut_off_is_submitted_once(settings: Settings, tmp_path: Path) -> None:
    """Killed between the job and the note of it: the same key finds the job that is there."""
    async with house_with(settings, measured(tmp_path, devices=())) as house, house.runner() as runner:
        runner.hold()
        run = await house.pipeline.series.run(OTTO, "fake_torino")

        async def job() -> str | None:
            return (await house.store.read(lambda view: view.series_run(run.id))).job

        first = await until(job)
        await house.store.write(lambda tx: tx.submitted_series_run(run.id, ""))
        await house.store.write(lambda tx: tx._conn.exec_driver_sql("UPDATE series_runs SET job = NULL"))
        await until(lambda: runner.executed)
        await house.close()
        await house.open()
        async with house.runner() as other:
            assert await until(job) == first
            (series,) = await series_of(house, 1)
            assert series.runs[0].job == first
            assert {tag.rpartition("-")[0] for tag in other.executed + runner.executed} == {first}


async def test_its_class_weighs_little_and_waits_for_nobody_for_ever(settings: Settings, tmp_path: Path) -> None:
    """In a full queue it is charged fourfold, and runs all the same before those of a project that used more."""
    async with house_with(settings, measured(tmp_path, devices=())) as house, house.runner() as runner:
        runner.hold()
        jobs = [await house.pipeline.submit(ADA, request("fake_torino", 400), key=None, wait_s=0) for _ in range(6)]
        await house.pipeline.series.run(OTTO, "fake_torino")
        shares = house.pipeline._scheduling.scheduler.lane("fake_torino").shares
        await until(lambda: len(shares.waiting) == 6)
        benchmark = shares.waiting[-1]
        assert (benchmark.project, benchmark.priority, benchmark.charge(1.0)) == ("benchmarks", 0.25, 4.0)
        assert {one.priority for one in shares.waiting[:-1]} == {1.0}
        runner.go()
        await series_of(house, 1)
        await until(lambda: len(runner.executed) == 7)
        order = [tag.rpartition("-")[0] for tag in runner.executed]
        assert order.index(benchmark.id) < 6
        assert set(order) == {job.id for job in jobs} | {benchmark.id}


async def test_the_budget_bounds_it(settings: Settings, tmp_path: Path) -> None:
    """A run that the project cannot pay, or that costs more than allowed, is refused as anybody's would be."""
    poor = replace(BENCHMARKS, grant=1)
    async with house_with(settings, measured(tmp_path), project=poor) as house, house.runner():

        async def failed() -> Any:
            return await house.store.read(lambda view: view.series_runs(state="failed"))

        (run,) = await until(failed)
        assert run.code == "quota.exceeded"
        row = await house.store.read(lambda view: view.job(run.job))
        assert row.state is JobState.REJECTED
        for _ in range(3):  # not again and again
            await house.pipeline._turn()
        assert len(await failed()) == 1
    capped = measured(tmp_path, max_price=1)
    async with house_with(settings, capped) as house, house.runner():
        await house.store.write(lambda tx: tx._conn.exec_driver_sql("DELETE FROM series_runs"))
        (run,) = await until(lambda: house.store.read(lambda view: view.series_runs(state="failed")))
        assert run.code == "price.cap"


async def test_who_may_begin_a_run(settings: Settings, tmp_path: Path) -> None:
    """Operators, on devices that are there, one at a time, where it is configured."""
    async with house_with(settings, measured(tmp_path, devices=())) as house, house.runner() as runner:
        runner.hold()
        begin = house.pipeline.series.run
        with pytest.raises(Refused) as refused:
            await begin(ADA, "fake_torino")
        assert refused.value.code == "series.role"
        for who, device in ((EVE, "fake_torino"), (OTTO, "nowhere")):
            with pytest.raises(NotFound):
                await begin(who, device)
        await begin(OTTO, "fake_torino")
        with pytest.raises(Conflict) as caught:
            await begin(OTTO, "fake_torino")
        assert caught.value.code == "series.open"
        house.pipeline._measuring.sets = [a_set().model_copy(update={"num_qubits": 31})]
        with pytest.raises(Conflict) as caught:
            await begin(OTTO, "fake_fez")
        assert caught.value.code == "series.width"
    async with house_with(settings, SeriesSettings()) as house, house.runner():
        with pytest.raises(Conflict) as caught:
            await house.pipeline.series.run(OTTO, "fake_torino")
        assert caught.value.code == "series.off"


async def test_members_see_devices_and_strangers_nothing(settings: Settings, tmp_path: Path) -> None:
    """Every project's members see the same; who is in none sees none, and an id tells them nothing."""
    async with house_with(settings, measured(tmp_path)) as house, house.runner():
        (series,) = await series_of(house, 1)
        told = house.pipeline.series
        assert (await told.all(LISE)).series == (await told.all(ADA)).series == [series]
        assert await told.one(LISE, series.id) == series
        assert (await told.all(EVE)).series == []
        assert (await told.leaderboards(EVE)).boards == []
        for who, name in ((EVE, series.id), (ADA, "ser_nothing")):
            with pytest.raises(NotFound) as caught:
                await told.one(who, name)
            assert caught.value.message == "No such series, or it is not visible to you."


async def test_the_leaderboard_and_the_file_say_the_same(settings: Settings, tmp_path: Path) -> None:
    """Ranks follow the latest scores; the CSV has a line for each figure of each run."""
    series = measured(tmp_path, devices=("fake_torino", "fake_fez"))
    async with house_with(settings, series) as house, house.runner():
        found = await series_of(house, 2)
        run = next(one.runs[0] for one in found if one.device == "fake_fez")
        await house.store.write(
            lambda tx: tx._conn.exec_driver_sql(f"UPDATE series_runs SET score = 0.75 WHERE id = '{run.id}'")
        )
        (board,) = (await house.pipeline.series.leaderboards(ADA)).boards
        assert [(one.rank, one.device, one.score) for one in board.leaders] == [
            (1, "fake_fez", 0.75),
            (2, "fake_torino", 0.5),
        ]
        assert board.leaders[0].label == "emulator"
        lines = list(csv.DictReader(io.StringIO((await house.pipeline.series.csv(ADA)).decode())))
        assert tuple(lines[0]) == COLUMNS
        assert {line["device"] for line in lines} == {"fake_fez", "fake_torino"}
        assert {line["value"] for line in lines} == {"0.500000"}
        only = await house.pipeline.series.csv(ADA, "fake_fez")
        assert only.count(b"\r\n") == 2
        assert await house.pipeline.series.csv(EVE) == (",".join(COLUMNS) + "\r\n").encode()


async def test_mirror_results_stand_beside_estimates_of_hardware(settings: Settings, tmp_path: Path) -> None:
    """A report shows the latest of the circuit's size, for devices of kind qpu only."""
    series = measured(tmp_path, devices=("campus_qpu", "fake_torino"))
    async with house_with(settings, series) as house, house.runner():
        await series_of(house, 2)
        sent = ReportRequest(circuits=request().circuits, project="qcourse")
        rows = {row.device: row for row in (await house.pipeline.report(ADA, sent)).rows}
        mirror = rows["campus_qpu"].mirror
        assert mirror is not None
        assert (mirror.value, mirror.qubits, mirror.depth) == (0.5, 2, 4)
        assert rows["fake_torino"].mirror is None
        told = house.pipeline.series
        assert await told.mirror("campus_qpu", 3) is None  # nothing of that size has run
        assert await told.mirror("campus_qpu", 1) == mirror
        assert await told.mirror("aer", 2) is None


async def test_results_that_do_not_fit_make_no_series(settings: Settings, tmp_path: Path) -> None:
    """A set of two circuits and one answer: the run failed, and says why."""
    one = a_set()
    two = one.model_copy(update={"circuits": [*one.circuits, *one.circuits]})
    async with house_with(settings, measured(tmp_path, two)) as house, house.runner():
        (run,) = await until(lambda: house.store.read(lambda view: view.series_runs(state="failed")))
        assert (run.code, run.series) == ("series.result", None)
        assert (await house.pipeline.series.all(ADA)).series == []


async def test_a_run_during_which_the_calibration_changed_is_in_no_series(settings: Settings, tmp_path: Path) -> None:
    """Its conditions were two."""
    async with house_with(settings, measured(tmp_path, devices=())) as house, house.runner() as runner:
        runner.hold()
        await house.pipeline.series.run(OTTO, "fake_torino")
        await until(lambda: runner.executed)
        await runner.announce(announcement("fake_torino", DeviceKind.EMULATOR, epoch=2))
        runner.go()
        (run,) = await until(lambda: house.store.read(lambda view: view.series_runs(state="failed")))
        assert run.code == "series.drift"
        assert (await house.pipeline.series.all(ADA)).series == []


async def test_a_file_of_circuits_is_checked_when_it_is_read(settings: Settings, tmp_path: Path) -> None:
    """Circuits that are not those of their digest, or no file at all: the service says so at its start."""
    absent = measured(tmp_path, sets=tmp_path / "nowhere.json")
    for sets in (absent, measured(tmp_path, a_set().model_copy(update={"qpy": b"other"}))):
        made = House(replace(settings, series=sets))
        with pytest.raises(InputError) as caught:
            await made.open()
        made.store.close()
        assert caught.value.code == "config"


# -- scores ------------------------------------------------------------------------------------------------------------


async def test_each_finished_run_scores_its_estimates(house: House, runner: MemoryRunner) -> None:
    """Time and price of what ran, and success where the worker measured it; shown with devices and reports."""
    for _ in range(5):
        view = await house.pipeline.submit(ADA, request("fake_torino", 1000), key=None, wait_s=5)
        assert view.state is JobState.COMPLETED
    device = await house.pipeline.device(ADA, "fake_torino")
    told = {score.what: score for score in device.scores}
    assert set(told) == {"seconds", "price"}  # this runner measures no agreement
    assert (told["seconds"].runs, told["seconds"].covered, told["seconds"].error) == (5, 1.0, 0.0)
    assert told["price"].covered == 1.0
    assert told["price"].since is not None
    assert told["price"].words.startswith("100 % of 5 finished runs came out within the range")
    sent = ReportRequest(circuits=request().circuits, project="qcourse", devices=["fake_torino", "aer"])
    rows = {row.device: row for row in (await house.pipeline.report(ADA, sent)).rows}
    assert rows["fake_torino"].scores == device.scores
    assert rows["aer"].scores == []
    (listed,) = [one for one in (await house.pipeline.devices(ADA)).devices if one.name == "fake_torino"]
    assert listed.scores == device.scores


async def test_of_few_runs_nothing_is_shown_and_that_is_said_where_it_is_asked_for(
    house: House, runner: MemoryRunner
) -> None:
    """After four runs neither list nor report has scores; the device itself says that they are too few."""
    for _ in range(4):
        await house.pipeline.submit(ADA, request("fake_torino", 100), key=None, wait_s=5)
    listed = {one.name: one.scores for one in (await house.pipeline.devices(ADA)).devices}
    assert listed["fake_torino"] == []
    sent = ReportRequest(circuits=request().circuits, project="qcourse", devices=["fake_torino"])
    assert (await house.pipeline.report(ADA, sent)).rows[0].scores == []
    told = (await house.pipeline.device(ADA, "fake_torino")).scores
    assert {one.what for one in told} == {"seconds", "price"}
    assert {(one.runs, one.covered, one.error) for one in told} == {(4, None, None)}
    assert told[0].words == "Too few runs yet: 4 of the 5 that it takes to say how good they are."


async def test_the_first_forecast_of_a_wait_is_scored_by_the_wait(settings: Settings) -> None:
    """A job that waits behind another: what was said first, and how long it was; one that did not wait has none."""
    busy = announcement("fake_torino", DeviceKind.EMULATOR, slots=1)
    async with running(settings) as house, house.runner(busy) as runner:
        runner.hold()
        first = await house.pipeline.submit(ADA, request("fake_torino", 3000), key=None, wait_s=0)
        await until(lambda: runner.executed)
        second = await house.pipeline.submit(ADA, request("fake_torino", 100), key=None, wait_s=0)

        async def told() -> str | None:
            return (await house.store.read(lambda view: view.job(second.id))).forecast

        said = json.loads(await until(told))
        assert 0 < said["p50"] <= said["p90"]
        await house.store.write(lambda tx: tx.set_waits({second.id: '{"p50": 99.0, "p90": 99.0}'}))
        assert json.loads(await told() or "") == said
        runner.go()
        await until(lambda: house.store.read(lambda view: len(view.scores("fake_torino")) == 2))
        rows = {row.job: row for row in await house.store.read(lambda view: view.scores("fake_torino"))}
        started = (await house.pipeline.job(ADA, second.id)).started
        assert started is not None
        waited = (started - datetime.fromisoformat(said["at"])).total_seconds()
        row = rows[second.id]
        assert (row.wait, row.wait_high, row.waited) == (said["p50"], said["p90"], pytest.approx(waited))
        assert (rows[first.id].wait, rows[first.id].waited) == (None, None)


def test_forecasts_of_the_start_are_told_in_words() -> None:
    """Covered: started by the ninth decile; off by a part of the median."""
    noon = datetime(2026, 5, 12, 12, tzinfo=UTC)
    rows = [ScoreRow(f"job_{at}", "a", noon, wait=10.0, wait_high=20.0, waited=wait) for at, wait in enumerate(_WAITS)]
    (told,) = scores(rows)
    assert (told.what, told.runs, told.covered, told.error) == ("wait", 5, 0.8, 0.5)
    assert told.words == (
        "80 % of 5 runs that waited started by the time of 9 in 10; half of the forecasts of the start are off by "
        "50 % or less."
    )


_WAITS = (5.0, 10.0, 15.0, 20.0, 31.0)


async def test_only_benchmarks_isolate_a_device_by_their_success(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ada's runs come back with 0.3 of a predicted 0.95 and change nothing; three benchmarks that do, isolate it."""
    from jupyter_quantum.testing import runner as memory

    plain = memory._result

    def poor(do: Any) -> Any:
        return plain(do).model_copy(update={"agreement": Agreement(value=0.3, certain=True)})

    monkeypatch.setattr(memory, "_result", poor)
    rules = Isolation(mirror=0.8)
    async with house_with(settings, measured(tmp_path, devices=()), isolation=rules) as house, house.runner():
        for _ in range(4):
            await house.pipeline.submit(ADA, request("fake_torino", 100), key=None, wait_s=5)
        await house.pipeline._runners.health.judge("fake_torino")
        assert (await house.pipeline.device(ADA, "fake_torino")).state == "ready"
        for runs in (1, 2, 3):
            await house.pipeline.series.run(OTTO, "fake_torino")
            await series_of(house, runs)

        async def isolated() -> str | None:
            view = await house.pipeline.device(ADA, "fake_torino")
            return view.state_reason if view.state == "isolated" else None

        assert await until(isolated) == ("benchmarks with a known answer succeeded with 0.30; 0.95 was predicted")


async def test_success_is_scored_by_what_the_worker_measured(
    house: House, runner: MemoryRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Predicted 0.95 within 0.93 to 0.97: 0.94 is inside, 0.80 is not, and half are off by what is said."""
    from jupyter_quantum.testing import runner as memory

    plain, values = memory._result, iter([0.94, 0.80, 0.95, 0.96, 0.60])

    def measured_result(do: Any) -> Any:
        return plain(do).model_copy(update={"agreement": Agreement(value=next(values), certain=True)})

    monkeypatch.setattr(memory, "_result", measured_result)
    for _ in range(5):
        await house.pipeline.submit(ADA, request("fake_torino", 100), key=None, wait_s=5)
    (told,) = [one for one in (await house.pipeline.device(ADA, "fake_torino")).scores if one.what == "success"]
    assert told.covered == pytest.approx(3 / 5)
    assert told.error == pytest.approx(0.01)
    assert "how often the known bit string came" in told.words


async def test_what_did_not_complete_is_not_scored(house: House, runner: MemoryRunner) -> None:
    """Failures say nothing about estimates."""
    runner.fail_next("worker.ended")
    view = await house.pipeline.submit(ADA, request("fake_torino", 100), key=None, wait_s=5)
    assert view.state is JobState.FAILED
    assert await house.store.read(lambda view: view.scores("fake_torino")) == []
