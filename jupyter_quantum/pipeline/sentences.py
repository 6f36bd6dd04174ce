"""What the pipeline says to people: what happened, why, and the next step."""

from __future__ import annotations

from datetime import datetime, tzinfo

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.store.rows import DeviceRow, JobRow

__all__ = ["asked", "day", "drained", "over_quota", "paused", "state_words", "waiting_for_runner"]


def day(when: datetime, zone: tzinfo) -> str:
    """``1 June``: a day as it is named in a sentence."""
    local = when.astimezone(zone)
    return f"{local.day} {local:%B}"


def over_quota(needed: int, left: int, resets: datetime | None, zone: tzinfo, cheaper: tuple[str, int] | None) -> str:
    """The run may cost more than is left."""
    until = "" if resets is None else f" until {day(resets, zone)}"
    instead = "" if cheaper is None else f", choose {cheaper[0]} ({words.price(cheaper[1])})"
    several = "," if instead else ""
    return (
        f"This run may cost {words.price(needed)} credits; {words.left(left)} are left{until}. "
        f"Use fewer shots{instead}{several} or ask for more."
    )


def _until(row: DeviceRow, zone: tzinfo, now: datetime) -> str:
    return "" if row.until is None else f" until {words.moment(row.until.astimezone(zone), now.astimezone(zone))}"


def drained(row: DeviceRow, zone: tzinfo, now: datetime) -> str:
    """The operators let the queue run empty."""
    why = f": {row.reason}" if row.reason else ""
    until = _until(row, zone, now)
    return f"{row.name} takes no new jobs{until} (drained by the operators{why}). Running jobs finish."


def paused(row: DeviceRow, zone: tzinfo, now: datetime) -> str:
    """The operators start nothing for now."""
    return f"Waiting because {row.name} is in maintenance{_until(row, zone, now)}."


def waiting_for_runner(device: str) -> str:
    """No runner serves the device at the moment."""
    return f"Waiting because {device} does not answer at the moment; this goes on by itself when it does."


def asked(whom: str, expires: datetime, zone: tzinfo, now: datetime) -> str:
    """Sent to ``the leads of qcourse``."""
    when = words.moment(expires.astimezone(zone), now.astimezone(zone))
    return f"Sent to {whom}. It runs by itself once approved; the request expires {when}."


def state_words(row: JobRow) -> str:
    """Where a job is, as the reason why something else cannot be done."""
    if row.state is JobState.AWAITING_APPROVAL:
        return "The job waits for approval"
    return f"The job is {row.state.value.replace('_', ' ')}"
