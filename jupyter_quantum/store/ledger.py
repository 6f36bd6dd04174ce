"""Money: hold, settle, release. Entries are only added; balances move with them, by conditional updates.

==========  ======================  ==========================================
entry       moves                   once for each
==========  ======================  ==========================================
grant       source → available      change of a declared limit (or back)
hold        available → held        job and account
settle      held → used             attempt and account
release     held → available        job and account
==========  ======================  ==========================================

:mod:`jupyter_quantum.core.ledger` has the whole table. A job that waits or runs has an amount on hold in each account
that binds it (its user's month, its project's grant, those of the projects above and of the organisation), in the
account's own unit; a final job has none. What a run costs beyond its hold is not charged: the user agreed to that
amount at most.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import bindparam, update
from sqlalchemy.dialects import postgresql, sqlite

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.core.ledger import Kind, Part, group_of, unit_of
from jupyter_quantum.exceptions import Conflict, QuotaExceeded
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.rows import AccountRow, AccountSpec, Claim, JobRow
from jupyter_quantum.store.unit import Unit

__all__ = ["Ledger"]

_A = t.accounts.c
_HOLD: Final = c.Statement(
    update(t.accounts)
    .where(
        _A.id == bindparam("key"),
        _A.declared == bindparam("spec"),
        _A.used + _A.held + bindparam("amount") <= _A.limit,
        _A.closed.is_(None),
    )
    .values(held=_A.held + bindparam("amount"))
    .returning(_A.used + _A.held)
)
_CHANGE: Final = c.Statement(
    update(t.accounts)
    .where(_A.id == bindparam("key"))
    .values(used=_A.used + bindparam("more_used"), held=_A.held + bindparam("more_held"))
)
_DECLARE: Final = c.Statement(
    update(t.accounts)
    .where(_A.id == bindparam("key"), _A.declared == bindparam("before"))
    .values(declared=bindparam("spec"), limit=_A.limit + bindparam("more"), soft=bindparam("warn"))
)
_OPEN: Final = {
    dialect.dialect.name: c.Statement(dialect.insert(t.accounts).on_conflict_do_nothing(), c.ACCOUNTS.names)
    for dialect in (sqlite, postgresql)
}
_NOTHING: Final[Mapping[str, int]] = {}


class Ledger(Unit):
    """The ledger's part of a writing request."""

    def hold(self, job_id: str, claims: Iterable[Claim]) -> JobRow:
        """Put what a job needs on hold, in all accounts or in none; once per job.

        Each account is taken from by one conditional update, in the order of the ids. Raises QuotaExceeded for the
        claim that fits least, with the details ``left``, ``needed``, ``account``, ``unit``, ``resets`` and, where
        waiting for another window would help, ``until``; nothing is changed then, and the request may go on. A claim
        of 0 makes no entries.
        """
        job = self.job(job_id)
        if job.held is not None or job.state in FINAL:
            raise Conflict("Credits were put on hold for this job before.", code="ledger.held")
        wanted = [claim for claim in claims if claim.amount]
        taken = self._take_all(wanted)
        for spec, amount, filled in taken:
            self._enter(Kind.HOLD, spec.id, job_id, amount)
            self._warn(job, spec, amount, filled)
        credit = max((claim.amount for claim in wanted if claim.unit == "credits"), default=0)
        accounts = {spec.id: amount for spec, amount, _ in taken}
        return self._jobs.change(job, held=credit, on_hold=credit, accounts=json.dumps(accounts))

    def raise_hold(self, job_id: str, claims: Iterable[Claim]) -> JobRow:
        """Bring a job's hold up to these claims in each account that it is on hold in; lower ones change nothing.

        Raises QuotaExceeded as :meth:`hold` does; Conflict ``promise.changed`` where a budget of it is gone.
        """
        job = self.job(job_id)
        if job.held is None or job.state in FINAL:
            raise Conflict("Nothing is on hold for this job.", code="ledger.no_hold")
        accounts: dict[str, int] = json.loads(job.accounts)
        there: Counter[str] = Counter()
        for account, amount in accounts.items():
            there[group_of(account)] += amount
        wanted = {group_of(claim.accounts[0].id): claim for claim in claims if claim.amount}
        if not there.keys() <= wanted.keys():  # a month has ended, a budget is gone
            raise Conflict("The budgets of this job have changed.", code="promise.changed", hint="Validate again.")
        bound = {group: claim for group, claim in wanted.items() if group in there or not there}
        more = [replace(claim, amount=claim.amount - there[group]) for group, claim in bound.items()]
        taken = self._take_all([claim for claim in more if claim.amount > 0])
        for spec, amount, filled in taken:
            self._enter(Kind.HOLD, spec.id, job_id, amount, attempt=job.version)
            self._warn(job, spec, amount, filled)
            accounts[spec.id] = accounts.get(spec.id, 0) + amount
        credit = max((claim.amount for claim in wanted.values() if claim.unit == "credits"), default=0)
        grown = max(0, credit - job.on_hold)
        return self._jobs.change(job, held=job.held + grown, on_hold=job.on_hold + grown, accounts=json.dumps(accounts))

    def settle(self, job_id: str, attempt: int, amount: int, usage: Mapping[str, int] = _NOTHING) -> JobRow:
        """Charge what an attempt cost (micro-credits) and used (by unit), at most what is on hold; once per attempt.

        A failure that is not the user's settles 0. What remains stays on hold until the job is final.
        """
        job = self.job(job_id)
        row = self._shelf(c.ATTEMPTS).get(f"{job_id}-{attempt}")
        if row is None or row.cost is not None or job.held is None or job.state in FINAL:
            raise Conflict("This attempt cannot be settled (again).", code="ledger.settled")
        accounts: dict[str, int] = json.loads(job.accounts)
        rest: dict[str, int] = {}
        for account, on_hold in accounts.items():
            unit, group = unit_of(account), group_of(account)
            wanted = rest.get(group, amount if unit == "credits" else usage.get(unit, 0))
            charged = min(wanted, on_hold)
            rest[group] = wanted - charged
            if charged:
                accounts[account] = on_hold - charged
                self._enter(Kind.SETTLE, account, job_id, charged, attempt=attempt)
                self._shift(account, charged, -charged)
        charged = min(amount, job.on_hold)
        self._shelf(c.ATTEMPTS).change(row, cost=charged)
        return self._jobs.change(
            job, on_hold=job.on_hold - charged, cost=(job.cost or 0) + charged, accounts=json.dumps(accounts)
        )

    def release(self, job_id: str) -> JobRow:
        """Give back what is still on hold. Moving to a final state does this by itself."""
        job = self.job(job_id)
        if job.accounts == "{}":
            return job
        accounts: dict[str, int] = json.loads(job.accounts)
        if not any(accounts.values()):
            return job
        for account, on_hold in accounts.items():
            if on_hold:
                self._enter(Kind.RELEASE, account, job_id, on_hold)
                self._shift(account, 0, -on_hold)
        return self._jobs.change(job, on_hold=0, accounts=json.dumps(dict.fromkeys(accounts, 0)))

    def retake(self, job_id: str, claims: Iterable[Claim]) -> JobRow:
        """Give back what is on hold for a job and hold these claims instead: it moves to another device.

        Raises QuotaExceeded as :meth:`hold` does, and the caller's transaction must end then; Conflict
        ``ledger.settled`` where something was charged already.
        """
        job = self.job(job_id)
        if job.held is None or job.cost or job.state in FINAL:
            raise Conflict("What was charged does not move to another device.", code="ledger.settled")
        before: dict[str, int] = json.loads(job.accounts)
        for account, on_hold in before.items():
            if on_hold:
                self._enter(Kind.RELEASE, account, job_id, on_hold, attempt=job.version)
                self._shift(account, 0, -on_hold)
        wanted = [claim for claim in claims if claim.amount]
        taken = self._take_all(wanted)
        for spec, amount, filled in taken:
            self._enter(Kind.HOLD, spec.id, job_id, amount, attempt=job.version)
            self._warn(job, spec, amount, filled)
        credit = max((claim.amount for claim in wanted if claim.unit == "credits"), default=0)
        accounts = dict.fromkeys(before, 0) | {spec.id: amount for spec, amount, _ in taken}
        return self._jobs.change(job, held=credit, on_hold=credit, accounts=json.dumps(accounts))

    def declare(self, spec: AccountSpec, kind: Kind = Kind.GRANT, *, actor: str = "service", ref: str = "") -> bool:
        """Make the account, or bring its limit to what is declared now; whether anything changed."""
        found = self.account(spec.id)
        if found is None:
            return self._open(spec, kind, actor, ref)
        if found.declared == spec.limit or found.closed is not None:
            return False
        more = spec.limit - found.declared
        values = {"key": spec.id, "before": found.declared, "spec": spec.limit, "more": more, "warn": spec.soft}
        if self._book(_DECLARE, values).rowcount != 1:  # another process was quicker
            return True
        if more > 0:
            self._enter(kind, spec.id, None, more, actor=actor, ref=ref or None)
        else:
            self._post(Kind.GRANT, spec.id, Part.AVAILABLE, spec.id, Part.SOURCE, -more, actor=actor)
        return True

    # -- inside ----------------------------------------------------------------------------------------------------

    def _open(self, spec: AccountSpec, kind: Kind, actor: str, ref: str) -> bool:
        row = AccountRow(
            id=spec.id,
            scope=spec.scope,
            name=spec.name,
            project=spec.project,
            limit=spec.limit,
            period=spec.period,
            resets=spec.resets,
            organisation=spec.organisation,
            unit=spec.unit,
            device_kind=spec.device_kind,
            purpose=spec.purpose,
            soft=spec.soft,
            starts=spec.starts,
            declared=spec.limit,
        )
        made = self._book(_OPEN[self._conn.dialect.name], c.ACCOUNTS.encode(row)).rowcount == 1
        if made and spec.limit:
            self._enter(kind, spec.id, None, spec.limit, actor=actor, ref=ref or None)
        return True

    def _take_all(self, claims: Sequence[Claim]) -> list[tuple[AccountSpec, int, int]]:
        """Hold every claim, in the order of the accounts' ids, or none. Raises QuotaExceeded."""
        taken: list[tuple[AccountSpec, int, int]] = []
        for claim in sorted(claims, key=lambda claim: claim.accounts[0].id):
            found = self._take(claim) or (self._take(claim) if self._recover(claim) else None)
            if found is None:
                self._give_back(taken)
                raise self._exceeded(claims)
            taken += found
        return taken

    def _take(self, claim: Claim) -> list[tuple[AccountSpec, int, int]] | None:
        """Hold a claim: account, amount, and how full the account is then. Of a group, the first accounts pay first."""
        rest = claim.amount
        taken: list[tuple[AccountSpec, int, int]] = []
        for spec in claim.accounts:
            part = rest
            filled = self._hold(spec, part)
            if filled is None and len(claim.accounts) > 1:
                there = self.account(spec.id)
                part = min(rest, 0 if there is None or there.closed else there.available)
                filled = self._hold(spec, part) if part else None
            if filled is not None:
                taken.append((spec, part, filled))
                rest -= part
            if not rest:
                return taken
        self._give_back(taken)
        return None

    def _hold(self, spec: AccountSpec, amount: int) -> int | None:
        """Hold in one account. One statement checks and takes; only a new or changed account needs more."""
        wanted = {"key": spec.id, "spec": spec.limit, "amount": amount}
        found = self._book(_HOLD, wanted).first()
        if found is None and self.declare(spec):
            found = self._book(_HOLD, wanted).first()
        return None if found is None else int(found[0])

    def _recover(self, claim: Claim) -> bool:
        """Get back what would make the claim fit; whether anything came. Lending overrides it."""
        return False

    def _give_back(self, taken: Sequence[tuple[AccountSpec, int, int]]) -> None:
        for spec, amount, _ in taken:
            self._shift(spec.id, 0, -amount)

    def _shift(self, account: str, used: int, held: int) -> None:
        self._book(_CHANGE, {"key": account, "more_used": used, "more_held": held})

    def _warn(self, job: JobRow, spec: AccountSpec, amount: int, filled: int) -> None:
        """Tell once when a soft limit is reached: the user of theirs, the leads of the project's."""
        if spec.soft is None or not filled - amount < spec.soft <= filled:
            return
        data = {"account": spec.id, "unit": spec.unit, "limit": spec.limit, "soft": spec.soft, "filled": filled}
        whose = job.principal if spec.scope == "user" else None
        self._tell("quota.soft", actor="service", principal=whose, project=job.project, data=data)

    def _enter(
        self,
        kind: Kind,
        account: str,
        job: str | None,
        amount: int,
        *,
        attempt: int = 0,
        actor: str = "service",
        ref: str | None = None,
    ) -> None:
        """An entry within one account."""
        part, to_part = _WITHIN[kind]
        self._post(kind, account, part, account, to_part, amount, job=job, attempt=attempt, actor=actor, ref=ref)

    def _post(
        self,
        kind: Kind,
        account: str,
        part: Part,
        to_account: str,
        to_part: Part,
        amount: int,
        *,
        job: str | None = None,
        attempt: int = 0,
        actor: str = "service",
        ref: str | None = None,
    ) -> None:
        """The one place where entries are made."""
        entry: dict[str, Any] = {"kind": kind.value, "time": c.micros(self.now), "amount": amount, "account": account}
        entry |= {"part": part.value, "to_account": to_account, "to_part": to_part.value, "job": job}
        self._entries.append(entry | {"attempt": attempt, "actor": self.named(actor), "ref": ref})
        if job is not None:
            said = {"account": account, "kind": kind.value, "amount": amount} | (
                {"attempt": attempt} if attempt else {}
            )
            self._unsaid.setdefault(job, []).append(said)

    def _exceeded(self, claims: Sequence[Claim]) -> QuotaExceeded:
        """What to say about the claim that fits least."""
        found = [(self._left(claim), claim) for claim in claims]
        short = [(left, claim) for left, claim in found if left < claim.amount] or found
        left, claim = min(short, key=lambda pair: (pair[0] / pair[1].amount, pair[1].accounts[0].id))
        spec = claim.accounts[-1]
        until = f" until {spec.resets.day} {spec.resets:%B}" if spec.resets else f" in the grant of {spec.project}"
        waits = [each.accounts[0].resets for _, each in short if each.accounts[0].purpose == "quota"]
        return QuotaExceeded(
            f"This run may cost {words.price(claim.amount)} credits; {words.left(left)} are left{until}."
            if claim.unit == "credits"
            else f"This run needs {claim.amount} {claim.unit}; {left} are left.",
            hint="Use fewer shots, choose a cheaper device, or ask for more.",
            details={
                "left": left,
                "needed": claim.amount,
                "account": spec.id,
                "unit": claim.unit,
                "scope": spec.scope,
                "name": spec.name,
                "resets": spec.resets.isoformat() if spec.resets else None,
                "until": _latest(waits) if len(waits) == len(short) else None,
            },
        )

    def _left(self, claim: Claim) -> int:
        left = 0
        for spec in claim.accounts:
            found = self.account(spec.id)
            left += spec.limit if found is None else 0 if found.closed else found.available
        return left


def _latest(moments: Sequence[Any]) -> str | None:
    """The last of the moments; None where one of them never comes."""
    return None if not moments or None in moments else max(moments).isoformat()


_WITHIN: Final = {
    Kind.GRANT: (Part.SOURCE, Part.AVAILABLE),
    Kind.RAISE: (Part.SOURCE, Part.AVAILABLE),
    Kind.EXPIRE: (Part.AVAILABLE, Part.SOURCE),
    Kind.HOLD: (Part.AVAILABLE, Part.HELD),
    Kind.SETTLE: (Part.HELD, Part.USED),
    Kind.RELEASE: (Part.HELD, Part.AVAILABLE),
}
"""From which part to which an entry within one account goes."""
