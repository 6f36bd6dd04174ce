"""What a user asks for and what comes back: jobs, quota, approvals, events. Devices and reports stand beside it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from jupyter_quantum.core.jobs import DeviceKind, JobKind, JobState
from jupyter_quantum.wire.base import Answer, CircuitBundle, Credits, Digest, Request, Time
from jupyter_quantum.wire.devices import CalibrationRef, Wait
from jupyter_quantum.wire.sessions import SessionRef

__all__ = [
    "ApprovalDecision",
    "ApprovalView",
    "Approvals",
    "DecisionView",
    "EventView",
    "JobRequest",
    "JobView",
    "Jobs",
    "Me",
    "Membership",
    "Meter",
    "Origin",
    "Paulis",
    "Provenance",
    "Pub",
    "QuotaView",
    "ReplayRequest",
    "SourceView",
    "Standing",
    "WorkRequest",
]

Paulis = dict[str, float]
"""One observable: Pauli labels (Qiskit's order, qubit 0 last) to real coefficients."""


class Pub(Request):
    """One primitive unified bloc: which circuit, and what to bind, measure and how often.

    ``parameters`` is a nested list whose last axis runs over the circuit's parameters in the circuit's order and whose
    leading axes are the shape of the bindings; ``observables`` is a nested list of :data:`Paulis` (estimator only).
    """

    circuit: Annotated[int, Field(ge=0, description="index into the bundle")]
    parameters: Any = None
    observables: Any = None
    shots: Annotated[int | None, Field(ge=1)] = None
    precision: Annotated[float | None, Field(gt=0, le=1e6, allow_inf_nan=False)] = None


class WorkRequest(Request):
    """Circuits and what to do with them: what reports and jobs are asked with."""

    kind: JobKind = JobKind.RUN
    circuits: CircuitBundle | None = None
    pubs: Annotated[list[Pub], Field(max_length=10_000)] = Field(
        default_factory=list, description="empty for kind run: every circuit of the bundle once"
    )
    options: dict[str, Any] = Field(
        default_factory=dict,
        description="flat names as the device's option schema publishes them: shots, seed_simulator, memory, …",
    )
    transpile: Literal["auto", "never"] = "auto"
    name: Annotated[str | None, Field(max_length=200)] = None
    project: str | None = Field(default=None, description="who pays; the caller's only project where omitted")


def _plain(text: str) -> str:
    if not text.isprintable() or "/" in text or "\\" in text:
        raise ValueError("a file's name without folders or control characters")
    return text


class Origin(Request):
    """The cell that a job was sent from. Its sender says so: nothing rests on it."""

    notebook: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)] | None = Field(
        default=None, description="the file's name, without its folder"
    )
    cell: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = Field(
        default=None, description="id of the cell in the notebook (nbformat 4.5)"
    )


class JobRequest(WorkRequest):
    """Run circuits on one device, or what ``report`` validated (then ``circuits`` and ``pubs`` are omitted)."""

    device: str
    report: str | None = None
    max_price: Annotated[Credits | None, Field(ge=0, lt=2**63)] = Field(
        default=None, description="refuse where it may cost more than this"
    )
    reason: Annotated[str | None, Field(max_length=1000)] = Field(default=None, description="for an approver")
    fallback: Annotated[list[str], Field(max_length=20)] = Field(
        default_factory=list, description="devices that it may move to, in this order, where the first one cannot"
    )
    fallback_after: Annotated[float | None, Field(ge=0, le=31 * 86_400)] = Field(
        default=None, description="seconds that it waits for a device that does not start jobs; an hour where omitted"
    )
    origin: Origin | None = Field(default=None, description="the cell that it is sent from; none outside notebooks")
    session: SessionRef | None = Field(default=None, description="the session or batch that it belongs into")


