"""What the pipeline answers as the page shows it: one item, put into words once, ready for a template."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from jupyter_quantum.charts import Part, Series, counts_chart, counts_table, meter_chart
from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.pipeline.approvers import who_decides
from jupyter_quantum.wire.devices import DeviceView
from jupyter_quantum.wire.jobs import ApprovalView, JobView, Meter
from jupyter_quantum.wire.reports import ReportView

__all__ = [
    "ApprovalItem",
    "Clock",
    "DeviceItem",
    "JobItem",
    "MeterItem",
    "Moment",
    "approval_item",
    "device_item",
    "job_item",
    "meter_item",
    "unstyled",
]

_LOOK = {
    JobState.COMPLETED: "ok",
    JobState.FAILED: "error",
    JobState.REJECTED: "error",
    JobState.CANCELLED: "cancelled",
    JobState.ARCHIVED: "off",
    JobState.RUNNING: "running",
    JobState.AWAITING_APPROVAL: "attention",
}
_COUNTED = {
    "credits": "credits",
    "shots": "shots",
    "jobs": "jobs at once",
    "qpu_seconds": "on hardware",
    "simulator_seconds": "on simulators",
}
_SNAPSHOT = timedelta(days=30)
_DEVICE_LOOK = {"ready": "ok", "paused": "off", "isolated": "off", "drained": "off", "offline": "away"}


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
    decides: str
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


def _who_decides(view: ApprovalView, who: Principal, lead: bool) -> str:
    """Who decides where the reader does not."""
    if view.may_decide:
        return ""
    if lead and view.asked_by == who.name and view.role == "lead":
        return "You asked for this, so another lead must decide."
    return f"{who_decides(view.role, view.project)}. It runs by itself once approved."


def approval_item(
    view: ApprovalView, report: ReportView | None, who: Principal, clock: Clock, *, lead: bool
) -> ApprovalItem:
    """A request as ``who`` sees it; ``report`` is the job's, for its dry run and its drawing."""
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
        decides=_who_decides(view, who, lead),
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
    return unstyled(counts_chart(series, width=520)), counts_table(series), run.note


def unstyled(svg: str) -> str:
    """Charts carry a style attribute, which the page's content security policy forbids; our style sheet says it."""
    head, _, rest = svg.partition(">")
    before, found, after = head.partition(' style="')
    return f"{before}{after.partition(chr(34))[2]}>{rest}" if found else svg


def meter_item(meter: Meter, clock: Clock) -> MeterItem:
    """A budget with its bar: of credits, or of what its unit counts."""
    whose = {"user": "your budget", "project": "the project"}.get(meter.scope, meter.name)
    title = [*filter(None, [meter.project]), whose]
    left = (
        f"{_had(meter, meter.available)} of {_had(meter, meter.limit).removesuffix('.00')} {_COUNTED[meter.unit]} left"
    )
    parts = [Part("used", float(meter.used)), Part("on hold", float(meter.held), "held")]
    return MeterItem(
        title=" · ".join([*title, meter.window]),
        left=left,
        used=_gone(meter, meter.used),
        held=_gone(meter, meter.held),
        resets=clock.moment(meter.resets) if meter.resets else None,
        chart=unstyled(meter_chart(parts, meter.limit, sentence=f"{', '.join(title)}: {left}", width=420)),
    )


def _had(meter: Meter, value: int) -> str:
    return words.left(value) if meter.unit == "credits" else words.amount(meter.unit, value)


def _gone(meter: Meter, value: int) -> str:
    return words.spent(value) if meter.unit == "credits" else words.amount(meter.unit, value)


def job_item(job: JobView, clock: Clock) -> JobItem:
    """A line of a list of jobs."""
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
        about = words.about_run(job.moved_from, job.marks, job.seconds, job.vendor_seconds)
        return " · ".join(filter(None, [spent if spent == "free" else f"{spent} credits", about]))
    if job.state in (JobState.SCHEDULED, JobState.RUNNING) and job.wait and job.wait.words:
        return job.wait.words
    if job.state is JobState.QUEUED and job.wait:
        return job.wait.words or f"starts in about {words.seconds(job.wait.p50)}"
    return f"{words.price(job.on_hold)} credits on hold" if job.on_hold else ""


def _start(device: DeviceView) -> str:
    if device.state != "ready" or device.wait.p50 is None:
        return "–"
    return "now" if device.wait.p50 < 1 else f"about {words.seconds(device.wait.p50)}"


def _age(device: DeviceView, clock: Clock) -> str:
    """How old the calibration is; an emulator's may be a snapshot that is kept on purpose."""
    at = device.calibration.at
    if at is None:
        return "–"
    if "emulat" in device.label and clock.now - at > _SNAPSHOT:
        return f"snapshot of {at.day} {at:%b %Y}"
    return f"{clock.until(at)} ago"


def device_item(device: DeviceView, clock: Clock, operator: bool) -> DeviceItem:
    """A line of the list of devices, with what an operator may do."""
    possible = {
        "ready": ("pause", "isolate", "drain"),
        "paused": ("resume", "drain"),
        "isolated": ("resume", "recalibrate", "drain"),
        "drained": ("resume", "recalibrate"),
    }
    at = device.calibration.at
    until = f" until {clock.moment(device.state_until).words}" if device.state_until else ""
    return DeviceItem(
        name=device.name,
        label=device.label,
        icon=_DEVICE_LOOK[device.state],
        state=device.state + until,
        reason=device.state_reason,
        calibrated=clock.moment(at) if at else None,
        age=_age(device, clock),
        wait=_start(device),
        qubits=device.num_qubits,
        actions=possible.get(device.state, ()) if operator else (),
    )
