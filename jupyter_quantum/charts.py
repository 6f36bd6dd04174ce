"""Data → SVG and HTML text, coloured by CSS variables: for the widget, representations and the hub's pages.

Pure functions; the same data gives the same text. Nothing of ours is imported, so every place may use it. Every label
is escaped. The looks also tell series apart in greyscale: outline (ideal), hatch (noisy), solid (measured), dots
(a fourth). Where a host does not define the variables, their fallbacks hold on light and dark grounds alike.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final, Literal

__all__ = [
    "TOP",
    "Outcome",
    "Part",
    "Series",
    "Trend",
    "counts_chart",
    "counts_table",
    "distance",
    "finding",
    "meter_chart",
    "outcomes",
    "trend_chart",
    "wilson",
]

TOP: Final = 16
"""How many outcomes are shown by name; the rest is added up as *other*."""

Look = Literal["ideal", "noisy", "measured", "fourth"]

_COLOUR: Final[Mapping[str, str]] = {
    "ideal": "var(--jq-ideal, #757575)",
    "noisy": "var(--jq-noisy, #D55E00)",
    "measured": "var(--jq-measured, #1A7FC0)",
    "fourth": "var(--jq-fourth, #009E73)",
}
_TEXT: Final = "var(--jq-text, currentColor)"
_MUTED: Final = "var(--jq-muted, currentColor)"
_LINE: Final = "var(--jq-line, #b5b9be)"
_MONO: Final = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"

_BAR: Final = 12.0
_GAP: Final = 2.0
_GROUP_GAP: Final = 11.0
_MONO_WIDTH: Final = 7.3
_LONGEST: Final = 24


@dataclass(frozen=True, slots=True)
class Series:
    """Shares of the outcomes (bit string → 0…1) under one name. With ``shots``, bars of 95 % are drawn."""

    name: str
    shares: Mapping[str, float]
    look: Look
    shots: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """One row of a chart: its label, and for each series share, low and high (equal where no shots are known)."""

    label: str
    values: tuple[tuple[float, float, float], ...]
    rest: int = 0
    """How many outcomes this row adds up; 0 for a single one."""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a meter: ``used`` is solid, ``held`` hatched."""

    name: str
    value: float
    look: Literal["used", "held"] = "used"


@dataclass(frozen=True, slots=True)
class Trend:
    """Shares (0…1) over time that may be compared: moment, share, low and high of each, in order of time."""

    name: str
    points: tuple[tuple[datetime, float, float, float], ...]


def wilson(share: float, shots: int, z: float = 1.959964) -> tuple[float, float]:
    """The 95 % interval of a share seen in ``shots`` shots (E. B. Wilson, J. Am. Stat. Assoc. 22, 209, 1927)."""
    if shots <= 0:
        return 0.0, 1.0
    square = z * z / shots
    middle = (share + square / 2) / (1 + square)
    half = z * math.sqrt(share * (1 - share) / shots + square / (4 * shots)) / (1 + square)
    return max(0.0, middle - half), min(1.0, middle + half)


