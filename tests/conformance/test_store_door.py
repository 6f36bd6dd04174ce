"""What the door keeps: keys of requests that act once, and buckets that replicas draw from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.exceptions import Conflict, NotFound, TooBusy
from jupyter_quantum.store import Store, claims
from jupyter_quantum.store.claims import Claim
from jupyter_quantum.store.rows import AnswerRow
from jupyter_quantum.wire.base import digest_of

START = datetime(2026, 5, 12, 9, 0, tzinfo=UTC)


def wanted(request: str = "a", *, lease_s: float = 15.0, who: str = "ada@1") -> AnswerRow:
    now = datetime.now(UTC)
    until = now + timedelta(seconds=lease_s)
    return AnswerRow(who, "k", request, "claimed", new_id("run"), until, now)


async def claim(store: Store, row: AnswerRow, *, repeatable: bool = False) -> Claim | AnswerRow | None:
    return await store.write(lambda tx: tx.claim(row, repeatable=repeatable))


async def test_a_key_is_taken_once_and_answers_again(store: Store) -> None:
    """The first attempt gets the claim, others wait, then get its answer; another request is a mismatch."""
    first = await claim(store, wanted())
    assert isinstance(first, Claim)
    assert await claim(store, wanted()) is None
    await store.write(lambda tx: tx.keep_answer(first, 201, b"said"))
    again = await claim(store, wanted())
    assert isinstance(again, AnswerRow)
    assert (again.status, again.body) == (201, b"said")
    with pytest.raises(Conflict, match="another request") as caught:
        await claim(store, wanted("b"))
    assert caught.value.code == "idempotency.mismatch"
    assert isinstance(await claim(store, wanted("b", who="ben@1")), Claim)


async def test_what_acted_and_lost_its_answer_is_not_run_again(store: Store) -> None:
    """A lapsed attempt that committed nothing may run again; one that did is unfinished, unless it may be repeated."""
    first = await claim(store, wanted(lease_s=-1))
    assert isinstance(first, Claim)
    second = await claim(store, wanted(lease_s=-1))
    assert isinstance(second, Claim)
    with claims.holding(second):
        await store.write(lambda tx: tx.put_blob("lab", b"the act"))
    with pytest.raises(Conflict) as caught:
        await claim(store, wanted())
    assert caught.value.code == "idempotency.unfinished"
    assert isinstance(await claim(store, wanted(), repeatable=True), Claim)


async def test_an_attempt_that_was_taken_over_commits_nothing(store: Store) -> None:
    """The mark is in the act's own transaction: a process that slept too long fails, and nothing of its act stays."""
    slow = await claim(store, wanted(lease_s=-1))
    assert isinstance(slow, Claim)
    assert isinstance(await claim(store, wanted()), Claim)
    with claims.holding(slow), pytest.raises(TooBusy):
        await store.write(lambda tx: tx.put_blob("lab", b"too late"))
    assert not slow.acted
    with pytest.raises(NotFound):
        await store.artefacts.get("lab", digest_of(b"too late"))


async def test_a_refusal_frees_the_key_but_an_act_does_not(store: Store) -> None:
    """What committed nothing leaves the key free; what acted keeps it, even where it gives up."""
    first = await claim(store, wanted())
    assert isinstance(first, Claim)
    await store.write(lambda tx: tx.give_up(first))
    second = await claim(store, wanted("b"))
    assert isinstance(second, Claim)
    with claims.holding(second):
        with claims.apart():
            await store.write(lambda tx: tx.put_blob("lab", b"counted"))
        assert not second.acted
        await store.write(lambda tx: tx.put_blob("lab", b"act"))
        assert second.acted
    await store.write(lambda tx: tx.give_up(second))
    assert await claim(store, wanted("b")) is None
    await store.write(lambda tx: tx.lapse_claims())
    with pytest.raises(Conflict):
        await claim(store, wanted("b"))
    assert await store.write(lambda tx: tx.sweep_answers(datetime.now(UTC) + timedelta(seconds=1))) == 1
    assert isinstance(await claim(store, wanted("c")), Claim)


async def test_what_is_left_running_acts_for_itself(store: Store) -> None:
    """A task that outlives its request is not bound to its key."""
    first = await claim(store, wanted())
    assert isinstance(first, Claim)
    gate = asyncio.Event()

    async def later() -> None:
        await gate.wait()
        await store.write(lambda tx: tx.put_blob("lab", b"later"))

    with claims.holding(first):
        task = asyncio.create_task(later())
        await store.write(lambda tx: tx.put_blob("lab", b"now"))
    await store.write(lambda tx: tx.keep_answer(first, 200, b""))
    gate.set()
    await task


async def test_a_bucket_gives_its_burst_and_then_its_rate(store: Store) -> None:
    """Draws come to burst + rate * time; an empty bucket says when to come back; a clock that lags gains nothing."""

    def draw(at_s: float, many: int = 4) -> Callable[..., tuple[int, float]]:
        now = START + timedelta(seconds=at_s)
        return lambda tx: tx.draw("b", rate=2.0, burst=10, wanted=many, now=now)

    assert [(await store.write(draw(0)))[0] for _ in range(4)] == [4, 4, 2, 0]
    assert await store.write(draw(0)) == (0, 0.5)
    assert await store.write(draw(1.0)) == (2, 0.0)
    assert (await store.write(draw(0.9)))[0] == 0
    assert await store.write(draw(100, 99)) == (10, 0.0)
    assert await store.write(lambda tx: tx.sweep_buckets(START + timedelta(seconds=101))) == 1
