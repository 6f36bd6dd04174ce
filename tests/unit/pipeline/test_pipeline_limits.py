"""The purse of a process: which requests cost a draw, and what the refused are told."""

from __future__ import annotations

import asyncio

import pytest

from jupyter_quantum.exceptions import TooBusy, Unavailable
from jupyter_quantum.pipeline.limits import KINDS, Rate, RateLimits


class Bucket:
    """A bucket of tokens that gains nothing by itself."""

    def __init__(self, left: int) -> None:
        self.left, self.draws, self.broken = left, 0, False

    async def __call__(self, name: str, rate: float, burst: int, wanted: int) -> tuple[int, float]:
        await asyncio.sleep(0)
        if self.broken:
            raise Unavailable("The database did not answer.")
        self.draws += 1
        drawn = min(wanted, self.left)
        self.left -= drawn
        return drawn, 0.0 if drawn else 3.0


def limits(bucket: Bucket, rate: float = 300.0, burst: int = 600, now: list[float] | None = None) -> RateLimits:
    moments = now or [0.0]
    return RateLimits(bucket, {"read": Rate(rate, burst)}, clock=lambda: moments[0], spread=lambda low, _: low)


async def test_most_requests_cost_nothing() -> None:
    """Of many reads few draw, and at a steady pace a request never waits for one."""
    bucket = Bucket(10_000)
    door = limits(bucket)
    for _ in range(1000):
        await door.take("read", "ada")
        await asyncio.sleep(0)
    assert bucket.draws < 1000 / 15


async def test_a_crowd_at_an_empty_purse_draws_together() -> None:
    """Requests that find the purse empty at once share a draw, and each gets a token or is refused."""
    bucket = Bucket(50)
    door = limits(bucket)
    answers = await asyncio.gather(*(door.take("read", "ada") for _ in range(80)), return_exceptions=True)
    assert (answers.count(None), bucket.left) == (50, 0)
    assert all(answer is None or isinstance(answer, TooBusy) for answer in answers)


async def test_the_refused_are_told_when_to_come_back() -> None:
    """429 busy.rate with the seconds until there is a token, spread; until then nothing is drawn."""
    now = [0.0]
    bucket = Bucket(1)
    door = limits(bucket, rate=0.3, burst=1, now=now)
    await door.take("read", "ada")
    for _ in range(3):
        with pytest.raises(TooBusy) as caught:
            await door.take("read", "ada")
    assert (caught.value.code, caught.value.details["retry_after"], bucket.draws) == ("busy.rate", 4, 2)
    assert door.refuses("read", "ada")
    assert not door.refuses("read", "ben")
    spread = RateLimits(Bucket(0), {"read": Rate(0.3, 1)})
    waits = set()
    for key in range(40):
        with pytest.raises(TooBusy) as caught:
            await spread.take("read", str(key))
        waits.add(caught.value.details["retry_after"])
    assert waits == {4, 5}
    now[0] = 3.4
    bucket.left = 1
    await door.take("read", "ada")


async def test_an_idle_purse_is_forfeited() -> None:
    """Tokens that were drawn and not used in a minute are gone."""
    now = [0.0]
    bucket = Bucket(30)
    door = limits(bucket, burst=320, now=now)
    await door.take("read", "ada")
    assert bucket.left == 10
    now[0] = 61.0
    await door.take("read", "ada")
    assert bucket.left == 0


async def test_without_the_database_nothing_passes() -> None:
    """An empty purse that cannot be filled refuses (fail closed), and the next request tries again."""
    bucket = Bucket(10)
    bucket.broken = True
    door = limits(bucket)
    with pytest.raises(Unavailable):
        await door.take("read", "ada")
    bucket.broken = False
    await door.take("read", "ada")


def test_every_class_lets_something_pass() -> None:
    """No class is closed by default, and a tier multiplies both numbers."""
    assert all(rate.rate > 0 and rate.burst >= 1 for rate in KINDS.values())
    assert Rate(10.0, 20).times(0.5) == Rate(5.0, 10)
