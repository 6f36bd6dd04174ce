"""Stages *execute* and *settle*: what a runner reports about a run becomes moves, a result and its cost."""

from __future__ import annotations

import asyncio
import json
import random
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.core.reckon import counts_otherwise
from jupyter_quantum.exceptions import Conflict, JobFailed, QuantumError
from jupyter_quantum.pipeline.answers import shape_problem
from jupyter_quantum.pipeline.attempts import (
    OUTDATED,
    absent,
    again,
    did_not_run,
    ends,
    is_device_fault,
    is_findable,
    unknown,
)
from jupyter_quantum.pipeline.board import Ticket
from jupyter_quantum.pipeline.budgets import Budgets, usage
from jupyter_quantum.pipeline.charges import Account, answered, stopped
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.recover import Recovering
from jupyter_quantum.pipeline.schedule import Scheduling
from jupyter_quantum.pipeline.scoring import score_of
from jupyter_quantum.pipeline.seats import left_by_session
from jupyter_quantum.pipeline.sentences import without_result
from jupyter_quantum.pipeline.views import error_body, error_of
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import AttemptState, JobRow, Json
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import ExecuteTask, TaskReport

__all__ = ["Executing"]

_MARK: Final = re.compile(r"[a-z][a-z-]{0,31}")
_MARKS: Final = 10
"""Of one result at most: they come from where a user's circuit was read."""


