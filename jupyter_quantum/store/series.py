"""Benchmark series and scores: what is written of them."""

from __future__ import annotations

from typing import Any

from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store.rows import ScoreRow, SeriesRow, SeriesRunRow
from jupyter_quantum.store.unit import Unit

__all__ = ["SeriesWrites"]


class SeriesWrites(Unit):
    """The part of a writing request for series. What ends is an event (``series.changed``); nobody is named in it."""

    def add_series_run(self, row: SeriesRunRow, *, actor: str) -> SeriesRunRow:
        """A run that is to be submitted. Raises Conflict ``series.open`` where one of this device has not ended."""
        if self.series_runs(device=row.device, state="open", limit=1):
            raise Conflict(
                f"A benchmark of {row.device} is under way.", code="series.open", hint="Wait until it has ended."
            )
        self._tell_run(row, actor)
        return self._shelf(c.SERIES_RUNS).add(row)

    def submitted_series_run(self, run_id: str, job: str) -> SeriesRunRow:
        """The job that runs it."""
        return self._shelf(c.SERIES_RUNS).change(self.series_run(run_id), job=job)

    def end_series_run(self, run_id: str, series: SeriesRow | None = None, **figures: Any) -> SeriesRunRow:
        """What came of it: the series of its conditions (made where it is the first), figures; or the code why not.

        Raises Conflict ``series.ended`` where it has ended already.
        """
        row = self.series_run(run_id)
        if row.state != "open":
            raise Conflict("This run has ended already.", code="series.ended")
        found = None if series is None else self._known_series(series).id
        state = "failed" if found is None else "done"
        after = self._shelf(c.SERIES_RUNS).change(row, state=state, series=found, ended=self.now, **figures)
        self._tell_run(after, "service")
        return after

    def _known_series(self, series: SeriesRow) -> SeriesRow:
        """The series of these conditions, made where it is the first."""
        known = self.series_of(series.key)
        if known is None:
            known = self._shelf(c.SERIES).add(series)
            self.flush()  # its runs refer to it
        return known

    def add_score(self, row: ScoreRow) -> ScoreRow:
        """How a job's estimates turned out."""
        return self._shelf(c.SCORES).add(row)

    def _tell_run(self, row: SeriesRunRow, actor: str) -> None:
        data = {"run": row.id, "device": row.device, "state": row.state, "series": row.series}
        # Canonical texts hold no floats that two databases might spell differently: four digits, as text.
        data["score"] = None if row.score is None else f"{row.score:.4f}"
        self._tell("series.changed", actor=actor, data=data | {"code": row.code})
