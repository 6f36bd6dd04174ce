"""Proofs of the ledger by counting: what must be true of its books, whatever happened to them.

Each check returns a sentence for every violation that it finds, and trusts no balance that it can compute itself.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from sqlalchemy import func, select

from jupyter_quantum.core.jobs import FINAL, HOLDING
from jupyter_quantum.core.ledger import POSTINGS, Kind, Part, group_of, unit_of
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.reading import Reading

__all__ = ["BOOKS", "balances", "charges", "holds", "part_sums", "postings", "trial"]

_LEGAL: Final = {
    (kind.value, part.value, to.value): kind in (Kind.LEND, Kind.RECALL)
    for kind, moves in POSTINGS.items()
    for part, to in moves
}
"""Legal postings, and whether they leave their account."""


def postings(view: Reading) -> Iterator[str]:
    """Each entry moves something, from and to where its kind may, and never into another unit."""
    e = t.entries.c
    query = select(e.id, e.kind, e.part, e.to_part, e.account, e.to_account, e.amount).order_by(e.id)
    for number, kind, part, to_part, account, to_account, amount in view.query(query):
        leaves = _LEGAL.get((kind, part, to_part))
        if leaves is None or leaves != (account != to_account) or unit_of(account) != unit_of(to_account):
            yield f"entry {number} is a {kind} from {part} of {account} to {to_part} of {to_account}"
        if amount <= 0:
            yield f"entry {number} moves {amount}"


def part_sums(view: Reading) -> Counter[tuple[str, str]]:
    """What the entries leave in each part of each account."""
    e = t.entries.c
    found: Counter[tuple[str, str]] = Counter()
    for account, part, amount in view.query(select(e.account, e.part, func.sum(e.amount)).group_by(e.account, e.part)):
        found[account, part] -= int(amount)
    to = select(e.to_account, e.to_part, func.sum(e.amount)).group_by(e.to_account, e.to_part)
    for account, part, amount in view.query(to):
        found[account, part] += int(amount)
    return found


def balances(view: Reading) -> Iterator[str]:
    """Each account's limit, used and held are what its entries say, and neither of the last two is below zero."""
    sums, a = part_sums(view), t.accounts.c
    known = set()
    for account, limit, used, held in view.query(select(a.id, a.limit, a.used, a.held)):
        known.add(account)
        said = {part: sums[account, part.value] for part in Part}
        whole = said[Part.AVAILABLE] + said[Part.HELD] + said[Part.USED]
        if (limit, used, held) != (whole, said[Part.USED], said[Part.HELD]):
            yield f"{account} keeps (limit, used, held) {(limit, used, held)}, its entries say otherwise"
        if used < 0 or held < 0:
            yield f"{account} is below zero"
    yield from (f"{account} has entries and does not exist" for account in {key for key, _ in sums} - known)


def trial(view: Reading) -> Iterator[str]:
    """In each unit, all accounts together hold what came from the source, and nothing else."""
    found: Counter[str] = Counter()
    for (account, part), amount in part_sums(view).items():
        if part == Part.SOURCE:
            found[unit_of(account)] += amount
    a = t.accounts.c
    for unit, limit in view.query(select(a.unit, func.sum(a.limit)).group_by(a.unit)):
        found[unit] += int(limit)
    yield from (f"the books of {unit} are out by {out}" for unit, out in sorted(found.items()) if out)


def holds(view: Reading) -> Iterator[str]:
    """Each job's holds are what its entries leave on hold; a final job has none, an open one had some."""
    e, j = t.entries.c, t.jobs.c
    left: dict[str, Counter[str]] = {}
    for sign, account, part in ((1, e.to_account, e.to_part), (-1, e.account, e.part)):
        query = select(e.job, account, func.sum(e.amount)).where(e.job.is_not(None), part == Part.HELD.value)
        for job, name, amount in view.query(query.group_by(e.job, account)):
            left.setdefault(job, Counter())[name] += sign * int(amount)
    jobs = select(j.id, j.state, j.held, j.on_hold, j.accounts, j.moved_from)
    for job, state, held, on_hold, accounts, moved in view.query(jobs):
        kept: dict[str, int] = json.loads(accounts)
        if dict(left.pop(job, {})) != kept:
            yield f"{job} has {kept} on hold, its entries say otherwise"
        in_credits = [amount for amount in _groups(kept, "credits").values() if amount or moved == "[]"]
        if any(amount != on_hold for amount in in_credits):
            yield f"{job} says that {on_hold} are on hold, its accounts say {kept}"
        if state in FINAL and (on_hold or any(kept.values())):
            yield f"{job} is {state} and has {on_hold} on hold"
        if state in HOLDING and held is None:
            yield f"{job} is {state} without a hold"
    yield from (f"{job} has entries and does not exist" for job in left)


def _groups(amounts: dict[str, int], unit: str) -> Counter[str]:
    """Accounts of a group added up."""
    found: Counter[str] = Counter()
    for account, amount in amounts.items():
        if unit_of(account) == unit:
            found[group_of(account)] += amount
    return found


def charges(view: Reading) -> Iterator[str]:
    """No attempt is charged twice, no job beyond its hold, and none for an attempt that it did not make."""
    e, j, a = t.entries.c, t.jobs.c, t.attempts.c
    settled = select(e.job, e.attempt, e.account, func.count(), func.sum(e.amount)).where(e.kind == Kind.SETTLE.value)
    paid: dict[str, dict[str, int]] = {}
    made = {(job, number): cost for job, number, cost in view.query(select(a.job, a.number, a.cost))}
    for job, attempt, account, times, amount in view.query(settled.group_by(e.job, e.attempt, e.account)):
        if times > 1:
            yield f"{job}-{attempt} is charged {times} times in {account}"
        if (job, attempt) not in made:
            yield f"{job} is charged for attempt {attempt}, which is not there"
        elif made[job, attempt] is None:
            yield f"{job}-{attempt} is charged and not settled"
        mine = paid.setdefault(job, {})
        mine[account] = mine.get(account, 0) + int(amount)
    for job, held, cost in view.query(select(j.id, j.held, j.cost)):
        for group, amount in _groups(paid.get(job, {}), "credits").items():
            if amount != (cost or 0) or amount > (held or 0):
                yield f"{job} is charged {amount} in {group}; it says {cost}, and {held} were on hold"


BOOKS: Final[dict[str, Callable[[Any], Iterable[str]]]] = {
    "postings": postings,
    "balances": balances,
    "trial": trial,
    "holds": holds,
    "charges": charges,
}
"""Name → check."""
