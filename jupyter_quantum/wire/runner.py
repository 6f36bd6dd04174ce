"""What a runner and the service say to each other. The runner is always the HTTP client: over a unix socket on the
service's machine, elsewhere over HTTPS, below the service's prefix, with the token of a service of the hub.

===========================================  ====================================================================
``POST runner/v1/announce``                  :class:`Announce` → :class:`Welcome`: protocol, sandbox, devices served
``POST runner/v1/lease``                     :class:`LeaseRequest` → :class:`Leased`: long poll; work, cancellations
``POST runner/v1/tasks/<id>/report``         :class:`TaskReport` → :class:`Reported`: a move, perhaps the next task
===========================================  ====================================================================

A lease has a fencing token: a report with an older token is refused (409 ``fence``) and changes nothing. A lease is
renewed by naming its task in ``LeaseRequest.running``. Work of a lease that ran out is reconciled, never simply
run again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from pydantic_core import to_jsonable_python

from jupyter_quantum.core.jobs import DeviceKind, JobKind
from jupyter_quantum.wire.base import Answer, Blob, CircuitBundle, Digest, ErrorBody, digest_of
from jupyter_quantum.wire.devices import CalibrationRef, Interval
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.reports import DryRun, Resources
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.sessions import SessionKind, SessionMode

__all__ = [
    "PROTOCOL",
    "PROTOCOLS",
    "Announce",
    "DeviceAnnouncement",
    "EndSessionTask",
    "ExecuteTask",
    "LeaseRequest",
    "Leased",
    "Method",
    "PartReport",
    "PrepareTask",
    "Prepared",
    "ReportTask",
    "Reported",
    "SessionReport",
    "SessionTask",
    "Share",
    "Simulation",
    "Task",
    "TaskReport",
    "Welcome",
    "common_protocol",
    "order_digest",
]

PROTOCOL = 1
"""What this release speaks best."""
PROTOCOLS = (1, PROTOCOL)
"""The oldest and the newest that this release speaks."""


def common_protocol(ours: tuple[int, int], theirs: tuple[int, int]) -> int | None:
    """The newest protocol that both ranges (oldest, newest) hold; None where there is none."""
    newest = min(ours[1], theirs[1])
    return newest if newest >= max(ours[0], theirs[0]) else None


_MOST_S = 1e9
"""Seconds: more are an error, not a run."""

Handle = Annotated[str, Field(min_length=1, max_length=500)]
"""A vendor's id of a submission."""
Count = Annotated[int, Field(ge=0, le=10**10)]
"""What a worker counted; it parsed what a user sent, so that its numbers are bounded before anybody calculates."""


def _sensible(found: Interval | None) -> Interval | None:
    """A chance or a time, of which neither is negative or beyond every run."""
    if found is not None and not all(0 <= end <= 10 * _MOST_S for end in (found.value, found.low, found.high)):
        raise ValueError("out of bounds")
    return found


_CODE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_CODE_MOST = 64
_WORDS_MOST = 2_000
_BRIEF_MOST = 500
_DETAILS_MOST = 16 * 1024
_VERSIONS_MOST = 64
_DRAWING_MOST = 1024 * 1024


def _worded(found: ErrorBody | None) -> ErrorBody | None:
    """An error in words that can be kept and shown: a code that is one, lines of bounded length, small details."""
    if found is None:
        return None
    sound = len(found.code) <= _CODE_MOST and _CODE.fullmatch(found.code) is not None
    small = len(json.dumps(to_jsonable_python(found.details))) <= _DETAILS_MOST
    return found.model_copy(
        update={
            "error": _line(found.error, _CODE_MOST),
            "code": found.code if sound else "runner.garbage",
            "message": _line(found.message, _WORDS_MOST),
            "hint": None if found.hint is None else _line(found.hint, _WORDS_MOST),
            "details": found.details if small else {},
        }
    )


def _line(text: str, most: int) -> str:
    """Text without control or direction characters, cut where it is too long."""
    return _CONTROL.sub(" ", text if len(text) <= most else text[: most - 1] + "…")


def _brief(text: str) -> str:
    """A line of what somebody else says."""
    return _line(text, _BRIEF_MOST)


def _few(found: dict[str, str]) -> dict[str, str]:
    """The first versions of what is installed, each of a line."""
    return {_line(name, _CODE_MOST): _line(said, _CODE_MOST) for name, said in list(found.items())[:_VERSIONS_MOST]}


