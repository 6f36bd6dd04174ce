"""Attempts that nobody can tell about: listed for operators, who find out and say what became of each.

One transaction decides: the job ends charged, or waits again uncharged, or the device is asked. Never two of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.reckon import LEAST_S, SHARE
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, InputError, JobFailed, Refused
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.attempts import absent as never_there
from jupyter_quantum.pipeline.attempts import did_not_run, ends, is_findable, is_remote
from jupyter_quantum.pipeline.budgets import usage
from jupyter_quantum.pipeline.charges import whole
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.recover import Recovering
from jupyter_quantum.pipeline.schedule import Scheduling
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import AttemptRow, AttemptState, JobRow
from jupyter_quantum.wire.operations import Difference, Differences, Resolution, UnknownAttempt, UnknownAttempts

__all__ = ["Resolving"]

_DAYS = 30


class Resolving:
    """What operators look into."""

    def __init__(self, context: Context, scheduling: Scheduling, recovering: Recovering, live: Live) -> None:
        self._context = context
        self._scheduling = scheduling
        self._recovering = recovering
        self._live = live

    async def unknown(self, who: Principal) -> UnknownAttempts:
        """Attempts that wait for an operator, oldest first."""
        self._check(who)

        def read(view: View) -> UnknownAttempts:
            rows = view.unknown_attempts()
            return UnknownAttempts(attempts=[self._shown(row, view.job(row.job)) for row in rows])

        return await self._context.store.read(read)

    async def differences(self, who: Principal) -> Differences:
        """Attempts of the last 30 days whose seconds the vendor counts otherwise, newest first."""
        self._check(who)
        since = self._context.clock() - timedelta(days=_DAYS)
        rows = await self._context.store.read(lambda view: view.counted_otherwise(since, SHARE, LEAST_S))
        return Differences(differences=[_difference(row) for row in rows])

    async def resolve(self, who: Principal, tag: str, told: Resolution) -> UnknownAttempt:
        """Say what became of an attempt. Raises Conflict ``attempt.state`` where it is not unknown (any more)."""
        self._check(who)
        if told.verdict == "ran" and told.charge is None:
            raise InputError("What did it cost?", code="attempt.charge", hint="Give charge, 0 where it cost nothing.")

        def write(tx: Tx) -> tuple[JobRow, AttemptRow]:
            attempt = tx.attempt(tag)
            if attempt.state is not AttemptState.UNKNOWN:
                raise Conflict(f"This attempt is {attempt.state.value}.", code="attempt.state")
            row = tx.job(attempt.job)
            data = {"tag": tag, "verdict": told.verdict, "charge": told.charge, "note": told.note}
            tx.add_event(
                "attempt.resolved", actor=who.id, principal=row.principal, project=row.project, job=row.id, data=data
            )
            return self._verdict(told)(tx, row, attempt, who.id), attempt

        row, attempt = await self._context.store.write(write)
        self._live.moved(row)
        if row.state is JobState.QUEUED:
            self._scheduling.requeued(row)
        elif told.verdict == "look":
            self._recovering.follow(row)
        return self._shown(attempt, row)

    def _verdict(self, told: Resolution) -> Callable[[Tx, JobRow, AttemptRow, str], JobRow]:
        if told.verdict == "look":
            return self._look
        if told.verdict == "not_run":
            return self._not_run
        return lambda tx, row, attempt, actor: self._ran(tx, row, attempt, actor, told.charge or 0)

    def _look(self, tx: Tx, row: JobRow, attempt: AttemptRow, actor: str) -> JobRow:
        if not is_remote(self._context.registry.get(row.device)):
            raise Conflict(f"{row.device} cannot be asked.", code="attempt.blind", hint="Say what you found out.")
        return self._recovering.write(tx, row, attempt, actor=actor)

    @staticmethod
    def _not_run(tx: Tx, row: JobRow, attempt: AttemptRow, actor: str) -> JobRow:
        """The attempt costs nothing; the job waits again, however often it was tried."""
        return did_not_run(tx, row, attempt, never_there(row.device), attempt.number + 1, actor=actor)

    @staticmethod
    def _ran(tx: Tx, row: JobRow, attempt: AttemptRow, actor: str, charge: int) -> JobRow:
        if charge > row.on_hold:
            raise InputError(
                f"At most {words.spent(row.on_hold)} credits are on hold for it.",
                code="attempt.charge",
                hint="Nobody pays more than they agreed to.",
            )
        lost = JobFailed(sentences.result_lost(row.device, charge), code="job.lost", hint="Run it again.")
        tx.settle(row.id, attempt.number, charge, usage(row.device_kind, whole(row, 0.0)))
        tx.finish_attempt(attempt.tag, AttemptState.FAILED, fence=None, charged=charge > 0)
        return ends(tx, tx.job(row.id), lost, {"tag": attempt.tag, "code": lost.code}, actor)

    def _check(self, who: Principal) -> None:
        if not self._context.people.operates(who):
            raise Refused("Operators do this.", code="device.role")

    def _shown(self, attempt: AttemptRow, row: JobRow) -> UnknownAttempt:
        device = self._context.registry.get(row.device)
        return UnknownAttempt(
            tag=attempt.tag,
            job=row.id,
            device=row.device,
            project=row.project,
            owner=row.owner,
            since=attempt.started or attempt.created,
            handles=json.loads(attempt.handles),
            on_hold=row.on_hold,
            cancel_asked=row.cancel_asked,
            can_look=is_findable(device, attempt),
            words=sentences.unknown_attempt(row.device),
        )


def _difference(row: AttemptRow) -> Difference:
    vendors = row.vendor_s or 0.0
    return Difference(
        tag=row.tag,
        job=row.job,
        device=row.device,
        ended=row.ended,
        seconds=row.usage,
        vendor_seconds=vendors,
        cost=row.cost,
        words=sentences.counted_otherwise(row.usage, vendors, _charged_s(row)),
    )


def _charged_s(row: AttemptRow) -> float | None:
    """Seconds that credits were charged for; None of an attempt of before they were kept."""
    priced = json.loads(row.charge).get("priced")
    return None if priced is None else float(priced["seconds"])
