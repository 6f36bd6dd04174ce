"""Decisions and envelopes."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime

from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import DECISIONS, ENVELOPE_USES, ENVELOPES, micros
from jupyter_quantum.store.reading import Reading, where
from jupyter_quantum.store.rows import DecisionRow, EnvelopeRow, EnvelopeState, EnvelopeUseRow

__all__ = ["PolicyReads"]


class PolicyReads(Reading):
    """What policy decided, and what was approved ahead."""

    def job_decisions(self, job_id: str) -> list[DecisionRow]:
        """Every decision about a job, oldest first."""
        d = t.decisions.c
        return self._all(DECISIONS, DECISIONS.select.where(d.job == job_id).order_by(d.time, d.id))

    def decisions(self, since: datetime, *, limit: int = 100_000) -> Iterator[DecisionRow]:
        """Decisions made since then, newest first."""
        d = t.decisions.c
        query = DECISIONS.select.where(d.time >= micros(since)).order_by(d.time.desc(), d.id.desc()).limit(limit)
        yield from (DECISIONS.decode(row) for row in self.query(query))

    def envelope(self, envelope_id: str) -> EnvelopeRow:
        """The envelope."""
        return self._need(ENVELOPES, envelope_id, "envelope")

    def envelopes(
        self,
        *,
        state: EnvelopeState | None = None,
        projects: Collection[str] | None = None,
        project: str | None = None,
        device: str | None = None,
        principal: str | None = None,
        after: datetime | None = None,
        limit: int = 200,
    ) -> list[EnvelopeRow]:
        """Envelopes that match all that is given (and end after ``after``), newest first."""
        e = t.envelopes.c
        query = where(ENVELOPES.select, e, state=state, project=project, device=device, principal=principal)
        if projects is not None:
            query = query.where(e.project.in_(sorted(projects)))
        if after is not None:
            query = query.where(e.until > micros(after))
        return self._all(ENVELOPES, query.order_by(e.id.desc()).limit(limit))

    def envelope_uses(self, envelope_id: str, *, limit: int = 200) -> list[EnvelopeUseRow]:
        """Jobs that went on in an envelope, newest first."""
        u = t.envelope_uses.c
        query = ENVELOPE_USES.select.where(u.envelope == envelope_id).order_by(u.job.desc()).limit(limit)
        return self._all(ENVELOPE_USES, query)