def distance(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Total variation distance: the part of the shots (0…1) that would have to change to turn one into the other."""
    labels = sorted({*one, *other})
    return sum(abs(one.get(label, 0.0) - other.get(label, 0.0)) for label in labels) / 2


def _spread(series: Series, share: float) -> tuple[float, float, float]:
    low, high = (share, share) if series.shots is None else wilson(min(1.0, max(0.0, share)), series.shots)
    return share, low, high


def outcomes(series: Sequence[Series], top: int = TOP) -> list[Outcome]:
    """The rows of a chart: the ``top`` outcomes with the largest sum over all series, by label, then *other*."""
    labels = {label for one in series for label, share in one.shares.items() if share > 0}
    weight = {label: sum(one.shares.get(label, 0.0) for one in series) for label in labels}
    ranked = sorted(labels, key=lambda label: (-weight[label], label))
    named, rest = sorted(ranked[:top]), ranked[top:]
    rows = [Outcome(label, tuple(_spread(one, one.shares.get(label, 0.0)) for one in series)) for label in named]
    if rest:
        sums = tuple(_spread(one, math.fsum(one.shares.get(label, 0.0) for label in rest)) for one in series)
        rows.append(Outcome("other", sums, len(rest)))
    return rows


def finding(series: Sequence[Series]) -> str:
    """One sentence that says what a chart of these series shows."""
    shown = [one for one in series if one.shares]
    if not shown:
        return "No counts."
    main = shown[-1]
    label, share = max(sorted(main.shares.items()), key=lambda item: item[1])
    said = f"{_short(label)} is the most frequent outcome, {share:.3f} of the shots ({main.name})"
    against = shown[0]
    if against is main:
        return said + "."
    apart = 100 * distance(against.shares, main.shares)
    amount = "less than 0.1" if apart < 0.1 else f"{apart:.1f}"
    return f"{said}; {main.name} and {against.name} differ in {amount} % of the shots."


def _short(label: str, longest: int = _LONGEST) -> str:
    if len(label) <= longest:
        return label
    tail = longest // 2
    return f"{label[: longest - tail - 1]}…{label[-tail:]}"


def _nice(highest: float) -> tuple[float, float]:
    """End of the axis and distance of its ticks for shares up to ``highest``."""
    for step in (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25):
        if highest <= 5 * step:
            return math.ceil(max(highest, step) / step - 1e-9) * step, step
    return 1.0, 0.25


def _f(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _text(x: float, y: float, words: str, *, fill: str = _TEXT, extra: str = "") -> str:
    return f'<text x="{_f(x)}" y="{_f(y)}" fill="{fill}" {extra}>{escape(words)}</text>'


def _hatch(ident: str, look: str) -> str:
    colour = _COLOUR[look]
    if look == "fourth":
        body = f'<circle cx="2" cy="2" r="1.3" fill="{colour}"/>'
        return f'<pattern id="{ident}-{look}" width="4" height="4" patternUnits="userSpaceOnUse">{body}</pattern>'
    body = f'<line x1="0" y1="0" x2="0" y2="5" stroke="{colour}" stroke-width="3.2"/>'
    turn = 'patternTransform="rotate(45)"'
    return f'<pattern id="{ident}-{look}" width="5" height="5" patternUnits="userSpaceOnUse" {turn}>{body}</pattern>'


def _fill(ident: str, look: str) -> str:
    colour = _COLOUR[look]
    if look == "measured":
        return f'fill="{colour}" stroke="{colour}"'
    if look == "ideal":
        return f'fill="none" stroke="{colour}" stroke-width="1.5"'
    return f'fill="url(#{ident}-{look})" stroke="{colour}"'


def _box(x: float, y: float, width: float, look: str, ident: str) -> str:
    return (
        f'<rect x="{_f(x)}" y="{_f(y + 0.75)}" width="{_f(max(width, 0.0))}" height="{_f(_BAR - 1.5)}" '
        f"{_fill(ident, look)}/>"
    )


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where things go, in pixels."""

    width: float
    left: float
    right: float
    top: float
    end: float
    step: float
    ident: str
    ranges: bool

    def x(self, share: float) -> float:
        return self.left + (self.width - self.left - self.right) * share / self.end


def _whisker(frame: _Frame, y: float, low: float, high: float) -> str:
    middle, x1, x2 = y + _BAR / 2, frame.x(low), frame.x(min(high, frame.end))
    path = f"M{_f(x1)} {_f(middle - 3)}v6M{_f(x1)} {_f(middle)}H{_f(x2)}M{_f(x2)} {_f(middle - 3)}v6"
    # Twice: a line in the ground's colour below, so that it also reads on a solid bar.
    return (
        f'<path d="{path}" fill="none" stroke="var(--jq-bg, #fff)" stroke-width="3" stroke-opacity="0.7"/>'
        f'<path d="{path}" fill="none" stroke="{_TEXT}" stroke-width="1.3"/>'
    )


def _value(frame: _Frame, one: Series, value: tuple[float, float, float], y: float) -> str:
    share, low, high = value
    words = f"{share:.3f}"
    halo = 'font-size="11" paint-order="stroke" stroke="var(--jq-bg, none)" stroke-width="3"'
    if frame.ranges and one.shots is not None:
        words += f" ({low:.3f}–{high:.3f})"
    at = frame.x(min(max(share, high), frame.end)) + 7
    return _text(at, y + _BAR - 2.2, words, fill=_MUTED, extra=halo)


def _group(frame: _Frame, series: Sequence[Series], row: Outcome, y: float) -> Iterable[str]:
    middle = y + (len(series) * (_BAR + _GAP) - _GAP) / 2 + 4
    label = f"other ({row.rest})" if row.rest else _short(row.label)
    family = "" if row.rest else f'font-family="{_MONO}" '
    yield (
        f'<text x="{_f(frame.left - 8)}" y="{_f(middle)}" fill="{_TEXT}" {family}text-anchor="end">'
        f"{escape(label)}<title>{escape(row.label)}</title></text>"
    )
    for index, (one, value) in enumerate(zip(series, row.values, strict=True)):
        top = y + index * (_BAR + _GAP)
        yield _box(frame.left, top, frame.x(value[0]) - frame.left, one.look, frame.ident)
        if one.shots is not None:
            yield _whisker(frame, top, value[1], value[2])
        yield _value(frame, one, value, top)


def _legend(frame: _Frame, series: Sequence[Series]) -> Iterable[str]:
    wide = frame.width >= 480
    x = frame.left if wide else 4.0
    for one in series:
        yield f'<g transform="translate({_f(x)} 2)">{_box(0, 0, 18, one.look, frame.ident)}</g>'
        words = one.name if one.shots is None else f"{one.name} ±95 %"
        yield _text(x + 24, 12, words)
        x += 24 + 6.6 * len(words) + (18 if wide else 6)


def _axis(frame: _Frame, bottom: float) -> Iterable[str]:
    ticks = round(frame.end / frame.step)
    digits = max(0, -math.floor(math.log10(frame.step) + 1e-9)) + (1 if frame.step == 0.25 else 0)
    for index in range(ticks + 1):
        share = index * frame.step
        x, stroke = _f(frame.x(share)), _LINE if index else _TEXT
        yield f'<line x1="{x}" y1="{_f(frame.top - 4)}" x2="{x}" y2="{_f(bottom)}" stroke="{stroke}"/>'
        label = "0" if index == 0 else f"{share:.{digits}f}"
        yield _text(frame.x(share), bottom + 14, label, fill=_MUTED, extra='font-size="11" text-anchor="middle"')
    yield _text(frame.left, bottom + 28, "share of the shots", fill=_MUTED, extra='font-size="11"')


def counts_chart(series: Sequence[Series], *, width: int = 640, top: int = TOP, sentence: str | None = None) -> str:
    """A bar chart of outcomes, one bar a series, as SVG text of ``width`` pixels.

    The axis starts at 0; at most ``top`` outcomes and *other*. ``sentence`` (or :func:`finding`) is its description.
    Below 480 px the direct labels leave out the range. Series without any share are left out.
    """
    shown = [one for one in series if one.shares]
    rows = outcomes(shown, top)
    said = sentence or finding(shown)
    ident = "jq" + hashlib.sha256(f"{said}{width}{rows}".encode()).hexdigest()[:10]
    frame = _frame(shown, rows, width, ident)
    pitch = len(shown) * (_BAR + _GAP) - _GAP + _GROUP_GAP
    bottom = frame.top + len(rows) * pitch - _GROUP_GAP + 5
    body = [*_axis(frame, bottom), *_legend(frame, shown)]
    for index, row in enumerate(rows):
        body += _group(frame, shown, row, frame.top + index * pitch)
    hatches = "".join(_hatch(ident, look) for look in ("noisy", "fourth") if any(one.look == look for one in shown))
    return _svg(width, bottom + 34, said, f"<defs>{hatches}</defs>" + "".join(body))


def _frame(series: Sequence[Series], rows: Sequence[Outcome], width: int, ident: str) -> _Frame:
    longest = max((len(_short(row.label)) for row in rows), default=2)
    left = min(max(longest * _MONO_WIDTH, 62 if any(row.rest for row in rows) else 20) + 12, width * 0.45)
    highest = max((value[2] for row in rows for value in row.values), default=1.0)
    end, step = _nice(max(highest, 0.001))
    ranges = width >= 480 and any(one.shots is not None for one in series)
    return _Frame(width, left, 132 if ranges else 44, 30, end, step, ident, ranges)


def _svg(width: float, height: float, sentence: str, body: str) -> str:
    said = escape(sentence, quote=True)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{said}" class="jq-chart" '
        f'width="{_f(width)}" height="{_f(height)}" viewBox="0 0 {_f(width)} {_f(height)}" '
        'font-size="12" style="max-width:100%;height:auto;font-family:inherit;font-variant-numeric:tabular-nums">'
        f"{body}</svg>"
    )


