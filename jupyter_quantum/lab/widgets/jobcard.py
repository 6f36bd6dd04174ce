"""A job as its card: heading, line of its state, steps with their times, what may be done. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.lab.widgets.rows import credits_text
from jupyter_quantum.wire.devices import Wait
from jupyter_quantum.wire.jobs import JobView

__all__ = ["card", "code_for", "short_id", "state_words"]

_S = JobState

_ICONS: Final = {
    _S.DRAFT: "waiting",
    _S.VALIDATED: "waiting",
    _S.AWAITING_APPROVAL: "approval",
    _S.QUEUED: "waiting",
    _S.SCHEDULED: "waiting",
    _S.RUNNING: "running",
    _S.COMPLETED: "ok",
    _S.FAILED: "refused",
    _S.REJECTED: "refused",
    _S.CANCELLED: "cancelled",
    _S.ARCHIVED: "off",
}


def state_words(job: JobView) -> str:
    """The job's state as a person reads it: *waiting* for queued, *done* for completed, *refused* for rejected."""
    return words.job_state(job.state, (job.error or {}).get("code"))


def short_id(ident: str) -> str:
    """``job_0193…7c``."""
    return ident if len(ident) <= 14 else f"{ident[:8]}…{ident[-2:]}"


def _clock(when: datetime, now: datetime, *, seconds: bool = False) -> str:
    local = when.astimezone(now.tzinfo)
    return f"{local:%H:%M:%S} {local.tzname()}" if seconds and local.date() == now.date() else words.moment(local, now)


def _waiting(job: JobView, now: datetime) -> list[str]:
    if job.wait is None:
        return ["Waiting for the device."]
    place = "" if job.wait.place is None else f"Place {words.number(job.wait.place)}. "
    said = f"{place}{_starts(job.wait, now)}".strip()
    return [said, *([job.wait.words] if job.wait.words else [])]


def _starts(wait: Wait, now: datetime) -> str:
    if wait.p50 is None or wait.p90 is None:
        return "When it starts is not known."
    if wait.p90 < 60:
        return "Starts within a minute."
    middle, late = (datetime.fromtimestamp(now.timestamp() + s, now.tzinfo) for s in (wait.p50, wait.p90))
    by = f"{late:%H:%M}" if late.date() == now.date() else words.moment(late, now)
    tail = "" if by == f"{middle:%H:%M}" else f", 9 in 10 by {by}"
    return f"Starts about {words.moment(middle, now)}{tail}."


def _awaiting(job: JobView, expires: datetime | None, now: datetime) -> list[str]:
    until = "" if expires is None else f"; the request expires {words.moment(expires.astimezone(now.tzinfo), now)}"
    lines = [f"Sent to the leads of {job.project}. It runs by itself once approved{until}."]
    return lines + ([job.decision.words] if job.decision and job.decision.words else [])


def _cost(job: JobView) -> str:
    if job.cost is None:
        return ""
    if job.cost == 0:
        return " · free" if not job.price_at_most else f" · not charged, {words.left(job.price_at_most)} released"
    released = (job.price_at_most or 0) - job.cost
    said = f" · {words.price(job.cost)} credits"
    return said + (f", {words.left(released)} released" if released >= 10_000 else "")


def _took(job: JobView) -> str:
    if job.seconds is None:
        return ""
    return f" in {job.seconds:.1f} s" if 0.95 <= job.seconds < 60 else f" in {words.seconds(job.seconds)}"


def _charged(job: JobView) -> str:
    said = "Nothing was charged." if not job.cost else f"{words.price(job.cost)} credits were charged."
    return said if job.attempts < 2 else f"{said[:-1]}; {job.attempts} attempts."


def _marks(job: JobView) -> list[str]:
    """What is to be known of the run besides its result."""
    about = words.about_run(job.moved_from, job.marks, job.seconds, job.vendor_seconds)
    return [about] if about else []


def _ended(job: JobView) -> list[str]:
    error = job.error or {}
    default = {_S.CANCELLED: "Cancelled.", _S.REJECTED: "Refused.", _S.FAILED: "The run failed."}[job.state]
    said = default if job.state is _S.CANCELLED else str(error.get("message") or default)
    line = said if "charged" in said.lower() else f"{said} {_charged(job)}"
    hint = error.get("hint")
    return [line, *([str(hint)] if hint else [])]


def lines(job: JobView, now: datetime, expires: datetime | None = None) -> list[str]:
    """What the card says of the state: one line, perhaps more below it."""
    match job.state:
        case _S.AWAITING_APPROVAL:
            return _awaiting(job, expires, now)
        case _S.QUEUED:
            return _waiting(job, now)
        case _S.SCHEDULED:
            return [f"Being prepared for {job.device}."]
        case _S.RUNNING:
            since = "" if job.started is None else f" since {_clock(job.started, now, seconds=True)}"
            return [f"On {job.device}{since}"]
        case _S.COMPLETED:
            return [f"Done{_took(job)}{_cost(job)}", *_marks(job)]
        case _S.FAILED | _S.REJECTED | _S.CANCELLED:
            return _ended(job)
        case _S.ARCHIVED:
            return ["Archived: its result is gone as retention says; its record stays."]
        case _:
            return ["Being checked."]