class DeviceAnnouncement(Answer):
    """A device that a runner serves. Price, access and pauses are the operator's, not the runner's."""

    name: str
    kind: DeviceKind
    label: str
    vendor: str
    region: str = "local"
    description: str = ""
    num_qubits: int
    basis_gates: list[str]
    max_shots: int
    max_circuits: int
    slots: Annotated[int, Field(ge=1)] = 1
    recovery: Literal["repeatable", "idempotent", "searchable", "opaque"] = Field(
        description="what can be known after a crash"
    )
    remote: bool = Field(default=False, description="whether it is a vendor's machine, with a queue of its own")
    submit_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=0.0, description="remote: the longest that handing a job over may take, seconds"
    )
    indexing_s: Annotated[float, Field(ge=0, le=86_400)] = Field(
        default=0.0, description="remote: for so long a submission may not be found yet, seconds"
    )
    sessions: dict[SessionKind, SessionMode] = Field(
        default_factory=dict, description="remote: what a user's session or batch is at the vendor; absent: nothing"
    )
    session_s: Annotated[float, Field(ge=0, le=31 * 86_400)] = Field(
        default=0.0, description="remote: the longest that a session may be open, seconds; 0: as the vendor allows"
    )
    calibration: CalibrationRef
    target: dict[str, Any] = Field(description="Qiskit Target as JSON; jupyter_quantum.targets reads it")
    options: dict[str, Any] = Field(description="kind of job → JSON schema of its options")


class Announce(Answer):
    """First words of a runner, and again whenever a device or a calibration changes."""

    protocol: int = Field(description="what it speaks best")
    protocols: tuple[int, int] | None = Field(
        default=None, description="the oldest and the newest that it speaks; None: only `protocol`"
    )
    runner: str
    version: str
    python: str
    packages: dict[str, str]
    sandbox: list[str] = Field(
        description="what locks the workers here: rlimits, no_new_privs, landlock, seccomp, user_namespace, "
        "network_namespace, private_tmp"
    )
    missing: list[str] = Field(default_factory=list, description="what this kernel does not offer, in words")
    qpy_versions: tuple[int, int] = Field(description="lowest and highest that it reads")
    devices: list[DeviceAnnouncement]


class Welcome(Answer):
    """Answer to :class:`Announce`: how long a lease lasts (seconds) and which devices are admitted."""

    protocol: int = Field(description="what both speak from now on")
    lease_s: float
    admitted: list[str]


class Work(Answer):
    """The circuits and what to do with them, as the user sent it."""

    kind: JobKind
    circuits: CircuitBundle
    pubs: list[Pub]
    options: dict[str, Any]
    transpile: Literal["auto", "never"]
    limits: dict[str, int] = Field(description="caps before and after the parse: bytes, qubits, operations, shots, …")


class ReportTask(Answer):
    """Check the circuits and describe them on each of ``devices``; answers :class:`Prepared` for each."""

    task: Literal["report"] = "report"
    work: Work
    devices: list[str]
    dry_run: str | None = None
    draw: bool = True
    resources: bool = False


class PrepareTask(Answer):
    """Check the circuits for one device; answers one :class:`Prepared` with the executable."""

    task: Literal["prepare"] = "prepare"
    work: Work
    device: str
    keep: bool = Field(default=True, description="keep what was prepared in the worker for the execute task to come")


class SessionTask(Answer):
    """The vendor's session that a run belongs into: there is one for a user's session in a project on a device.

    The runner opens it where there is no ``handle``, and says so (:class:`SessionReport`) before it hands the run over.
    """

    name: str = Field(description="ours, and opaque: the same name is the same session")
    mode: SessionMode
    most_s: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="the longest that it may be open, seconds; 0: as the vendor allows"
    )
    handle: str | None = Field(default=None, description="the vendor's id of the one that is open")


class ExecuteTask(Answer):
    """Run what was prepared. ``digest`` is checked against the executable before it runs.

    ``executable`` is None only where the task comes as :attr:`Reported.next` of the ``prepare`` task it follows: then
    the worker that prepared it still holds it.
    """

    task: Literal["execute"] = "execute"
    tag: str = Field(description="<job>-<attempt>")
    device: str
    kind: JobKind
    executable: Blob | None
    digest: Digest
    pubs: list[Pub]
    options: dict[str, Any]
    calibration: Digest
    order: Digest | None = Field(
        default=None, description="order_digest as it was prepared; a worker refuses to run anything else"
    )
    recover: bool = Field(
        default=False, description="an attempt whose runner was lost: find it at the vendor, never submit it anew"
    )
    handles: list[str] = Field(default_factory=list, description="the vendor's ids, as far as they were reported")
    cancel: bool = Field(
        default=False, description="with recover: take it back at the vendor, and report *failed* with what it used"
    )
    device_s: Annotated[float, Field(ge=0)] = Field(
        default=0.0, description="remote: the most seconds that it may run, the vendor's queue not counted; 0: any"
    )
    session: SessionTask | None = Field(default=None, description="remote: where it belongs into a vendor's session")