def counts_table(series: Sequence[Series], *, top: int = TOP) -> tuple[list[str], list[list[str]]]:
    """The same as text: the heads of the columns, and a row of cells for each outcome (``0.478 (0.447–0.509)``)."""
    shown = [one for one in series if one.shares]
    heads = ["outcome", *(one.name if one.shots is None else f"{one.name} (95 %)" for one in shown)]
    rows = []
    for row in outcomes(shown, top):
        label = f"other ({row.rest} outcomes)" if row.rest else row.label
        rows.append([label, *(_cell(one, value) for one, value in zip(shown, row.values, strict=True))])
    return heads, rows


def _cell(one: Series, value: tuple[float, float, float]) -> str:
    share, low, high = value
    return f"{share:.3f}" if one.shots is None else f"{share:.3f} ({low:.3f}–{high:.3f})"


def meter_chart(parts: Sequence[Part], limit: float, *, sentence: str, width: int = 240, height: int = 12) -> str:
    """A meter of ``width`` × ``height`` pixels: what is used (solid), on hold (hatched) and left (ground).

    ``sentence`` says it in words ("12.40 of 50 credits left"); values and ``limit`` share one unit.
    """
    ident = "jqm" + hashlib.sha256(f"{sentence}{parts}{limit}{width}".encode()).hexdigest()[:10]
    x, body = 0.5, ""
    room = width - 1
    for part in parts:
        wide = 0.0 if limit <= 0 else min(room * max(part.value, 0.0) / limit, room - (x - 0.5))
        fill = "var(--jq-control, #757575)" if part.look == "used" else f"url(#{ident})"
        body += f'<rect x="{_f(x)}" y="0.5" width="{_f(wide)}" height="{height - 1}" fill="{fill}"/>'
        x += wide
    hatch = (
        f'<defs><pattern id="{ident}" width="4" height="4" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><line x1="0" y1="0" x2="0" y2="4" stroke="var(--jq-control, #757575)" '
        'stroke-width="2.4"/></pattern></defs>'
    )
    edge = (
        f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" fill="none" '
        'stroke="var(--jq-control, #757575)"/>'
    )
    return _svg(width, height, sentence, hatch + body + edge)


