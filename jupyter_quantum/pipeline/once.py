"""Requests with an idempotency key: the act once, its answer as often as it is asked for."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.exceptions import Conflict, QuantumError, TooBusy
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.store import Tx, claims
from jupyter_quantum.store.claims import Claim
from jupyter_quantum.store.crypt import SERVICE
from jupyter_quantum.store.rows import AnswerRow
from jupyter_quantum.store.rows.door import answer_place

__all__ = ["Once", "Outcome", "request_digest"]

log = logging.getLogger(__name__)

_LEASE: Final = timedelta(seconds=15)
_RENEW_S: Final = 5.0
_PATIENCE_S: Final = 10.0
"""For so long a repeat waits for the first request."""
_KEPT: Final = timedelta(hours=25)
_SWEEP_S: Final = 600.0
_LARGEST: Final = 4 * 1024 * 1024
"""Bytes of an answer that is kept; no route that writes answers with more."""
_PASSING: Final = frozenset({401, 408, 429})
"""Refusals that say nothing of the request itself."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer: status and body; None where the body is not one that can be given again."""

    status: int
    body: bytes | None
    repeated: bool = False
    """It is the first request's."""
    tenant: str | None = None
    """The project that it is about, whose key seals what is kept of it; the service's own where None."""


def request_digest(method: str, address: str, body: bytes) -> str:
    """What makes two requests the same: method, path with query, and the exact bytes."""
    head = f"{method} {address}\n".encode("utf8", "surrogateescape")
    return "sha256:" + hashlib.sha256(head + body).hexdigest()


class Once:
    """Runs a request once for each principal and key.

    The key is taken before the act, the act's first transaction marks it (:mod:`jupyter_quantum.store.claims`), and
    its answer is kept afterwards, for 25 hours. After a crash an attempt that committed nothing runs again, and one
    that did is answered ``idempotency.unfinished``.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._open: dict[str, tuple[float, Claim]] = {}
        """Attempts of this process by their holder, and when they began or were renewed."""
        self._swept = 0.0

    async def run(
        self,
        principal: str,
        key: str,
        request: str,
        act: Callable[[], Awaitable[Outcome]],
        *,
        repeatable: bool = False,
        secret: bool = False,
    ) -> Outcome:
        """Run ``act`` (which raises nothing: a refusal is an outcome), or give the first request's answer again.

        Args:
            request: :func:`request_digest` of it.
            repeatable: doing it again leaves things as doing it once.
            secret: the answer holds a secret, and is kept only sealed.

        Raises Conflict ``idempotency.mismatch``, ``.unfinished`` or ``.withheld``, TooBusy ``idempotency.busy``.
        """
        taken = await self._take(principal, key, request, repeatable)
        if isinstance(taken, AnswerRow):
            return await self._again(taken)
        self._open[taken.holder] = self._time(), taken
        try:
            with claims.holding(taken):
                outcome = await act()
            await self._end(taken, outcome, secret)
        finally:
            del self._open[taken.holder]
        return outcome

    async def _take(self, principal: str, key: str, request: str, repeatable: bool) -> Claim | AnswerRow:
        pause, ends = 0.02, self._time() + _PATIENCE_S
        while True:
            now = self._context.clock()
            wanted = AnswerRow(principal, key, request, "claimed", new_id("run"), now + _LEASE, now)
            taken = await self._claim(wanted, repeatable)
            if taken is not None:
                return taken
            await self._wait(principal, key, min(ends, self._time() + _LEASE.total_seconds()), pause)
            if self._time() >= ends:
                raise TooBusy(
                    "The first request with this Idempotency-Key is still under way.",
                    code="idempotency.busy",
                    hint="Ask again with the same key in a moment.",
                    details={"retry_after": 2},
                )

    async def _claim(self, wanted: AnswerRow, repeatable: bool) -> Claim | AnswerRow | None:
        return await self._context.store.write(lambda tx: tx.claim(wanted, repeatable=repeatable))

    async def _wait(self, principal: str, key: str, ends: float, pause: float) -> None:
        """Return once the other attempt has its answer, has given up, or may be taken over."""
        while self._time() < ends:
            await asyncio.sleep(pause)
            row = await self._context.store.read(lambda view: view.answer(principal, key))
            if row is None or row.state == "done" or row.until <= self._context.clock():
                return
            pause = min(2 * pause, 0.5)

    async def _end(self, claim: Claim, outcome: Outcome, secret: bool) -> None:
        """Keep the answer of what was done. A refusal that changed nothing frees the key."""
        done = outcome.status < 400
        if done or (claim.acted and outcome.status < 500 and outcome.status not in _PASSING):
            await self._keep(claim, outcome, self._packed(outcome, secret))
        elif not claim.acted:
            await self._context.store.write(lambda tx: tx.give_up(claim))
        # What acted and then failed on our side stays unfinished: nobody may run it again unseen.

    async def _keep(self, claim: Claim, outcome: Outcome, body: bytes | None) -> None:
        """Answers show circuits, results and names as much as what they are about, so they are sealed like it.

        Where the provider of keys does not answer, what was done is noted all the same, without the answer.
        """
        store, tenant = self._context.store, outcome.tenant or SERVICE
        try:
            await store.ready(tenant)
        except QuantumError as error:
            log.warning("An answer is not kept: %s", error)
            body = None
        place = answer_place(claim.principal, claim.key)

        def keep(tx: Tx) -> None:
            sealed = None if body is None else tx.seal(tenant, "answers", place, body)
            tx.keep_answer(claim, outcome.status, sealed, None if body is None else tenant)

        await store.write(keep)

    def _packed(self, outcome: Outcome, secret: bool) -> bytes | None:
        if outcome.body is None or secret or len(outcome.body) > _LARGEST:
            return None
        return zlib.compress(outcome.body, 1)

    async def start(self) -> None:
        """A database that one process has for itself knows no other attempts."""
        if self._context.store.engine.dialect.name == "sqlite":
            await self._context.store.write(lambda tx: tx.lapse_claims())

    async def turn(self) -> None:
        """Each second: renew what takes long; now and then forget what is old."""
        now = self._time()
        old = [holder for holder, (since, _) in self._open.items() if now - since > _RENEW_S]
        if old:
            until: datetime = self._context.clock() + _LEASE
            await self._context.store.write(lambda tx: tx.renew_claims(old, until))
            self._open |= {holder: (now, self._open[holder][1]) for holder in old if holder in self._open}
        if now - self._swept > _SWEEP_S:
            self._swept = now
            before = self._context.clock() - _KEPT
            await self._context.store.write(lambda tx: tx.sweep_answers(before))

    async def _again(self, row: AnswerRow) -> Outcome:
        """The first request's answer. Raises Conflict ``data.shredded`` where its tenant's keys were destroyed."""
        sealed, tenant = row.body, row.tenant
        if row.status is None or (sealed is None and row.status != 204):
            raise Conflict(
                "This was done with the first request; its answer is not kept, since it was a secret or a file.",
                code="idempotency.withheld",
                hint="Look at what was made; ask for a new secret where you need one.",
            )
        if sealed is None or tenant is None:
            return Outcome(row.status, b"", repeated=True)
        packed = await self._context.store.read(lambda view: view.open(tenant, "answers", row.place, sealed))
        return Outcome(row.status, zlib.decompress(packed), repeated=True)

    @staticmethod
    def _time() -> float:
        return asyncio.get_running_loop().time()
