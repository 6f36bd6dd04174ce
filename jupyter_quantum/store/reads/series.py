"""Benchmark series, their runs, and how estimates turned out."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import exists, func, select

from jupyter_quantum.core.jobs import JobClass
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import SCORES, SERIES, SERIES_RUNS, micros, moment
from jupyter_quantum.store.reading import Reading, where
from jupyter_quantum.store.rows import ScoreRow, SeriesRow, SeriesRunRow, SeriesRunState

__all__ = ["SeriesReads"]


class SeriesReads(Reading):
    """Series and scores, one or several."""

    def series(self, series_id: str) -> SeriesRow:
        """The series."""
        return self._need(SERIES, series_id, "series")

    def series_run(self, run_id: str) -> SeriesRunRow:
        """The run."""
        return self._need(SERIES_RUNS, run_id, "run of a series")

    def series_of(self, key: str) -> SeriesRow | None:
        """The series of these conditions (``core.series.Conditions.key``)."""
        found = self._all(SERIES, SERIES.select.where(t.series.c.key == key))
        return found[0] if found else None

    def all_series(self, *, device: str | None = None, limit: int = 500) -> list[SeriesRow]:
        """Series, the newest first."""
        query = where(SERIES.select, t.series.c, device=device)
        return self._all(SERIES, query.order_by(t.series.c.id.desc()).limit(limit))

    def series_runs(
        self,
        *,
        device: str | None = None,
        series: Collection[str] | None = None,
        state: SeriesRunState | None = None,
        since: datetime | None = None,
        limit: int | None = 500,
    ) -> list[SeriesRunRow]:
        """Runs that match all that is given, the newest first."""
        query = where(SERIES_RUNS.select, t.series_runs.c, device=device, state=state)
        if series is not None:
            query = query.where(t.series_runs.c.series.in_(sorted(series)))
        if since is not None:
            query = query.where(t.series_runs.c.created >= micros(since))
        return self._all(SERIES_RUNS, query.order_by(t.series_runs.c.id.desc()).limit(limit))

    def last_series_runs(self) -> dict[str, tuple[datetime, SeriesRunState]]:
        """Device → when its latest run began, and where that is."""
        c = t.series_runs.c
        latest = select(func.max(c.id)).group_by(c.device)
        rows = self._reading().execute(select(c.device, c.created, c.state).where(c.id.in_(latest)))
        return {row.device: (moment(row.created), row.state) for row in rows}

    def scores(self, device: str, *, benchmarks: bool = False, limit: int = 200) -> list[ScoreRow]:
        """How the device's latest runs turned out, the newest first; ``benchmarks``: of runs of series only."""
        c, jobs = t.scores.c, t.jobs.c
        query = SCORES.select.where(c.device == device).order_by(c.created.desc(), c.job.desc())
        if benchmarks:
            query = query.where(exists().where(jobs.id == c.job, jobs.priority == JobClass.BENCHMARK))
        return self._all(SCORES, query.limit(limit))