class Executing:
    """Follows a run from the device's confirmation to its end."""

    def __init__(
        self, context: Context, budgets: Budgets, scheduling: Scheduling, recovering: Recovering, live: Live
    ) -> None:
        self._context = context
        self._budgets = budgets
        self._scheduling = scheduling
        self._recovering = recovering
        self._live = live
        self.on_end: list[Callable[[str, bool], None]] = []
        """Called with the name of a device whenever an attempt on it has ended, and whether it failed."""

    async def report(self, ticket: Ticket, report: TaskReport) -> None:
        """Take note of a move. A job that has been cancelled meanwhile stays as it is."""
        if report.state in ("started", "part"):
            await self._started(ticket, report)
            return
        if ticket.ended:  # said again while the first saying is being written
            return
        ticket.ended = True
        try:
            row = await self._ended(ticket, report)
        except BaseException:  # nothing was written: it is said again, or the attempt is reconciled with its lease
            ticket.ended = False
            raise
        self._context.board.done(ticket)
        self._goes_on(ticket, row, report)

    async def _ended(self, ticket: Ticket, report: TaskReport) -> JobRow | None:
        """The job after the end of the lease; None where the report came too late."""
        match report.state:
            case "done":
                return await self._done(ticket, report)
            case "absent" | "unknown":
                return await self._apply(lambda tx: self._not_there(tx, ticket, report))
            case _:
                return await self._failed(ticket, report, _error(report))

    def _goes_on(self, ticket: Ticket, row: JobRow | None, report: TaskReport) -> None:
        """The slot is free again, unless the same attempt is looked for."""
        device = _device(ticket)
        if row is not None and row.wait is not None and row.state in (JobState.SCHEDULED, JobState.RUNNING):
            self._recovering.follow(row)
        elif row is not None and row.state is JobState.QUEUED and self._is_outdated(row, report):
            self._scheduling.outdated(row.id)
            self._scheduling.kick(device)
        elif row is not None and row.state is JobState.QUEUED:
            self._scheduling.requeued(row)
        else:
            self._scheduling.free(ticket.job or "", device, report.vendor_s or report.usage_s)
        for told in self.on_end:
            told(device, report.state == "failed")

    async def _started(self, ticket: Ticket, report: TaskReport) -> None:
        job, tag = _run_of(ticket)
        actor = f"runner:{report.runner}"

        def write(tx: Tx) -> JobRow:
            row = tx.job(job)
            if row.state in FINAL:
                raise Conflict("The job has ended.", code="job.move")
            first = row.state is JobState.SCHEDULED
            tx.update_attempt(tag, fence=ticket.fence, **_confirmed(tx, tag, report))
            if first:
                return tx.move(job, JobState.RUNNING, actor=actor, event={"tag": tag})
            if row.wait is None or row.cancel_asked is not None:
                return row
            return tx.amend(job, actor=actor, event={"tag": tag, "code": "attempt.found"}, wait=None)

        await self._apply(write)

    async def _done(self, ticket: Ticket, report: TaskReport) -> JobRow | None:
        """The result is stored, the cost settled, the rest released: one transaction."""
        job, tag = _run_of(ticket)
        result = report.result
        if result is None or (problem := shape_problem(result, _task_of(ticket), ticket.circuits)) is not None:
            said = "no result" if result is None else problem
            wrong = JobFailed(f"The device's answer cannot be used: {said}.", code="result.shape")
            return await self._failed(ticket, report, wrong)
        raw = result.model_dump_json().encode()
        tenant = ticket.tenant
        await self._context.keep(tenant, raw)
        actor = f"runner:{report.runner}"

        def write(tx: Tx) -> JobRow:
            row = self._confirm(tx, ticket, actor)
            digest = self._context.refer(tx, tenant, raw, digest_of(raw))
            account = answered(row, report, result)
            amount = self._amount(row, account, tx.now)
            settled = tx.settle(job, ticket.attempt, amount, usage(row.device_kind, account.charge.counted))
            tx.add_score(score_of(settled, result, tx.now))
            marks = self._marks(tx, tag, report, row.device)
            told = _told(report) | {"charged": amount > 0, "marks": marks, "charge": account.kept()}
            tx.finish_attempt(tag, AttemptState.COMPLETED, fence=ticket.fence, **told)
            return tx.move(
                job,
                JobState.COMPLETED,
                actor=actor,
                event={"tag": tag, "result": digest} | _said(marks, report) | account.told(),
                result=digest,
                seconds=result.seconds,
                vendor_s=report.vendor_s,
                marks=marks,
                error=None,
                versions=json.dumps(report.versions),
            )

        return await self._apply(write, result)

    async def _failed(self, ticket: Ticket, report: TaskReport, error: QuantumError) -> JobRow | None:
        """No result. Whether it costs something depends on how that came about, and on where it ran."""
        job, tag = _run_of(ticket)
        actor = f"runner:{report.runner}"

        def write(tx: Tx) -> JobRow:
            row = tx.job(job)
            if row.state not in (JobState.SCHEDULED, JobState.RUNNING):
                raise Conflict("The job has ended.", code="job.move")
            account = stopped(row, report, error, self._context.registry.get(row.device))
            amount = self._amount(row, account, tx.now)
            settled = tx.settle(job, ticket.attempt, amount, usage(row.device_kind, account.charge.counted))
            charged = (settled.cost or 0) - (row.cost or 0)
            said = _with_charge(error, without_result(charged, account.charge.counted.seconds))
            text = error_body(said, job).model_dump_json()
            told = _told(report) | {"charged": charged > 0, "charge": account.kept(), "error": text}
            tx.finish_attempt(tag, AttemptState.FAILED, fence=ticket.fence, **told)
            event = {"tag": tag, "code": error.code} | _said("[]", report)
            if left_by_session(tx, row, ticket, report):  # it runs outside of it, however often it was tried
                return again(tx, row, event | {"code": "attempt.session", "why": error.code}, actor)
            if self._is_worth_it(row, ticket, report, error):
                event |= {"code": "attempt.retry", "why": error.code}
                later = {} if self._is_outdated(row, report) else {"not_before": self._later(tx.now, ticket.attempt)}
                return again(tx, row, event, actor, **later)
            last = {"seconds": report.usage_s, "vendor_s": report.vendor_s, "versions": json.dumps(report.versions)}
            return ends(tx, row, said, event, actor, **last)

        return await self._apply(write)

    def _is_worth_it(self, row: JobRow, ticket: Ticket, report: TaskReport, error: QuantumError) -> bool:
        """Whether a fault may pass, is not the user's, and there are attempts left.

        What was leased before a calibration and began after it never ran: it is validated again.
        """
        may = (report.retry and is_device_fault(error.code)) or error.code == OUTDATED
        return may and row.cancel_asked is None and ticket.attempt < self._context.settings.max_attempts

    def _is_outdated(self, row: JobRow, report: TaskReport) -> bool:
        """Whether its worker knows a calibration that it was not validated for, and so do we by now.

        Where the announcement of it is still on its way, the job waits as for another try, and its turn finds out.
        """
        told = report.error is not None and report.error.code == OUTDATED
        return told and self._scheduling.is_stale(row)

    def _later(self, now: datetime, attempt: int) -> datetime:
        """When to try again: twice as late each time, with jitter, so that jobs of one fault do not come together."""
        settings = self._context.settings
        pause = min(settings.retry_most_s, settings.retry_s * 2.0 ** (attempt - 1))
        return now + timedelta(seconds=pause * random.uniform(0.5, 1.5))  # noqa: S311 not a secret

    def _not_there(self, tx: Tx, ticket: Ticket, report: TaskReport) -> JobRow:
        """The runner did not find the attempt, or cannot tell. Absence is believed from a certain moment on."""
        job, tag = _run_of(ticket)
        row, attempt, actor = tx.job(job), tx.attempt(tag), f"runner:{report.runner}"
        if row.state in FINAL or attempt.fence != ticket.fence:
            raise Conflict("This attempt is no longer the caller's.", code="fence")
        device = self._context.registry.get(row.device)
        searched = ticket.do.recover if isinstance(ticket.do, ExecuteTask) else False
        findable = is_findable(device, attempt)
        if report.state == "absent" and searched and device is not None and device.words.recovery != "opaque":
            if attempt.absent_after is None or tx.now < attempt.absent_after:
                return self._recovering.write(tx, row, attempt, actor=actor)
            most = self._context.settings.max_attempts
            return did_not_run(tx, row, attempt, absent(row.device), most, fence=ticket.fence, actor=actor)
        if findable and not searched:
            return self._recovering.write(tx, row, attempt, actor=actor)
        text = None if report.error is None else report.error.model_dump_json()
        return unknown(tx, row, attempt, fence=ticket.fence, text=text)

    def _marks(self, tx: Tx, tag: str, report: TaskReport, device: str) -> Json:
        """What is to be known of the result; a calibration that changed during the run is one of them."""
        attempt = tx.attempt(tag)
        found = {*json.loads(attempt.marks), *filter(_is_mark, report.marks)}
        now = self._context.registry.get(device)
        if now is not None and attempt.calibration not in (None, now.words.calibration.digest):
            found.add("drift")
        return json.dumps(sorted(found)[:_MARKS])

    async def _apply(self, write: Callable[[Tx], JobRow], result: ResultView | None = None) -> JobRow | None:
        try:
            row = await self._context.store.write(write)
        except Conflict as error:
            if error.code not in ("job.move", "fence", "ledger.settled"):
                raise
            return None  # cancelled, or taken over by a later attempt: the report comes too late
        self._live.moved(row, result)
        await asyncio.sleep(0)  # whoever waits for the job is answered before the runner
        return row

    @staticmethod
    def _confirm(tx: Tx, ticket: Ticket, actor: str) -> JobRow:
        """A short run is reported at its end only: it was running in between."""
        job, tag = _run_of(ticket)
        row = tx.job(job)
        if row.state is JobState.SCHEDULED:
            tx.update_attempt(tag, fence=ticket.fence, state=AttemptState.RUNNING, started=tx.now)
            row = tx.move(job, JobState.RUNNING, actor=actor, event={"tag": tag})
        return row

    def _amount(self, row: JobRow, account: Account, now: datetime) -> int:
        """What it cost; the store charges at most what is on hold."""
        return self._budgets.charged(row, self._context.registry.get(row.device), account.charge.priced, now)


