"""Stage *schedule*: who is next on each device, and the start of a run.

The rules are :mod:`jupyter_quantum.core.fairshare`; this module feeds it what was committed, checks membership, policy
and calibration once more when a job's turn has come, and writes the attempt's tag before any runner gets the task.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jupyter_quantum.core.fairshare import (
    Demand,
    DeviceSet,
    Ended,
    Path,
    Requeued,
    Rules,
    Scheduler,
    Started,
    Submitted,
    Used,
    Withdrawn,
)
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import Conflict, QuantumError, Refused
from jupyter_quantum.pipeline.board import Ticket
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.decide import Deciding
from jupyter_quantum.pipeline.later import Later
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.regions import check_region
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.seats import WITHOUT, seat, seat_of
from jupyter_quantum.pipeline.views import error_body
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import AttemptRow, AttemptState, JobRow
from jupyter_quantum.wire.devices import CalibrationRef
from jupyter_quantum.wire.jobs import DecisionView
from jupyter_quantum.wire.runner import ExecuteTask, Prepared, SessionTask

__all__ = ["Scheduling", "Start"]

SERVICE = "service"


@dataclass(slots=True)
class Start:
    """A slot given to a job, and the attempt that will use it."""

    job: str
    number: int
    runner: str
    fence: int
    session: SessionTask | None = None
    """The vendor's session that the run goes into, as it was when the tag was written."""

    @property
    def tag(self) -> str:
        """What the device is told."""
        return f"{self.job}-{self.number}"


