"""Money: hold, settle, release. Entries are only added; balances move with them, by conditional updates.

====================  ==========  ==========  ========  ==========================================
entry                 granted     used        held      once for each
====================  ==========  ==========  ========  ==========================================
grant                 + or -                            change of the operator's limit
hold                                          + amount  job and account
settle                            + charged   - charged attempt and account
release                                       - rest    job and account
====================  ==========  ==========  ========  ==========================================

A job that waits or runs has its amount on hold in each of its accounts (the user's month, the project's grant); a final
job has none. What a run costs beyond its hold is not charged: the user agreed to that amount at most.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, insert, update

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.exceptions import Conflict, QuotaExceeded
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.rows import AccountRow, AccountSpec, EntryKind, JobRow
from jupyter_quantum.store.unit import Unit

__all__ = ["Ledger"]

_A = t.accounts.c
_HOLD: Final = (
    update(t.accounts)
    .where(
        _A.id == bindparam("key"),
        _A.limit == bindparam("spec"),
        _A.used + _A.held + bindparam("amount") <= _A.limit,
    )
    .values(held=_A.held + bindparam("amount"))
)
_CHANGE: Final = (
    update(t.accounts)
    .where(_A.id == bindparam("key"))
    .values(used=_A.used + bindparam("more_used"), held=_A.held + bindparam("more_held"))
)
_LIMIT: Final = update(t.accounts).where(_A.id == bindparam("key")).values(limit=bindparam("new_limit"))
_OPEN: Final = insert(t.accounts)


class Ledger(Unit):
    """The ledger's part of a writing request."""

    def hold(self, job_id: str, accounts: Sequence[AccountSpec], amount: int) -> JobRow:
        """Put ``amount`` on hold for a job in each account, in all of them or in none; once per job.

        Raises QuotaExceeded with the details ``left``, ``needed``, ``account`` and ``resets`` of the account that has
        the least left; nothing is changed then, and the request may go on. An amount of 0 makes no entries.
        """
        job = self.job(job_id)
        if job.held is not None or job.state in FINAL:
            raise Conflict("Credits were put on hold for this job before.", code="ledger.held")
        taken: list[AccountSpec] = []
        for spec in sorted(accounts, key=lambda spec: spec.id) if amount else ():
            if not self._take(spec, amount):
                for earlier in taken:
                    self._conn.execute(_CHANGE, {"key": earlier.id, "more_used": 0, "more_held": -amount})
                raise self._exceeded(accounts, amount)
            taken.append(spec)
        ids = [spec.id for spec in taken]
        for account in ids:
            self._enter("hold", account, job_id, held=amount)
        return self._jobs.change(job, held=amount, on_hold=amount, accounts=json.dumps(ids))

    def raise_hold(self, job_id: str, accounts: Sequence[AccountSpec], amount: int) -> JobRow:
        """Bring a job's hold up to ``amount`` in each account that it is on hold in; a lower amount changes nothing.

        ``accounts`` are those that :meth:`hold` was given. Raises QuotaExceeded as that does.
        """
        job = self.job(job_id)
        more = amount - (job.held or 0)
        if job.held is None or job.state in FINAL:
            raise Conflict("Nothing is on hold for this job.", code="ledger.no_hold")
        if more <= 0:
            return job
        there = set(json.loads(job.accounts)) or {spec.id for spec in accounts}
        taken: list[AccountSpec] = []
        for spec in sorted((spec for spec in accounts if spec.id in there), key=lambda spec: spec.id):
            if not self._take(spec, more):
                for earlier in taken:
                    self._conn.execute(_CHANGE, {"key": earlier.id, "more_used": 0, "more_held": -more})
                raise self._exceeded(accounts, more)
            taken.append(spec)
        if {spec.id for spec in taken} != there:  # a month has ended, a budget is gone
            raise Conflict("The budgets of this job have changed.", code="promise.changed", hint="Validate again.")
        for account in sorted(there):
            self._enter("hold", account, job_id, attempt=job.version, held=more)
        return self._jobs.change(job, held=amount, on_hold=job.on_hold + more, accounts=json.dumps(sorted(there)))

    def settle(self, job_id: str, attempt: int, amount: int) -> JobRow:
        """Charge what an attempt cost, at most what is on hold, in each of the job's accounts; once per attempt.

        A failure that is not the user's settles 0. What remains stays on hold until the job is final.
        """
        job = self.job(job_id)
        row = self._shelf(c.ATTEMPTS).get(f"{job_id}-{attempt}")
        if row is None or row.cost is not None or job.held is None or job.state in FINAL:
            raise Conflict("This attempt cannot be settled (again).", code="ledger.settled")
        charged = min(amount, job.on_hold)
        for account in json.loads(job.accounts):
            self._enter("settle", account, job_id, attempt=attempt, used=charged, held=-charged)
            if charged:
                self._conn.execute(_CHANGE, {"key": account, "more_used": charged, "more_held": -charged})
        self._shelf(c.ATTEMPTS).change(row, cost=charged)
        return self._jobs.change(job, on_hold=job.on_hold - charged, cost=(job.cost or 0) + charged)

    def release(self, job_id: str) -> JobRow:
        """Give back what is still on hold. Moving to a final state does this by itself."""
        job = self.job(job_id)
        if not job.on_hold:
            return job
        for account in json.loads(job.accounts):
            self._enter("release", account, job_id, held=-job.on_hold)
            self._conn.execute(_CHANGE, {"key": account, "more_used": 0, "more_held": -job.on_hold})
        return self._jobs.change(job, on_hold=0)

    # -- accounts --------------------------------------------------------------------------------------------------

    def _take(self, spec: AccountSpec, amount: int) -> bool:
        """Hold in one account. One statement checks and takes; only a new or changed account needs more."""
        wanted = {"key": spec.id, "spec": spec.limit, "amount": amount}
        if self._conn.execute(_HOLD, wanted).rowcount == 1:
            return True
        return self._keep(spec) and self._conn.execute(_HOLD, wanted).rowcount == 1

    def _keep(self, spec: AccountSpec) -> bool:
        """Make the account, or bring its limit to what the operator set; whether anything changed."""
        found = self.account(spec.id)
        before = 0 if found is None else found.limit
        if found is None:
            row = AccountRow(spec.id, spec.scope, spec.name, spec.project, spec.limit, 0, 0, spec.period, spec.resets)
            self._conn.execute(_OPEN, c.ACCOUNTS.encode(row))
        elif found.limit == spec.limit:
            return False
        else:
            self._conn.execute(_LIMIT, {"key": spec.id, "new_limit": spec.limit})
        self._enter("grant", spec.id, None, granted=spec.limit - before)
        return True

    def _enter(self, kind: EntryKind, account: str, job: str | None, *, attempt: int = 0, **amounts: int) -> None:
        entry: dict[str, Any] = {"granted": 0, "used": 0, "held": 0} | amounts
        entry |= {"kind": kind, "account": account, "job": job, "attempt": attempt, "actor": "service"}
        if job is not None:
            said = {"account": account, "kind": kind, **amounts} | ({"attempt": attempt} if attempt else {})
            self._unsaid.setdefault(job, []).append(said)
        self._entries.append(entry | {"time": c.micros(self.now)})

    def _exceeded(self, accounts: Sequence[AccountSpec], amount: int) -> QuotaExceeded:
        """What to say about the account that has the least left."""

        def left_in(spec: AccountSpec) -> int:
            found = self.account(spec.id)
            return spec.limit if found is None else max(0, spec.limit - found.used - found.held)

        left, spec = min(((left_in(spec), spec) for spec in accounts), key=lambda pair: (pair[0], pair[1].id))
        until = f" until {spec.resets.day} {spec.resets:%B}" if spec.resets else f" in the grant of {spec.project}"
        return QuotaExceeded(
            f"This run may cost {words.price(amount)} credits; {words.left(left)} are left{until}.",
            hint="Use fewer shots, choose a cheaper device, or ask for more.",
            details={
                "left": left,
                "needed": amount,
                "account": spec.id,
                "resets": spec.resets.isoformat() if spec.resets else None,
            },
        )
