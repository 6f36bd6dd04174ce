"""Numbers as people read them: one format in Lab, hub page, command line and representations (UX guide, *Numbers*).

Amounts are micro-credits, durations seconds. Prices round up and what is left rounds down, so that no screen promises
more than the ledger holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from functools import lru_cache

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.core.reckon import counts_otherwise

__all__ = [
    "MARKS",
    "about_run",
    "amount",
    "job_state",
    "left",
    "moment",
    "number",
    "plural",
    "price",
    "seconds",
    "shots",
    "spent",
    "with_range",
]

MARKS = {
    "drift": "The device was calibrated anew while this ran.",
    "partial": "A part of the result is missing, and costs nothing; job.partial() gives the rest.",
    "without-session": "The vendor ran this outside of its session.",
}
"""What the marks of a result mean."""

_THIN = "\u202f"
_STATES = {
    JobState.DRAFT: "being checked",
    JobState.VALIDATED: "being checked",
    JobState.AWAITING_APPROVAL: "awaiting approval",
    JobState.QUEUED: "waiting",
    JobState.COMPLETED: "done",
    JobState.REJECTED: "refused",
}


def _two(micro: int, rounding: str) -> str:
    return f"{(Decimal(micro) / CREDIT).quantize(Decimal('0.01'), rounding):,.2f}".replace(",", _THIN)


def price(micro: int | None) -> str:
    """``free``, ``<0.01``, ``6.10``; rounded up; ``–`` where unknown."""
    if micro is None:
        return "–"
    if micro == 0:
        return "free"
    return "<0.01" if 0 < micro < CREDIT // 100 else _two(micro, ROUND_CEILING)


def spent(micro: int) -> str:
    """What is used or on hold: ``6.58``, rounded up like the prices that it is made of; ``0.00`` for nothing."""
    return price(micro) if micro else "0.00"


def left(micro: int | None) -> str:
    """What is left: ``12.40``, rounded down; ``–`` where unknown."""
    return "–" if micro is None else _two(micro, ROUND_FLOOR)


def number(value: int) -> str:
    """``10 000`` with a narrow no-break space."""
    return f"{value:,}".replace(",", _THIN)


def job_state(state: JobState, code: object = None) -> str:
    """The state as a person reads it. A rule *refuses*, a person *rejects*: ``code`` is that of the job's error."""
    if state is JobState.REJECTED and code == "approval.rejected":
        return "rejected"
    return _STATES.get(state, state.value)


def about_run(moved_from: Sequence[str], marks: Sequence[str], ours: float | None, vendors: float | None) -> str:
    """What is to be known of a run besides its result: where it was meant to run, marks, the vendor's own count."""
    said = [f"Moved from {', '.join(moved_from)}."] if moved_from else []
    said += [MARKS.get(mark, mark) for mark in marks]
    if vendors is not None and ours is not None and counts_otherwise(ours, vendors):
        said.append(f"The vendor counted {vendors:.3g} s, we {ours:.3g} s.")
    return " ".join(said)


def amount(unit: str, value: int) -> str:
    """An amount of a budget that is not of credits: ``10 000`` shots or jobs, ``45 s`` of milliseconds."""
    if not unit.endswith("_seconds"):
        return number(value)
    return seconds(value / 1000) if value else "0 s"


def plural(value: int, noun: str) -> str:
    """``1 shot``, ``10 000 shots``."""
    return f"{number(value)} {noun}" if value == 1 else f"{number(value)} {noun}s"


def shots(value: int | None) -> str:
    """Shots with their word; ``–`` where unknown."""
    return "–" if value is None else plural(value, "shot")


def seconds(value: float | None) -> str:
    """``<1 s``, ``45 s``, ``3 min``, ``1 h 20 min``, ``2 d 3 h``; ``–`` where unknown."""
    if value is None:
        return "–"
    if value < 1:
        return "<1 s"
    if round(value) < 60:
        return f"{value:.0f} s"
    minutes = round(value / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def with_range(value: float, low: float, high: float, digits: int = 2) -> str:
    """``0.94 (0.92–0.96)``."""
    return f"{value:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})"


def moment(when: datetime, now: datetime) -> str:
    """``14:32 CEST``, ``Tue 12 May 14:32 CEST`` on another day, ``12 May 2025 14:32 CEST`` of another year.

    Both must carry the reader's time zone.
    """
    long_ago = abs((when - now).days) > 180 and when.year != now.year
    return _moment(when, when.tzname(), now.date(), long_ago)


@lru_cache(maxsize=1024)
def _moment(when: datetime, zone: str | None, today: date, long_ago: bool) -> str:
    """A calibration stands in every row of every report. The same moment elsewhere is equal to it: hence the zone."""
    clock = f"{when:%H:%M} {zone}"
    if when.date() == today:
        return clock
    if long_ago:
        return f"{when.day} {when:%b} {when.year} {clock}"
    return f"{when:%a} {when.day} {when:%b} {clock}"
