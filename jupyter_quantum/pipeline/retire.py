"""Stage *retire*: cancel, in every state. What is final stays as it is.

A run in a worker of ours is killed and over. At a vendor it may be running, or have run: there it is taken back by the
runner, which says what it used, and the job is cancelled once that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from jupyter_quantum.core.charging import NOTHING, End, charge
from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, QuantumError
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.asking import withdraw_open
from jupyter_quantum.pipeline.attempts import is_remote
from jupyter_quantum.pipeline.board import Ticket
from jupyter_quantum.pipeline.budgets import Budgets, usage
from jupyter_quantum.pipeline.charges import Account, is_ours, whole
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.recover import Recovering
from jupyter_quantum.pipeline.schedule import SERVICE, Scheduling
from jupyter_quantum.pipeline.views import error_body
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import AttemptState, JobRow
from jupyter_quantum.wire.devices import Wait
from jupyter_quantum.wire.runner import ExecuteTask

__all__ = ["Retiring"]

_NOTHING: Final[Mapping[str, Any]] = {}


class Retiring:
    """Takes jobs back."""

    def __init__(
        self, context: Context, budgets: Budgets, scheduling: Scheduling, recovering: Recovering, live: Live
    ) -> None:
        self._context = context
        self._budgets = budgets
        self._scheduling = scheduling
        self._recovering = recovering
        self._live = live

    async def cancel(self, who: Principal, job_id: str) -> JobRow:
        """Cancel a job that ``who`` may see. Raises Conflict ``job.final`` where it has ended."""
        row = await self._context.store.read(lambda view: view.job(job_id))
        self._context.people.check_job(who, row)
        return await self._do(job_id, lambda tx, sure: self._write(tx, who.id, job_id, sure))

    async def take_back(self, job_id: str, why: QuantumError, *, unless: JobState | None = None) -> JobRow:
        """Cancel a job whose owner may not have it any more; ``why`` is told with it.

        Raises Conflict ``job.final`` where it has ended, ``job.move`` where it is in the state ``unless``.
        """
        text = error_body(why, job_id).model_dump_json()

        def write(tx: Tx, sure: bool) -> JobRow:
            if tx.job(job_id).state is unless:
                raise Conflict("The job has moved on.", code="job.move")
            return self._write(tx, SERVICE, job_id, sure, event={"code": why.code}, error=text)

        return await self._do(job_id, write)

    async def _do(self, job_id: str, write: Callable[[Tx, bool], JobRow]) -> JobRow:
        """Take it back; ``write`` is told whether no runner ever had it, which is so from this moment on."""
        board = self._context.board
        taken = [ticket for ticket in board.of_job(job_id) if ticket.attempt and not ticket.leased]
        for ticket in taken:
            board.stop(ticket)
        sure = any(isinstance(ticket.do, ExecuteTask) and not ticket.do.recover for ticket in taken)
        try:
            row = await self._context.store.write(lambda tx: write(tx, sure))
        except BaseException:
            for ticket in taken:
                board.put(ticket)
            raise
        return self._ended(row, taken)

    def _ended(self, row: JobRow, taken: Sequence[Ticket]) -> JobRow:
        """It is committed: the runner hears of it, the queue goes on, whoever waits is told."""
        board = self._context.board
        for ticket in board.of_job(row.id):
            if isinstance(ticket.do, ExecuteTask) and ticket.do.cancel:
                continue  # it takes the run back already
            board.stop(ticket)
            taken = taken if ticket.leased or not ticket.attempt else [*taken, ticket]
        if row.state in FINAL:
            if taken:
                self._scheduling.free(row.id, row.device, 0.0)
            self._scheduling.withdrawn(row)
        elif taken:  # nobody looks for it now: whoever does takes it back
            self._recovering.follow(row)
        self._live.moved(row)
        self._scheduling.kick(row.device)
        return row

    def _write(
        self,
        tx: Tx,
        actor: str,
        job_id: str,
        sure: bool,
        *,
        event: Mapping[str, Any] = _NOTHING,
        **changes: Any,
    ) -> JobRow:
        row = tx.job(job_id)
        if row.state in FINAL:
            raise Conflict(f"{sentences.state_words(row)} already.", code="job.final")
        withdraw_open(tx, row, actor)
        if row.state in (JobState.SCHEDULED, JobState.RUNNING) and row.attempts:
            if not sure and self._is_elsewhere(tx, row):
                return self._ask(tx, row, actor, event, changes)
            self._stop_attempt(tx, row)
        return tx.move(job_id, JobState.CANCELLED, actor=actor, event=event, **changes)

    def _is_elsewhere(self, tx: Tx, row: JobRow) -> bool:
        """Whether the run goes on without our runner, or nobody knows whether it does."""
        unknown = tx.attempt(f"{row.id}-{row.attempts}").state is AttemptState.UNKNOWN
        return unknown or is_remote(self._context.registry.get(row.device))

    def _ask(self, tx: Tx, row: JobRow, actor: str, event: Mapping[str, Any], changes: Mapping[str, Any]) -> JobRow:
        """Have it taken back at the vendor; where nobody knows whether it runs, whoever decides that ends it."""
        if row.cancel_asked is not None:
            return row
        attempt = tx.attempt(f"{row.id}-{row.attempts}")
        told = {"code": "cancel.asked"} | dict(event)
        if attempt.state is AttemptState.UNKNOWN:  # its words stay: an operator is needed
            return tx.amend(row.id, actor=actor, event=told, cancel_asked=tx.now)
        wait = Wait(reason="wait.cancel", words=sentences.cancelling(row.device)).model_dump_json()
        return tx.amend(row.id, actor=actor, event=told, cancel_asked=tx.now, wait=wait, **changes)

    def _stop_attempt(self, tx: Tx, row: JobRow) -> None:
        """The runner kills it. What it used until then is known by the clock."""
        attempt = tx.attempt(f"{row.id}-{row.attempts}")
        device = self._context.registry.get(row.device)
        used = NOTHING
        if attempt.started is not None:
            used = whole(row, (tx.now - attempt.started).total_seconds())
        account = Account(End.TAKEN_BACK, charge(End.TAKEN_BACK, used, ours=is_ours(row, device)))
        amount = self._budgets.charged(row, device, account.charge.priced, tx.now)
        tx.settle(row.id, row.attempts, amount, usage(row.device_kind, account.charge.counted))
        told = {"usage": used.seconds, "charged": amount > 0, "charge": account.kept()}
        tx.finish_attempt(attempt.tag, AttemptState.CANCELLED, fence=None, **told)
