"""Stage *reconcile*: after a restart, and when a runner is lost. Nothing is lost, nothing is run twice silently.

What a device declares decides: on a *repeatable* one (a simulator) the job is queued again for a new attempt, a few
times; where the vendor can be asked, the attempt is looked for (``recover``); on any other it becomes *unknown*, the
job stays running and says so, and an operator decides.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeVar

from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.exceptions import Conflict, NotFound, QuantumError, Refused, Unavailable
from jupyter_quantum.pipeline.again import DecidingAgain, signed_in_with_mfa
from jupyter_quantum.pipeline.attempts import did_not_run, is_findable, lost, unknown
from jupyter_quantum.pipeline.board import Ticket
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.decide import Asker, Deciding
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.recover import Recovering
from jupyter_quantum.pipeline.regions import check_region
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.reports import promise
from jupyter_quantum.pipeline.runs import Run
from jupyter_quantum.pipeline.schedule import SERVICE, Scheduling
from jupyter_quantum.pipeline.submit import Submitting
from jupyter_quantum.pipeline.validate import Validating, parcel_of, single
from jupyter_quantum.pipeline.views import error_body
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import AttemptRow, AttemptState, JobRow
from jupyter_quantum.wire.runner import ExecuteTask

__all__ = ["Reconciling"]

log = logging.getLogger(__name__)

T = TypeVar("T")

_PATIENCE_S: Final = 1.0
"""Between two tries."""
_DOWN: Final = "device.offline"
_LATE = 1_000
"""Ended jobs whose usage fair share remembers after a restart."""


class Reconciling:
    """Brings every job that was under way to where it can go on."""

    def __init__(
        self,
        context: Context,
        deciding: Deciding,
        validating: Validating,
        scheduling: Scheduling,
        submitting: Submitting,
        again: DecidingAgain,
        recovering: Recovering,
        live: Live,
    ) -> None:
        self._context = context
        self._deciding = deciding
        self._validating = validating
        self._scheduling = scheduling
        self._submitting = submitting
        self._deciding_again = again
        self._recovering = recovering
        self._live = live

    async def restore(self) -> None:
        """After a restart: devices, usage, attempts that nobody reports on, queues, drafts.

        Every lease of before has ended: a runner of before gets its reports refused and stops.
        """
        context = self._context
        devices = await context.store.read(lambda view: view.devices())
        for row in devices:
            context.registry.restore(row)
        for device in context.registry:
            self._scheduling.device(device)
        for job in await context.store.read(_ended):
            self._scheduling.used(job)
        for attempt in await context.store.read(lambda view: view.open_attempts()):
            await self._lost_attempt(attempt)
        waiting = await context.store.read(_under_way)
        for job in await context.store.read(_unfinished):
            context.intake.restore(job)
        for job in waiting:
            if job.state is JobState.QUEUED:
                self._scheduling.queued(job)
            elif job.state is JobState.DRAFT:
                context.background.start(self._resume(job), f"resume {job.id}")
            else:
                context.background.start(self.revalidate(job.id), f"revalidate {job.id}")

    # Lost runs

    async def lost(self, ticket: Ticket) -> None:
        """The runner that held this task is gone."""
        if not ticket.attempt or ticket.job is None:
            return
        searches = isinstance(ticket.do, ExecuteTask) and ticket.do.recover
        tag = f"{ticket.job}-{ticket.attempt}"
        try:
            attempt = await self._context.store.read(lambda view: view.attempt(tag))
        except NotFound:
            return
        if attempt.state in (AttemptState.SCHEDULED, AttemptState.RUNNING):
            if attempt.fence == ticket.fence:  # otherwise somebody is sent to look for it already
                await self._lost_attempt(attempt, sure=not ticket.leased and not searches)
        else:
            device = next(iter(ticket.devices))
            self._scheduling.free(ticket.job, device, 0.0)

    async def _lost_attempt(self, attempt: AttemptRow, *, sure: bool = False) -> None:
        """``sure``: no runner ever had it, so that it cannot have run."""
        try:
            row = await self._context.store.write(lambda tx: self._after_loss(tx, attempt, sure))
        except Conflict:  # it ended, or was cancelled, at this very moment
            return
        self._live.moved(row)
        if row.state is JobState.QUEUED:
            self._scheduling.requeued(row)
        elif row.wait is not None:
            self._recovering.follow(row)
        else:
            self._scheduling.free(row.id, row.device, 0.0)

    def _after_loss(self, tx: Tx, attempt: AttemptRow, sure: bool) -> JobRow:
        row = tx.job(attempt.job)
        device = self._context.registry.get(row.device)
        repeatable = device is not None and device.words.recovery == "repeatable"
        if repeatable or sure:
            return did_not_run(tx, row, attempt, lost(), self._context.settings.max_attempts, actor=SERVICE)
        if is_findable(device, attempt):
            return self._recovering.write(tx, row, attempt)
        return unknown(tx, row, attempt, text=error_body(lost(), row.id).model_dump_json())

    # Validating again

    async def _resume(self, row: JobRow) -> None:
        """A draft of before the restart goes through the door again; its sender asks for it with the same key."""
        try:
            run = await self._patiently(row.id, lambda: self._run(row))
        except QuantumError as error:
            await self._reject(row, error)
            return
        ticket = self._validating.offer(run.parcel, run.device, row.principal, row.id)
        await self._submitting.drive(run, ticket, stored=True)

    async def run_on(self, row: JobRow, device: Device) -> Run:
        """The job as a run on another device, with the options as they were sent. Raises what forbids it."""
        return await self._run(replace(row, options=row.sent or row.options), device)

    async def _run(self, row: JobRow, device: Device | None = None) -> Run:
        """The job as a run, its owner as the hub knows them now. Raises what forbids going on."""
        device = device or self._context.registry.get(row.device)
        if device is None:
            raise Refused(f"{row.device} is no longer there.", code="device.gone", hint="Choose another device.")
        check_region(self._context, self._context.tenants.project(row.project), device)
        mfa = await self._context.store.read(lambda view: signed_in_with_mfa(view, row))
        asker: Asker = await self._deciding.asker_now(row, mfa=mfa)
        source = await self._context.store.artefacts.get(row.project, row.source)
        promised = None
        if row.report is not None:
            report = row.report
            found = await self._context.store.read(lambda view: view.report(report))
            promised = promise(found, device.name) if device.name == row.device else None
        return Run(row, parcel_of(row, source), asker, self._context.tenants.project(row.project), device, promised)

    async def stale(self) -> None:
        """For ever: validate again what the scheduler found to be out of date."""
        while True:
            await self._scheduling.on_stale.wait()
            self._scheduling.on_stale.clear()
            jobs, self._scheduling.stale = self._scheduling.stale, []
            for job in jobs:
                self._context.background.start(self._again(job), f"validate again {job}")

    async def _again(self, job_id: str) -> None:
        def back(tx: Tx) -> JobRow:
            return tx.move(job_id, JobState.VALIDATED, actor=SERVICE, event={"code": "promise.stale"})

        try:
            row = await self._patiently(job_id, lambda: self._context.store.write(back))
        except Conflict:
            return
        self._live.moved(row)
        await self.revalidate(job_id)

    async def _patiently(self, job: str, act: Callable[[], Awaitable[T]]) -> T:
        """The act's answer, once the hub, the store and the runner all answer: a job is not refused for their sake.

        Raises Unavailable ``device.offline`` where the device itself is away: that may take long.
        """
        while True:
            try:
                return await act()
            except Unavailable as error:
                if error.code == _DOWN:
                    raise
                log.warning("%s: %s Trying again in %.0f s.", job, error.message, _PATIENCE_S)
                await asyncio.sleep(_PATIENCE_S)

    async def revalidate(self, job_id: str) -> None:
        """A job in *validated* keeps its hold, is prepared and decided anew, and goes on where it fits.

        Where its device is away, it waits in the queue as it did before: from there it can move to another device, and
        is validated again once the device is back.
        """
        row = await self._context.store.read(lambda view: view.job(job_id))
        try:
            row = await self._patiently(row.id, lambda: self._prepare_again(row))
        except Unavailable:
            await self._wait_for_device(row)
            return
        except QuantumError as error:
            if error.code != "job.move":  # otherwise it was cancelled meanwhile
                await self._reject(row, error)
            return
        self._live.moved(row)
        if row.state is JobState.QUEUED:
            self._scheduling.queued(row)

    async def _prepare_again(self, row: JobRow) -> JobRow:
        run = await self._run(row)
        ticket = self._validating.offer(run.parcel, run.device, row.principal, row.id)
        finding = asyncio.ensure_future(self._validating.found(ticket))
        try:
            while not finding.done():
                if self._context.registry.state(run.device) == "offline":
                    raise Unavailable(f"{row.device} does not answer at the moment.", code=_DOWN)
                await asyncio.wait({finding}, timeout=_PATIENCE_S)
            ticket, report = finding.result()
            prepared = single(report)
            self._validating.check_found(run.device, run.parcel, prepared)
        finally:
            finding.cancel()
            self._validating.close(ticket)
        return await self._deciding_again.decide(run, prepared)

    async def _wait_for_device(self, row: JobRow) -> None:
        """Back into the queue, since when it has waited there; what it was decided under is looked at again first."""

        def back(tx: Tx) -> JobRow:
            return tx.move(row.id, JobState.QUEUED, actor=SERVICE, event={"code": _DOWN}, queued=row.queued)

        try:
            after = await self._patiently(row.id, lambda: self._context.store.write(back))
        except Conflict:  # cancelled meanwhile
            return
        self._live.moved(after)
        self._scheduling.queued(after)

    async def _reject(self, row: JobRow, error: QuantumError) -> None:
        text = error_body(error, row.id).model_dump_json()
        event = {"code": error.code}
        try:
            row = await self._context.store.write(
                lambda tx: tx.move(row.id, JobState.REJECTED, actor=SERVICE, event=event, error=text)
            )
        except Conflict:  # cancelled meanwhile
            return
        self._live.moved(row)


def _under_way(view: View) -> list[JobRow]:
    """Jobs that go on by themselves, oldest first."""
    states = {JobState.DRAFT, JobState.VALIDATED, JobState.QUEUED}
    found: list[JobRow] = []
    while page := view.jobs(states=states, before=found[-1].id if found else None, limit=500):
        found += page
    return found[::-1]


def _unfinished(view: View) -> list[JobRow]:
    return view.jobs(states=frozenset(JobState) - FINAL, limit=None)


def _ended(view: View) -> list[JobRow]:
    return view.jobs(states={JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED}, limit=_LATE)[::-1]