_TREND_HEIGHT: Final = 190.0
_TREND_LEFT: Final = 40.0
_TREND_TOP: Final = 12.0
_TREND_BOTTOM: Final = 34.0
_TREND_TIMES: Final = 400
"""Narrower charts have room for two days, without their times."""


def trend_chart(trends: Sequence[Trend], *, width: int = 640, sentence: str | None = None) -> str:
    """Shares over time as SVG text: a line for each trend, broken between them, bars of 95 %, from 0 to 1.

    Another look (line and mark) sets each trend apart from the one before it.
    """
    shown = [one for one in trends if one.points]
    said = sentence or _trend_finding(shown)
    moments = [point[0].timestamp() for one in shown for point in one.points]
    first, last = (min(moments), max(moments)) if moments else (0.0, 0.0)
    span = (last - first) or 1.0
    room = width - _TREND_LEFT - 16

    def x(at: datetime) -> float:
        middle = room / 2 if last == first else room * (at.timestamp() - first) / span
        return _TREND_LEFT + 8 + (room - 16) * middle / room

    body = [*_trend_axis(width), *_trend_dates(shown, x, first == last, width < _TREND_TIMES)]
    for index, one in enumerate(shown):
        body += _trend_line(one, index, x)
    return _svg(width, _TREND_HEIGHT, said, "".join(body))