class EndSessionTask(Answer):
    """End a vendor's session: it takes no more jobs, those that it has go on. Harmless where it has ended.

    Answered *done*, with what the vendor counts for it where it tells; *failed* with ``retry`` where nobody answered.
    """

    task: Literal["session"] = "session"
    device: str
    handle: str


def order_digest(
    device: str, kind: JobKind, executable: str, pubs: Sequence[Pub], options: Mapping[str, Any], calibration: str
) -> str:
    """The :data:`Digest` that binds all that a run depends on: the worker that prepares it takes it, and the one that
    runs it takes it again. ``executable`` and ``calibration`` are digests themselves.
    """
    told = [device, kind.value, executable, [pub.model_dump(mode="json") for pub in pubs], dict(options), calibration]
    return digest_of(json.dumps(to_jsonable_python(told), sort_keys=True, separators=(",", ":")).encode())


class Task(Answer):
    """One leased piece of work."""

    id: str
    fence: int
    affinity: str = Field(description="opaque: tasks with the same value belong to one user and may share a worker")
    timeout_s: float
    memory_mb: int
    job: str | None = Field(default=None, description="id of the job that it is of, for logs; none for reports")
    do: Annotated[ReportTask | PrepareTask | ExecuteTask | EndSessionTask, Field(discriminator="task")]


class LeaseRequest(Answer):
    """Ask for work: how many more tasks fit, which leases to renew, how long to wait (seconds) when there is none."""

    runner: str
    slots: int
    running: dict[str, int] = Field(default_factory=dict, description="task id → fence, renewed by this call")
    wait_s: Annotated[float, Field(ge=0, le=60)] = 20.0
    leaving: bool = Field(default=False, description="it ends now: what it held is reconciled, others serve at once")


class Leased(Answer):
    """Work, and tasks to kill: cancelled ones and those whose lease the runner has lost.

    At a vendor only those in ``cancel`` are taken back, and reported *failed* with what they used: a task whose lease
    is lost goes on there, and somebody else recovers it.
    """

    tasks: list[Task] = Field(default_factory=list)
    stop: list[str] = Field(default_factory=list)
    cancel: list[str] = Field(default_factory=list, description="those of stop whose owner took them back")


class Share(Answer):
    """What one circuit of a run, or one PUB, takes of its job: circuits that are charged for, and executions."""

    tasks: Count
    executions: Count


Method = Literal["statevector", "trajectories", "density_matrix", "stabilizer", "matrix_product_state", "other"]
"""How circuits are simulated. *trajectories*: a state for each shot; *other*: a simulator that does not say."""


class Simulation(Answer):
    """How circuits are simulated in the worker, which is what their seconds rest on."""

    method: Method
    qubits: Count = Field(description="in use, of the circuit that takes longest")
    fixed: Annotated[float, Field(ge=0, le=_MOST_S, allow_inf_nan=False)] = Field(
        description="seconds that are the same however many shots there are"
    )


class Prepared(Answer):
    """What a sandboxed worker found out about the circuits on one device. Numbers are None where unknown."""

    device: str
    error: Annotated[ErrorBody | None, AfterValidator(_worded)] = Field(
        default=None, description="why they cannot run there; the rest is then empty"
    )
    num_circuits: Count = 0
    num_qubits: Count = 0
    depth: Count = 0
    source_depth: Count = 0
    operations: Count = 0
    two_qubit_gates: Count = 0
    shots: Count = 0
    executions: Count = 0
    tasks: Count = Field(default=0, description="circuits that the device is charged for")
    shares: Annotated[list[Share], Field(max_length=10_000)] = Field(
        default_factory=list,
        description="what each circuit or PUB takes of tasks and executions; the rest is mitigation's; none in reports",
    )
    success: Annotated[Interval | None, AfterValidator(_sensible)] = None
    noise_free: bool = False
    basis: Annotated[list[Literal["gates", "readout"]], Field(max_length=2)] = Field(
        default_factory=list, description="of which operations the errors are in the chance of success"
    )
    mitigation_overhead: Annotated[float | None, Field(ge=1, le=1e12, allow_inf_nan=False)] = Field(
        default=None, description="so many times the executions, for the same precision after readout mitigation"
    )
    seconds: Annotated[Interval | None, AfterValidator(_sensible)] = None
    simulation: Simulation | None = Field(
        default=None, description="what the seconds rest on where a simulator takes them; None: durations of gates"
    )
    calibration: CalibrationRef | None = None
    digest: Digest | None = None
    executable: Blob | None = Field(default=None, description="QPY; absent in reports")
    compiler: dict[str, Any] = Field(default_factory=dict)
    pubs: list[Pub] = Field(default_factory=list, description="the PUBs as laid out for the executable")
    options: dict[str, Any] = Field(default_factory=dict, description="with every default and the seed filled in")
    order: Digest | None = Field(default=None, description="order_digest of a run of this")


