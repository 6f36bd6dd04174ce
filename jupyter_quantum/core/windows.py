"""Windows over which quotas count: a day, a week, a month, a term, for ever; in the lab's time zone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

from jupyter_quantum.core.tenancy import Window

__all__ = ["Period", "period"]

Terms = Sequence[tuple[str, datetime, datetime]]


@dataclass(frozen=True, slots=True)
class Period:
    """One turn of a window. Start and end are None where it has none."""

    name: str
    """``2026-05-12``, ``2026-W20``, ``2026-05``, a term's name, ``always``."""
    words: str
    """As people say it: ``today``, ``this week``, ``May``."""
    start: datetime | None = None
    end: datetime | None = None


_ALWAYS = Period("always", "in all")


def period(window: Window, now: datetime, zone: tzinfo, terms: Terms = ()) -> Period:
    """The turn of ``window`` that ``now`` is in.

    Days begin at midnight in ``zone``, weeks on Monday (ISO 8601), also where clocks change in between. Between two
    terms a quota by term counts on its own, from one's end to the next one's start.
    """
    local = now.astimezone(zone)
    match window:
        case "day":
            start = _midnight(local)
            return Period(f"{local:%Y-%m-%d}", "today", start, _midnight(start + timedelta(days=1, hours=3)))
        case "week":
            start = _midnight(local - timedelta(days=local.weekday()))
            year, week, _ = local.isocalendar()
            return Period(f"{year}-W{week:02d}", "this week", start, _midnight(start + timedelta(days=7, hours=3)))
        case "month":
            start = _midnight(local.replace(day=1))
            following = _midnight((start + timedelta(days=32)).replace(day=1))
            return Period(f"{local:%Y-%m}", f"{local:%B}", start, following)
        case "term":
            return _term(now, terms)
        case _:
            return _ALWAYS


def _midnight(local: datetime) -> datetime:
    return local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def _term(now: datetime, terms: Terms) -> Period:
    if not terms:
        return _ALWAYS
    for name, start, end in terms:
        if start <= now < end:
            return Period(name, name, start, end)
    before = max((end for _, _, end in terms if end <= now), default=None)
    after = min((start for _, start, _ in terms if start > now), default=None)
    name = "between" if before is None else f"after {before:%Y-%m-%d}"
    return Period(name, "between terms", before, after)