class Scheduling:
    """Queues of all devices."""

    def __init__(self, context: Context, deciding: Deciding, live: Live) -> None:
        self._context = context
        self._deciding = deciding
        self._live = live
        self.scheduler = Scheduler(_rules(context))
        self.stale: list[str] = []
        """Jobs taken from the queue because their calibration or policy is not the one they were decided under."""
        self.on_stale: asyncio.Event = asyncio.Event()
        self.later = Later(lambda: context.clock(), context.settings.time_zone)
        """Jobs that wait for the next window of their budget."""
        self._busy: set[str] = set()
        self._again: set[str] = set()

    def reweigh(self) -> None:
        """Tenants have changed: their weights count from now on."""
        self.scheduler.reweigh(_weights(self._context))

    # What was committed

    def device(self, device: Device) -> None:
        """A device is there, changed, or is not served any more."""
        state = self._context.registry.state(device)
        self.scheduler.apply(DeviceSet(device.name, device.words.slots, "paused" if state == "isolated" else state))

    def queued(self, row: JobRow) -> None:
        """A job waits for its device, or for the time when its budget pays for it or it is tried again."""
        if row.leaving is not None or self.later.keep(row):
            return
        self.scheduler.apply(Submitted(self._demand(row), self._now()))
        self.kick(row.device)

    def withdrawn(self, row: JobRow) -> None:
        """A job waits no longer."""
        self.later.drop(row.id)
        self.scheduler.apply(Withdrawn(row.id))

    def free(self, job_id: str, device: str, seconds: float) -> None:
        """A run gave its slot back after so many seconds on the device."""
        self.scheduler.apply(Ended(job_id, seconds))
        self.kick(device)

    def requeued(self, row: JobRow) -> None:
        """A run gave its slot back and waits again."""
        self.scheduler.apply(Ended(row.id, 0.0))
        self.queued(row)
        self.kick(row.device)

    def outdated(self, job_id: str) -> None:
        """A job gives its slot back, and is validated again before it waits for another one."""
        self.scheduler.apply(Ended(job_id, 0.0))
        self.stale.append(job_id)
        self.on_stale.set()

    def occupied(self, row: JobRow) -> None:
        """A run of before a restart still has its slot."""
        if not self.scheduler.knows(row.id):
            self.scheduler.apply(Submitted(self._demand(row), self._now()))
            self.scheduler.apply(Started(row.id, self._now()))

    def used(self, row: JobRow) -> None:
        """Usage from before a restart."""
        if row.ended is not None and row.seconds:
            self.scheduler.apply(Used(self._demand(row), row.seconds, row.ended.timestamp()))

    # Starting

    def reserve(self, row: JobRow) -> Start | None:
        """The start of a job that is just being decided, before the commit; None unless it is next and a slot is free.

        Undo with :meth:`unreserve` where the commit fails. A job that does not start joins the queue after its commit:
        until then nobody else may pick it.
        """
        demand = self._demand(row)
        self.scheduler.apply(Submitted(demand, self._now()))
        runner = self._context.board.serving(row.device)
        first = self.scheduler.next(row.device, self._now())
        if runner is None or first is None or first.id != row.id:
            self.scheduler.apply(Withdrawn(row.id))
            return None
        self.scheduler.apply(Started(row.id, self._now()))
        return self._start(row, runner.words.runner)

    def unreserve(self, job_id: str) -> None:
        """The job was not queued after all."""
        self.scheduler.apply(Ended(job_id, 0.0))
        self.scheduler.apply(Withdrawn(job_id))

    def _start(self, row: JobRow, runner: str) -> Start:
        return Start(row.id, row.attempts + 1, runner, self._context.board.next_fence())

    def write(self, tx: Tx, start: Start, version: int | None = None) -> JobRow:
        """The move to *scheduled* with the attempt's tag, in the caller's transaction; from this version of the job."""
        until = tx.now + timedelta(seconds=self._context.settings.lease_s)
        event = {"tag": start.tag, "runner": start.runner}
        row = tx.move(start.job, JobState.SCHEDULED, actor=SERVICE, event=event, expect_version=version)
        device = self._context.registry.get(row.device)
        start.session, missed = seat(tx, row, device)
        tx.add_attempt(
            AttemptRow(
                job=start.job,
                number=start.number,
                tag=start.tag,
                state=AttemptState.SCHEDULED,
                runner=start.runner,
                fence=start.fence,
                created=tx.now,
                lease_until=until,
                device=row.device,
                calibration=None if device is None else device.words.calibration.digest,
                session=None if start.session is None else start.session.handle,
                session_mode=None if start.session is None or not start.session.handle else start.session.mode,
                marks=json.dumps([WITHOUT] if missed else []),
            )
        )
        return tx.job(start.job)

    def ticket(self, row: JobRow, prepared: Prepared, start: Start, executable: bytes | None) -> Ticket:
        """The execute task of a start. ``executable`` is None where the worker that prepared it goes on."""
        ticket = self._ticket(row, prepared, start.tag, executable, session=start.session)
        ticket.attempt = start.number
        ticket.runner, ticket.fence = start.runner, start.fence
        return ticket

    def recovery(self, row: JobRow, attempt: AttemptRow, executable: bytes) -> Ticket:
        """The task that looks for an attempt, for whichever runner serves the device."""
        prepared = Prepared.model_validate_json(row.prepared or "{}")
        cancel = row.cancel_asked is not None
        known = {"handles": json.loads(attempt.handles), "session": seat_of(attempt)}
        ticket = self._ticket(row, prepared, attempt.tag, executable, recover=True, cancel=cancel, **known)
        ticket.attempt, ticket.fence = attempt.number, attempt.fence
        return ticket

    def _ticket(self, row: JobRow, prepared: Prepared, tag: str, executable: bytes | None, **more: Any) -> Ticket:
        settings = self._context.settings
        device = self._context.registry.get(row.device)
        seconds = settings.seconds_at_most(row.device) if device is None else device.max_seconds
        remote = device is not None and device.words.remote
        do = ExecuteTask.model_construct(
            task="execute",
            tag=tag,
            device=row.device,
            kind=row.kind,
            executable=executable,
            digest=row.executable or "",
            pubs=prepared.pubs,
            options=prepared.options,
            calibration=prepared.calibration.digest if prepared.calibration else "",
            order=prepared.order,
            device_s=seconds if remote else 0.0,
            **more,
        )
        if remote and device is not None:  # the clock of the limit runs on the device, not in the vendor's queue
            seconds += settings.vendor_wait_s + device.words.submit_s
        whose = self._context.affinity(row.principal)
        ticket = Ticket(do, whose, seconds, settings.memory_mb, row.id, row.project)
        ticket.circuits = prepared.num_circuits
        return ticket

    # The cycle

    def kick(self, device: str) -> None:
        """Look whether something can start on this device; returns at once."""
        if device in self._busy:
            self._again.add(device)
        elif self.scheduler.next(device, self._now()) is not None:
            self._busy.add(device)
            self._context.background.start(self._cycle(device), f"schedule {device}")

    def kick_all(self) -> None:
        """The same for every device, with the jobs whose time has come."""
        for row in self.later.due():
            self.queued(row)
        for device in self._context.registry:
            self.kick(device.name)

    async def _cycle(self, device: str) -> None:
        try:
            while (demand := self.scheduler.next(device, self._now())) is not None:
                self._again.discard(device)
                runner = self._context.board.serving(device)
                if runner is None:
                    return
                self.scheduler.apply(Started(demand.id, self._now()))
                try:
                    await self._launch(demand.id, runner.words.runner)
                except BaseException:  # the hub or the store did not answer: it waits on, the next tick tries again
                    self.scheduler.apply(Requeued(demand.id, self._now()))
                    raise
        finally:
            self._busy.discard(device)
            if device in self._again:
                self._again.discard(device)
                self.kick(device)

    async def _launch(self, job_id: str, runner: str) -> None:
        """1. Does it still wait? 2. May its owner still? 3. Is it what was decided? 4. Write the tag. 5. Hand out."""
        row = await self._context.store.read(lambda view: view.job(job_id))
        if row.state is not JobState.QUEUED:
            self.scheduler.apply(Ended(job_id, 0.0))
            return
        try:
            await self._deciding.asker_now(row)
            device = self._context.registry.get(row.device)
            project = self._context.tenants.projects.get(row.project)
            if device is not None and project is not None:  # it may have been announced elsewhere since
                check_region(self._context, project, device)
        except Refused as gone:
            await self.take_back(row, gone)
            return
        if self.is_stale(row):
            self.outdated(job_id)
            return
        start = self._start(row, runner)
        try:
            executable = await self._context.store.artefacts.get(row.project, row.executable or "")
        except QuantumError as damaged:  # gone, or not what its digest says: it would block the queue for ever
            await self.take_back(row, damaged)
            return
        try:
            version = row.version
            row = await self._context.store.write(lambda tx: self.write(tx, start, version))
        except Conflict:  # cancelled meanwhile, or moved to another device
            self.scheduler.apply(Ended(job_id, 0.0))
            row = await self._context.store.read(lambda view: view.job(job_id))
            if row.state is JobState.QUEUED:
                self.queued(row)
            return
        prepared = Prepared.model_validate_json(row.prepared or "{}")
        self._context.board.put(self.ticket(row, prepared, start, executable))
        self._live.moved(row)

    async def take_back(self, row: JobRow, why: QuantumError) -> None:
        """It cannot run any more: cancelled, and the hold released."""
        self.scheduler.apply(Ended(row.id, 0.0))
        text = error_body(why, row.id).model_dump_json()
        try:
            row = await self._context.store.write(
                lambda tx: tx.move(row.id, JobState.CANCELLED, actor=SERVICE, event={"code": why.code}, error=text)
            )
        except Conflict:
            return
        self._live.moved(row)

    def is_stale(self, row: JobRow) -> bool:
        """Whether policy or calibration is another than the one that the job was decided under."""
        if row.decision is not None:
            decided = DecisionView.model_validate_json(row.decision)
            if decided.version != self._context.policies.version:
                return True
        device = self._context.registry.get(row.device)
        if device is None or row.calibration is None:
            return False
        return CalibrationRef.model_validate_json(row.calibration).digest != device.words.calibration.digest

    def _demand(self, row: JobRow) -> Demand:
        return _demand(row, self._context.settings.class_weights.get(row.priority, 1.0))

    def _now(self) -> float:
        return self._context.clock().timestamp()


def _rules(context: Context) -> Rules:
    return Rules(half_life=context.settings.half_life_s, weights=_weights(context))


def _weights(context: Context) -> dict[Path, float]:
    tenants = context.tenants
    houses: dict[Path, float] = {(name,): house.weight for name, house in tenants.organisations.items()}
    return houses | {(spec.organisation, spec.name): spec.weight for spec in tenants.projects.values()}


def _demand(row: JobRow, weight: float) -> Demand:
    """A job as the scheduler sees it; ``weight`` is its class's."""
    seconds, most = 0.0, 0.0
    if row.prepared is not None:
        found = Prepared.model_validate_json(row.prepared).seconds
        seconds, most = (found.value, found.high) if found else (0.0, 0.0)
    when: datetime = row.submitted or row.created
    where = (row.id, row.device, row.organisation, row.project, row.principal)
    return Demand(*where, when.timestamp(), max(seconds, 1e-3), most, weight)
