"""What the door writes: claims and answers of requests with a key, draws from the buckets of the rate limits."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from jupyter_quantum.exceptions import Conflict, TooBusy
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.claims import Claim
from jupyter_quantum.store.rows import AnswerRow
from jupyter_quantum.store.unit import Unit
from jupyter_quantum.store.view import mismatch

__all__ = ["DoorWrites"]

_A: Final = t.answers.c
_MINE: Final = (_A.principal == bindparam("owner")) & (_A.key == bindparam("given")) & (_A.holder == bindparam("mine"))
_MARK: Final = c.Statement(update(t.answers).where(_MINE, _A.state != "done").values(state="acted"))
_BUCKET: Final = c.Statement(select(t.buckets.c.level, t.buckets.c.at).where(t.buckets.c.name == bindparam("given")))
_TOKEN: Final = 1_000_000
"""A token in the unit of a bucket's level; with moments in microseconds, a rate of one a second gains one a tick."""
_DIALECTS: Final = {"sqlite": sqlite, "postgresql": postgresql}


def _mine(claim: Claim) -> dict[str, str]:
    return {"owner": claim.principal, "given": claim.key, "mine": claim.holder}


class DoorWrites(Unit):
    """The door's part of a writing request. None of it is an event: what the request does tells of itself."""

    # -- requests with a key ---------------------------------------------------------------------------------------

    def claim(self, wanted: AnswerRow, *, repeatable: bool) -> Claim | AnswerRow | None:
        """Take a key for an attempt.

        Returns:
            the claim; the row of the first request, where it has its answer; None while another attempt is at it.

        Raises Conflict ``idempotency.mismatch`` where the key came with another request, ``idempotency.unfinished``
        where an attempt acted and its process ended before its answer was kept, unless the act is ``repeatable``.
        """
        claim = Claim(wanted.principal, wanted.key, wanted.holder)
        insert = _DIALECTS[self._conn.dialect.name].insert(t.answers).values(c.ANSWERS.encode(wanted))
        if self._conn.execute(insert.on_conflict_do_nothing().returning(_A.key)).first() is not None:
            return claim
        known = self.answer(wanted.principal, wanted.key)
        if known is None:  # it was given up between the two statements
            return None
        if known.request != wanted.request:
            raise mismatch()
        if known.state == "done":
            return known
        if known.until > self.now:
            return None
        if known.state == "acted" and not repeatable:
            raise _unfinished()
        return claim if self._take_over(known, wanted) else None

    def _take_over(self, known: AnswerRow, wanted: AnswerRow) -> bool:
        same = (_A.principal == known.principal) & (_A.key == known.key) & (_A.holder == known.holder)
        lapsed = same & (_A.state == known.state) & (_A.until <= c.micros(self.now))
        values = {"holder": wanted.holder, "until": c.micros(wanted.until), "state": "claimed"}
        return self._conn.execute(update(t.answers).where(lapsed).values(values)).rowcount == 1

    def mark_acted(self, claim: Claim) -> None:
        """Note, in the act's own transaction, that it acts. Raises TooBusy where another attempt took the key over."""
        if _MARK.run(self._conn, _mine(claim)).rowcount != 1:
            raise TooBusy(
                "Another attempt at this request is under way.", code="idempotency.busy", details={"retry_after": 2}
            )

    def keep_answer(self, claim: Claim, status: int, body: bytes | None, tenant: str | None = None) -> None:
        """The attempt has its answer; ``body`` is sealed by the caller, with a key of ``tenant``."""
        values: dict[str, Any] = {"state": "done", "status": status, "body": body, "tenant": tenant}
        self._conn.execute(update(t.answers).where(_MINE).values(values), _mine(claim))

    def give_up(self, claim: Claim) -> None:
        """The attempt came to nothing: the key is free again, unless something of it was committed."""
        self._conn.execute(delete(t.answers).where(_MINE, _A.state == "claimed"), _mine(claim))

    def renew_claims(self, holders: list[str], until: datetime) -> None:
        """These attempts are still under way."""
        self._conn.execute(update(t.answers).where(_A.holder.in_(holders)).values(until=c.micros(until)))

    def lapse_claims(self) -> None:
        """No process but this one is there: attempts of before are over."""
        self._conn.execute(update(t.answers).where(_A.state != "done").values(until=0))

    def sweep_answers(self, before: datetime) -> int:
        """Forget answers of requests that came before this moment; how many they were."""
        return self._conn.execute(delete(t.answers).where(_A.created < c.micros(before))).rowcount

    # -- rate limits -----------------------------------------------------------------------------------------------

    def draw(
        self, name: str, *, rate: float, burst: int, wanted: int, now: datetime | None = None
    ) -> tuple[int, float]:
        """Draw up to ``wanted`` tokens from a bucket that holds ``burst`` and gains ``rate`` a second.

        Returns:
            how many were drawn, and the seconds until there is one where it is none.

        All that all replicas have drawn ``s`` seconds after the first draw is at most ``burst + rate * s``: level and
        moment change in one conditional update, and a replica whose clock is behind gains nothing.
        """
        at, top = c.micros(now or self.now), burst * _TOKEN
        b = t.buckets.c
        insert = _DIALECTS[self._conn.dialect.name].insert(t.buckets).values(name=name, level=top, at=at)
        while True:
            found = _BUCKET.run(self._conn, {"given": name}).first()
            if found is None:
                self._conn.execute(insert.on_conflict_do_nothing())
                continue
            level = min(top, found.level + int(max(0, at - found.at) * rate))
            drawn = min(wanted, level // _TOKEN)
            if drawn == 0:
                return 0, (_TOKEN - level) / _TOKEN / rate
            same = (b.name == name) & (b.level == found.level) & (b.at == found.at)
            values = {"level": level - drawn * _TOKEN, "at": max(at, found.at)}
            if self._conn.execute(update(t.buckets).where(same).values(values)).rowcount == 1:
                return drawn, 0.0

    def sweep_buckets(self, before: datetime) -> int:
        """Forget buckets that nobody drew from since this moment, which are full again; how many they were."""
        return self._conn.execute(delete(t.buckets).where(t.buckets.c.at < c.micros(before))).rowcount


def _unfinished() -> Conflict:
    return Conflict(
        "An earlier attempt at this request may have taken effect: the service ended before its answer was kept.",
        code="idempotency.unfinished",
        hint="Look whether it did; if it did not, send it again with a new Idempotency-Key.",
    )
