"""Rows of the ledger: budgets, the entries that moved them, loans, raises, price lists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.ledger import Kind, Part
from jupyter_quantum.core.tenancy import Unit
from jupyter_quantum.store.rows.base import Json

__all__ = ["AccountRow", "AccountScope", "AccountSpec", "Claim", "EntryRow", "LoanRow", "PriceRow", "RaiseRow"]

AccountScope = Literal["user", "project", "organisation"]
Purpose = Literal["quota", "funds"]


@dataclass(frozen=True, slots=True)
class AccountSpec:
    """An account as it is declared; made, or its limit adjusted, when something is put on hold."""

    id: str
    """See :func:`jupyter_quantum.core.ledger.account_id`."""
    scope: AccountScope
    name: str
    """Of whom: a pseudonym, a project, an organisation."""
    project: str
    """The project that declares it; empty where an organisation does."""
    limit: int
    period: str | None = None
    """``2026-05``; None for what has no window."""
    resets: datetime | None = None
    """When the window or the grant ends."""
    organisation: str = ""
    unit: Unit = "credits"
    device_kind: DeviceKind | None = None
    purpose: Purpose = "quota"
    """``funds``: a grant or a loan; of several, each pays a part."""
    soft: int | None = None
    """From so much on people are warned; None: never."""
    starts: datetime | None = None
    words: str = ""
    """The window as people say it; not stored."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a job needs: an amount in one account, or spread over those of one group, in their order."""

    amount: int
    accounts: Sequence[AccountSpec]

    @property
    def unit(self) -> Unit:
        """What the amount counts."""
        return self.accounts[0].unit


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A budget and its balances. Always ``used + held <= limit``, unless the operator lowered the limit."""

    id: str
    scope: AccountScope
    name: str
    project: str
    limit: int
    """What was granted and lent to it, less what was taken back and lent to others."""
    used: int = 0
    held: int = 0
    period: str | None = None
    resets: datetime | None = None
    organisation: str = ""
    unit: Unit = "credits"
    device_kind: str | None = None
    purpose: Purpose = "quota"
    soft: int | None = None
    starts: datetime | None = None
    declared: int = 0
    """The limit of its specification; ``limit`` differs from it by what was lent and has expired."""
    closed: datetime | None = None
    """When what was unused expired; nothing is put on hold here since."""

    @property
    def available(self) -> int:
        """What may still be put on hold; never below zero."""
        return max(0, self.limit - self.used - self.held)


@dataclass(frozen=True, slots=True)
class EntryRow:
    """One entry: ``amount`` moves from a part of one account to a part of another. Entries are only added."""

    id: int
    kind: Kind
    time: datetime
    amount: int
    account: str
    part: Part
    to_account: str
    to_part: Part
    job: str | None = None
    attempt: int = 0
    actor: str = "service"
    ref: str | None = None
    """Id of the loan or the request that it was made for."""


@dataclass(frozen=True, slots=True)
class LoanRow:
    """Unused grant share of one project, lent to another of its organisation."""

    id: str
    lender: str
    """The account that it comes from."""
    borrower: str
    """The account that it makes up."""
    from_project: str
    to_project: str
    amount: int
    recalled: int
    created: datetime
    by: str
    """Pseudonym of who lent it."""
    ends: datetime | None = None
    """With the grant that it comes from."""
    closed: datetime | None = None


@dataclass(frozen=True, slots=True)
class RaiseRow:
    """A quota that is larger for a while."""

    id: str
    quota: str
    """The id of the quota's accounts, without the period."""
    amount: int
    starts: datetime
    until: datetime
    request: str
    """The request that was approved."""
    project: str


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A price list that the operators set by the API."""

    id: str
    device: str
    since: datetime
    prices: Json
    """``core.money.PriceList`` in micro-credits."""
    created: datetime
    by: str
    """Pseudonym of who set it."""
