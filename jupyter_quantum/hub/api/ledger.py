"""The ledger: figures for everybody, grants and loans, price lists, and the books for administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import File, Query, Route
from jupyter_quantum.pipeline.showback import DIMENSIONS, Asked
from jupyter_quantum.wire.ledger import (
    AccountList,
    BooksView,
    EntryList,
    GrantList,
    Lend,
    LoanView,
    PriceLists,
    SetPrices,
    UsageView,
)

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_TEXT: Final = {"type": "string"}
_MOMENT: Final = {"type": "string", "format": "date-time"}
_FILTERS: Final = (
    Query("organisation", _TEXT, "Only its jobs."),
    Query("project", _TEXT, "Only its jobs."),
    Query("user", _TEXT, "Only jobs of the user of this name."),
    Query("token", _TEXT, "Only jobs that were submitted with the token or session of this id of the hub's."),
    Query("device_kind", _TEXT, "Only jobs on devices of this kind."),
    Query("device", _TEXT, "Only jobs on this device."),
    Query("since", _MOMENT, "Not before this moment."),
    Query("until", _MOMENT, "Before this moment."),
)
_BY: Final = Query("by", _TEXT, f"Groups, separated by commas: {', '.join(DIMENSIONS)}; project where omitted.")
_PAGE: Final = (
    Query("after", {"type": "integer", "minimum": 0}, "Cursor: `next` of the page before."),
    Query("limit", {"type": "integer", "minimum": 1, "maximum": 1000}, "Entries on a page; 200 where omitted."),
)
_PROJECT: Final = Query("project", _TEXT, "Only of this project.")


def _asked(api: Api) -> Asked:
    words = {query.name: api.get_query_argument(query.name, None) for query in _FILTERS[:6]}
    return Asked(**words, since=api.moment("since"), until=api.moment("until"))


def _by(api: Api) -> list[str]:
    return list(dict.fromkeys(filter(None, api.get_query_argument("by", "project").split(","))))


def _page(api: Api) -> dict[str, int]:
    return {"after": int(api.number("after", 0, 2**53)), "limit": int(api.number("limit", 200, 1000, low=1))}


async def usage(api: Api) -> UsageView:
    """Figures by group."""
    return await api.pipeline.ledger.usage(api.who, _asked(api), _by(api))


async def usage_csv(api: Api) -> File:
    """Figures as CSV."""
    return File(await api.pipeline.ledger.usage_csv(api.who, _asked(api), _by(api)), "usage.csv")


async def charges(api: Api) -> EntryList:
    """The entries of a figure."""
    return await api.pipeline.ledger.charges(api.who, _asked(api), **_page(api))


async def entries(api: Api) -> EntryList:
    """Entries of an account or a job."""
    account, job = api.get_query_argument("account", None), api.get_query_argument("job", None)
    return await api.pipeline.ledger.entries(api.who, account=account, job=job, **_page(api))


async def accounts(api: Api) -> AccountList:
    """Accounts."""
    project, unit = api.get_query_argument("project", None), api.get_query_argument("unit", None)
    return await api.pipeline.ledger.accounts(api.who, project=project, unit=unit)


async def verify(api: Api) -> BooksView:
    """The proof of the sums."""
    return await api.pipeline.ledger.verify(api.who)


async def grants(api: Api) -> GrantList:
    """Grants and loans."""
    return await api.pipeline.ledger.grants(api.who, api.get_query_argument("project", None))


async def lend(api: Api) -> LoanView:
    """Lend unused grant share."""
    return await api.pipeline.ledger.lend(api.who, api.body(Lend))


async def recall(api: Api, id: str) -> LoanView:  # noqa: A002
    """Take a loan back."""
    return await api.pipeline.ledger.recall(api.who, id)


async def prices(api: Api) -> PriceLists:
    """Price lists."""
    return await api.pipeline.ledger.prices(api.who)


async def set_prices(api: Api) -> PriceLists:
    """A new price list."""
    return await api.pipeline.ledger.set_prices(api.who, api.body(SetPrices))


_L: Final = "api/v1/ledger"

ROUTES: Final = (
    Route(
        "GET",
        f"{_L}/usage",
        Scope.READ,
        "What was used and what it cost, by group: one's own, a lead's projects, an administrator's all",
        UsageView,
        usage,
        query=(_BY, *_FILTERS),
        errors=(404,),
    ),
    Route(
        "GET",
        f"{_L}/usage.csv",
        Scope.READ,
        "The same as CSV; costs in credits",
        None,
        usage_csv,
        query=(_BY, *_FILTERS),
        media="text/csv",
        errors=(404,),
    ),
    Route(
        "GET",
        f"{_L}/charges",
        Scope.READ,
        "The very entries that a figure of usage is made of: the same filters, the same sum",
        EntryList,
        charges,
        query=(*_FILTERS, *_PAGE),
        errors=(404,),
    ),
    Route("GET", f"{_L}/grants", Scope.READ, "Grants and loans", GrantList, grants, query=(_PROJECT,), errors=(404,)),
    Route(
        "POST",
        f"{_L}/loans",
        Scope.APPROVE,
        "Lend unused grant share to another project of the organisation",
        LoanView,
        lend,
        body=Lend,
        errors=(404, 409),
    ),
    Route("POST", f"{_L}/loans/{{id}}/recall", Scope.APPROVE, "Take a loan back", LoanView, recall, errors=(404,)),
    Route("GET", f"{_L}/prices", Scope.READ, "Price lists by device and date", PriceLists, prices),
    Route(
        "POST",
        f"{_L}/prices",
        Scope.ADMIN,
        "A price list that holds from a moment on",
        PriceLists,
        set_prices,
        body=SetPrices,
        errors=(409,),
    ),
    Route(
        "GET",
        f"{_L}/accounts",
        Scope.ADMIN,
        "Accounts with their balances",
        AccountList,
        accounts,
        query=(_PROJECT, Query("unit", _TEXT, "Only accounts of this unit.")),
    ),
    Route(
        "GET",
        f"{_L}/entries",
        Scope.ADMIN,
        "Entries of an account or a job, in the order in which they were made",
        EntryList,
        entries,
        query=(Query("account", _TEXT, "Only of this account."), Query("job", _TEXT, "Only of this job."), *_PAGE),
    ),
    Route("GET", f"{_L}/verify", Scope.ADMIN, "Prove the sums, on the database as it is", BooksView, verify),
)
"""Routes about the ledger."""
