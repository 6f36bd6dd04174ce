"""Stage *retire*: cancel, in every state. What is final stays as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, QuantumError
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.asking import withdraw_open
from jupyter_quantum.pipeline.budgets import Budgets, usage
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.schedule import SERVICE, Scheduling
from jupyter_quantum.pipeline.views import error_body
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import AttemptState, JobRow

__all__ = ["Retiring"]

_NOTHING: Final[Mapping[str, Any]] = {}


class Retiring:
    """Takes jobs back."""

    def __init__(self, context: Context, budgets: Budgets, scheduling: Scheduling, live: Live) -> None:
        self._context = context
        self._budgets = budgets
        self._scheduling = scheduling
        self._live = live

    async def cancel(self, who: Principal, job_id: str) -> JobRow:
        """Cancel a job that ``who`` may see. Raises Conflict ``job.final`` where it has ended."""
        row = await self._context.store.read(lambda view: view.job(job_id))
        self._context.people.check_job(who, row)
        return await self._ended(await self._context.store.write(lambda tx: self._write(tx, who.id, job_id)))

    async def take_back(self, job_id: str, why: QuantumError, *, unless: JobState | None = None) -> JobRow:
        """Cancel a job whose owner may not have it any more; ``why`` is told with it.

        Raises Conflict ``job.final`` where it has ended, ``job.move`` where it is in the state ``unless``.
        """
        text = error_body(why, job_id).model_dump_json()

        def write(tx: Tx) -> JobRow:
            if tx.job(job_id).state is unless:
                raise Conflict("The job has moved on.", code="job.move")
            return self._write(tx, SERVICE, job_id, event={"code": why.code}, error=text)

        return await self._ended(await self._context.store.write(write))

    async def _ended(self, row: JobRow) -> JobRow:
        """It is committed: the runner hears of it, the queue goes on, whoever waits is told."""
        for ticket in self._context.board.of_job(row.id):
            self._context.board.stop(ticket)
            if not ticket.leased and ticket.attempt:
                self._scheduling.free(row.id, row.device, 0.0)
        self._scheduling.withdrawn(row)
        self._live.moved(row)
        self._scheduling.kick(row.device)
        return row

    def _write(self, tx: Tx, actor: str, job_id: str, *, event: Mapping[str, Any] = _NOTHING, **changes: Any) -> JobRow:
        row = tx.job(job_id)
        if row.state in FINAL:
            raise Conflict(f"{sentences.state_words(row)} already.", code="job.final")
        withdraw_open(tx, row, actor)
        if row.state in (JobState.SCHEDULED, JobState.RUNNING) and row.attempts:
            self._stop_attempt(tx, row)
        return tx.move(job_id, JobState.CANCELLED, actor=actor, event=event, **changes)

    def _stop_attempt(self, tx: Tx, row: JobRow) -> None:
        """The runner kills it. Hardware that had it already may have been used: that is charged, by the clock."""
        attempt = tx.attempt(f"{row.id}-{row.attempts}")
        device = self._context.registry.get(row.device)
        amount, seconds = 0, 0.0
        used: dict[str, int] = {}
        if attempt.started is not None:
            seconds = (tx.now - attempt.started).total_seconds()
            if device is not None and device.words.recovery != "repeatable":
                amount = self._budgets.charged(row, device, seconds, tx.now)
                used = usage(row, seconds)
        tx.settle(row.id, row.attempts, amount, used)
        tx.finish_attempt(attempt.tag, AttemptState.CANCELLED, fence=None, usage=seconds, charged=amount > 0)
