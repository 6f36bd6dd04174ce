"""The ledger from Python: ``hub.ledger``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from jupyter_quantum.client import html
from jupyter_quantum.client.http import Connection
from jupyter_quantum.core import words
from jupyter_quantum.core.money import credits_to_micro
from jupyter_quantum.exceptions import InputError
from jupyter_quantum.wire.ledger import (
    AccountList,
    BooksView,
    EntryList,
    GrantList,
    Lend,
    LoanView,
    PriceLists,
    SetPrices,
    UsageRow,
    UsageView,
)

__all__ = [
    "AccountTable",
    "BooksCard",
    "EntryTable",
    "GrantTable",
    "LedgerTools",
    "LoanCard",
    "PriceTable",
    "UsageTable",
    "micro",
]

Amount = int | float | str | Decimal


def _amount(unit: str, value: int) -> str:
    return words.left(value) if unit == "credits" else words.amount(unit, value)


def _spent(unit: str, value: int) -> str:
    """What is used or on hold is rounded up, as everywhere."""
    return words.spent(value) if unit == "credits" else words.amount(unit, value)


def micro(amount: Amount) -> int:
    """Credits as micro-credits. Raises InputError for what is no amount."""
    try:
        return credits_to_micro(amount)
    except (ArithmeticError, ValueError):
        raise InputError(f"{amount!r} is not an amount of credits.", code="usage", hint="Such as 12.50.") from None


class UsageTable(UsageView):
    """Figures as a table."""

    def _table(self) -> list[tuple[str, ...]]:
        head = (*self.by, "cost", "jobs", "done", "shots", "time", "queued", "per done")
        rows = [self._row(row, [row.group[name] or "–" for name in self.by]) for row in self.rows]
        return [head, *rows, self._row(self.total, ["total", *("" for _ in self.by[1:])][: len(self.by)])]

    @staticmethod
    def _row(row: UsageRow, group: Iterable[str]) -> tuple[str, ...]:
        figures = (words.spent(row.cost), words.number(row.jobs), words.number(row.completed), words.number(row.shots))
        times = (words.seconds(row.seconds), words.seconds(row.queue_minutes * 60))
        return (*map(html.clean, group), *figures, *times, words.price(row.cost_per_completed))

    def __repr__(self) -> str:
        return html.columns(self._table())

    def _repr_html_(self) -> str:
        head, *rows = self._table()
        return html.table(head, rows)


class EntryTable(EntryList):
    """Entries as a table; what is long comes last."""

    def __repr__(self) -> str:
        head = ("entry", "time (UTC)", "kind", "amount", "moved", "job", "account")
        rows = [
            (
                str(one.id),
                f"{one.time.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
                one.kind,
                (_amount if one.kind == "grant" else _spent)(one.account.partition("/")[0], one.amount),
                f"{one.part} → {one.to_part}",
                one.job or "–",
                html.clean(" → ".join(dict.fromkeys([one.account, one.to_account]))),
            )
            for one in self.entries
        ]
        return html.columns([head, *rows]) if rows else "No entries."


class AccountTable(AccountList):
    """Accounts as a table."""

    def __repr__(self) -> str:
        head = ("account", "limit", "used", "on hold", "left")
        rows = [
            (
                html.clean(one.id),
                _amount(one.unit, one.limit),
                *(_spent(one.unit, v) for v in (one.used, one.held)),
                _amount(one.unit, one.available),
            )
            for one in self.accounts
        ]
        return html.columns([head, *rows]) if rows else "No accounts yet."


class GrantTable(GrantList):
    """Grants and loans as a table."""

    def __repr__(self) -> str:
        head = ("grant", "of", "kind", "state", "amount", "used", "on hold", "left", "lent", "ends")
        rows = [
            (
                html.clean(one.id),
                html.clean(one.owner),
                one.kind,
                one.state,
                words.left(one.amount),
                *(words.spent(v) for v in (one.used, one.held)),
                *(words.left(v) for v in (one.available, one.lent)),
                "–" if one.ends is None else one.ends.isoformat(timespec="minutes"),
            )
            for one in self.grants
        ]
        return html.columns([head, *rows]) if rows else "No grants."


class LoanCard(LoanView):
    """One loan, in words."""

    def __repr__(self) -> str:
        back = f", {words.left(self.recalled)} came back" if self.recalled else ""
        return f"{self.id} · {self.from_project} lent {words.left(self.amount)} credits to {self.to_project}{back}"


class PriceTable(PriceLists):
    """Price lists as a table; credits."""

    def __repr__(self) -> str:
        head = ("device", "since", "", "task", "shot", "second", "queue minute")
        rows = [
            (
                html.clean(one.device),
                "always" if one.since is None else one.since.isoformat(timespec="minutes"),
                "now" if one.in_force else "",
                *(f"{v / 1e6:g}" for v in (one.per_task, one.per_shot, one.per_second, one.per_queue_minute)),
            )
            for one in self.prices
        ]
        return html.columns([head, *rows])


class BooksCard(BooksView):
    """What the proof of the sums found."""

    def __repr__(self) -> str:
        if self.ok:
            counted = f"{words.plural(self.accounts, 'account')}, {words.number(self.entries)} entries"
            return f"✓ The books are right: {counted}, {words.plural(self.jobs, 'job')}."
        return "\n".join(["✕ The books are wrong:", *map(html.clean, self.violations)])


class LedgerTools:
    """Figures, entries, grants, loans, price lists; the books need a token of an administrator."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def usage(self, *by: str, since: datetime | None = None, until: datetime | None = None, **only: str) -> UsageTable:
        """What was used and what it cost.

        Args:
            by: organisation, project, user, token, device_kind, device, day, week, month; ``project`` where omitted.
            since: not before.
            until: before.
            only: ``project="qcourse"``, ``device=…``: only such jobs.
        """
        return self._connection.get("ledger/usage", UsageTable, **_filters(by, since, until, only))

    def usage_csv(self, *by: str, since: datetime | None = None, until: datetime | None = None, **only: str) -> bytes:
        """The same as CSV."""
        return self._connection.file("ledger/usage.csv", **_filters(by, since, until, only))

    def charges(
        self, *, since: datetime | None = None, until: datetime | None = None, after: int = 0, **only: str
    ) -> EntryTable:
        """The very entries that a figure of :meth:`usage` is made of."""
        return self._connection.get("ledger/charges", EntryTable, after=after, **_filters((), since, until, only))

    def entries(self, account: str | None = None, job: str | None = None, *, after: int = 0) -> EntryTable:
        """Entries of an account or a job (administrators)."""
        return self._connection.get("ledger/entries", EntryTable, account=account, job=job, after=after)

    def accounts(self, project: str | None = None, unit: str | None = None) -> AccountTable:
        """Accounts with their balances (administrators)."""
        return self._connection.get("ledger/accounts", AccountTable, project=project, unit=unit)

    def grants(self, project: str | None = None) -> GrantTable:
        """Grants and loans of your projects."""
        return self._connection.get("ledger/grants", GrantTable, project=project)

    def lend(self, grant: str, amount: Amount, *, from_project: str, to_project: str) -> LoanCard:
        """Lend so many credits of a grant that are unused; they come back by themselves when they are needed."""
        body = Lend(grant=grant, from_project=from_project, to_project=to_project, amount=micro(amount))
        return self._connection.post("ledger/loans", LoanCard, body)

    def recall(self, loan: str) -> LoanCard:
        """Take a loan back: what is unspent and not on hold."""
        return self._connection.post(f"ledger/loans/{quote(loan, safe='')}/recall", LoanCard)

    def prices(self) -> PriceTable:
        """Price lists by device and date."""
        return self._connection.get("ledger/prices", PriceTable)

    def set_prices(self, device: str, since: datetime, *, queue_minutes: int = 60, **prices: Amount) -> PriceTable:
        """A list that holds from a moment on: ``per_task``, ``per_shot``, ``per_second``, ``per_queue_minute``."""
        parts: dict[str, Any] = {name: micro(value) for name, value in prices.items()}
        body = SetPrices(device=device, since=since, queue_minutes=queue_minutes, **parts)
        return self._connection.post("ledger/prices", PriceTable, body)

    def verify(self) -> BooksCard:
        """Prove the sums of the ledger (administrators)."""
        return self._connection.get("ledger/verify", BooksCard)


def _filters(by: Iterable[str], since: datetime | None, until: datetime | None, only: dict[str, str]) -> dict[str, Any]:
    groups = ",".join(by) or None
    times = {"since": since and since.isoformat(), "until": until and until.isoformat()}
    return {"by": groups, **times, **only}
