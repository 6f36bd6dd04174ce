"""What is known of devices by their benchmark series: trends, the leaderboard, and how mirror circuits came back.

Series tell of devices and of nobody's jobs, so everybody who sees the devices sees them.
"""

from __future__ import annotations

import csv
import io
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, timedelta
from typing import Final

from pydantic import TypeAdapter

from jupyter_quantum.charts import wilson
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.pipeline.circuitsets import mean, width
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.evidence import Found
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.scoring import Scores
from jupyter_quantum.pipeline.series import Measuring
from jupyter_quantum.store import View
from jupyter_quantum.store.rows import SeriesRow, SeriesRunRow
from jupyter_quantum.wire.devices import MirrorResult
from jupyter_quantum.wire.series import Figure, Leader, Leaderboard, Leaderboards, SeriesList, SeriesRunView, SeriesView

__all__ = ["COLUMNS", "Standings"]

_SERIES_COLUMNS: Final = ("series", "device", "set", "circuits", "calibration", "compiler", "options")
_FIGURE_COLUMNS: Final = ("circuit", "family", "qubits", "depth", "measure", "value", "low", "high", "shots")
COLUMNS: Final = (*_SERIES_COLUMNS, "run", "time", *_FIGURE_COLUMNS)
"""Of the CSV file: a row for each circuit of each run."""

_FIGURES: Final = TypeAdapter(list[Figure])
_FRESH_S: Final = 10.0
_RUNS: Final = 400
"""Runs that one question looks at, at most: a year of a daily one."""


class Standings:
    """Answers questions about series."""

    def __init__(self, context: Context, measuring: Measuring, scores: Scores) -> None:
        self._context = context
        self._measuring = measuring
        self._scores = scores
        self._lately: dict[str, tuple[float, SeriesRunRow | None]] = {}

    async def all(self, who: Principal, device: str | None = None) -> SeriesList:
        """Series with their runs, the newest first, and the runs that have not ended."""
        if not self._context.people.sees_devices(who):
            return SeriesList(series=[])
        waiting = await self._context.store.read(lambda view: view.series_runs(device=device, state="open"))
        found = [_short(one) for one in await self._whole(device)]
        return SeriesList(series=found, open=[_run_view(run) for run in waiting])

    async def _whole(self, device: str | None = None) -> list[SeriesView]:
        def read(view: View) -> list[SeriesView]:
            runs = view.series_runs(device=device, state="done", limit=_RUNS)
            return _views(view.all_series(device=device), runs)

        return await self._context.store.read(read)

    async def one(self, who: Principal, series_id: str) -> SeriesView:
        """One series with its runs."""
        if not self._context.people.sees_devices(who):
            raise absent("series")

        def read(view: View) -> SeriesView:
            row = view.series(series_id)
            return _views([row], view.series_runs(series=[row.id], limit=_RUNS))[0]

        return await self._context.store.read(read)

    async def run(self, who: Principal, device: str) -> SeriesRunView:
        """Begin a run now, for an operator; see ``Measuring.run``."""
        return _run_view(await self._measuring.run(who, device))

    async def leaderboards(self, who: Principal) -> Leaderboards:
        """Devices by their latest run, those that can be compared on one board; the board that ran last comes first."""
        latest: dict[str, SeriesView] = {}
        for one in _by_last_run((await self.all(who)).series):
            latest.setdefault(one.device, one)
        boards: dict[str, list[SeriesView]] = {}
        for one in latest.values():
            boards.setdefault(json.dumps([one.circuits, one.options], sort_keys=True), []).append(one)
        return Leaderboards(boards=[self._board(found) for found in boards.values()])

    def _board(self, found: Sequence[SeriesView]) -> Leaderboard:
        ranked = sorted(found, key=lambda one: (-(one.runs[0].score or 0.0), one.device))
        leaders = [self._leader(rank, one) for rank, one in enumerate(ranked, start=1)]
        first = found[0]
        return Leaderboard(name=first.name, circuits=first.circuits, options=first.options, leaders=leaders)

    def _leader(self, rank: int, series: SeriesView) -> Leader:
        run, device = series.runs[0], self._context.registry.get(series.device)
        return Leader(
            rank=rank,
            device=series.device,
            label=device.label if device is not None else "not here now",
            score=run.score or 0.0,
            success=run.success,
            fidelity=run.fidelity,
            width=width(run.figures),
            at=run.ended or run.created,
            run=run.id,
            series=series.id,
        )

    async def csv(self, who: Principal, device: str | None = None) -> bytes:
        """Every figure as CSV, the newest series first, each series from its first run on."""
        found = await self._whole(device) if self._context.people.sees_devices(who) else []
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(COLUMNS)
        for series in found:
            writer.writerows(_lines(series))
        return text.getvalue().encode()

    # Beside estimates

    async def evidence(self, device: str, qubits: int, depth: int) -> Found:
        """What stands beside an estimate for a circuit of this size on this device."""
        scores = (await self._scores.shown([device]))[device]
        return Found(await self.mirror(device, qubits), scores)

    async def mirror(self, device: str, qubits: int) -> MirrorResult | None:
        """How the known string of mirror circuits came back lately: of the narrowest with at least so many qubits.

        None where nothing of that size has run lately.
        """
        run = await self._last(device)
        found = [] if run is None else _FIGURES.validate_json(run.figures)
        fits = [one for one in found if one.family == "mirror" and one.num_qubits >= qubits]
        if run is None or not fits:
            return None
        chosen = min(fits, key=lambda one: one.num_qubits)
        told = {name: getattr(chosen, name) for name in ("value", "low", "high", "depth")}
        return MirrorResult(**told, qubits=chosen.num_qubits, at=run.ended or run.created)

    async def _last(self, device: str) -> SeriesRunRow | None:
        """The latest run that came to an end lately, at most a few seconds old."""
        now = time.monotonic()
        known = self._lately.get(device)
        if known is not None and known[0] > now - _FRESH_S:
            return known[1]
        since = self._context.clock() - timedelta(seconds=self._context.settings.series.recent_s)
        rows = await self._context.store.read(
            lambda view: view.series_runs(device=device, state="done", since=since, limit=1)
        )
        self._lately[device] = (now, rows[0] if rows else None)
        return rows[0] if rows else None


