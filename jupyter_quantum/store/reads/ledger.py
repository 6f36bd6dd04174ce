"""The ledger: accounts and their entries, loans, raises, price lists, and what was charged for which job."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, bindparam, or_, select

from jupyter_quantum.core.ledger import Kind
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import ACCOUNTS, ENTRIES, LOANS, PRICES, RAISES, Statement, micros, moment
from jupyter_quantum.store.reading import Reading, where
from jupyter_quantum.store.rows import AccountRow, EntryRow, LoanRow, PriceRow, RaiseRow

__all__ = ["Charge", "LedgerReads", "Run", "Whose"]

_OF_LENDER: Final = Statement(LOANS.select.where(t.loans.c.lender == bindparam("wanted")).order_by(t.loans.c.id))
_RUN: Final = (
    "id",
    "organisation",
    "project",
    "principal",
    "token",
    "device",
    "device_kind",
    "state",
    "report",
    "executions",
    "seconds",
    "queued",
    "not_before",
    "started",
    "ended",
)
_RUN_COLUMNS: Final = tuple(t.jobs.c[name] for name in _RUN)


Whose = tuple[str, Collection[str]]
"""Jobs of a principal, and all of these projects: nobody's question reads more of the ledger than its answer."""


@dataclass(frozen=True, slots=True)
class Charge:
    """What one attempt of a job was charged: an entry of the account that pays in its user's name."""

    entry: int
    job: str
    time: datetime
    amount: int
    """Micro-credits."""


@dataclass(frozen=True, slots=True)
class Run:
    """A job that has ended, as far as figures look at it."""

    id: str
    organisation: str
    project: str
    principal: str
    token: str | None
    device: str
    device_kind: str
    state: str
    report: str | None
    executions: int | None
    seconds: float | None
    queued: datetime | None
    not_before: datetime | None
    started: datetime | None
    ended: datetime | None


class LedgerReads(Reading):
    """What can be read of the ledger."""

    def account(self, account_id: str) -> AccountRow | None:
        """The account; None where nothing was ever put on hold there."""
        return self._get(ACCOUNTS, account_id)

    def accounts(
        self,
        *,
        project: str | None = None,
        organisation: str | None = None,
        unit: str | None = None,
        purpose: str | None = None,
        ended_by: datetime | None = None,
    ) -> list[AccountRow]:
        """Accounts that match all that is given, by id; ``ended_by``: whose window or grant has ended by then."""
        a = t.accounts.c
        query = where(ACCOUNTS.select, a, project=project, organisation=organisation, unit=unit, purpose=purpose)
        if ended_by is not None:
            query = query.where(a.resets <= micros(ended_by))
        return self._all(ACCOUNTS, query.order_by(a.id))

    def entries(
        self,
        *,
        account: str | None = None,
        job: str | None = None,
        kind: Kind | None = None,
        ref: str | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> list[EntryRow]:
        """Entries of the ledger that match all that is given, in the order in which they were made."""
        e = t.entries.c
        query = where(ENTRIES.select, e, job=job, kind=kind and kind.value, ref=ref).where(e.id > after)
        if account is not None:
            query = query.where(or_(e.account == account, e.to_account == account))
        return self._all(ENTRIES, query.order_by(e.id).limit(limit))

    def loans(self, *, lender: str | None = None, to_project: str | None = None) -> list[LoanRow]:
        """Loans of an account, to a project, or all, oldest first."""
        if lender is not None:
            return [LOANS.decode(row) for row in _OF_LENDER.run(self._reading(), {"wanted": lender})]
        return self._all(LOANS, where(LOANS.select, t.loans.c, to_project=to_project).order_by(t.loans.c.id))

    def raises(self) -> list[RaiseRow]:
        """Every raise of a quota, oldest first."""
        return self._all(RAISES, RAISES.select.order_by(t.raises.c.id))

    def price_lists(self) -> list[PriceRow]:
        """Every price list that was set by the API, by device and by when it holds from."""
        return self._all(PRICES, PRICES.select.order_by(t.prices.c.device, t.prices.c.since))

    def entries_with(self, ids: Sequence[int]) -> list[EntryRow]:
        """The entries with these ids, in their order."""
        return self._all(ENTRIES, ENTRIES.select.where(t.entries.c.id.in_(ids)).order_by(t.entries.c.id))

    def charges(
        self, *, since: datetime | None = None, until: datetime | None = None, whose: Whose | None = None
    ) -> Iterator[tuple[Charge, Run]]:
        """Each charge of a job once (of ``whose`` jobs only), with the job, in the order in which they were made.

        A job is charged in several accounts; counted is what its user's month in its project was charged.
        """
        e, a, j = t.entries.c, t.accounts.c, t.jobs.c
        query = (
            select(e.id, e.job, e.time, e.amount, *_RUN_COLUMNS)
            .join(t.accounts, a.id == e.account)
            .join(t.jobs, (j.id == e.job) & (j.project == a.project))
            .where(e.kind == Kind.SETTLE.value, a.unit == "credits", a.scope == "user", a.id.like("%/any/month/%"))
        )
        for row in self.query(_of(_between(query, e.time, since, until), whose).order_by(e.id)):
            yield Charge(row[0], row[1], moment(row[2]), row[3]), _run(row[4:])

    def runs(
        self, *, since: datetime | None = None, until: datetime | None = None, whose: Whose | None = None
    ) -> Iterator[Run]:
        """Jobs (of ``whose``) that have ended, by id."""
        j = t.jobs.c
        query = select(*_RUN_COLUMNS).where(j.ended.is_not(None))
        for row in self.query(_of(_between(query, j.ended, since, until), whose).order_by(j.id)):
            yield _run(row)


def _run(row: Sequence[Any]) -> Run:
    return Run(*row[:11], *(None if value is None else moment(value) for value in row[11:]))


def _of(query: Select[Any], whose: Whose | None) -> Select[Any]:
    j = t.jobs.c
    return query if whose is None else query.where(or_(j.principal == whose[0], j.project.in_(sorted(whose[1]))))


def _between(query: Select[Any], column: Any, since: datetime | None, until: datetime | None) -> Select[Any]:
    if since is not None:
        query = query.where(column >= micros(since))
    return query if until is None else query.where(column < micros(until))
