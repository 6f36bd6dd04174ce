"""A door of the promotion widget that is kept in memory: four devices, and jobs that move when they are told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from jupyter_quantum.core.jobs import FINAL, DeviceKind, JobKind, JobState
from jupyter_quantum.core.money import credits_to_micro
from jupyter_quantum.exceptions import Conflict, QuantumError
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.devices import CalibrationRef, Interval, Wait
from jupyter_quantum.wire.jobs import DecisionView, JobView
from jupyter_quantum.wire.reports import DryRun, ReportLine, ReportRow, ReportView
from jupyter_quantum.wire.results import Experiment, ResultView

__all__ = ["MemoryDoor", "memory_report"]

_DIGEST = digest_of(b"")
_COUNTS = {"0x0": 478, "0x3": 482, "0x1": 21, "0x2": 19}
_IDEAL = {"00": 0.5, "11": 0.5}
_NOISY = {"00": 0.482, "11": 0.471, "01": 0.024, "10": 0.023}


def _decision(effect: Any, policy: str, words: str, **facts: object) -> DecisionView:
    role = "lead" if effect == "needs_approval" else None
    return DecisionView(effect=effect, role=role, policies=[policy], version=_DIGEST, words=words, facts=facts)


def _too_many(shots: int) -> DecisionView:
    words = f"{shots:,} shots is over 10,000 in the sandbox tier.".replace(",", "\u202f")
    return _decision("refuse", "sandbox-shots", words, shots=shots, tier="sandbox")


def _row(device: str, kind: DeviceKind, label: str, shots: int, decision: DecisionView, **known: Any) -> ReportRow:
    return ReportRow(
        device=device,
        kind=kind,
        label=label,
        state="ready",
        decision=_too_many(shots) if shots > 10_000 else decision,
        calibration=CalibrationRef(digest=_DIGEST, at=datetime.now(UTC) - timedelta(hours=3)),
        executable=_DIGEST,
        **known,
    )


def _priced(left: int, estimate: str, at_most: str) -> dict[str, int]:
    most = credits_to_micro(at_most)
    return {"price": credits_to_micro(estimate), "price_at_most": most, "quota_after": left - most}


def _interval(value: float, low: float, high: float) -> Interval:
    return Interval(value=value, low=low, high=high)


def memory_report(
    *, name: str = "bell", shots: int = 1000, left: str = "12.40", dry_run: str | None = None
) -> ReportView:
    """A Bell circuit on a simulator, an emulator, an emulated QPU that needs approval, and one that is drained."""
    have = credits_to_micro(left)
    allowed = _decision("allow", "emulators-within-quota", "Allowed.", device_kind="emulator", role="user")
    asks = "Needs a lead's approval because the estimate, 6.10 credits, is over 5."
    approval = _decision("needs_approval", "qpu-over-5", asks, price=6_100_000, device_kind="qpu")
    free = {"price": 0, "price_at_most": 0, "quota_after": have, "noise_free": True, "success": None}
    rows = [
        _row("aer", DeviceKind.SIMULATOR, "simulator", shots, _decision("allow", "simulators-for-members", "Allowed."),
             two_qubit_gates=1, depth=4, wait=Wait(p50=0, p90=1), seconds=_interval(0.01, 0.0, 0.1), **free),
        _row("fake_torino", DeviceKind.EMULATOR, "emulator", shots, allowed, two_qubit_gates=1, depth=11,
             success=_interval(0.96, 0.95, 0.97), wait=Wait(p50=62, p90=120), seconds=_interval(2, 1, 4),
             **_priced(have, "0.42", "0.45")),
        _row("campus_qpu", DeviceKind.QPU, "emulated QPU", shots, approval, two_qubit_gates=1, depth=11,
             success=_interval(0.94, 0.92, 0.96), wait=Wait(p50=720, p90=1800), seconds=_interval(4, 2, 8),
             **_priced(have, "6.10", "6.58")),
        ReportRow(device="old_qpu", kind=DeviceKind.QPU, label="emulated QPU", state="drained", code="device.drained",
                  problem="old_qpu takes no new jobs until 16:00 CEST (drained by the operators). Choose another."),
    ]  # fmt: skip
    dry = None if dry_run is None else DryRun(device=dry_run, shots=shots, ideal=_IDEAL, noisy=_NOISY)
    return ReportView(
        id="rep_0193f1c27a00700080000000000000a1",
        created=datetime.now(UTC),
        project="qcourse",
        name=name,
        kind=JobKind.RUN,
        source=_DIGEST,
        num_circuits=1,
        num_qubits=2,
        executions=shots,
        shots=shots,
        policy=_DIGEST,
        rows=rows,
        dry_run=dry,
    )


def _pending(row: ReportRow) -> ReportRow:
    return ReportRow(device=row.device, kind=row.kind, label=row.label, state=row.state, pending=True)


class MemoryDoor:
    """Answers at once; :meth:`move` moves the latest job; ``away`` is raised by every request while it is set."""

    def __init__(self, *, name: str = "bell", left: str = "12.40") -> None:
        self.away: QuantumError | None = None
        self.refusal: QuantumError | None = None
        self.gate: threading.Semaphore | None = None
        self.jobs: list[JobView] = []
        self.asked: list[tuple[str, dict[str, object]]] = []
        self._name, self._left = name, left
        self._changed = threading.Condition()

    def _ask(self, what: str, **how: object) -> None:
        self.asked.append((what, how))
        if self.away is not None:
            raise self.away

    def report(
        self, work: object, *, shots: int | None, devices: list[str] | None = None, dry_run: str | None = None
    ) -> ReportView:
        """A fresh report."""
        self._ask("report", shots=shots, devices=devices, dry_run=dry_run)
        return memory_report(name=self._name, shots=shots or 1000, left=self._left, dry_run=dry_run)

    def lines(self, work: object, *, shots: int | None) -> Iterator[ReportLine]:
        """A fresh report, row by row; ``gate`` holds the rows back where it is set."""
        whole = self.report(work, shots=shots)
        yield ReportLine(name=whole.name, rows=[_pending(row) for row in whole.rows])
        for row in whole.rows:
            if self.gate is not None:
                self.gate.acquire(timeout=10)
            yield ReportLine(rows=[row])
        yield ReportLine(report=whole)

    def submit(self, report: ReportView, device: str, *, reason: str | None, max_price: int | None) -> JobView:
        """A new job: queued, or waiting for approval."""
        self._ask("submit", device=device, reason=reason, max_price=max_price)
        if self.refusal is not None:
            raise self.refusal
        row = next(row for row in report.rows if row.device == device)
        asks = row.decision is not None and row.decision.effect == "needs_approval"
        now = datetime.now(UTC)
        job = JobView(
            id=f"job_0193f1c27a007000800000000000007{len(self.jobs)}",
            name=report.name,
            kind=report.kind,
            state=JobState.AWAITING_APPROVAL if asks else JobState.QUEUED,
            owner="ada",
            project=report.project,
            device=device,
            device_kind=row.kind,
            device_label=row.label,
            report=report.id,
            source=_DIGEST,
            num_circuits=1,
            num_qubits=report.num_qubits,
            shots=report.shots,
            price=row.price,
            price_at_most=row.price_at_most,
            on_hold=row.price_at_most or 0,
            decision=row.decision,
            approval="apr_1" if asks else None,
            wait=None if asks else Wait(p50=62, p90=1100, place=3),
            created=now,
            changed=now,
            submitted=now,
            version=3,
        )
        self.jobs.append(job)
        return job

    def move(self, state: JobState, **changes: Any) -> JobView:
        """Move the latest job; followers see it at once."""
        with self._changed:
            job = self.jobs[-1]
            if state in FINAL:
                changes = {"on_hold": 0, "ended": datetime.now(UTC), "wait": None} | changes
            job = job.model_copy(update={"state": state, "version": job.version + 1, **changes})
            self.jobs[-1] = job
            self._changed.notify_all()
            return job

    def follow(self, job: JobView, wait_s: float) -> JobView:
        """The job as soon as it has moved on."""
        self._ask("follow", version=job.version)
        with self._changed:
            self._changed.wait_for(lambda: self._now(job).version > job.version or self.away is not None, wait_s)
            if self.away is not None:
                raise self.away
            return self._now(job)

    def wake(self) -> None:
        """Let followers look again, after ``away`` was set."""
        with self._changed:
            self._changed.notify_all()

    def cancel(self, job: JobView) -> JobView:
        """Cancel what has not ended."""
        self._ask("cancel")
        if self._now(job).state in FINAL:
            raise Conflict("A job that is completed cannot become cancelled.", code="job.move")
        return self.move(JobState.CANCELLED, cost=0)

    def replay(self, job: JobView) -> JobView:
        """The same job, waiting again."""
        self._ask("replay")
        changes: dict[str, Any] = {"id": f"{job.id[:-3]}7d{len(self.jobs)}", "replay_of": job.id, "version": 3}
        fresh = {"state": JobState.QUEUED, "ended": None, "started": None, "cost": None, "seconds": None}
        again = job.model_copy(update=changes | fresh | {"on_hold": job.price_at_most or 0})
        self.jobs.append(again)
        return again

    def verdict(self, job: JobView) -> str:
        """Within shot noise."""
        self._ask("verdict")
        return "Same: no difference at the level 0.01 (circuit 0: G-test, p = 0.41)."

    def bundle(self, job: JobView) -> str:
        """A file that is not written."""
        self._ask("bundle")
        return f"{job.name}-{job.id}.zip"

    def result(self, job: JobView) -> ResultView:
        """Counts of a noisy Bell circuit."""
        self._ask("result")
        header = {"memory_slots": 2}
        ran = Experiment(name=job.name, shots=1000, counts=_COUNTS, header=header)
        return ResultView(kind=job.kind, backend=job.device, experiments=[ran], seconds=3.9)

    def expires(self, job: JobView) -> datetime:
        """Four hours after it was asked."""
        self._ask("expires")
        return job.created + timedelta(hours=4)

    def handle(self, job: JobView) -> JobView:
        """The job itself."""
        return self._now(job)

    def _now(self, job: JobView) -> JobView:
        return next(one for one in self.jobs if one.id == job.id)
