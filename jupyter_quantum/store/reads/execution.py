"""Attempts by what became of them, and jobs that may move to another device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import ATTEMPTS, JOBS, micros, moment
from jupyter_quantum.store.reading import Reading
from jupyter_quantum.store.rows import AttemptRow, AttemptState, JobRow

__all__ = ["ExecutionReads", "Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended, as far as it tells something about its device."""

    job: str
    owner: str
    """The principal whose job it was."""
    failed: bool
    error: str | None
    ended: datetime


class ExecutionReads(Reading):
    """What operators and the rules of isolation look at."""

    def unknown_attempts(self, *, limit: int = 200) -> list[AttemptRow]:
        """Attempts of which nobody can tell whether the device ran them, oldest first."""
        a = t.attempts.c
        query = ATTEMPTS.select.where(a.state == AttemptState.UNKNOWN).order_by(a.created, a.tag)
        return self._all(ATTEMPTS, query.limit(limit))

    def outcomes(self, device: str, since: datetime, *, limit: int) -> Sequence[Outcome]:
        """How the attempts on a device ended since then, newest first; cancelled ones tell nothing."""
        a, j = t.attempts.c, t.jobs.c
        ended = (AttemptState.COMPLETED, AttemptState.FAILED)
        query = select(a.job, j.principal, a.state, a.error, a.ended).where(
            a.job == j.id, a.device == device, a.ended >= micros(since), a.state.in_(ended)
        )
        rows = self._reading().execute(query.order_by(a.ended.desc(), a.tag.desc()).limit(limit))
        failed = AttemptState.FAILED
        return [Outcome(job, who, state == failed, error, moment(at)) for job, who, state, error, at in rows]

    def counted_otherwise(self, since: datetime, share: float, least_s: float, *, limit: int = 200) -> list[AttemptRow]:
        """Attempts of which the vendor counted other seconds than the runner (by more than a share, and ``least_s``).

        Newest first.
        """
        a = t.attempts.c
        off = func.abs(a.vendor_s - a.usage)
        query = ATTEMPTS.select.where(
            a.ended >= micros(since), a.vendor_s.is_not(None), off > least_s, off > share * a.vendor_s
        )
        return self._all(ATTEMPTS, query.order_by(a.ended.desc(), a.tag.desc()).limit(limit))

    def may_move(self) -> list[JobRow]:
        """Jobs in a queue that may move to another device, or must leave theirs; oldest first."""
        j = t.jobs.c
        moves = (j.fallback != "[]") | j.leaving.is_not(None)
        return self._all(JOBS, JOBS.select.where(j.state == JobState.QUEUED, moves).order_by(j.id))
