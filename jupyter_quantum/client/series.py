"""Benchmark series from Python: ``hub.series()``, ``hub.leaderboards()``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from jupyter_quantum.charts import Trend, trend_chart
from jupyter_quantum.client.html import Html, clean, columns, table, time_tag, when
from jupyter_quantum.client.http import Connection
from jupyter_quantum.core import words
from jupyter_quantum.core.series import COMPILER
from jupyter_quantum.wire.series import (
    Figure,
    Leaderboard,
    Leaderboards,
    RunSeries,
    SeriesList,
    SeriesRunView,
    SeriesView,
)

__all__ = ["Boards", "RunCard", "SeriesCard", "SeriesTable", "SeriesTools"]

_HEAD = ("Device", "Set", "Latest score", "Success", "Fidelity", "Runs", "Calibrated", "Since", "Series")
_FIGURES_HEAD = ("Circuit", "Qubits", "Depth", "Measure", "Value (95 %)", "Shots")
_BOARD_HEAD = ("", "Device", "Kind", "Score", "Success", "Fidelity", "Width", "At")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _ranged(run: SeriesRunView) -> str:
    if run.score is None or run.low is None or run.high is None:
        return _share(run.score)
    return words.with_range(run.score, run.low, run.high, 3)


def _figures(found: Sequence[Figure]) -> list[tuple[str, ...]]:
    return [
        (
            one.name,
            words.number(one.num_qubits),
            words.number(one.depth),
            one.measure,
            words.with_range(one.value, one.low, one.high, 3),
            words.number(one.shots),
        )
        for one in found
    ]


class SeriesTable(SeriesList):
    """Series with their latest run; ``of(id)`` of :class:`SeriesTools` has every figure."""

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                one.device,
                one.name,
                _ranged(one.runs[0]) if one.runs else "–",
                _share(one.runs[0].success) if one.runs else "–",
                _share(one.runs[0].fidelity) if one.runs else "–",
                words.number(len(one.runs)),
                when(one.calibrated),
                when(one.created),
                one.id,
            )
            for one in self.series
        ]

    def _waiting(self) -> list[str]:
        return [f"{clean(one.device)}: a run is under way since {when(one.created)}." for one in self.open]

    def __repr__(self) -> str:
        if not self.series and not self.open:
            return "No benchmark has run yet."
        rows = [tuple(map(clean, row)) for row in self._rows()]
        return "\n".join([*([columns([_HEAD, *rows])] if rows else []), *self._waiting()])

    def _repr_html_(self) -> str:
        return Html(table(_HEAD, self._rows()) + "".join(f"<p>{line}</p>" for line in self._waiting()))


class SeriesCard(SeriesView):
    """One series: its conditions, its runs, the figures of the latest."""

    @property
    def _title(self) -> str:
        return f"{clean(self.name)} on {clean(self.device)} · {words.plural(len(self.runs), 'run')}"

    def _conditions(self) -> list[tuple[str, str]]:
        known = [f"{name} {self.compiler[name]}" for name in COMPILER if self.compiler.get(name) is not None]
        return [
            ("Circuits", self.circuits),
            ("Options", _options(self.options)),
            ("Compiler", ", ".join(known) or "–"),
            ("Calibration", self.calibration or "–"),
            ("Calibrated", when(self.calibrated)),
        ]

    def trend(self) -> str:
        """The scores over time, as SVG text."""
        points = [(one.ended or one.created, one.score, one.low or 0.0, one.high or 1.0) for one in self.runs]
        kept = tuple((at, value, low, high) for at, value, low, high in reversed(points) if value is not None)
        return trend_chart([Trend(self.name, kept)])

    def __repr__(self) -> str:
        parts = [self._title, columns([(name, clean(text)) for name, text in self._conditions()])]
        if self.runs:
            parts.append(columns([(when(run.created), _ranged(run), run.id) for run in self.runs]))
            parts.append(columns([_FIGURES_HEAD, *[tuple(map(clean, row)) for row in _figures(self.runs[0].figures)]]))
        return "\n\n".join(parts)

    def _repr_html_(self) -> str:
        runs = [(time_tag(run.created), _ranged(run), run.id) for run in self.runs]
        figures = _figures(self.runs[0].figures) if self.runs else []
        return Html(
            table((), self._conditions(), self._title)
            + table(("Run", "Score (95 %)", "Id"), runs)
            + table(_FIGURES_HEAD, figures, "Latest run")
        )


class RunCard(SeriesRunView):
    """A run of a set on a device."""

    def __repr__(self) -> str:
        said = {"open": "is under way", "done": f"scored {_ranged(self)}", "failed": f"failed ({self.code})"}
        return f"{self.id}: the benchmark of {clean(self.device)} {said[self.state]}."


class Boards(Leaderboards):
    """Devices by their latest run."""

    @staticmethod
    def _rows(board: Leaderboard) -> list[tuple[str, ...]]:
        return [
            (
                str(one.rank),
                one.device,
                one.label,
                *map(_share, (one.score, one.success, one.fidelity)),
                words.plural(one.width, "qubit") if one.width else "–",
                when(one.at),
            )
            for one in board.leaders
        ]

    def __repr__(self) -> str:
        shown = [
            f"{clean(board.name)} · {_options(board.options)}\n"
            + columns([_BOARD_HEAD, *[tuple(map(clean, row)) for row in self._rows(board)]])
            for board in self.boards
        ]
        return "\n\n".join(shown) or "No benchmark has run yet."

    def _repr_html_(self) -> str:
        shown = [table(_BOARD_HEAD, self._rows(one), f"{one.name} · {_options(one.options)}") for one in self.boards]
        return Html("".join(shown) or "<p>No benchmark has run yet.</p>")


def _options(options: Mapping[str, Any]) -> str:
    counted = {name: words.number(value) if isinstance(value, int) else value for name, value in options.items()}
    return clean(", ".join(f"{name} {value}" for name, value in counted.items()))


class SeriesTools:
    """Benchmark series of the devices that you see; beginning a run is for operators."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __call__(self, device: str | None = None) -> SeriesTable:
        """Series with their runs, the newest first."""
        return self._connection.get("series", SeriesTable, device=device)

    def of(self, series: str) -> SeriesCard:
        """One series with every figure of every run."""
        return self._connection.get(f"series/{quote(series, safe='')}", SeriesCard)

    def leaderboards(self) -> Boards:
        """Devices by their latest run: one board for each set of circuits and options."""
        return self._connection.get("leaderboards", Boards)

    def csv(self, device: str | None = None) -> bytes:
        """Every figure of every run as CSV."""
        return self._connection.file("series.csv", device=device)

    def run(self, device: str) -> RunCard:
        """Run the benchmarks on a device now (operators); their own budget pays."""
        return self._connection.post("series", RunCard, RunSeries(device=device))
