"""Numbers as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.money import CREDIT, Cost, PriceList, credits_to_micro

_CEST = timezone(timedelta(hours=2), "CEST")


@pytest.mark.parametrize(
    ("micro", "text"),
    [(0, "free"), (1, "<0.01"), (420_000, "0.42"), (6_100_001, "6.11"), (1_234_500_000, "1\u202f234.50"), (None, "–")],
)
def test_price_rounds_up(micro: int | None, text: str) -> None:
    """A price is never shown lower than it is."""
    assert words.price(micro) == text


@given(st.integers(min_value=0, max_value=10**15))
def test_left_never_promises_more_than_there_is(micro: int) -> None:
    """What is left, read back, is at most what the ledger holds, and less by under a hundredth."""
    shown = Decimal(words.left(micro).replace("\u202f", "")) * CREDIT
    assert 0 <= micro - shown < CREDIT // 100


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.2, "<1 s"),
        (45, "45 s"),
        (59.7, "1 min"),
        (180, "3 min"),
        (3599, "1 h"),
        (4800, "1 h 20 min"),
        (86399, "1 d"),
        (97200, "1 d 3 h"),
        (None, "–"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    """Durations carry one or two units and never show sixty of the smaller one."""
    assert words.seconds(value) == text


def test_moment_names_the_day_only_when_it_is_another() -> None:
    """Today needs a clock; another day needs its date."""
    now = datetime(2026, 5, 11, 9, 0, tzinfo=_CEST)
    assert words.moment(now.replace(hour=14, minute=32), now) == "14:32 CEST"
    assert words.moment(now.replace(day=12, hour=14, minute=32), now) == "Tue 12 May 14:32 CEST"
    assert words.moment(now.replace(year=2025, month=2, day=26), now) == "26 Feb 2025 09:00 CEST"
    there = now.astimezone(UTC)
    assert words.moment(there, there) == f"{there:%H:%M} UTC"


def test_counted_things() -> None:
    """One has no s; thousands have a narrow no-break space."""
    assert words.shots(1) == "1 shot"
    assert words.shots(10_000) == "10\u202f000 shots"
    assert words.with_range(0.94, 0.92, 0.957) == "0.94 (0.92–0.96)"


@pytest.mark.parametrize(
    ("amount", "micro"),
    [(0.42, 420_000), ("6.1", 6_100_000), (5, 5_000_000), ("0.0000001", 1), (Decimal("0.1"), 100_000)],
)
def test_credits_to_micro(amount: float | str | Decimal, micro: int) -> None:
    """A float means its shortest text, and a fraction of a micro-credit is rounded up."""
    assert credits_to_micro(amount) == micro


def test_price_of_a_run() -> None:
    """A thousand shots on the demo's emulator: 0.42 credits, at most 0.45."""
    prices = PriceList(per_task=20_000, per_shot=400, per_second=500)
    assert prices.cost(tasks=1, executions=1000, seconds=0, seconds_at_most=60) == Cost(420_000, 450_000)
    assert not prices.free
    assert PriceList().free


@given(st.floats(min_value=0, max_value=1e5), st.floats(min_value=0, max_value=1e5), st.integers(0, 10**6))
def test_a_longer_run_never_costs_less(first: float, second: float, executions: int) -> None:
    """Price grows with time, and the upper bound is never below the estimate."""
    prices = PriceList(per_task=1, per_shot=3, per_second=7)
    low, high = sorted((first, second))
    cost = prices.cost(tasks=2, executions=executions, seconds=low, seconds_at_most=high)
    assert cost.estimate <= cost.at_most
    assert prices.cost(tasks=2, executions=executions, seconds=high, seconds_at_most=low).at_most >= cost.estimate


def test_what_is_spent_rounds_up_and_nothing_is_a_number() -> None:
    """What is on hold reads like the price that put it there, and nothing is not called free."""
    assert [words.spent(micro) for micro in (0, 1, 6_577_001)] == ["0.00", "<0.01", "6.58"]


def test_each_state_has_one_word() -> None:
    """A rule refuses, a person rejects; the other words are the same in every view."""
    assert words.job_state(JobState.REJECTED, "policy.refused") == "refused"
    assert words.job_state(JobState.REJECTED, "approval.rejected") == "rejected"
    assert words.job_state(JobState.REJECTED) == "refused"
    assert words.job_state(JobState.QUEUED) == "waiting"
    assert not [state for state in JobState if "_" in words.job_state(state)]
