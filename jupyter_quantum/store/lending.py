"""Grants that end, unused share that is lent and comes back, limits that are raised for a while, price lists."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, update

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.ledger import Kind, Part, account_id
from jupyter_quantum.exceptions import Conflict, NotFound
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.ledger import Ledger
from jupyter_quantum.store.rows import AccountRow, AccountSpec, Claim, Json, LoanRow, PriceRow, RaiseRow

__all__ = ["Lending", "loan_spec"]

_A = t.accounts.c
_FREE: Final = _A.limit - _A.used - _A.held
_GIVE: Final = c.Statement(
    update(t.accounts)
    .where(_A.id == bindparam("key"), bindparam("amount") <= _FREE)
    .values(limit=_A.limit - bindparam("amount"))
)
_GET: Final = c.Statement(
    update(t.accounts).where(_A.id == bindparam("key")).values(limit=_A.limit + bindparam("amount"))
)
_CLOSE: Final = c.Statement(
    update(t.accounts).where(_A.id == bindparam("key"), _A.closed.is_(None)).values(closed=bindparam("moment"))
)


def loan_spec(loan: LoanRow, organisation: str) -> AccountSpec:
    """The account that a loan makes up for its borrower. Nothing is declared for it: what it has was lent."""
    return AccountSpec(
        loan.borrower,
        "project",
        loan.to_project,
        loan.to_project,
        0,
        period=loan.id,
        resets=loan.ends,
        organisation=organisation,
        purpose="funds",
    )


class Lending(Ledger):
    """What happens to grants besides being spent."""

    def lend(self, lender: AccountSpec, to_project: str, amount: int, *, actor: str) -> LoanRow:
        """Lend what is unused of a grant to another project, with an event (``ledger.lent``).

        Raises Conflict ``ledger.lend`` where so much is not unused.
        """
        self.declare(lender)
        loan_id = new_id("lon")
        borrower = account_id("credits", "funds", f"project:{to_project}", loan_id)
        loan = LoanRow(
            loan_id,
            lender.id,
            borrower,
            lender.project,
            to_project,
            amount,
            0,
            self.now,
            self.named(actor),
            lender.resets,
        )
        self.declare(loan_spec(loan, lender.organisation))
        if self._book(_GIVE, {"key": lender.id, "amount": amount}).rowcount != 1:
            there = self.account(lender.id)
            left = 0 if there is None else there.available
            raise Conflict(
                "So much of this grant is not unused.", code="ledger.lend", details={"left": left, "needed": amount}
            )
        self._book(_GET, {"key": borrower, "amount": amount})
        self._post(Kind.LEND, lender.id, Part.AVAILABLE, borrower, Part.AVAILABLE, amount, actor=actor, ref=loan_id)
        self._tell_loan("ledger.lent", loan, amount, actor)
        return self._shelf(c.LOANS).add(loan)

    def recall(self, loan_id: str, *, most: int | None = None, actor: str = "service", end: bool = False) -> LoanRow:
        """Take back what is unspent and not on hold of a loan (at most ``most``), with an event (``ledger.recalled``).

        ``end``: nothing more is put on hold from it; what is on hold now comes back as it is released.
        """
        loan = self._shelf(c.LOANS).get(loan_id)
        if loan is None:
            raise NotFound("No such loan, or it is not visible to you.")
        there = self.account(loan.borrower)
        back = 0 if there is None else there.available
        back = back if most is None else min(back, most)
        changes: dict[str, object] = {}
        if back and self._book(_GIVE, {"key": loan.borrower, "amount": back}).rowcount == 1:
            self._book(_GET, {"key": loan.lender, "amount": back})
            self._post(
                Kind.RECALL, loan.borrower, Part.AVAILABLE, loan.lender, Part.AVAILABLE, back, actor=actor, ref=loan_id
            )
            self._tell_loan("ledger.recalled", loan, back, actor)
            changes["recalled"] = loan.recalled + back
        if end and loan.closed is None:
            self._book(_CLOSE, {"key": loan.borrower, "moment": c.micros(self.now)})
            changes["closed"] = self.now
        return self._shelf(c.LOANS).change(loan, **changes) if changes else loan

    def close_account(self, account: AccountRow) -> int:
        """A grant has ended: what is unused expires, with an event (``ledger.expired``); what is on hold may be spent.

        Call it again when something was released since. Returns how much expired.
        """
        self._book(_CLOSE, {"key": account.id, "moment": c.micros(self.now)})
        now = self.account(account.id)
        unused = 0 if now is None else now.available
        if unused and self._book(_GIVE, {"key": account.id, "amount": unused}).rowcount == 1:
            self._enter(Kind.EXPIRE, account.id, None, unused)
            data = {"account": account.id, "amount": unused}
            self._tell("ledger.expired", actor="service", project=account.project or None, data=data)
            return unused
        return 0

    def add_raise(self, row: RaiseRow, *, actor: str) -> RaiseRow:
        """A quota is larger for a while, with an event (``ledger.raised``)."""
        data = {"raise": row.id, "quota": row.quota, "amount": row.amount, "until": row.until.isoformat()}
        self._tell("ledger.raised", actor=actor, project=row.project, data=data | {"request": row.request})
        return self._shelf(c.RAISES).add(row)

    def add_prices(self, device: str, since: datetime, prices: Json, *, actor: str) -> PriceRow:
        """A price list that holds from then on, with an event (``prices.changed``)."""
        row = PriceRow(new_id("prl"), device, since, prices, self.now, self.named(actor))
        data = {"device": device, "since": since.isoformat(), "prices": prices, "list": row.id}
        self._tell("prices.changed", actor=actor, data=data)
        return self._shelf(c.PRICES).add(row)

    # -- inside ----------------------------------------------------------------------------------------------------

    def _recover(self, claim: Claim) -> bool:
        """What a lender needs again is recalled from who borrowed it: what is unspent and not on hold there."""
        lent = [loan for spec in claim.accounts if spec.purpose == "funds" for loan in self.loans(lender=spec.id)]
        missing = claim.amount - self._left(claim)
        came = False
        for loan in lent:
            if missing <= 0 or loan.closed is not None:
                continue
            after = self.recall(loan.id, most=missing)
            missing -= after.recalled - loan.recalled
            came = came or after.recalled > loan.recalled
        return came

    def _tell_loan(self, type_: str, loan: LoanRow, amount: int, actor: str) -> None:
        data = {"loan": loan.id, "amount": amount, "from": loan.from_project, "to": loan.to_project}
        self._tell(type_, actor=actor, project=loan.from_project, data=data)
