"""Rows of jobs and what surrounds them: attempts, reports, requests for approval, devices."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from jupyter_quantum.core.jobs import DeviceKind, JobClass, JobKind, JobState
from jupyter_quantum.store.rows.base import Json

__all__ = [
    "ApprovalRow",
    "ApprovalState",
    "AttemptRow",
    "AttemptState",
    "DeviceRow",
    "DeviceState",
    "JobRow",
    "ReportRow",
]

DeviceState = Literal["ready", "paused", "isolated", "drained", "offline"]
ApprovalState = Literal["open", "approved", "rejected", "expired", "withdrawn"]


class AttemptState(StrEnum):
    """Where one try at running a job is."""

    SCHEDULED = "scheduled"
    """The tag is written; the device has not confirmed."""
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"
    """It cannot be known whether the device ran it; the job stays running until an operator decides."""


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job. The store itself keeps state, version, changed, held, accounts, on_hold, cost and attempts."""

    id: str
    principal: str
    """``Principal.id`` of the owner: name and when it was created."""
    owner: str
    """The owner's name, for people."""
    organisation: str
    project: str
    device: str
    device_kind: DeviceKind
    device_label: str
    kind: JobKind
    name: str
    created: datetime
    changed: datetime
    source: str
    """Digest of the circuits as sent."""
    source_format: str = "qpy"
    num_circuits: int = 1
    state: JobState = JobState.DRAFT
    transpile: str = "auto"
    pubs: Json = "[]"
    """The PUBs as sent."""
    options: Json = "{}"
    """The options: as sent, then with every default and the seed filled in."""
    reason: str | None = None
    """What the owner tells an approver."""
    max_price: int | None = None
    """Refuse where it may cost more than this."""
    report: str | None = None
    num_qubits: int | None = None
    shots: int | None = None
    executions: int | None = None
    executable: str | None = None
    """Digest of what runs."""
    prepared: Json | None = None
    """``wire.runner.Prepared`` without the bytes: depth, success, seconds, compiler, laid-out PUBs."""
    calibration: Json | None = None
    """``wire.devices.CalibrationRef`` that the numbers rest on."""
    decision: Json | None = None
    """``wire.jobs.DecisionView``."""
    approval: str | None = None
    """Id of the approval that it needs or has: the first of the round, where several people are asked."""
    envelope: str | None = None
    """Id of the envelope that it goes on in without asking."""
    error: Json | None = None
    """``wire.base.ErrorBody`` of a failed or rejected job."""
    price: int | None = None
    price_at_most: int | None = None
    held: int | None = None
    """What was put on hold for it; None before. A free device's jobs hold 0."""
    accounts: Json = "{}"
    """Id of each account that it was put on hold in → what is still on hold there, in the account's unit."""
    on_hold: int = 0
    """Micro-credits that are still on hold for it."""
    cost: int | None = None
    """What was settled, all attempts together; None before the first."""
    attempts: int = 0
    version: int = 0
    """Grows by one with each move."""
    submitted: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    seconds: float | None = None
    """Time on the device."""
    wait: Json | None = None
    """``wire.devices.Wait`` as the scheduler last wrote it."""
    cancel_asked: datetime | None = None
    result: str | None = None
    """Digest of the stored ``ResultView``."""
    versions: Json | None = None
    """Versions of qiskit, aer, runner, python that ran it."""
    idempotency: str | None = None
    """The key that its owner sent; unique for one principal."""
    body: str | None = None
    """Digest of the request's body, compared when the key comes again."""
    queued: datetime | None = None
    """When it joined its device's queue, the last time."""
    not_before: datetime | None = None
    """It waits for this moment: the budgets of its time pay for it."""
    prices: Json | None = None
    """``core.money.PriceList`` that it was submitted under."""
    token: str | None = None
    """The hub's id of the token or session that it was submitted with."""
    replay_of: str | None = None
    """Id of the job that it runs once more."""
    snapshot: str | None = None
    """Digest of the document of the calibration that the numbers rest on; an artefact of the service."""
    erased: str = ""
    """Classes of its data that were erased, sorted, with commas: ``inputs,results``."""
    priority: JobClass = JobClass.INTERACTIVE
    """Class that weighs in its device's queue."""
    fallback: Json = "[]"
    """Devices that it may still move to, in order."""
    fallback_after: float | None = None
    """Seconds that it waits for a device that starts nothing, before it moves."""
    moved_from: Json = "[]"
    """Devices that it was meant for before, first to last."""
    sent: Json | None = None
    """The options as sent, kept where it may move: another device has other defaults."""
    leaving: Json | None = None
    """``wire.base.ErrorBody``: why its device will not run it; it looks for another one."""
    marks: Json = "[]"
    """What is to be known of its result: ``drift``, ``partial``."""
    vendor_s: float | None = None
    """Seconds on the device as the vendor counts them, where it tells."""
    forecast: Json | None = None
    """The first that was said of its wait: ``at`` (ISO 8601), ``p50`` and ``p90`` in seconds from then."""
    origin: Json | None = None
    """``wire.jobs.Origin``: the notebook and the cell that it was sent from."""
    session: str | None = None
    """The client's id of the session or batch that it belongs into."""


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """One try at running a job; its tag is written before the device is called."""

    job: str
    number: int
    tag: str
    """``<job>-<number>``: what the device is told."""
    state: AttemptState
    runner: str
    fence: int
    """A report with an older fence changes nothing."""
    created: datetime
    lease_until: datetime
    started: datetime | None = None
    ended: datetime | None = None
    charged: bool = False
    usage: float = 0.0
    """Seconds on the device."""
    cost: int | None = None
    """What was settled; None where nothing is settled yet."""
    error: Json | None = None
    device: str = ""
    handles: Json = "[]"
    """The vendor's ids of what was handed over."""
    marks: Json = "[]"
    """What the runner said of it: ``partial``, ``drift``."""
    vendor_s: float | None = None
    """Seconds that the vendor counts, where it tells; these were charged."""
    calibration: str | None = None
    """Digest of the calibration that was in force when it started."""
    absent_after: datetime | None = None
    """Its runner was lost; from then on it is believed that the vendor does not have what it does not find."""
    recoveries: int = 0
    """How often somebody was sent to look for it."""
    charge: Json = "{}"
    """``pipeline.charges.Account``: how it ended, what was charged for, what did not come, its submissions."""
    session: str | None = None
    """The vendor's id of the session that it ran in; None: in none."""
    session_mode: str | None = None
    """``dedicated`` or ``batch``: what that session is at the vendor."""


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A validation report; ``body`` is the ``ReportView`` once it is there."""

    id: str
    principal: str
    owner: str
    project: str
    created: datetime
    kind: JobKind
    name: str
    source: str
    source_format: str = "qpy"
    num_circuits: int = 1
    transpile: str = "auto"
    pubs: Json = "[]"
    options: Json = "{}"
    policy: str | None = None
    """Digest of the policies that it was made under."""
    body: Json | None = None


@dataclass(frozen=True, slots=True)
class ApprovalRow:
    """A request that a person must decide, and the envelope that the answer binds."""

    id: str
    job: str
    project: str
    role: str
    principal: str
    """Who asked."""
    asked_by: str
    words: str
    created: datetime
    expires: datetime
    reason: str | None = None
    envelope: Json = "{}"
    """Source digest, options, device, price cap, fidelity floor."""
    state: ApprovalState = "open"
    decided_by: str | None = None
    """``Principal.id`` of the person."""
    decided: datetime | None = None
    note: str | None = None
    round: int = 1
    """Grows when people are asked about the job again; its requests of one round are decided by different people."""


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """A device: what its runner announced, and what the operator made of it."""

    name: str
    announcement: Json
    """``wire.runner.DeviceAnnouncement``; its target may be kept apart as ``target``."""
    runner: str
    seen: datetime
    admitted: bool = True
    state: DeviceState = "ready"
    reason: str | None = None
    until: datetime | None = None
    target: str | None = None
    """Digest of the target's JSON, where it is kept as an artefact."""
    awaits: str | None = None
    """Digest of a calibration: it resumes by itself with another one."""
    since: datetime | None = None
    """Of what it did before then, the rules of isolation know nothing: it was put in order then."""
