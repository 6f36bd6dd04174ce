"""Refused requests and failed sign-ins as entries of the record: the first at once, those like it as a count.

A flood must neither fill the disk nor the memory: what is alike (who, route, code, where from) within a window is one
entry when it is first seen and one with a count at the window's end, and a window tells so many kinds apart at most.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from jupyter_quantum.exceptions import QuantumError
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.store import Tx

__all__ = ["UNKNOWN", "Refusal", "Refusals", "address_class", "is_refusal"]

log = logging.getLogger(__name__)

UNKNOWN: Final = "unknown"
"""The actor where nobody is signed in."""

_STATUSES: Final = frozenset({401, 403, 404, 429})
_KINDS: Final = 500
_REST: Final = "other"


def address_class(address: str | None) -> str:
    """``loopback``, ``private``, ``public`` or ``unknown``: what the record keeps of where a request came from."""
    try:
        found = ipaddress.ip_address((address or "").partition("/")[0])
    except ValueError:
        return "unknown"
    if found.is_loopback:
        return "loopback"
    return "public" if found.is_global else "private"


def is_refusal(status: int, error: QuantumError) -> bool:
    """Whether an answer belongs into the record: refused, foreign or absent, too fast, or a conflict with policy.

    Refusals of jobs are there already, as the job's move.
    """
    if "job" in error.details:
        return False
    return status in _STATUSES or (status == 409 and error.code.partition(".")[0] in {"policy", "quota", "approval"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused; alike are those that are equal."""

    type: str
    """``request.refused`` or ``auth.failed``."""
    who: str
    """``Principal.id``, or :data:`UNKNOWN`."""
    route: str
    """Method and path with names in the place of its parts: nothing that the caller chose."""
    status: int
    code: str
    address: str
    """:func:`address_class`."""


@dataclass(slots=True)
class _Count:
    count: int
    first: datetime
    last: datetime


class Refusals:
    """Counts refusals, and writes them."""

    def __init__(self, context: Context, committed: Callable[[], None]) -> None:
        self._context = context
        self._committed = committed
        self._seen: dict[Refusal, _Count] = {}
        self._ends = context.clock()

    def note(self, refusal: Refusal) -> None:
        """One more; never raises and never waits."""
        now = self._context.clock()
        known = self._seen.get(refusal)
        if known is None and len(self._seen) >= _KINDS:
            refusal = Refusal(refusal.type, UNKNOWN, _REST, 0, _REST, _REST)
            known = self._seen.get(refusal)
        if known is not None:
            known.count += 1
            known.last = now
            return
        self._seen[refusal] = _Count(0, now, now)
        self._context.background.start(self._write([(refusal, _Count(1, now, now))]), "record a refusal")

    async def flush(self, *, end: bool = False) -> None:
        """At the end of a window (or of the service): one entry for each kind that came again."""
        now = self._context.clock()
        if not end and (now - self._ends).total_seconds() < self._context.settings.audit.window_s:
            return
        self._ends = now
        seen, self._seen = self._seen, {}
        again = [(refusal, count) for refusal, count in seen.items() if count.count]
        if again:
            await self._write(again)

    async def _write(self, found: list[tuple[Refusal, _Count]]) -> None:
        def write(tx: Tx) -> None:
            for refusal, count in found:
                data = {
                    "route": refusal.route,
                    "status": refusal.status,
                    "code": refusal.code,
                    "address": refusal.address,
                    "count": count.count,
                    "first": count.first.isoformat(),
                    "last": count.last.isoformat(),
                }
                tx.add_event(refusal.type, actor=refusal.who, data=data)

        try:
            await self._context.store.write(write)
        except QuantumError:
            log.exception("%d refusals could not be recorded", len(found))
        else:
            self._committed()
