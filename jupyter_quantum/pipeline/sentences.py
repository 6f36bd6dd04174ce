"""What the pipeline says to people: what happened, why, and the next step."""

from __future__ import annotations

import json
from datetime import datetime, tzinfo

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.store.rows import AccountRow, DeviceRow, JobRow

__all__ = [
    "asked",
    "cancelling",
    "counted_otherwise",
    "day",
    "drained",
    "isolated",
    "leaving",
    "looked_for",
    "moved",
    "next_window",
    "over_quota",
    "paused",
    "result_lost",
    "retried",
    "soft_limit",
    "state_words",
    "unknown_attempt",
    "waiting_for_runner",
    "without_result",
]


def day(when: datetime, zone: tzinfo) -> str:
    """``1 June``: a day as it is named in a sentence."""
    local = when.astimezone(zone)
    return f"{local.day} {local:%B}"


def over_quota(
    needed: int,
    left: int,
    resets: datetime | None,
    zone: tzinfo,
    cheaper: tuple[str, int] | None,
    unit: str = "credits",
    whose: str | None = None,
) -> str:
    """The run may take more than is left: what binds, until when, the ways out. ``whose``: a project's budget."""
    until = "" if resets is None else f" until {day(resets, zone)}"
    instead = "" if cheaper is None else f", choose {cheaper[0]} ({words.price(cheaper[1])})"
    several = "," if instead else ""
    to = "" if whose is None else f" to {whose}"
    match unit:
        case "credits":
            needs = f"This run may cost {words.price(needed)} credits; {words.left(left)} are left{to}{until}."
        case "shots":
            needs = f"This run takes {words.shots(needed)}; {words.number(left)} are left{to}{until}."
        case "jobs":
            whole = "No more jobs" if whose is None else f"No more jobs of {whose}"
            return f"{whole} may be under way at once. Wait until one has ended, cancel one, or ask for more."
        case _:
            where = "on hardware" if unit == "qpu_seconds" else "on a simulator"
            takes = f"This run may take {words.seconds(needed / 1000)} {where}"
            needs = f"{takes}; {words.seconds(left / 1000)} are left{to}{until}."
    return f"{needs} Use fewer shots{instead}{several} or ask for more."


def soft_limit(budget: AccountRow, whose: str) -> str | None:
    """What to say of a budget whose soft limit is reached; None where it is not. ``whose``: ``this month's``, say."""
    filled = budget.used + budget.held
    if budget.soft is None or budget.limit <= 0 or filled < budget.soft:
        return None
    share = min(100, 100 * filled // budget.limit)
    name, left = _counted(budget.unit, budget.available)
    of = f"{whose} {name}" if whose.endswith("'s") else whose
    return f"{share} % of {of} are used; {left} are left."


def _counted(unit: str, left: int) -> tuple[str, str]:
    match unit:
        case "credits":
            return "credits", words.left(left)
        case "qpu_seconds" | "simulator_seconds":
            return "time on hardware" if unit == "qpu_seconds" else "time on simulators", words.seconds(left / 1000)
        case "jobs":
            return "jobs under way", words.number(left)
        case _:
            return unit, words.number(left)


def next_window(not_before: datetime, zone: tzinfo, now: datetime) -> str:
    """A job that the next window's budgets pay for."""
    when = words.moment(not_before.astimezone(zone), now.astimezone(zone))
    return f"Waiting because the budget is used up until {when}; it goes on by itself then."


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


def isolated(row: DeviceRow) -> str:
    """Something is wrong with the device; what runs there finishes."""
    why = f": {row.reason}" if row.reason else ""
    then = " It goes on after a new calibration." if row.awaits else " It goes on once the operators resume it."
    return f"Waiting because {row.name} is isolated{why.rstrip('.')}.{then}"


def retried(device: str, when: datetime, zone: tzinfo, now: datetime) -> str:
    """An attempt failed for a reason that may pass."""
    at = words.moment(when.astimezone(zone), now.astimezone(zone))
    return f"{device} could not run this just now; it is tried again by itself, {at}."


def leaving(device: str) -> str:
    """It looks for another device."""
    return f"{device} will not run this; the devices that it may move to are being asked."


def moved(moved_from: str) -> str:
    """Asked about again, since it moved."""
    return f"It was meant for {', '.join(json.loads(moved_from))}, and moves as its owner allowed."


def looked_for(device: str) -> str:
    """The runner of an attempt is gone, and the device can be asked."""
    asked = f"{device} is asked whether it has this run"
    return f"The runner of {device} stopped answering; {asked}. It will not be run twice."


def cancelling(device: str) -> str:
    """A run at a vendor is taken back."""
    return f"Being cancelled: {device} is told to stop. What it used until then is charged."


def unknown_attempt(device: str) -> str:
    """The device cannot be asked."""
    return f"We cannot tell whether {device} ran this. An operator checks; it will not be run twice."


def result_lost(device: str, charge: int) -> str:
    """An operator found out that an attempt ran after all."""
    return f"{device} ran this, but the result is lost. Charged: {words.spent(charge)} credits."


def counted_otherwise(ours: float, vendors: float, charged: float | None = None) -> str:
    """The vendor's seconds are not ours; ``charged``: those of what it answered, all of the vendor's where None."""
    paid = "the vendor's were" if charged in (None, vendors) else f"{charged:.3g} s were" if charged else "none were"
    return f"The vendor counted {vendors:.3g} s, we {ours:.3g} s; {paid} charged."


def without_result(charged: int, seconds: float) -> str:
    """What a run cost that gave no result, and the seconds of it that count in budgets."""
    if charged:
        return f"Charged: {words.spent(charged)} credits, for what was used."
    return f"Not charged; {words.seconds(seconds)} of use count in budgets of time." if seconds else "Not charged."


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
