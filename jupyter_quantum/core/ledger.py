"""Double entry: an entry moves an amount from a part of one account to a part of another, or of the same one.

::

    source ──grant──▶ available ──hold──▶ held ──settle──▶ used
       ◀────expire───    │  ◀───release────┘
                         └──lend──▶ available of the borrower ──recall──▶ back

So what one part loses another gains, and over all parts of all accounts the balances add up to nothing: the *trial
balance*. ``source`` is where limits come from; it alone goes below zero. An account's limit is what is in its other
three parts together. Amounts are integers of the account's unit: micro-credits, shots, milliseconds, jobs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, Protocol
from urllib.parse import quote

__all__ = ["POSTINGS", "Kind", "Moved", "Part", "account_id", "balances", "group_of", "unit_of"]


class Part(StrEnum):
    """Where an amount is."""

    SOURCE = "source"
    """Outside: not granted, or taken back."""
    AVAILABLE = "available"
    HELD = "held"
    """On hold for a job."""
    USED = "used"


class Kind(StrEnum):
    """What an entry is."""

    GRANT = "grant"
    """A limit was set, raised or lowered by the operator, or a grant has started."""
    EXPIRE = "expire"
    """A grant or a loan has ended; what was unused goes back to where it came from."""
    HOLD = "hold"
    SETTLE = "settle"
    RELEASE = "release"
    LEND = "lend"
    RECALL = "recall"
    RAISE = "raise"
    """A limit was raised for a while, as somebody asked and somebody else approved."""


_P = Part

POSTINGS: Final[Mapping[Kind, frozenset[tuple[Part, Part]]]] = {
    Kind.GRANT: frozenset({(_P.SOURCE, _P.AVAILABLE), (_P.AVAILABLE, _P.SOURCE)}),
    Kind.EXPIRE: frozenset({(_P.AVAILABLE, _P.SOURCE)}),
    Kind.HOLD: frozenset({(_P.AVAILABLE, _P.HELD)}),
    Kind.SETTLE: frozenset({(_P.HELD, _P.USED)}),
    Kind.RELEASE: frozenset({(_P.HELD, _P.AVAILABLE)}),
    Kind.LEND: frozenset({(_P.AVAILABLE, _P.AVAILABLE)}),
    Kind.RECALL: frozenset({(_P.AVAILABLE, _P.AVAILABLE)}),
    Kind.RAISE: frozenset({(_P.SOURCE, _P.AVAILABLE)}),
}
"""From which part to which each kind moves an amount. Only what is lent and recalled leaves its account."""


class Moved(Protocol):
    """An entry, as far as arithmetic looks at it."""

    @property
    def account(self) -> str:
        """The account that it is taken from."""

    @property
    def part(self) -> str:
        """The part of that account."""

    @property
    def to_account(self) -> str:
        """The account that it goes to."""

    @property
    def to_part(self) -> str:
        """The part of that account."""

    @property
    def amount(self) -> int:
        """How much; always more than nothing."""


def balances(entries: Iterable[Moved]) -> Counter[tuple[str, str]]:
    """What the entries leave in each part of each account."""
    found: Counter[tuple[str, str]] = Counter()
    for entry in entries:
        found[entry.account, entry.part] -= entry.amount
        found[entry.to_account, entry.to_part] += entry.amount
    return found


def account_id(unit: str, *parts: str) -> str:
    """``credits/user/ppl_0193…/qcourse/any/month/2026-05``: unit first, then what the account is of."""
    return "/".join([unit, *(quote(part, safe=" @:+,()") for part in parts)])


def unit_of(account: str) -> str:
    """What the account with this id counts."""
    return account.partition("/")[0]


def group_of(account: str) -> str:
    """Accounts of one group (the grants of a project) pay for a job together, one after the other; others pay alone."""
    return account.rpartition("/")[0] if account.startswith("credits/funds/") else account
