"""What the page shows a person: collected from the pipeline, put into words once, ready for a template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING

from jupyter_quantum.charts import Part, Series, counts_chart, counts_table, meter_chart
from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.core.tenancy import Principal, Role
from jupyter_quantum.exceptions import NotFound, Refused
from jupyter_quantum.wire.jobs import ApprovalView, DeviceView, JobView, Me, Meter, ReportView

if TYPE_CHECKING:
    from jupyter_quantum.pipeline import Pipeline

__all__ = ["ApprovalItem", "Board", "DeviceItem", "JobItem", "MeterItem", "Moment", "collect"]

_RECENT = 12
_LOOK = {
    JobState.COMPLETED: "ok",
    JobState.FAILED: "error",
    JobState.REJECTED: "error",
    JobState.CANCELLED: "cancelled",
    JobState.ARCHIVED: "off",
    JobState.RUNNING: "running",
    JobState.AWAITING_APPROVAL: "attention",
}
_DEVICE_LOOK = {"ready": "ok", "paused": "off", "drained": "off", "offline": "away"}


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time: for people, and as ISO 8601."""

    words: str
    iso: str


@dataclass(frozen=True, slots=True)
class Clock:
    """Now, and how to say other times."""

    now: datetime
    zone: tzinfo | None

    def moment(self, when: datetime) -> Moment:
        """``when`` in the reader's time zone."""
        said = words.moment(when.astimezone(self.zone), self.now.astimezone(self.zone))
        return Moment(said, when.astimezone(UTC).isoformat(timespec="seconds"))

    def until(self, when: datetime) -> str:
        """How long until ``when``, or since."""
        return words.seconds(abs((when - self.now).total_seconds()))


@dataclass(frozen=True, slots=True)
class MeterItem:
    """One budget."""

    title: str
    left: str
    limit: str
    used: str
    held: str
    resets: Moment | None
    chart: str


@dataclass(frozen=True, slots=True)
class JobItem:
    """One job in a list."""

    id: str
    name: str
    device: str
    label: str
    owner: str
    icon: str
    state: str
    detail: str
    changed: Moment
    active: bool


@dataclass(frozen=True, slots=True)
class ApprovalItem:
    """One request that waits for a person."""

    id: str
    title: str
    expires: str
    expires_at: Moment
    cost: str
    why: str
    policies: str
    reason: str | None
    may_decide: bool
    own: bool
    chart: str | None = None
    table: tuple[list[str], list[list[str]]] | None = None
    note: str | None = None
    circuit: str | None = None


@dataclass(frozen=True, slots=True)
class DeviceItem:
    """One device."""

    name: str
    label: str
    icon: str
    state: str
    reason: str | None
    calibrated: Moment | None
    age: str
    wait: str
    qubits: int
    actions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Board:
    """The whole page."""

    needs: str
    user: bool
    lead: bool
    operator: bool
    projects: str
    approvals: list[ApprovalItem] = field(default_factory=list)
    asked: list[ApprovalItem] = field(default_factory=list)
    meters: list[MeterItem] = field(default_factory=list)
    jobs: list[JobItem] = field(default_factory=list)
    project_jobs: list[JobItem] = field(default_factory=list)
    devices: list[DeviceItem] = field(default_factory=list)


async def collect(pipeline: Pipeline, who: Principal) -> Board:
    """Ask the pipeline for everything that ``who`` may see here."""
    me = await pipeline.me(who)
    clock = Clock(datetime.now(UTC), getattr(getattr(pipeline, "settings", None), "time_zone", None))
    operator = bool({"operator", "admin"} & set(me.roles))
    led = [project for project, role in me.projects.items() if role == Role.LEAD]
    approvals, asked = await _approvals(pipeline, who, clock)
    devices = (await pipeline.devices(who)).devices
    return Board(
        needs=_needs(approvals, [device for device in devices if device.state == "offline"] if operator else []),
        user=bool(me.projects),
        lead=bool(led),
        operator=operator,
        projects=_projects(me),
        approvals=approvals,
        asked=asked,
        meters=[_meter(m, clock) for project in me.projects for m in (await pipeline.quota(who, project)).meters],
        jobs=[_job(job, clock) for job in (await pipeline.jobs(who, limit=_RECENT)).jobs] if me.projects else [],
        project_jobs=[
            _job(job, clock)
            for project in led
            for job in (await pipeline.jobs(who, limit=_RECENT, project=project)).jobs
            if job.owner != who.name
        ],
        devices=[_device(device, clock, operator) for device in devices],
    )


def _projects(me: Me) -> str:
    return ", ".join(f"{role} of {project} ({me.tiers.get(project, '–')})" for project, role in me.projects.items())


def _needs(approvals: Sequence[ApprovalItem], offline: Sequence[DeviceView]) -> str:
    parts = []
    mine = sum(item.may_decide for item in approvals)
    if mine:
        parts.append(words.plural(mine, "approval"))
    if offline:
        parts.append(f"{words.plural(len(offline), 'device')} offline")
    return " · ".join(parts)


