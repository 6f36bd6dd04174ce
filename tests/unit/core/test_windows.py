"""Windows of quotas, in the lab's time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_quantum.core.windows import period

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("window", "when", "name", "words", "start", "end"),
    [
        ("day", "2026-05-12T22:30+00:00", "2026-05-13", "today", "2026-05-13T00:00+02:00", "2026-05-14T00:00+02:00"),
        ("day", "2026-03-29T12:00+00:00", "2026-03-29", "today", "2026-03-29T00:00+01:00", "2026-03-30T00:00+02:00"),
        ("day", "2026-10-25T12:00+00:00", "2026-10-25", "today", "2026-10-25T00:00+02:00", "2026-10-26T00:00+01:00"),
        ("week", "2027-01-01T12:00+00:00", "2026-W53", "this week", "2026-12-28T00:00+01:00", "2027-01-04T00:00+01:00"),
        ("month", "2026-12-31T23:30+00:00", "2027-01", "January", "2027-01-01T00:00+01:00", "2027-02-01T00:00+01:00"),
    ],
)
def test_turns_of_a_window(window: str, when: str, name: str, words: str, start: str, end: str) -> None:
    """Midnights are the lab's, also where clocks change in between; weeks are those of ISO 8601."""
    found = period(window, datetime.fromisoformat(when), BERLIN)  # type: ignore[arg-type]
    assert (found.name, found.words) == (name, words)
    assert (found.start, found.end) == (datetime.fromisoformat(start), datetime.fromisoformat(end))


@given(st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1)), st.sampled_from(["day", "week", "month"]))
def test_windows_follow_each_other(when: datetime, window: str) -> None:
    """Each moment is in its turn, and the moment when it ends is in the next one, which begins there."""
    found = period(window, when.replace(tzinfo=UTC), BERLIN)  # type: ignore[arg-type]
    assert found.start is not None
    assert found.end is not None
    assert found.start <= when.replace(tzinfo=UTC) < found.end
    following = period(window, found.end, BERLIN)  # type: ignore[arg-type]
    assert following.start == found.end
    assert following.name != found.name


def test_terms_and_what_is_between_them() -> None:
    """A term by its name; between two, a turn of its own; without terms, for ever."""
    start = datetime(2026, 4, 1, tzinfo=UTC)
    terms = [
        ("summer", start, start + timedelta(days=90)),
        ("winter", start + timedelta(days=180), start + timedelta(days=300)),
    ]
    assert period("term", start, UTC, terms).name == "summer"
    between = period("term", start + timedelta(days=100), UTC, terms)
    assert (between.name, between.end) == ("after 2026-06-30", start + timedelta(days=180))
    assert period("term", start - timedelta(days=1), UTC, terms).end == start
    assert period("term", start + timedelta(days=400), UTC, terms).end is None
    assert period("term", start, UTC) == period("ever", start, UTC)
