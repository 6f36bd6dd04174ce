"""What the service answers, as a person reads it: quota, devices, jobs. HTML and complete plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from jupyter_quantum.client.evidence import SCORED
from jupyter_quantum.client.html import (
    GLYPHS,
    Html,
    clean,
    columns,
    details,
    esc,
    meter,
    table,
    time_tag,
    when,
)
from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.wire.devices import DeviceView
from jupyter_quantum.wire.jobs import JobView, Me, Meter, QuotaView

__all__ = [
    "MeCard",
    "QuotaCard",
    "UsageCard",
    "cost",
    "credits",
    "device_rows",
    "devices_html",
    "devices_text",
    "job_html",
    "job_text",
    "jobs_html",
    "jobs_text",
]


def credits(micro: int | None) -> float | None:  # noqa: A001 (the word of the domain; the site builtin is for shells)
    """Micro-credits as credits; None where unknown."""
    return None if micro is None else micro / CREDIT


class QuotaCard(QuotaView):
    """The budgets that bind you in a project; shown as meters."""

    def _repr_html_(self) -> str:
        rows = [(_budget(one), _gauge(one), _left(one), _spent(one), time_tag(one.resets)) for one in self._all]
        shown = table(("Budget", "", "Left", "Used", "Starts again"), rows, f"{self.project}: {_left(self._tightest)}")
        return Html(shown + "".join(f"<p>▲ {esc(said)}</p>" for said in self._warnings))

    def __repr__(self) -> str:
        rows = [("Budget", "Left", "Used", "Starts again")]
        rows += [(clean(_budget(one)), _left(one), _spent(one), when(one.resets)) for one in self._all]
        lines = [f"{clean(self.project)}: {_left(self._tightest)}", columns(rows)]
        return "\n".join([*lines, *(f"▲ {clean(said)}" for said in self._warnings)])

    __str__ = __repr__

    @property
    def _tightest(self) -> Meter:
        return self.meters[self.binding]

    @property
    def _all(self) -> list[Meter]:
        return [*self.meters, *self.others]

    @property
    def _warnings(self) -> list[str]:
        """What to say of budgets whose soft limit is reached."""
        return [one.words for one in self._all if one.words]


class MeCard(Me):
    """Who the service takes you for."""

    def __repr__(self) -> str:
        projects = ", ".join(f"{clean(name)} ({self._role(name)})" for name in self.projects) or "no project"
        also = f"; also {', '.join(self.roles)}" if self.roles else ""
        return f"{clean(self.name)}: {projects}{also}"

    __str__ = __repr__

    def _role(self, project: str) -> str:
        """The role, and until when it lasts where it ends."""
        role = self.projects[project]
        ends = [one.end for one in self.memberships if (one.project, one.role) == (project, role) and one.end]
        return f"{role} until {when(max(ends))}" if ends else role

    def _repr_html_(self) -> str:
        return table(
            ("Project", "Your role", "Tier"),
            [(name, self._role(name), self.tiers.get(name, "–")) for name in self.projects],
            self.name,
        )


class UsageCard:
    """What jobs cost, by device; amounts in micro-credits in :attr:`by_device`."""

    def __init__(self, jobs: Sequence[JobView]) -> None:
        self.jobs = list(jobs)
        self.by_device: dict[str, int] = {}
        for job in jobs:
            self.by_device[job.device] = self.by_device.get(job.device, 0) + (job.cost or 0)

    def _rows(self) -> list[tuple[str, str, str]]:
        count = Counter(job.device for job in self.jobs)
        known = {job.device for job in self.jobs if job.cost is not None}
        return [
            (name, words.plural(count[name], "job"), _amount(cost) if name in known else "–")
            for name, cost in sorted(self.by_device.items())
        ]

    def _repr_html_(self) -> str:
        return table(_USAGE_HEAD, self._rows(), self._sum)

    def __repr__(self) -> str:
        return f"{self._sum}\n{columns([_USAGE_HEAD, *self._rows()])}"

    @property
    def _sum(self) -> str:
        return f"{words.plural(len(self.jobs), 'job')}: {_amount(sum(self.by_device.values()))}"


_USAGE_HEAD = ("Device", "Jobs", "Cost")


def device_rows(devices: Iterable[DeviceView]) -> list[tuple[str, ...]]:
    """Devices as words: name, what it is, qubits, state, start, price of 1000 shots."""
    return [(d.name, d.label, _qubits(d), _state(d), _start(d), _thousand(d)) for d in devices]


_DEVICE_HEAD = ("Device", "Kind", "Qubits", "State", "Start", "1 task of 1 000 shots")


def devices_html(devices: Sequence[DeviceView]) -> Html:
    """Devices as a table, and how good estimates have been on them."""
    shown = table(_DEVICE_HEAD, device_rows(devices))
    scored = [(one.name, SCORED[score.what], score.words) for one in devices for score in one.scores]
    told = details("Estimates", table(("Device", "Of", "How good they were"), scored)) if scored else ""
    return Html(shown + told)


def devices_text(devices: Sequence[DeviceView]) -> str:
    """Devices as aligned text, and how good estimates have been on them."""
    lines = [columns([_DEVICE_HEAD, *[tuple(map(clean, row)) for row in device_rows(devices)]])]
    lines += [
        f"{clean(one.name)}, {SCORED[score.what].lower()}: {clean(score.words)}"
        for one in devices
        for score in one.scores
    ]
    return "\n".join(lines)


def job_html(job: JobView) -> Html:
    """A job's card: what runs where, the way so far, the money."""
    head = f"{GLYPHS[job.state]} {clean(job.name)} → {clean(job.device)} ({job.device_label})"
    way = [(word, time_tag(at)) for word, at in _way(job)]
    facts: list[tuple[object, object]] = [("State", _word(job)), *way, ("Cost", cost(job))]
    if said := _said(job):
        facts.append(("Why", said))
    return table((), [*facts, ("Job", job.id)], head)


