"""Trends as SVG text: broken between series, told apart without colour, said in a sentence."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from jupyter_quantum.charts import Trend, trend_chart

NOON = datetime(2026, 5, 12, 12, tzinfo=UTC)


def a_trend(name: str, start: int, *values: float) -> Trend:
    """One point an hour."""
    return Trend(
        name, tuple((NOON + timedelta(hours=start + at), v, v - 0.05, v + 0.05) for at, v in enumerate(values))
    )


def test_the_line_breaks_where_a_series_ends() -> None:
    """One path for each series, with as many points as runs; no line joins two."""
    text = trend_chart([a_trend("A", 0, 0.9, 0.91, 0.92), a_trend("B", 3, 0.7, 0.71)])
    ElementTree.fromstring(text)
    lines = re.findall(r'<path d="(M[^"]+L[^"]+)"', text)
    assert [line.count("L") for line in lines] == [2, 1]
    assert text.count("<circle") == 3
    assert text.count("<rect") == 2
    assert "stroke-dasharray" in text


def test_it_is_said_in_a_sentence() -> None:
    """For whoever does not see it; the last point in time is the latest, whatever series comes last."""
    text = trend_chart([a_trend("A", 5, 0.9), a_trend("B", 0, 0.7, 0.71)])
    assert 'role="img" aria-label="3 runs, 2 series; the latest scored 0.900 (0.850–0.950)."' in text
    assert 'aria-label="No runs yet."' in trend_chart([])


def test_better_is_higher_and_later_is_further_right() -> None:
    """From 0 at the bottom to 1 at the top; a single point stands in the middle."""
    text = trend_chart([a_trend("A", 0, 0.2, 0.8)])
    (x1, y1), (x2, y2) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', text)
    assert float(x1) < float(x2)
    assert float(y1) > float(y2)
    ((x, _),) = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', trend_chart([a_trend("A", 0, 0.5)], width=640))
    assert 300 < float(x) < 360


def test_narrow_charts_name_days_only() -> None:
    """Two moments with their times would lie over each other there."""
    runs = [a_trend("A", 0, 0.2, 0.8)]
    assert ":" in re.findall(r"<text[^>]*>([^<]+2026[^<]*)</text>", trend_chart(runs))[0]
    assert ":" not in re.findall(r"<text[^>]*>([^<]+2026[^<]*)</text>", trend_chart(runs, width=288))[0]


def test_names_are_escaped() -> None:
    """A name is text, wherever it comes from."""
    assert "<img" not in trend_chart([a_trend("<img src=x>", 0, 0.5)])
