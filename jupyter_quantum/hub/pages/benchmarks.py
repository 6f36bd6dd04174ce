"""The page of benchmark series: leaderboard, a trend for each device, and how good estimates have been."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from jupyter_quantum.charts import Trend, trend_chart
from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.hub.pages.items import Clock, Moment, unstyled
from jupyter_quantum.wire.devices import DeviceView
from jupyter_quantum.wire.series import Leader, Leaderboard, SeriesRunView, SeriesView

if TYPE_CHECKING:
    from jupyter_quantum.pipeline import Pipeline

__all__ = ["Benchmarks", "collect_benchmarks"]

_SCORED: Final = {"success": "chance of success", "seconds": "time on the device", "price": "price", "wait": "start"}
_WIDTH: Final = 640
_NARROW: Final = 288
"""As wide as a telephone's screen lets it be."""


@dataclass(frozen=True, slots=True)
class LeaderItem:
    """A device's place on a board."""

    rank: int
    device: str
    label: str
    score: str
    success: str
    fidelity: str
    width: str
    at: Moment


@dataclass(frozen=True, slots=True)
class BoardItem:
    """Devices that can be compared."""

    name: str
    options: str
    leaders: list[LeaderItem]


@dataclass(frozen=True, slots=True)
class RunItem:
    """One run in a table."""

    at: Moment
    series: str
    score: str
    success: str
    fidelity: str


@dataclass(frozen=True, slots=True)
class DeviceTrend:
    """What is known of one device."""

    device: str
    label: str
    may_run: bool
    """Whether the reader may begin a run now."""
    under_way: Moment | None
    chart: str | None = None
    narrow: str | None = None
    """The same chart for narrow screens."""
    runs: tuple[RunItem, ...] = ()
    conditions: tuple[tuple[str, str], ...] = ()
    """Name of each series → what it ran under."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How good a device's estimates of one thing have been."""

    device: str
    what: str
    runs: str
    covered: str
    error: str
    since: str
    words: str


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """The whole page."""

    boards: list[BoardItem]
    devices: list[DeviceTrend]
    estimates: list[Estimate]


async def collect_benchmarks(pipeline: Pipeline, who: Principal) -> Benchmarks:
    """Ask the pipeline for everything that ``who`` may see here."""
    me = await pipeline.me(who)
    clock = Clock(datetime.now(UTC), getattr(getattr(pipeline, "settings", None), "time_zone", None))
    operator = bool({"operator", "admin"} & set(me.roles))
    found = await pipeline.series.all(who)
    devices = (await pipeline.devices(who)).devices
    trends = [
        _trend(device, [one for one in found.series if one.device == device.name], found.open, operator, clock)
        for device in devices
    ]
    return Benchmarks(
        boards=[_board(one, clock) for one in (await pipeline.series.leaderboards(who)).boards],
        devices=[one for one in trends if one.runs or one.under_way or one.may_run],
        estimates=[one for device in devices for one in _estimates(device)],
    )


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _ranged(run: SeriesRunView) -> str:
    if run.score is None or run.low is None or run.high is None:
        return _share(run.score)
    return words.with_range(run.score, run.low, run.high, 3)


def _board(board: Leaderboard, clock: Clock) -> BoardItem:
    return BoardItem(board.name, _options(board.options), [_leader(one, clock) for one in board.leaders])


def _options(options: Mapping[str, Any]) -> str:
    """``shots 1 000, seed_transpiler 7``"""
    counted = {name: words.number(value) if isinstance(value, int) else value for name, value in options.items()}
    return ", ".join(f"{name} {value}" for name, value in counted.items())


def _leader(one: Leader, clock: Clock) -> LeaderItem:
    shares = (_share(one.score), _share(one.success), _share(one.fidelity))
    width = words.plural(one.width, "qubit") if one.width else "–"
    return LeaderItem(one.rank, one.device, one.label, *shares, width, clock.moment(one.at))


def _trend(
    device: DeviceView, series: Sequence[SeriesView], under_way: Sequence[SeriesRunView], operator: bool, clock: Clock
) -> DeviceTrend:
    begun = next((one for one in under_way if one.device == device.name), None)
    oldest_first = list(reversed(series))
    names = {one.id: _name(at) for at, one in enumerate(oldest_first)}
    trends = [Trend(f"series {names[one.id]}", _points(one)) for one in oldest_first]
    runs = sorted((run for one in series for run in one.runs), key=lambda run: run.created, reverse=True)
    return DeviceTrend(
        device=device.name,
        label=device.label,
        may_run=operator and begun is None and device.state == "ready" and device.kind is not DeviceKind.SIMULATOR,
        under_way=None if begun is None else clock.moment(begun.created),
        chart=unstyled(trend_chart(trends, width=_WIDTH)) if runs else None,
        narrow=unstyled(trend_chart(trends, width=_NARROW)) if runs else None,
        runs=tuple(_run(run, names[run.series or ""], clock) for run in runs),
        conditions=tuple((names[one.id], _conditions(one, clock)) for one in series),
    )


def _name(at: int) -> str:
    """A, B, … Z, then 27, 28, …"""
    return chr(ord("A") + at) if at < 26 else str(at + 1)


def _points(series: SeriesView) -> tuple[tuple[datetime, float, float, float], ...]:
    """Of one series, in order of time."""
    found = ((run.ended or run.created, run.score, run.low or 0.0, run.high or 1.0) for run in reversed(series.runs))
    return tuple((at, value, low, high) for at, value, low, high in found if value is not None)


def _run(run: SeriesRunView, series: str, clock: Clock) -> RunItem:
    at = clock.moment(run.ended or run.created)
    return RunItem(at, series, _ranged(run), _share(run.success), _share(run.fidelity))


def _conditions(series: SeriesView, clock: Clock) -> str:
    """Why it is a series of its own."""
    compiler = series.compiler
    version = f" {compiler['version']}" if compiler.get("version") else ""
    told = [
        f"set {series.name}",
        _options(series.options),
        f"compiler {compiler.get('name') or 'none'}{version}",
        f"calibration {series.calibration.removeprefix('sha256:')[:8] or '–'}"
        + (f" of {clock.moment(series.calibrated).words}" if series.calibrated else ""),
    ]
    return " · ".join(told)


def _estimates(device: DeviceView) -> list[Estimate]:
    return [
        Estimate(
            device=device.name,
            what=_SCORED[one.what],
            runs=words.number(one.runs),
            covered="–" if one.covered is None else f"{100 * one.covered:.0f} %",
            error="–"
            if one.error is None
            else (f"{one.error:.2f}" if one.what == "success" else f"{100 * one.error:.0f} %"),
            since="–" if one.since is None else f"{one.since.day} {one.since:%b %Y}",
            words=one.words,
        )
        for one in device.scores
    ]
