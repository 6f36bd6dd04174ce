"""The ledger from outside: accounts, entries, figures, loans, raises, price lists, and the proof of the sums."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.wire.base import Answer, Credits, Request, Time

__all__ = [
    "AccountList",
    "AccountView",
    "BooksView",
    "EntryList",
    "EntryView",
    "GrantList",
    "GrantView",
    "Lend",
    "LoanView",
    "PriceListView",
    "PriceLists",
    "QuotaBody",
    "SetPrices",
    "UsageRow",
    "UsageView",
]

Unit = Literal["credits", "shots", "qpu_seconds", "simulator_seconds", "jobs"]
Amount = Annotated[int, Field(description="in the account's unit: micro-credits, shots, milliseconds, jobs")]


class AccountView(Answer):
    """One account with its balances."""

    id: str
    scope: Literal["user", "project", "organisation"]
    name: str = Field(description="of whom: a user's name, a project, an organisation")
    project: str
    organisation: str
    unit: Unit
    device_kind: DeviceKind | None = None
    purpose: Literal["quota", "funds"]
    period: str | None = None
    starts: Time | None = None
    resets: Time | None = None
    closed: Time | None = None
    limit: Amount
    used: Amount
    held: Amount
    available: Amount
    soft: int | None = None


class AccountList(Answer):
    accounts: list[AccountView]


class EntryView(Answer):
    """One entry: an amount that moved from a part of one account to a part of another, or of the same."""

    id: int
    kind: str = Field(description="grant, expire, hold, settle, release, lend, recall, raise")
    time: Time
    amount: Amount
    account: str
    part: str
    to_account: str
    to_part: str
    job: str | None = None
    attempt: int = 0
    actor: str
    ref: str | None = Field(default=None, description="the loan or the request that it was made for")


class EntryList(Answer):
    """Entries in the order in which they were made; ``amount`` is the sum of all that match, not of this page."""

    entries: list[EntryView]
    amount: Amount = 0
    count: int = 0
    next: int | None = Field(default=None, description="`after` of the next page; None on the last one")


class UsageRow(Answer):
    """Figures of one group of jobs. Costs are sums of ledger entries; counts are of jobs that ended in the time."""

    group: dict[str, str]
    cost: Credits
    entries: int = Field(description="so many entries make up the cost; GET ledger/entries shows them")
    jobs: int
    completed: int
    validated: int = Field(description="completed jobs that were made from a validation report")
    shots: int
    seconds: float = Field(description="on the device")
    queue_minutes: float
    cost_per_queue_minute: Credits | None = Field(description="None where nothing waited")
    cost_per_completed: Credits | None
    cost_per_validated: Credits | None


class UsageView(Answer):
    """Figures, one row a group, and their sum."""

    by: list[str]
    since: Time | None
    until: Time | None
    rows: list[UsageRow]
    total: UsageRow


class GrantView(Answer):
    """One grant of a project or an organisation, or what was lent to a project."""

    id: str
    owner: str
    kind: Literal["grant", "endless", "loan"]
    scope: Literal["project", "organisation"]
    amount: Credits
    used: Credits
    held: Credits
    available: Credits
    starts: Time | None = None
    ends: Time | None = None
    lendable: bool = False
    state: Literal["planned", "running", "ended"]
    lent: Credits = Field(default=0, description="to others, and not recalled yet")
    loan: LoanView | None = None


class LoanView(Answer):
    """Unused grant share, lent to another project of the organisation."""

    id: str
    grant: str
    from_project: str
    to_project: str
    amount: Credits
    recalled: Credits
    created: Time
    ends: Time | None = None
    closed: Time | None = None


class GrantList(Answer):
    grants: list[GrantView]


class Lend(Request):
    """Lend unused share of a grant; it comes back by itself when its owner needs it."""

    grant: str
    from_project: str
    to_project: str
    amount: Annotated[Credits, Field(gt=0, lt=2**53)]


class PriceListView(Answer):
    """A price list and since when it holds; micro-credits."""

    device: str
    since: Time | None = Field(description="None: always")
    in_force: bool
    per_task: Credits
    per_shot: Credits
    per_second: Credits
    per_queue_minute: Credits
    queue_minutes: int


class PriceLists(Answer):
    prices: list[PriceListView]


class SetPrices(Request):
    """Prices of a device from a moment on; a job keeps those that it was submitted under."""

    device: str
    since: Time
    per_task: Annotated[Credits, Field(ge=0, lt=2**53)] = 0
    per_shot: Annotated[Credits, Field(ge=0, lt=2**53)] = 0
    per_second: Annotated[Credits, Field(ge=0, lt=2**53)] = 0
    per_queue_minute: Annotated[Credits, Field(ge=0, lt=2**53)] = 0
    queue_minutes: Annotated[int, Field(ge=0, le=10_000)] = 60


class QuotaBody(Request):
    """To have more of a quota for a while: so much more, for so many days."""

    scope: Literal["user", "project"] = "user"
    unit: Unit = "credits"
    window: Literal["day", "week", "month", "term", "ever"] = "month"
    device_kind: DeviceKind | None = None
    amount: Annotated[Amount, Field(gt=0, lt=2**53)]
    days: Annotated[int, Field(ge=1, le=366)] = 30


class BooksView(Answer):
    """The proof of the sums, on the database as it is."""

    ok: bool
    violations: list[str]
    accounts: int
    entries: int
    jobs: int
    units: dict[str, dict[str, int]] = Field(description="unit → source, available, held, used: they add up to 0")


GrantView.model_rebuild()
