"""Stages *execute* and *settle*: what a runner reports about a run becomes moves, a result and its cost."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

from jupyter_quantum.core.jobs import JobKind, JobState
from jupyter_quantum.exceptions import Conflict, JobFailed, QuantumError
from jupyter_quantum.pipeline.board import Ticket
from jupyter_quantum.pipeline.budgets import Budgets, usage
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.schedule import Scheduling
from jupyter_quantum.pipeline.views import error_body, error_of
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import AttemptState, JobRow
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import ExecuteTask, TaskReport

__all__ = ["Executing"]


class Executing:
    """Follows a run from the device's confirmation to its end."""

    def __init__(self, context: Context, budgets: Budgets, scheduling: Scheduling, live: Live) -> None:
        self._context = context
        self._budgets = budgets
        self._scheduling = scheduling
        self._live = live

    async def report(self, ticket: Ticket, report: TaskReport) -> None:
        """Take note of a move. A job that has been cancelled meanwhile stays as it is."""
        if report.state == "started":
            await self._started(ticket, report)
            return
        if ticket.ended:  # said again while the first saying is being written
            return
        ticket.ended = True
        try:
            if report.state == "done":
                await self._done(ticket, report)
            else:
                await self._failed(ticket, report, _error(report))
        finally:
            self._context.board.done(ticket)
            job = ticket.job or ""
            self._scheduling.free(job, _device(ticket), report.usage_s)

    async def _started(self, ticket: Ticket, report: TaskReport) -> None:
        job, tag = _run_of(ticket)

        def write(tx: Tx) -> JobRow:
            tx.update_attempt(tag, fence=ticket.fence, state=AttemptState.RUNNING, started=tx.now)
            return tx.move(job, JobState.RUNNING, actor=f"runner:{report.runner}", event={"tag": tag})

        await self._apply(write)

    async def _done(self, ticket: Ticket, report: TaskReport) -> None:
        """The result is stored, the cost settled, the rest released: one transaction."""
        job, tag = _run_of(ticket)
        result = report.result
        if result is None or (problem := _shape_problem(result, ticket.do)) is not None:
            said = "no result" if result is None else problem
            wrong = JobFailed(f"The device's answer cannot be used: {said}.", code="result.shape", hint="Not charged.")
            await self._failed(ticket, report, wrong)
            return
        raw = result.model_dump_json().encode()
        tenant = ticket.tenant
        await self._context.keep(tenant, raw)
        actor = f"runner:{report.runner}"

        def write(tx: Tx) -> JobRow:
            row = self._confirm(tx, ticket, actor)
            digest = self._context.refer(tx, tenant, raw, digest_of(raw))
            amount = self._amount(row, report.usage_s, tx.now)
            tx.settle(job, ticket.attempt, amount, usage(row, report.usage_s))
            tx.finish_attempt(tag, AttemptState.COMPLETED, fence=ticket.fence, usage=report.usage_s, charged=amount > 0)
            return tx.move(
                job,
                JobState.COMPLETED,
                actor=actor,
                event={"tag": tag, "result": digest},
                result=digest,
                seconds=result.seconds,
                versions=json.dumps(report.versions),
            )

        await self._apply(write, result)

    async def _failed(self, ticket: Ticket, report: TaskReport, error: QuantumError) -> None:
        """No result. It costs something only where the runner says that the device was used."""
        job, tag = _run_of(ticket)
        text = error_body(error, job).model_dump_json()
        actor = f"runner:{report.runner}"

        def write(tx: Tx) -> JobRow:
            row = tx.job(job)
            if row.state not in (JobState.SCHEDULED, JobState.RUNNING):
                raise Conflict("The job has ended.", code="job.move")
            amount = self._amount(row, report.usage_s, tx.now) if report.charged else 0
            tx.settle(job, ticket.attempt, amount, usage(row, report.usage_s) if report.charged else {})
            tx.finish_attempt(
                tag,
                AttemptState.FAILED,
                fence=ticket.fence,
                usage=report.usage_s,
                charged=report.charged,
                error=text,
            )
            return tx.move(
                job,
                JobState.FAILED,
                actor=actor,
                event={"tag": tag, "code": error.code},
                error=text,
                seconds=report.usage_s,
                versions=json.dumps(report.versions),
            )

        await self._apply(write)

    async def _apply(self, write: Any, result: ResultView | None = None) -> None:
        try:
            row = await self._context.store.write(write)
        except Conflict as error:
            if error.code not in ("job.move", "fence", "ledger.settled"):
                raise
            return  # cancelled, or taken over by a later attempt: the report comes too late
        self._live.moved(row, result)
        await asyncio.sleep(0)  # whoever waits for the job is answered before the runner

    @staticmethod
    def _confirm(tx: Tx, ticket: Ticket, actor: str) -> JobRow:
        """A short run is reported at its end only: it was running in between."""
        job, tag = _run_of(ticket)
        row = tx.job(job)
        if row.state is JobState.SCHEDULED:
            tx.update_attempt(tag, fence=ticket.fence, state=AttemptState.RUNNING, started=tx.now)
            row = tx.move(job, JobState.RUNNING, actor=actor, event={"tag": tag})
        return row

    def _amount(self, row: JobRow, seconds: float, now: datetime) -> int:
        """What it cost; the store charges at most what is on hold."""
        return self._budgets.charged(row, self._context.registry.get(row.device), seconds, now)


def _run_of(ticket: Ticket) -> tuple[str, str]:
    assert isinstance(ticket.do, ExecuteTask)
    assert ticket.job is not None
    return ticket.job, ticket.do.tag


def _device(ticket: Ticket) -> str:
    assert isinstance(ticket.do, ExecuteTask)
    return ticket.do.device


def _error(report: TaskReport) -> QuantumError:
    if report.error is not None:
        return error_of(report.error)
    return JobFailed("The run ended without a result and without a reason.", code="worker.failed", hint="Not charged.")


def _shape_problem(result: ResultView, do: Any) -> str | None:
    """Why a result does not fit its task; None where it does."""
    if result.kind is not do.kind:
        return f"it is of kind {result.kind.value}"
    if result.kind is JobKind.RUN:
        return None if result.experiments else "it has no experiments"
    if len(result.pubs) != len(do.pubs):
        return f"it has {len(result.pubs)} PUBs instead of {len(do.pubs)}"
    return None