async def _approvals(pipeline: Pipeline, who: Principal, clock: Clock) -> tuple[list[ApprovalItem], list[ApprovalItem]]:
    others: list[ApprovalItem] = []
    own: list[ApprovalItem] = []
    for view in (await pipeline.approvals(who, state="open")).approvals:
        report = await _report(pipeline, who, view.job) if view.may_decide else None
        (own if view.asked_by == who.name else others).append(_approval(view, report, who, clock))
    return others, own


async def _report(pipeline: Pipeline, who: Principal, job: JobView) -> ReportView | None:
    if job.report is None:
        return None
    try:
        found: ReportView = await pipeline.get_report(who, job.report)
    except (NotFound, Refused):
        return None
    return found


def _approval(view: ApprovalView, report: ReportView | None, who: Principal, clock: Clock) -> ApprovalItem:
    job = view.job
    facts = [words.plural(job.num_qubits, "qubit")] if job.num_qubits is not None else []
    facts += [words.shots(job.shots)] if job.shots is not None else []
    price, bound, keeps = words.price(job.price), words.price(job.price_at_most), words.left(view.project_left)
    chart, table, note = _dry_run(report)
    return ApprovalItem(
        id=view.id,
        title=f"{view.asked_by}: {job.name} on {job.device} ({job.device_label})",
        expires=clock.until(view.expires),
        expires_at=clock.moment(view.expires),
        cost=" · ".join([f"{price} credits, at most {bound}", f"{view.project} keeps {keeps}", ", ".join(facts)]),
        why=view.words,
        policies=", ".join(job.decision.policies) if job.decision else "",
        reason=view.reason,
        may_decide=view.may_decide,
        own=view.asked_by == who.name,
        chart=chart,
        table=table,
        note=note,
        circuit=(report.text or None) if report else None,
    )


def _dry_run(report: ReportView | None) -> tuple[str | None, tuple[list[str], list[list[str]]] | None, str | None]:
    run = report.dry_run if report else None
    if run is None:
        return None, None, None
    series = [Series("ideal", run.ideal, "ideal"), Series("noisy", run.noisy, "noisy", run.shots)]
    if not any(one.shares for one in series):
        return None, None, run.note
    return _unstyled(counts_chart(series, width=520)), counts_table(series), run.note


def _unstyled(svg: str) -> str:
    """Charts carry a style attribute, which the page's content security policy forbids; our style sheet says it."""
    head, _, rest = svg.partition(">")
    before, found, after = head.partition(' style="')
    return f"{before}{after.partition(chr(34))[2]}>{rest}" if found else svg


def _meter(meter: Meter, clock: Clock) -> MeterItem:
    left, limit = words.left(meter.available), words.left(meter.limit).removesuffix(".00")
    whose = "your budget" if meter.scope == "user" else "the project"
    sentence = f"{meter.project}, {whose}: {left} of {limit} credits left"
    parts = [Part("used", meter.used / CREDIT), Part("on hold", meter.held / CREDIT, "held")]
    return MeterItem(
        title=f"{meter.project} · {whose} · {meter.window}",
        left=left,
        limit=limit,
        used=words.left(meter.used),
        held=words.left(meter.held),
        resets=clock.moment(meter.resets) if meter.resets else None,
        chart=_unstyled(meter_chart(parts, meter.limit / CREDIT, sentence=sentence, width=420)),
    )


def _job(job: JobView, clock: Clock) -> JobItem:
    return JobItem(
        id=job.id,
        name=job.name,
        device=job.device,
        label=job.device_label,
        owner=job.owner,
        icon=_LOOK.get(job.state, "waiting"),
        state=words.job_state(job.state, (job.error or {}).get("code")),
        detail=_detail(job),
        changed=clock.moment(job.changed),
        active=job.state not in FINAL,
    )


def _detail(job: JobView) -> str:
    if job.error:
        return str(job.error.get("message", ""))
    if job.state is JobState.COMPLETED:
        spent = words.price(job.cost)
        return spent if spent == "free" else f"{spent} credits"
    if job.state is JobState.QUEUED and job.wait:
        return job.wait.words or f"starts in about {words.seconds(job.wait.p50)}"
    return f"{words.price(job.on_hold)} credits on hold" if job.on_hold else ""


def _start(device: DeviceView) -> str:
    if device.state != "ready" or device.wait.p50 is None:
        return "–"
    return "now" if device.wait.p50 < 1 else f"about {words.seconds(device.wait.p50)}"


def _device(device: DeviceView, clock: Clock, operator: bool) -> DeviceItem:
    possible = {"ready": ("pause", "drain"), "paused": ("resume", "drain"), "drained": ("resume",)}
    at = device.calibration.at
    until = f" until {clock.moment(device.state_until).words}" if device.state_until else ""
    return DeviceItem(
        name=device.name,
        label=device.label,
        icon=_DEVICE_LOOK[device.state],
        state=device.state + until,
        reason=device.state_reason,
        calibrated=clock.moment(at) if at else None,
        age=f"{clock.until(at)} ago" if at else "–",
        wait=_start(device),
        qubits=device.num_qubits,
        actions=possible.get(device.state, ()) if operator else (),
    )
