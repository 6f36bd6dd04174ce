"""The ledger for those who keep it: grants, loans, price lists, accounts, proofs of the sums; and what time brings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select

from jupyter_quantum.core.ledger import Part, unit_of
from jupyter_quantum.core.money import PriceList, in_force
from jupyter_quantum.core.tenancy import GrantSpec, OrganisationSpec, Principal, ProjectSpec
from jupyter_quantum.exceptions import Conflict, InputError, Refused
from jupyter_quantum.pipeline.accounts import grant_spec
from jupyter_quantum.pipeline.budgets import Budgets, prices_json
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.keys import administrator
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.named import Naming
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.prices import ALWAYS
from jupyter_quantum.pipeline.showback import Asked, Showback, as_csv, entry_view
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.books import BOOKS, part_sums
from jupyter_quantum.store.rows import AccountRow, AccountSpec, LoanRow, PriceRow, RaiseRow
from jupyter_quantum.wire.ledger import (
    AccountList,
    AccountView,
    BooksView,
    EntryList,
    GrantList,
    GrantView,
    Lend,
    LoanView,
    PriceLists,
    PriceListView,
    SetPrices,
    UsageView,
)

__all__ = ["Ledgers", "books"]

_FRESH_S: Final = 5.0
"""Seconds after which loans, raises and price lists that another replica wrote are known here."""
_PAGE: Final = 500


class Ledgers:
    """What people ask of the ledger, and its leader-driven turn."""

    def __init__(self, context: Context, budgets: Budgets, live: Live) -> None:
        self._context = context
        self._budgets = budgets
        self._live = live
        self._showback = Showback(context)
        self._fresh: datetime | None = None
        self._booked: set[str] = set()

    # What time brings

    async def refresh(self) -> None:
        """Know what is in the store now."""

        def read(view: View) -> tuple[list[LoanRow], list[RaiseRow], list[PriceRow]]:
            return view.loans(), view.raises(), view.price_lists()

        loans, raises, prices = await self._context.store.read(read)
        self._budgets.accounts.learn(loans, raises)
        self._context.registry.book.learn(prices)
        self._fresh = self._context.clock()

    async def turn(self) -> None:
        """Book grants that have started; let what is unused of ended ones go back to where it came from."""
        now = self._context.clock()
        if self._fresh is not None and (now - self._fresh).total_seconds() < _FRESH_S:
            return
        await self.refresh()
        started = [spec for _, grant, spec in self._grants() if _state(grant, now) == "running"]
        due = [spec for spec in started if spec.id not in self._booked]
        ended = await self._context.store.read(lambda view: view.accounts(purpose="funds", ended_by=now))
        over = [row for row in ended if row.closed is None or row.limit > row.used + row.held]
        loans = await self._context.store.read(lambda view: view.loans())
        back = [loan for loan in loans if loan.closed is not None or (loan.ends is not None and loan.ends <= now)]
        back = [loan for loan in back if loan.closed is None or loan.recalled < loan.amount]
        if due or over or back:
            await self._context.store.write(lambda tx: self._book(tx, due, over, back))
            self._booked |= {spec.id for spec in due}
            self._live.committed()

    @staticmethod
    def _book(tx: Tx, due: list[AccountSpec], over: list[AccountRow], back: list[LoanRow]) -> None:
        for spec in due:
            tx.declare(spec)
        borrowed = {loan.borrower for loan in back}
        for loan in back:
            tx.recall(loan.id, end=True)
        for row in over:
            if row.id not in borrowed:
                tx.close_account(row)

    # Grants and loans

    def _grants(self) -> Iterator[tuple[ProjectSpec | OrganisationSpec, GrantSpec, AccountSpec]]:
        owners: list[ProjectSpec | OrganisationSpec] = list(self._context.tenants.projects.values())
        owners += self._context.tenants.organisations.values()
        for owner in owners:
            for grant in owner.grants:
                yield owner, grant, grant_spec(owner, grant, grant.amount)

    async def grants(self, who: Principal, project: str | None = None) -> GrantList:
        """Grants and loans: an admin's all, a member's those of their projects."""
        mine = None if "admin" in self._context.people.staff(who) else set(self._context.people.roles(who))
        if project is not None and mine is not None and project not in mine:
            raise absent("project")
        now = self._context.clock()

        def read(view: View) -> list[GrantView]:
            loans = view.loans()
            found: list[GrantView] = []
            for spec in self._context.tenants.projects.values():
                if (mine is None or spec.name in mine) and project in (None, spec.name):
                    found += _grant_views(view, spec, loans, now)
            if project is None and mine is None:
                for organisation in self._context.tenants.organisations.values():
                    found += _grant_views(view, organisation, loans, now)
            return found

        return GrantList(grants=await self._context.store.read(read))

    async def lend(self, who: Principal, asked: Lend) -> LoanView:
        """Lend unused share of a grant to another project of the organisation. For leads of the lender, and admins."""
        lender = self._leads(who, asked.from_project)
        borrower = self._context.tenants.projects.get(asked.to_project)
        if borrower is None or borrower.organisation != lender.organisation or borrower.name == lender.name:
            raise Conflict(
                "Only another project of the same organisation can borrow.", code="ledger.borrower", hint="Name one."
            )
        grant = next((one for one in lender.grants if one.id == asked.grant), None)
        if grant is None or not grant.lendable or _state(grant, self._context.clock()) != "running":
            raise Conflict(f"{lender.name} has no such grant that can be lent now.", code="ledger.grant")
        spec = grant_spec(lender, grant, grant.amount)
        loan = await self._context.store.write(lambda tx: tx.lend(spec, borrower.name, asked.amount, actor=who.id))
        await self._changed()
        return _loan_view(loan)

    async def recall(self, who: Principal, loan_id: str) -> LoanView:
        """Take a loan back: what is unspent and not on hold now, the rest as it is released."""
        loans = {loan.id: loan for loan in await self._context.store.read(lambda view: view.loans())}
        loan = loans.get(loan_id)
        if loan is None or not self._sees(who, loan.from_project):
            raise absent("loan")
        self._leads(who, loan.from_project)
        after = await self._context.store.write(lambda tx: tx.recall(loan_id, actor=who.id, end=True))
        await self._changed()
        return _loan_view(after)

    def _leads(self, who: Principal, project: str) -> ProjectSpec:
        spec = self._context.tenants.projects.get(project)
        admin = "admin" in self._context.people.staff(who)
        if spec is None or not self._sees(who, project):
            raise absent("project")
        if not admin and project not in self._context.people.leads(who):
            raise Refused(f"Leads of {project} do this.", code="ledger.role")
        return spec

    def _sees(self, who: Principal, project: str) -> bool:
        people = self._context.people
        return "admin" in people.staff(who) or project in people.roles(who)

    async def _changed(self) -> None:
        await self.refresh()
        self._live.committed()

    # Prices

    async def prices(self, _who: Principal) -> PriceLists:
        """Every price list, with the one in force marked."""
        now = self._context.clock()
        found: list[PriceListView] = []
        for device, lists in sorted(self._context.registry.book.lists().items()):
            current = in_force(lists, now)
            found += [
                PriceListView(
                    device=device,
                    since=None if since == ALWAYS else since,
                    in_force=prices is current,
                    **asdict(prices),
                )
                for since, prices in lists
            ]
        return PriceLists(prices=found)

    async def set_prices(self, who: Principal, asked: SetPrices) -> PriceLists:
        """A list that holds from a moment on. Raises InputError for one in the past: what was promised stays."""
        administrator(self._context, who)
        if asked.since < self._context.clock():
            raise InputError("A price list cannot begin in the past.", code="prices.past", hint="Name a later moment.")
        parts = asked.model_dump(exclude={"device", "since"})
        text = prices_json(PriceList(**parts))
        await self._context.store.write(lambda tx: tx.add_prices(asked.device, asked.since, text, actor=who.id))
        await self._changed()
        return await self.prices(who)

    # Figures and proofs

    async def usage(self, who: Principal, asked: Asked, by: list[str]) -> UsageView:
        """Figures by these dimensions."""
        return await self._showback.usage(who, asked, by)

    async def usage_csv(self, who: Principal, asked: Asked, by: list[str]) -> bytes:
        """The same as CSV."""
        return as_csv(await self._showback.usage(who, asked, by))

    async def charges(self, who: Principal, asked: Asked, *, after: int, limit: int) -> EntryList:
        """The entries that a figure is made of."""
        return await self._showback.entries(who, asked, after=after, limit=limit)

    async def entries(
        self, who: Principal, *, account: str | None, job: str | None, after: int, limit: int
    ) -> EntryList:
        """Entries of an account or a job, for administrators."""
        administrator(self._context, who)

        def read(view: View) -> EntryList:
            rows = view.entries(account=account, job=job, after=after, limit=limit + 1)
            following = rows[limit - 1].id if len(rows) > limit else None
            shown = [entry_view(row) for row in rows[:limit]]
            return EntryList(entries=shown, amount=sum(row.amount for row in shown), count=len(shown), next=following)

        return await self._context.store.read(read)

    async def accounts(self, who: Principal, *, project: str | None, unit: str | None) -> AccountList:
        """Accounts with their balances, for administrators."""
        administrator(self._context, who)

        def read(view: View) -> AccountList:
            naming = Naming(view)
            return AccountList(
                accounts=[_account_view(row, naming) for row in view.accounts(project=project, unit=unit)]
            )

        return await self._context.store.read(read)

    async def verify(self, who: Principal) -> BooksView:
        """Prove the sums, on the database as it is: one snapshot, nothing trusted that can be computed."""
        administrator(self._context, who)
        return await self._context.store.read(books)


def books(view: View) -> BooksView:
    """The whole proof: postings, balances, trial balance, holds, charges."""
    violations = [f"{name}: {found}" for name, check in BOOKS.items() for found in check(view)]
    units: dict[str, dict[str, int]] = {}
    for (account, part), amount in part_sums(view).items():
        parts = units.setdefault(unit_of(account), {each.value: 0 for each in Part})
        parts[part] += amount
    out = {unit: sum(parts.values()) for unit, parts in units.items()}
    violations += [f"trial: the parts of {unit} add up to {amount}" for unit, amount in out.items() if amount]
    counts = [next(view.query(select(func.count()).select_from(table)))[0] for table in (t.accounts, t.entries, t.jobs)]
    accounts, entries, jobs = counts
    return BooksView(
        ok=not violations, violations=violations[:1000], accounts=accounts, entries=entries, jobs=jobs, units=units
    )


def _state(grant: GrantSpec, now: datetime) -> Any:
    if grant.start is not None and now < grant.start:
        return "planned"
    return "ended" if grant.end is not None and grant.end <= now else "running"


def _grant_views(
    view: View, owner: ProjectSpec | OrganisationSpec, loans: list[LoanRow], now: datetime
) -> Iterator[GrantView]:
    scope: Any = "project" if isinstance(owner, ProjectSpec) else "organisation"
    for grant in owner.grants:
        spec = grant_spec(owner, grant, grant.amount)
        row = view.account(spec.id) or AccountRow(spec.id, scope, owner.name, spec.project, grant.amount)
        lent = sum(loan.amount - loan.recalled for loan in loans if loan.lender == spec.id)
        yield GrantView(
            id=grant.id,
            owner=owner.name,
            kind="grant",
            scope=scope,
            amount=grant.amount,
            used=row.used,
            held=row.held,
            available=row.available if _state(grant, now) == "running" else 0,
            starts=grant.start,
            ends=grant.end,
            lendable=grant.lendable,
            state=_state(grant, now),
            lent=lent,
        )
    if not isinstance(owner, ProjectSpec):
        return
    if owner.grant:
        spec = grant_spec(owner, None, owner.grant)
        row = view.account(spec.id) or AccountRow(spec.id, scope, owner.name, owner.name, owner.grant)
        yield _simple(spec.id, owner, "endless", owner.grant, row)
    for loan in loans:
        if loan.to_project == owner.name and (borrowed := view.account(loan.borrower)) is not None:
            yield _simple(loan.id, owner, "loan", loan.amount, borrowed, _loan_view(loan))


def _simple(
    grant_id: str, owner: ProjectSpec, kind: Any, amount: int, row: AccountRow, loan: LoanView | None = None
) -> GrantView:
    return GrantView(
        id=grant_id,
        owner=owner.name,
        kind=kind,
        scope="project",
        amount=amount,
        used=row.used,
        held=row.held,
        available=0 if row.closed else row.available,
        ends=row.resets,
        state="running" if row.closed is None else "ended",
        loan=loan,
    )


def _loan_view(loan: LoanRow) -> LoanView:
    return LoanView(
        id=loan.id,
        grant=loan.lender.rpartition("/")[2],
        from_project=loan.from_project,
        to_project=loan.to_project,
        amount=loan.amount,
        recalled=loan.recalled,
        created=loan.created,
        ends=loan.ends,
        closed=loan.closed,
    )


def _account_view(row: AccountRow, naming: Naming) -> AccountView:
    fields: dict[str, Any] = {name: getattr(row, name) for name in AccountView.model_fields}
    return AccountView(**fields | {"name": naming.actor(row.name) if row.scope == "user" else row.name})