def job_text(job: JobView) -> str:
    """A job in a line or two; ``hub.job(id)`` finds it again."""
    head = f"{GLYPHS[job.state]} {clean(job.name)} → {clean(job.device)} ({clean(job.device_label)})"
    way = " · ".join(f"{word} {when(at)}" for word, at in _way(job))
    lines = [f"{head}  {_word(job)}  {job.id}", f"  {way} · {cost(job)}"]
    if said := _said(job):
        lines.append(f"  {clean(said)}")
    return "\n".join(lines)


_JOBS_HEAD = ("Job", "Device", "State", "Submitted", "Cost", "Id")


def _job_rows(jobs: Iterable[JobView]) -> list[tuple[str, ...]]:
    return [
        (
            j.name,
            j.device,
            f"{GLYPHS[j.state]} {_word(j)}",
            when(j.submitted or j.created),
            cost(j),
            j.id,
        )
        for j in jobs
    ]


def jobs_html(jobs: Sequence[JobView]) -> Html:
    """Jobs as a table."""
    return table(_JOBS_HEAD, _job_rows(jobs))


def jobs_text(jobs: Sequence[JobView]) -> str:
    """Jobs as aligned text."""
    return columns([_JOBS_HEAD, *[tuple(map(clean, row)) for row in _job_rows(jobs)]]) if jobs else "No jobs yet."


def _budget(one: Meter) -> str:
    where = f" · {one.device_kind.value} only" if one.device_kind is not None else ""
    return f"{'you' if one.scope == 'user' else one.name} · {one.window}{where}"


def _left(one: Meter) -> str:
    if one.unit != "credits":
        return (
            f"{words.amount(one.unit, one.available)} of {words.amount(one.unit, one.limit)} {_COUNTS[one.unit]} left"
        )
    return f"{words.left(one.available)} of {words.left(one.limit).removesuffix('.00')} credits left"


def _spent(one: Meter) -> str:
    if one.unit != "credits":
        return f"{words.amount(one.unit, one.used)}, on hold {words.amount(one.unit, one.held)}"
    return f"{words.spent(one.used)}, on hold {words.spent(one.held)}"


_COUNTS: Final = {
    "shots": "shots",
    "jobs": "jobs at once",
    "qpu_seconds": "on hardware",
    "simulator_seconds": "on simulators",
}
"""What a budget that is not of credits counts, after its amount."""


def _gauge(one: Meter) -> Html:
    return meter(one.available, one.limit, _left(one))


def _qubits(device: DeviceView) -> str:
    return words.number(device.num_qubits)


def _state(device: DeviceView) -> str:
    if device.state == "ready":
        return "✓ ready"
    until = f" until {when(device.state_until)}" if device.state_until else ""
    reason = f": {device.state_reason}" if device.state_reason else ""
    return f"{'○' if device.state == 'offline' else '■'} {device.state}{until}{reason}"


def _start(device: DeviceView) -> str:
    if device.state != "ready" or device.wait.p50 is None:
        return "–"
    return "now" if device.wait.p50 < 1 else f"about {words.seconds(device.wait.p50)}"


def _thousand(device: DeviceView) -> str:
    return words.price(device.price.per_task + 1000 * device.price.per_shot)


def _word(job: JobView) -> str:
    return words.job_state(job.state, (job.error or {}).get("code"))


def _way(job: JobView) -> list[tuple[str, datetime]]:
    steps = [("submitted", job.submitted or job.created), ("running", job.started)]
    steps.append((_word(job) if job.state in FINAL else "ended", job.ended))
    return [(word, at) for word, at in steps if at is not None]


def cost(job: JobView) -> str:
    """What a job cost, holds, or would cost, in words."""
    if job.cost is not None:
        return _amount(job.cost)
    if job.on_hold:
        return f"{words.price(job.on_hold)} credits on hold"
    if job.state in FINAL:
        return "nothing charged"
    return "price unknown" if job.price is None else _amount(job.price)


def _amount(micro: int) -> str:
    return "free" if micro == 0 else f"{words.price(micro)} credits"


def _said(job: JobView) -> str:
    """Why it waits, or why it ended: the service's own words."""
    if job.error:
        return " ".join(str(job.error[key]) for key in ("message", "hint") if job.error.get(key))
    if job.state in FINAL:
        return words.about_run(job.moved_from, job.marks, job.seconds, job.vendor_seconds)
    if job.wait and job.wait.words:
        return job.wait.words
    decision: Any = job.decision
    return decision.words if decision and decision.effect == "needs_approval" else ""
