"""Envelopes: put in force, used by jobs, given back, revoked. Conditional updates move their balances."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import bindparam, delete, or_, select, update

from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.rows import DecisionRow, EnvelopeRow, EnvelopeUseRow, JobRow
from jupyter_quantum.store.unit import Unit

__all__ = ["Standing"]

_E = t.envelopes.c
_TAKE: Final = (
    update(t.envelopes)
    .where(
        _E.id == bindparam("key"),
        _E.state == "approved",
        _E.until > bindparam("now"),
        or_(_E.amount.is_(None), _E.held + _E.used + bindparam("more") <= _E.amount),
    )
    .values(held=_E.held + bindparam("more"))
)
_GIVE: Final = (
    update(t.envelopes)
    .where(_E.id == bindparam("key"))
    .values(held=_E.held - bindparam("less"), used=_E.used + bindparam("spent"))
)
_REVOKE: Final = update(t.envelopes).where(_E.id == bindparam("key"), _E.state == "approved").values(state="revoked")
_USED: Final = (
    update(t.envelope_uses)
    .where(t.envelope_uses.c.job == bindparam("key"), t.envelope_uses.c.cost.is_(None))
    .values(held=bindparam("amount"), cost=bindparam("spent"))
)
_FORGET: Final = delete(t.envelope_uses).where(t.envelope_uses.c.job == bindparam("key"))
_OPEN_USE: Final = c.Statement(
    select(*c.ENVELOPE_USES.select.selected_columns).where(t.envelope_uses.c.job == bindparam("key"))
)


class Standing(Unit):
    """The part of a writing request that decisions and envelopes need."""

    def add_decision(self, row: DecisionRow) -> DecisionRow:
        """Keep an answer of policy; ``person`` is a :attr:`Principal.id` and is stored as its pseudonym."""
        person = self.named(row.person)
        context = json.loads(row.context)
        if "user" in context:
            context["user"] = person
        return self._shelf(c.DECISIONS).add(replace(row, person=person, context=json.dumps(context, sort_keys=True)))

    def add_envelope(self, row: EnvelopeRow) -> EnvelopeRow:
        """Put an envelope in force, with an event (``envelope.changed``)."""
        c.ENVELOPES.insert.run(self._reading(), c.ENVELOPES.encode(row))
        self._tell_envelope(row, row.decided_by, None)
        return row

    def revoke_envelope(self, envelope_id: str, *, actor: str, note: str | None = None) -> EnvelopeRow:
        """End an envelope; jobs that go on in it already are not disturbed. Raises Conflict ``envelope.ended``."""
        row = self.envelope(envelope_id)
        if self._reading().execute(_REVOKE, {"key": envelope_id}).rowcount != 1:
            raise Conflict(f"This is {row.state} already.", code="envelope.ended")
        after = self.envelope(envelope_id)
        self._tell_envelope(after, actor, note)
        return after

    def use_envelope(self, envelope_id: str, job_id: str, amount: int) -> bool:
        """Let a job go on in an envelope; False where it has ended or too little is left, and nothing is changed."""
        wanted = {"key": envelope_id, "now": c.micros(self.now), "more": amount}
        if self._reading().execute(_TAKE, wanted).rowcount != 1:
            return False
        use = EnvelopeUseRow(job_id, envelope_id, self.now, amount)
        c.ENVELOPE_USES.insert.run(self._conn, c.ENVELOPE_USES.encode(use))
        self._jobs.change(self.job(job_id), envelope=envelope_id)
        return True

    def close_use(self, job: JobRow) -> None:
        """A job has ended: what it did not spend goes back to its envelope. Moving to a final state does this."""
        if job.envelope is None:
            return
        found = _OPEN_USE.run(self._reading(), {"key": job.id}).first()
        use = None if found is None else c.ENVELOPE_USES.decode(found)
        if use is None or use.cost is not None:
            return
        spent = min(job.cost or 0, use.held)
        self._conn.execute(_USED, {"key": job.id, "amount": use.held, "spent": spent})
        self._conn.execute(_GIVE, {"key": use.envelope, "less": use.held, "spent": spent})

    def leave_envelope(self, job: JobRow) -> JobRow:
        """The envelope covers this job no longer (a person is asked instead): what it held there goes back."""
        found = _OPEN_USE.run(self._reading(), {"key": job.id}).first()
        if found is not None:
            use = c.ENVELOPE_USES.decode(found)
            self._conn.execute(_GIVE, {"key": use.envelope, "less": use.held, "spent": 0})
            self._conn.execute(_FORGET, {"key": job.id})
        return self._jobs.change(job, envelope=None)

    def _tell_envelope(self, row: EnvelopeRow, actor: str, note: str | None) -> None:
        data: dict[str, Any] = {
            "envelope": row.id,
            "kind": row.kind,
            "state": row.state,
            "device": row.device,
            "roles": row.roles,
            "amount": row.amount,
            "price_cap": row.price_cap,
            "success_floor": row.success_floor,
            "until": row.until.isoformat(),
            "terms": row.terms,
            "origin": row.origin,
            "note": note,
        }
        self._tell("envelope.changed", actor=actor, principal=row.principal, project=row.project, data=data)