def _trend_y(share: float) -> float:
    return _TREND_TOP + (1 - share) * (_TREND_HEIGHT - _TREND_TOP - _TREND_BOTTOM)


def _trend_axis(width: float) -> Iterable[str]:
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y, stroke = _f(_trend_y(share)), _LINE if share else _TEXT
        yield f'<line x1="{_f(_TREND_LEFT)}" y1="{y}" x2="{_f(width - 16)}" y2="{y}" stroke="{stroke}"/>'
        label = "0" if share == 0 else f"{share:.2f}"
        yield _text(_TREND_LEFT - 6, _trend_y(share) + 4, label, fill=_MUTED, extra='font-size="11" text-anchor="end"')


def _trend_dates(trends: Sequence[Trend], x: Callable[[datetime], float], single: bool, short: bool) -> Iterable[str]:
    moments = sorted(point[0] for one in trends for point in one.points)
    ends = moments[:1] if single else [*moments[:1], *moments[-1:]]
    for at, anchor in zip(ends, ("middle",) if single else ("start", "end"), strict=False):  # there may be none
        extra = f'font-size="11" text-anchor="{anchor}"'
        yield _text(
            x(at),
            _TREND_HEIGHT - 14,
            f"{at.day} {at:%b %Y}" if short else f"{at.day} {at:%b %Y %H:%M} {at.tzname() or ''}".rstrip(),
            fill=_MUTED,
            extra=extra,
        )


def _trend_line(trend: Trend, index: int, x: Callable[[datetime], float]) -> Iterable[str]:
    colour = _COLOUR["measured" if index % 2 == 0 else "noisy"]
    dashes = "" if index % 2 == 0 else 'stroke-dasharray="5 3" '
    path = "M" + "L".join(f"{_f(x(at))} {_f(_trend_y(value))}" for at, value, _, _ in trend.points)
    yield f'<path d="{path}" fill="none" stroke="{colour}" {dashes}stroke-width="1.6"/>'
    for at, value, low, high in trend.points:
        middle, top, bottom = x(at), _trend_y(high), _trend_y(low)
        yield f'<path d="M{_f(middle)} {_f(top)}V{_f(bottom)}" stroke="{_TEXT}" stroke-width="1.3" fill="none"/>'
        said = f"<title>{escape(trend.name)}: {value:.3f} ({low:.3f}–{high:.3f})</title>"
        if index % 2 == 0:
            yield f'<circle cx="{_f(middle)}" cy="{_f(_trend_y(value))}" r="3.5" fill="{colour}">{said}</circle>'
        else:
            square = f'x="{_f(middle - 3.2)}" y="{_f(_trend_y(value) - 3.2)}" width="6.4" height="6.4"'
            yield f'<rect {square} fill="{colour}">{said}</rect>'


def _trend_finding(trends: Sequence[Trend]) -> str:
    points = sorted((point for one in trends for point in one.points), key=lambda point: point[0])
    if not points:
        return "No runs yet."
    _, value, low, high = points[-1]
    several = f", {len(trends)} series" if len(trends) > 1 else ""
    count = f"{len(points)} run{'' if len(points) == 1 else 's'}{several}"
    return f"{count}; the latest scored {value:.3f} ({low:.3f}–{high:.3f})."
