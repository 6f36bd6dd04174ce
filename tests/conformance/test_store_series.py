"""Series, their runs and scores, on every database behind the store."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import JobClass
from jupyter_quantum.exceptions import Conflict, NotFound
from jupyter_quantum.store import Store, Tx
from jupyter_quantum.store.rows import JobRow, ScoreRow, SeriesRow, SeriesRunRow
from jupyter_quantum.testing.rows import ADA, a_job, queue

NOON = datetime(2026, 5, 12, 12, tzinfo=UTC)


def a_run(device: str = "fake_torino", **changes: Any) -> SeriesRunRow:
    """A run that is to be submitted."""
    fields: dict[str, Any] = {"circuits": "sha256:set", "options": '{"shots":1000}', "created": NOON}
    return SeriesRunRow(new_id("bmr"), device, **(fields | changes))


def a_series(key: str = "sha256:one", device: str = "fake_torino") -> SeriesRow:
    """A series of these conditions."""
    return SeriesRow(new_id("ser"), key, device, "mirror-12", "sha256:set", "{}", "sha256:cal", NOON, "{}", NOON)


async def ended(store: Store, row: SeriesRunRow, series: SeriesRow | None, **figures: Any) -> SeriesRunRow:
    """A run from its start to its end."""

    def work(tx: Tx) -> SeriesRunRow:
        tx.add_series_run(row, actor="service")
        tx.submitted_series_run(row.id, "job_1")
        return tx.end_series_run(row.id, series, **figures)

    return await store.write(work)


async def test_runs_of_the_same_conditions_share_a_series(store: Store) -> None:
    """The key alone says which series a run belongs to; another key begins another."""
    first = await ended(store, a_run(), a_series(), score=0.9, figures='[{"name": "m"}]')
    again = await ended(store, a_run(), a_series(), score=0.8)
    other = await ended(store, a_run(), a_series("sha256:two"), score=0.7)
    assert first.series == again.series != other.series
    assert await store.read(lambda view: view.series_run(first.id)) == first
    assert (first.state, first.score, first.job) == ("done", 0.9, "job_1")
    assert {row.key for row in await store.read(lambda view: view.all_series())} == {"sha256:one", "sha256:two"}
    runs = await store.read(lambda view: view.series_runs(series=[str(first.series)]))
    assert {run.id for run in runs} == {first.id, again.id}


async def test_a_device_has_one_open_run(store: Store) -> None:
    """A second one waits for the end of the first; other devices do not."""
    row = await store.write(lambda tx: tx.add_series_run(a_run(), actor="service"))
    with pytest.raises(Conflict) as caught:
        await store.write(lambda tx: tx.add_series_run(a_run(), actor="service"))
    assert caught.value.code == "series.open"
    await store.write(lambda tx: tx.add_series_run(a_run("fake_fez"), actor="service"))
    await store.write(lambda tx: tx.end_series_run(row.id, code="quota"))
    await store.write(lambda tx: tx.add_series_run(a_run(), actor="service"))


async def test_a_run_ends_once(store: Store) -> None:
    """Neither figures nor a failure replace what was found; a failure belongs to no series."""
    row = await ended(store, a_run(), None, code="job.memory")
    assert (row.state, row.series, row.code) == ("failed", None, "job.memory")
    with pytest.raises(Conflict) as caught:
        await store.write(lambda tx: tx.end_series_run(row.id, a_series(), score=1.0))
    assert caught.value.code == "series.ended"
    assert await store.read(lambda view: view.all_series()) == []


async def test_events_tell_of_runs_and_name_nobody(store: Store) -> None:
    """Start and end are events of the record, without a principal."""
    row = await ended(store, a_run(), a_series(), score=0.875)
    fence = await store.write(lambda tx: tx.claim_leader("me", 5))
    await store.write(lambda tx: tx.number_events(fence or 0))
    events = await store.read(lambda view: view.events(0))
    assert [(event.type, event.data["state"], event.principal) for event in events] == [
        ("series.changed", "open", None),
        ("series.changed", "done", None),
    ]
    assert events[1].data == {
        "run": row.id,
        "device": "fake_torino",
        "state": "done",
        "series": row.series,
        "score": "0.8750",
        "code": None,
    }


async def test_the_latest_run_of_each_device(store: Store) -> None:
    """The scheduler asks for nothing else."""
    await ended(store, a_run(), a_series(), score=0.9)
    await store.write(lambda tx: tx.add_series_run(a_run(created=NOON + timedelta(hours=1)), actor="service"))
    await ended(store, a_run("aer"), None, code="quota")
    found = await store.read(lambda view: view.last_series_runs())
    assert found == {"fake_torino": (NOON + timedelta(hours=1), "open"), "aer": (NOON, "failed")}


async def test_scores_come_newest_first(store: Store) -> None:
    """Of one device, as many as are asked for; every field survives."""

    def work(tx: Tx) -> list[ScoreRow]:
        jobs = [queue(tx, 0, name=f"n{at}") for at in range(3)]
        whole = ScoreRow(jobs[0].id, "fake_torino", NOON, 0.9, 0.8, 0.95, 0.87, True, 2.0, 1.0, 3.0, 2.5, 10, 20, 12)
        rows = [whole, *(ScoreRow(job.id, "fake_torino", NOON + timedelta(hours=1)) for job in jobs[1:])]
        return [tx.add_score(row) for row in rows]

    rows = await store.write(work)
    found = await store.read(lambda view: view.scores("fake_torino"))
    assert found[-1] == rows[0]
    assert {row.job for row in found[:2]} == {row.job for row in rows[1:]}
    assert len(await store.read(lambda view: view.scores("fake_torino", limit=2))) == 2
    assert await store.read(lambda view: view.scores("aer")) == []


async def test_scores_of_benchmarks_stand_apart(store: Store) -> None:
    """Runs of series, not those of anybody else."""

    def work(tx: Tx) -> list[str]:
        mine = tx.add_job(a_job(), actor=ADA)
        bench = tx.add_job(a_job(priority=JobClass.BENCHMARK), actor=ADA)
        return [tx.add_score(ScoreRow(job.id, "fake_torino", NOON)).job for job in (mine, bench)]

    mine, bench = await store.write(work)
    assert {row.job for row in await store.read(lambda view: view.scores("fake_torino"))} == {mine, bench}
    found = await store.read(lambda view: view.scores("fake_torino", benchmarks=True))
    assert [row.job for row in found] == [bench]


async def test_the_first_forecast_of_a_wait_stays(store: Store) -> None:
    """Later ones, and none, change the wait and not what was said first; a wait nobody knows is no forecast."""
    job = await store.write(lambda tx: queue(tx, 0))
    for text in ('{"p50": null, "p90": null}', '{"p50": 5.0, "p90": 9.0}', '{"p50": 70.0, "p90": 99.0}', None):
        await store.write(lambda tx, text=text: tx.set_waits({job.id: text}))
    row = await store.read(lambda view: view.job(job.id))
    told = json.loads(row.forecast or "{}")
    assert (row.wait, told["p50"], told["p90"]) == (None, 5.0, 9.0)
    assert datetime.fromisoformat(told["at"]).tzinfo is not None


async def test_a_jobs_class_is_kept_and_cannot_be_raised(store: Store) -> None:
    """It comes with the draft; no later change touches it."""
    job: JobRow = await store.write(lambda tx: tx.add_job(a_job(priority=JobClass.BENCHMARK), actor=ADA))
    assert (await store.read(lambda view: view.job(job.id))).priority is JobClass.BENCHMARK
    with pytest.raises(TypeError):
        await store.write(lambda tx: tx.amend(job.id, actor=ADA, priority=JobClass.INTERACTIVE))


async def test_absent_series_are_absent(store: Store) -> None:
    """One answer, as for everything else."""
    for find in ("series", "series_run"):
        with pytest.raises(NotFound):
            await store.read(lambda view, find=find: getattr(view, find)("nowhere"))
    assert await store.read(lambda view: view.series_of("sha256:nothing")) is None