def _short(series: SeriesView) -> SeriesView:
    """With the figures of its latest run only."""
    runs = [run if at == 0 else run.model_copy(update={"figures": []}) for at, run in enumerate(series.runs)]
    return series.model_copy(update={"runs": runs})


def _run_view(row: SeriesRunRow) -> SeriesRunView:
    found = _FIGURES.validate_json(row.figures)
    # Of a mean of shares an interval of all their shots is wide enough: means vary less than single shots.
    low, high = (None, None) if row.score is None else wilson(row.score, sum(one.shots for one in found))
    return SeriesRunView(
        id=row.id,
        device=row.device,
        created=row.created,
        state=row.state,
        job=row.job,
        series=row.series,
        ended=row.ended,
        score=row.score,
        low=low,
        high=high,
        success=mean(found, "success"),
        fidelity=mean(found, "fidelity"),
        figures=found,
        code=row.code,
    )


def _views(rows: Sequence[SeriesRow], runs: Iterable[SeriesRunRow]) -> list[SeriesView]:
    of: dict[str, list[SeriesRunView]] = defaultdict(list)
    for run in runs:
        of[run.series or ""].append(_run_view(run))
    return [
        SeriesView(
            id=row.id,
            device=row.device,
            name=row.name,
            circuits=row.circuits,
            options=json.loads(row.options),
            calibration=row.calibration,
            calibrated=row.calibrated,
            compiler=json.loads(row.compiler),
            created=row.created,
            runs=of[row.id],
        )
        for row in rows
    ]


def _by_last_run(found: Iterable[SeriesView]) -> list[SeriesView]:
    return sorted((one for one in found if one.runs), key=lambda one: one.runs[0].created, reverse=True)


def _lines(series: SeriesView) -> Iterable[tuple[object, ...]]:
    compiler = json.dumps(series.compiler, sort_keys=True)
    options = json.dumps(series.options, sort_keys=True)
    head = (series.id, series.device, series.name, series.circuits, series.calibration, compiler, options)
    for run in reversed(series.runs):
        at = f"{(run.ended or run.created).astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
        for one in run.figures:
            size = (one.name, one.family, one.num_qubits, one.depth, one.measure)
            yield (*head, run.id, at, *size, f"{one.value:.6f}", f"{one.low:.6f}", f"{one.high:.6f}", one.shots)