class ReplayRequest(Request):
    """Run a job's circuits once more: the same source, PUBs, options and seeds, through the same door as any job."""

    device: str | None = Field(default=None, description="the job's own device where omitted")
    max_price: Annotated[Credits | None, Field(ge=0, lt=2**63)] = Field(
        default=None, description="refuse where it may cost more than this"
    )
    reason: Annotated[str | None, Field(max_length=1000)] = Field(default=None, description="for an approver")
    origin: Origin | None = Field(default=None, description="the cell that it is sent from; none outside notebooks")


class DecisionView(Answer):
    """What policy said: the effect, by which policies, in words."""

    effect: Literal["allow", "refuse", "needs_approval"]
    role: str | None = Field(default=None, description="who must approve; the first of roles")
    roles: list[str] = Field(default_factory=list, description="who must approve: each role, by a different person")
    policies: list[str] = Field(default_factory=list)
    version: Digest
    words: str
    facts: dict[str, Any] = Field(default_factory=dict, description="the facts that the policies named looked at")


class JobView(Answer):
    """A job as its owner sees it."""

    id: str
    name: str
    kind: JobKind
    state: JobState
    owner: str
    project: str
    device: str
    device_kind: DeviceKind
    device_label: str
    report: str | None = None
    source: Digest
    executable: Digest | None = None
    num_circuits: int
    num_qubits: int | None = None
    shots: int | None = None
    executions: int | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    price: Credits | None = None
    price_at_most: Credits | None = None
    on_hold: Credits = 0
    cost: Credits | None = None
    attempts: int = 0
    decision: DecisionView | None = None
    approval: str | None = None
    envelope: str | None = Field(default=None, description="id of the envelope that it goes on in without asking")
    wait: Wait | None = None
    error: dict[str, Any] | None = Field(default=None, description="ErrorBody of a failed or rejected job")
    fallback: list[str] = Field(default_factory=list, description="devices that it may still move to")
    moved_from: list[str] = Field(default_factory=list, description="devices that it was meant for before")
    marks: list[str] = Field(default_factory=list, description="what is to be known of the result: drift, partial")
    cancel_asked: Time | None = Field(default=None, description="taken back; the device has not confirmed yet")
    created: Time
    changed: Time
    submitted: Time | None = None
    started: Time | None = None
    ended: Time | None = None
    seconds: float | None = Field(default=None, description="time on the device")
    vendor_seconds: float | None = Field(default=None, description="the same as the vendor counts it, where it tells")
    version: int = Field(description="grows with each move")
    replay_of: str | None = Field(default=None, description="the job that it runs once more")
    origin: Origin | None = Field(default=None, description="the cell that it was sent from, as its sender says")
    session: str | None = Field(default=None, description="id of the session or batch that it belongs into")
    result: dict[str, Any] | None = Field(
        default=None, description="jupyter_quantum.wire.results.ResultView, only where asked for with wait"
    )


class Jobs(Answer):
    jobs: list[JobView]
    next: str | None = Field(default=None, description="cursor of the next page")


class SourceView(Answer):
    """What a job was made from, so that a notebook can rebuild its circuits."""

    circuits: CircuitBundle
    pubs: list[Pub] = Field(default_factory=list)


class Meter(Answer):
    """One budget: what a user or a project may spend in a window."""

    scope: Literal["user", "project", "organisation"]
    name: str
    project: str
    window: str = Field(description="words: November, today, or the project's grant")
    limit: Credits
    used: Credits
    held: Credits
    available: Credits
    resets: Time | None = None
    unit: Literal["credits", "shots", "qpu_seconds", "simulator_seconds", "jobs"] = Field(
        default="credits", description="of the amounts: micro-credits, shots, milliseconds, jobs under way"
    )
    device_kind: DeviceKind | None = Field(default=None, description="only such devices count; all where None")
    soft: int | None = Field(default=None, description="from so much used and on hold on, people are warned")
    near: bool = Field(default=False, description="whether the soft limit is reached")
    words: str | None = Field(default=None, description="what to say about it, where the soft limit is reached")


