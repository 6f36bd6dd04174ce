"""A request that must act once says so in the very transactions in which it acts.

While a :class:`Claim` is held, the first transaction of the request's task marks its row ``acted``, and fails where
another attempt has taken the key over. So a row that still reads ``claimed`` after a crash proves that nothing was
done, and the request may run again; one that reads ``acted`` proves that something was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

__all__ = ["Claim", "apart", "current", "holding"]

T = TypeVar("T")


class _Marks(Protocol):
    def mark_acted(self, claim: Claim) -> None: ...


M = TypeVar("M", bound=_Marks)


@dataclass(slots=True)
class Claim:
    """One attempt at a request with an idempotency key."""

    principal: str
    key: str
    holder: str
    """Id of this attempt."""
    acted: bool = False
    """Something of it is committed."""
    open: bool = True
    """False once the request has been answered: what it left running acts for itself."""

    def marking(self, work: Callable[[M], T]) -> Callable[[M], T]:
        """``work``, with the mark in its transaction."""

        def run(tx: M) -> T:
            tx.mark_acted(self)
            return work(tx)

        return run


_CURRENT: Final[ContextVar[Claim | None]] = ContextVar("claim", default=None)


def current() -> Claim | None:
    """The claim of the task that asks, while nothing of it is committed."""
    claim = _CURRENT.get()
    return claim if claim is not None and claim.open and not claim.acted else None


@contextmanager
def holding(claim: Claim) -> Iterator[Claim]:
    """Everything that this task and those it starts commit is the claim's act."""
    token = _CURRENT.set(claim)
    try:
        yield claim
    finally:
        claim.open = False
        _CURRENT.reset(token)


@contextmanager
def apart() -> Iterator[None]:
    """What is committed within is no part of the act, such as counting the request."""
    token = _CURRENT.set(None)
    try:
        yield
    finally:
        _CURRENT.reset(token)