class PartReport(Answer):
    """What became of one submission to a vendor, and what it used there."""

    handle: Handle | None = Field(default=None, description="the vendor's id of it; None: the vendor never had it")
    answered: bool = Field(description="whether the vendor gave a result for it")
    owners: Annotated[list[Count], Field(max_length=10_000)] = Field(
        default_factory=list, description="indices of the circuits or PUBs in it, as a worker says"
    )
    usage_s: Annotated[float | None, Field(ge=0, le=_MOST_S, allow_inf_nan=False)] = Field(
        default=None, description="seconds as the runner counts them; None where it did not see it running"
    )
    vendor_s: Annotated[float | None, Field(ge=0, le=_MOST_S, allow_inf_nan=False)] = Field(
        default=None, description="seconds that the vendor counts, where it tells"
    )
    why: Annotated[str, AfterValidator(_brief)] = Field(default="", description="where it gave none: what is known")


class SessionReport(Answer):
    """What became of a run's session at the vendor. Open under ``handle``; or, with ``why``, the run goes without it.

    *refused*: the vendor opens none. *unsure*: it was asked and did not answer; it is not asked twice. *unavailable*:
    nothing was done. *ended*: it took no more jobs, or ended before it ran this one.
    """

    handle: Handle | None = None
    why: Literal["", "refused", "unsure", "unavailable", "ended"] = ""
    words: Annotated[str, AfterValidator(lambda text: _line(text, _WORDS_MOST))] = ""


class TaskReport(Answer):
    """A move of a task. *done*, *failed*, *absent* and *unknown* end the lease.

    *started*: the device has it (``handles``: under these ids). *part*: some rows of a report, more follow. *absent*:
    what was to be recovered is not at the vendor, and will not be. *unknown*: nobody can tell. *session*: what became
    of the vendor's session; the answer (:attr:`Reported.session`) says which one counts.
    """

    runner: str
    fence: int
    state: Literal["started", "part", "session", "done", "failed", "absent", "unknown"]
    handles: Annotated[list[Handle], Field(max_length=1000)] = Field(default_factory=list)
    retry: bool = Field(default=False, description="of a failure: whether another try may well succeed")
    marks: list[str] = Field(default_factory=list, description="what is to be known of the result: drift, partial")
    prepared: list[Prepared] = Field(default_factory=list)
    dry_run: DryRun | None = None
    resources: Resources | None = None
    drawing: Annotated[str, AfterValidator(lambda drawn: drawn if len(drawn) <= _DRAWING_MOST else "")] = ""
    result: ResultView | None = None
    error: Annotated[ErrorBody | None, AfterValidator(_worded)] = None
    charged: bool = Field(default=False, description="of a failure: whether the device was used nevertheless")
    usage_s: Annotated[float, Field(ge=0, le=_MOST_S, allow_inf_nan=False)] = Field(
        default=0.0, description="seconds on the device as the runner counts them"
    )
    vendor_s: Annotated[float | None, Field(ge=0, le=_MOST_S, allow_inf_nan=False)] = Field(
        default=None, description="seconds that the vendor counts, where it tells; these are charged"
    )
    parts: Annotated[list[PartReport], Field(max_length=1000)] = Field(
        default_factory=list, description="of a run at a vendor: its submissions, in their order"
    )
    versions: Annotated[dict[str, str], AfterValidator(_few)] = Field(default_factory=dict)
    session: SessionReport | None = None


class Reported(Answer):
    """Answer to a report: the task that follows in the same worker, if any."""

    next: Task | None = None
    session: str | None = Field(
        default=None, description="to *session*: the vendor's id of the one that the run goes into; None: into none"
    )