def _step(word: str, when: datetime | None, now: datetime, *, current: bool = False) -> dict[str, Any]:
    return {
        "word": word,
        "time": None if when is None else _clock(when, now).rpartition(" ")[0],
        "iso": None if when is None else when.isoformat(),
        "now": current,
        "ahead": False,
    }


def steps(job: JobView, now: datetime) -> list[dict[str, Any]]:
    """The way of the job: what is behind it, with times, where it is, what is to come."""
    final = job.state in FINAL
    walked = [_step("submitted", job.submitted or job.created, now)]
    if job.approval is not None or job.state is _S.AWAITING_APPROVAL:
        walked.append(_step("approval", None, now, current=job.state is _S.AWAITING_APPROVAL))
    if not final:
        waits = job.state in (_S.QUEUED, _S.SCHEDULED)
        walked.append(_step("scheduled" if job.state is _S.SCHEDULED else "waiting", None, now, current=waits))
    if not final or job.started is not None:
        walked.append(_step("running", job.started, now, current=job.state is _S.RUNNING))
    walked.append(_step(state_words(job) if final else "done", job.ended, now, current=final))
    return _with_future(walked)


def _with_future(walked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    at = next((index for index, step in enumerate(walked) if step["now"]), 0)
    return [step | {"ahead": index > at} for index, step in enumerate(walked)]


def _buttons(job: JobView, other: str | None) -> list[dict[str, Any]]:
    if job.state not in FINAL:
        return [{"do": "cancel", "label": "Cancel"}]
    if job.state is _S.COMPLETED:
        return [
            {"do": "copy", "label": "Copy code"},
            {"do": "replay", "label": "Replay"},
            {"do": "bundle", "label": "Bundle"},
            {"do": "again", "label": "Run again…"},
        ]
    offers: list[dict[str, Any]] = []
    if job.state is not _S.REJECTED:
        offers.append({"do": "retry", "label": "Try again", "device": job.device})
    if other is not None and other != job.device:
        offers.append({"do": "retry", "label": f"Run on {other}", "device": other})
    return [*offers, {"do": "again", "label": "Choose again…"}]


def code_for(job: JobView) -> str:
    """Code that fetches this job in any notebook of its owner."""
    answer = {"run": ".get_counts()", "sampler": "[0].data", "estimator": "[0].data.evs"}[job.kind.value]
    return (
        "from jupyter_quantum import Hub\n\n"
        f'job = Hub(project="{job.project}").job("{job.id}")  # {job.name!r} on {job.device}\n'
        f"job.result(){answer}\n"
    )


def _details(job: JobView) -> list[list[str]]:
    pairs = [["Job", job.id]]
    error = job.error or {}
    if error.get("code"):
        pairs.append(["Code", str(error["code"])])
    if job.replay_of is not None:
        pairs.append(["Replay of", job.replay_of])
    if job.decision is not None and job.decision.policies:
        pairs.append(["Decided by", ", ".join(job.decision.policies)])
    if job.options:
        pairs.append(["Options", ", ".join(_option(*one) for one in sorted(job.options.items()) if one[1] is not None)])
    if job.origin is not None:
        pairs.append(["Sent from", ", ".join(filter(None, (job.origin.notebook, _cell(job.origin.cell))))])
    return pairs


def _option(name: str, value: object) -> str:
    said = value if not isinstance(value, bool) else "on" if value else "off"
    return f"{name} {said}"


def _cell(cell: str | None) -> str:
    return f"cell {cell}" if cell else ""


def _folded(job: JobView) -> str:
    """What was chosen, in one line: it stands where the table of devices was."""
    parts = [f"replay of {short_id(job.replay_of)}"] if job.replay_of is not None else []
    parts += [words.plural(job.num_qubits, "qubit")] if job.num_qubits else []
    parts += [words.shots(job.shots)] if job.shots else []
    if not job.price:
        return " · ".join([*parts, credits_text(job.price)])
    most = "" if job.price_at_most is None or job.state in FINAL else f", at most {words.price(job.price_at_most)}"
    return " · ".join([*parts, f"about {credits_text(job.price)}{most}"])


def card(
    job: JobView, now: datetime, *, expires: datetime | None = None, other: str | None = None, extra: Sequence[str] = ()
) -> dict[str, Any]:
    """The card as the browser gets it. ``other`` is another device to offer; ``extra`` lines go below the state."""
    said = lines(job, now, expires)
    word = state_words(job)
    return {
        "id": job.id,
        "short": short_id(job.id),
        "name": job.name,
        "device": job.device,
        "label": job.device_label,
        "state": job.state.value,
        "final": job.state in FINAL,
        "icon": _ICONS[job.state],
        "word": word,
        "line": said[0],
        "more": [*said[1:], *extra],
        "since": job.started.isoformat() if job.state is _S.RUNNING and job.started else None,
        "hold": f"{words.price(job.on_hold)} credits on hold" if job.on_hold else "",
        "folded": _folded(job),
        "steps": steps(job, now),
        "buttons": _buttons(job, other),
        "details": _details(job),
        "code": code_for(job),
        "announce": f"{job.name} on {job.device}: {said[0] if job.state in FINAL else word + '.'}",
    }
