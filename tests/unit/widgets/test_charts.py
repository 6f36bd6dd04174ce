"""Charts: their numbers, their axis, and that no label becomes markup."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_quantum import charts
from jupyter_quantum.charts import Part, Series

IDEAL = Series("ideal", {"00": 0.5, "11": 0.5}, "ideal")
NOISY = Series("noisy", {"00": 0.48, "11": 0.47, "01": 0.03, "10": 0.02}, "noisy")
MEASURED = Series("measured", {"00": 0.478, "11": 0.482, "01": 0.021, "10": 0.019}, "measured", 1000)
SVG = "{http://www.w3.org/2000/svg}"


def bars(svg: str) -> list[float]:
    """Widths of the bars, without those of the legend."""
    tree = ElementTree.fromstring(svg)
    return [float(rect.get("width", "0")) for rect in tree.findall(f"{SVG}rect")]


def test_wilson_is_the_interval_of_the_textbook() -> None:
    """478 of 1000 shots give 0.447–0.509, and none of 10 gives 0–0.278 (Wilson 1927)."""
    assert charts.wilson(0.478, 1000) == pytest.approx((0.4472, 0.5090), abs=5e-5)
    assert charts.wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=5e-5)


@given(st.floats(0, 1), st.integers(1, 10**6))
def test_wilson_holds_the_share(share: float, shots: int) -> None:
    """The interval lies within 0…1 and holds the share that was seen."""
    low, high = charts.wilson(share, shots)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1


def test_bars_start_at_zero_and_are_proportional() -> None:
    """Every bar is as long as its share, measured from one line."""
    svg = charts.counts_chart([IDEAL, NOISY, MEASURED])
    widths = bars(svg)
    shares = [s.shares.get(label, 0.0) for label in ("00", "01", "10", "11") for s in (IDEAL, NOISY, MEASURED)]
    scale = widths[0] / shares[0]
    assert widths == pytest.approx([scale * share for share in shares], abs=0.02)
    assert len({rect.get("x") for rect in ElementTree.fromstring(svg).findall(f"{SVG}rect")}) == 1


def test_only_series_with_shots_have_intervals() -> None:
    """An exact share has no error bar; a measured one has."""
    assert "(0.447–0.509)" in charts.counts_chart([MEASURED])
    assert "<path" in charts.counts_chart([MEASURED])
    assert "<path" not in charts.counts_chart([IDEAL, NOISY])


def test_many_outcomes_become_other() -> None:
    """Sixteen outcomes keep their names, the rest is one row, and nothing is lost."""
    wide = Series("measured", {format(i, "05b"): (i + 1) / 528 for i in range(32)}, "measured", 528)
    rows = charts.outcomes([wide])
    assert [row.rest for row in rows] == [0] * 16 + [16]
    assert rows[0].label == "10000"
    assert math.fsum(row.values[0][0] for row in rows) == pytest.approx(1)
    assert "other (16)" in charts.counts_chart([wide])


@given(st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Co")), min_size=1, max_size=300))
def test_labels_stay_text(label: str) -> None:
    """Whatever a label holds, the chart is well formed and has no element but its own."""
    svg = charts.counts_chart([Series(label, {label: 1.0}, "measured", 5)], sentence=label)
    names = {node.tag.removeprefix(SVG) for node in ElementTree.fromstring(svg).iter()}
    assert names <= {"svg", "defs", "pattern", "rect", "line", "path", "circle", "text", "title", "g"}
    assert not re.search(r"<(script|img)", svg)


def test_same_data_same_text() -> None:
    """A chart does not change between two calls, nor with the order of the counts."""
    turned = Series("noisy", dict(reversed(NOISY.shares.items())), "noisy")
    assert charts.counts_chart([IDEAL, NOISY]) == charts.counts_chart([IDEAL, turned])


def test_finding_is_one_sentence_with_the_distance() -> None:
    """The description names the most frequent outcome and how far the series are apart."""
    said = charts.finding([IDEAL, MEASURED])
    assert said == (
        "11 is the most frequent outcome, 0.482 of the shots (measured); "
        "measured and ideal differ in 4.0 % of the shots."
    )
    assert f'aria-label="{said}"' in charts.counts_chart([IDEAL, MEASURED])
    assert charts.finding([]) == "No counts."


def test_table_says_the_same() -> None:
    """Show as table: the numbers of the chart, with their intervals."""
    heads, rows = charts.counts_table([IDEAL, MEASURED])
    assert heads == ["outcome", "ideal", "measured (95 %)"]
    assert rows[0] == ["00", "0.500", "0.478 (0.447–0.509)"]


def test_empty_series_are_left_out() -> None:
    """No counts at all is still a chart that can be shown."""
    assert bars(charts.counts_chart([Series("ideal", {}, "ideal")])) == []


def test_meter_never_leaves_its_frame() -> None:
    """More on hold than is left is cut at the end; a limit of 0 draws nothing."""
    over = bars(charts.meter_chart([Part("used", 45), Part("on hold", 20, "held")], 50, sentence="over", width=101))
    assert over[:2] == pytest.approx([90, 10])
    assert bars(charts.meter_chart([Part("used", 1)], 0, sentence="none"))[0] == 0
