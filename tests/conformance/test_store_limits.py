"""Rate limits hold over replicas: what several processes let pass together is bounded by burst and rate."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from jupyter_quantum.exceptions import TooBusy
from jupyter_quantum.pipeline.limits import Draw, Rate, RateLimits
from jupyter_quantum.store import Store


def drawing(store: Store) -> tuple[Draw, list[int]]:
    """Draws from this store, and how many were made."""
    made: list[int] = []

    async def draw(name: str, rate: float, burst: int, wanted: int) -> tuple[int, float]:
        made.append(wanted)
        return await store.write(lambda tx: tx.draw(name, rate=rate, burst=burst, wanted=wanted))

    return draw, made


@pytest.mark.parametrize(("rate", "burst"), [(40.0, 80), (2.0, 5)])
async def test_two_replicas_let_no_more_pass_than_one(
    url: str, store: Store, tmp_path: Path, rate: float, burst: int
) -> None:
    """Two replicas under full load pass at most burst + rate * seconds, and nearly that much; few requests write."""
    other = Store(url, artefacts=f"file://{tmp_path}/artefacts")
    draws = [drawing(each) for each in (store, other)]
    limits = [RateLimits(draw, {"read": Rate(rate, burst)}) for draw, _ in draws]
    began = time.monotonic()
    passed = sum(await asyncio.gather(*(flood(one, 1.5) for one in limits for _ in range(4))))
    seconds = time.monotonic() - began
    other.close()
    most = burst + rate * (seconds + 0.1)
    assert burst <= passed <= most
    assert passed >= 0.8 * (burst + rate * 1.5) - 8
    if burst >= 32:
        assert sum(len(made) for _, made in draws) < passed


async def flood(limits: RateLimits, seconds: float) -> int:
    """Requests that passed in this time, sent as fast as they are answered."""
    passed, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        try:
            await limits.take("read", "ada")
            passed += 1
        except TooBusy:
            await asyncio.sleep(0.02)
    return passed


async def test_the_clock_of_a_replica_gives_nothing(store: Store) -> None:
    """Purses are forfeited, not saved: after an idle hour one burst is there, not two."""
    now = [0.0]
    draw, _ = drawing(store)
    limits = RateLimits(draw, {"read": Rate(1e-6, 32)}, clock=lambda: now[0])
    await limits.take("read", "ada")
    now[0] += 3600
    passed = 1 + await until_refused(limits)
    assert passed <= 32


async def until_refused(limits: RateLimits) -> int:
    """Requests that pass before one does not."""
    for passed in range(1000):
        try:
            await limits.take("read", "ada")
        except TooBusy:
            return passed
    return 1000