class QuotaView(Answer):
    """All budgets that bind the caller in a project; ``binding`` is the index of the one with the least left."""

    project: str
    meters: list[Meter] = Field(description="of credits")
    binding: int
    others: list[Meter] = Field(default_factory=list, description="of shots, seconds, jobs under way")

    @property
    def left(self) -> int:
        """Micro-credits that may still be put on hold."""
        return self.meters[self.binding].available


class ApprovalView(Answer):
    """A request that waits for a person, or was decided."""

    id: str
    job: JobView
    project: str
    role: str
    asked_by: str
    reason: str | None
    words: str
    created: Time
    expires: Time
    state: Literal["open", "approved", "rejected", "expired", "withdrawn"]
    decided_by: str | None = None
    decided: Time | None = None
    note: str | None = None
    project_left: Credits = 0
    may_decide: bool = False


class Approvals(Answer):
    approvals: list[ApprovalView]


class Standing(Request):
    """Later jobs of the same person with these circuits and options on this device need not ask, until then."""

    until: Time
    amount: Annotated[Credits | None, Field(gt=0, lt=2**63)] = Field(
        default=None, description="the most that they may cost together"
    )
    free_parameters: bool = Field(default=False, description="the values of parameters may be others")


class ApprovalDecision(Request):
    """A person's answer; a rejection needs a note."""

    verdict: Literal["approve", "reject"]
    note: Annotated[str | None, Field(max_length=1000)] = None
    standing: Standing | None = None


class EventView(Answer):
    """One numbered event of the stream; ``data`` carries the new :class:`JobView`, quota or device."""

    seq: int = Field(description="the reader's own number of the event: where to go on; it has no order")
    id: str
    time: Time
    type: str = Field(description="job.moved, quota.changed, device.changed, approval.changed")
    job: str | None = None
    project: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class Membership(Answer):
    """A role that the service itself gave, beside the hub's groups."""

    id: str
    project: str | None = Field(description="None: on the whole hub")
    role: str
    kind: Literal["member", "elevation", "breakglass"]
    start: Time
    end: Time | None = Field(description="None: until somebody ends it")


class Me(Answer):
    """Who the service takes the caller for."""

    name: str
    roles: list[str] = Field(description="hub-wide: operator, auditor, admin")
    scopes: list[str]
    projects: dict[str, str] = Field(description="project → role in it (user, lead)")
    tiers: dict[str, str]
    memberships: list[Membership] = Field(default_factory=list, description="roles for a while, with their ends")


class Provenance(Answer):
    """The record of one run (R1). Unknown is None, never made up."""

    id: str
    job: JobView
    tenant: str
    user: str
    source: Digest
    executable: Digest | None
    compiler: dict[str, Any] = Field(description="name, version, level, seed, layout")
    versions: dict[str, str] = Field(description="of qiskit, qiskit-aer, runner, python")
    calibration: CalibrationRef | None
    policy: DecisionView | None
    approver: str | None
    attempts: list[dict[str, Any]] = Field(
        description="each try: how it ended, where and how long it ran, the vendor's ids; charge: what was priced and "
        "what counted in budgets, indices of what is missing, and each submission with what it used"
    )
    times: dict[str, Any]
    summary: dict[str, Any]
    snapshot: Digest | None = Field(
        default=None, description="the calibration's document, kept as long as the job: GET …/calibration"
    )
    transpile: dict[str, Any] = Field(default_factory=dict, description="mode, level, seed, whether it was altered")
    estimate: dict[str, Any] = Field(
        default_factory=dict, description="what was expected: success, seconds, price, price_at_most; and noise_free"
    )
    actual: dict[str, Any] = Field(default_factory=dict, description="what came of it: seconds, cost")
    approvals: list[dict[str, Any]] = Field(default_factory=list, description="who was asked, and what they said")
    mitigation: dict[str, Any] = Field(default_factory=dict, description="as the result says it; empty where none")
    marks: list[str] = Field(default_factory=list, description="what is to be known of the result: drift, partial")
    events: list[dict[str, Any]] = Field(
        description="every move with its number, hash and text in the record; the proof that it is there, once signed"
    )