def _confirmed(tx: Tx, tag: str, report: TaskReport) -> dict[str, Any]:
    """What a runner's confirmation says of an attempt: under which of the vendor's ids the device has it."""
    attempt = tx.attempt(tag)
    found: dict[str, Any] = {"state": AttemptState.RUNNING, "started": attempt.started or tx.now}
    found["runner"] = report.runner
    if report.handles:
        found["handles"] = json.dumps(report.handles)
    if marks := sorted({*json.loads(attempt.marks), *filter(_is_mark, report.marks)}):
        found["marks"] = json.dumps(marks[:_MARKS])
    return found


def _told(report: TaskReport) -> dict[str, Any]:
    """What is kept of an attempt's end."""
    found: dict[str, Any] = {"usage": report.usage_s, "vendor_s": report.vendor_s}
    return found | ({"handles": json.dumps(report.handles)} if report.handles else {})


def _said(marks: Json, report: TaskReport) -> dict[str, Any]:
    """The event's part about marks, and about seconds that the vendor counted otherwise."""
    found: dict[str, Any] = {} if marks == "[]" else {"marks": json.loads(marks)}
    if counts_otherwise(report.usage_s, report.vendor_s):
        found |= {"vendor_s": report.vendor_s, "usage_s": report.usage_s}
    return found


def _with_charge(error: QuantumError, said: str) -> QuantumError:
    """The error with what it costs, as the last words of its hint."""
    body = error_body(error)
    return error_of(body.model_copy(update={"hint": f"{body.hint} {said}" if body.hint else said}))


def _is_mark(mark: str) -> bool:
    return _MARK.fullmatch(mark) is not None


def _run_of(ticket: Ticket) -> tuple[str, str]:
    assert ticket.job is not None
    return ticket.job, _task_of(ticket).tag


def _device(ticket: Ticket) -> str:
    return _task_of(ticket).device


def _task_of(ticket: Ticket) -> ExecuteTask:
    assert isinstance(ticket.do, ExecuteTask)
    return ticket.do


def _error(report: TaskReport) -> QuantumError:
    if report.error is not None:
        return error_of(report.error)
    return JobFailed("The run ended without a result and without a reason.", code="worker.failed")
