"""Ranges against what is known of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_quantum.core.estimates import Range, run_time, success, wilson


def test_wilson_is_the_textbooks() -> None:
    """Agresti and Coull's example: 0 of 10 and 10 of 20 at 95 %."""
    none, half = wilson(0, 10), wilson(10, 20)
    assert none is not None
    assert half is not None
    assert (none.value, none.low, round(none.high, 4)) == (0.0, 0.0, 0.2775)
    assert (round(half.low, 4), round(half.high, 4)) == (0.2993, 0.7007)


def test_no_tries_are_unknown() -> None:
    """Nothing was seen: None, not zero."""
    assert wilson(0, 0) is None


@pytest.mark.parametrize(("hits", "tries", "confidence"), [(3, 2, 0.9), (-1, 2, 0.9), (1, 2, 1.0), (1, 2, 0.0)])
def test_nonsense_is_refused(hits: int, tries: int, confidence: float) -> None:
    """More hits than tries, or certainty."""
    with pytest.raises(ValueError, match="between"):
        wilson(hits, tries, confidence)


@given(tries=st.integers(1, 10_000), share=st.floats(0, 1), confidence=st.floats(0.5, 0.999))
def test_ranges_hold_their_value(tries: int, share: float, confidence: float) -> None:
    """Within [0, 1], around the value, wider with more confidence, mirrored for the opposite."""
    hits = round(share * tries)
    found, wider, other = (
        wilson(hits, tries, confidence),
        wilson(hits, tries, 0.9995),
        wilson(tries - hits, tries, confidence),
    )
    assert found is not None
    assert wider is not None
    assert other is not None
    assert 0 <= wider.low <= found.low <= found.value + 1e-12
    assert found.value - 1e-12 <= found.high <= wider.high <= 1
    assert other.low == pytest.approx(1 - found.high, abs=1e-9)


def test_wilson_covers() -> None:
    """Of many repetitions about 95 in 100 ranges hold the truth."""
    rng = random.Random(7)
    held = 0
    for _ in range(2000):
        found = wilson(sum(rng.random() < 0.1 for _ in range(60)), 60)
        assert found is not None
        held += found.low <= 0.1 <= found.high
    assert 0.93 < held / 2000 < 0.975


def test_success_is_the_product() -> None:
    """Without any uncertainty left it is exactly the product of what goes right."""
    found = success([0.01, 0.02, 0.0], samples=10**12, drift=0.0)
    assert found is not None
    assert found.value == pytest.approx(0.99 * 0.98)
    assert found.high - found.low < 1e-6


def test_unknown_errors_make_success_unknown() -> None:
    """A missing calibration is not a perfect gate."""
    assert success([0.01, None]) is None


def test_a_dead_gate_never_succeeds() -> None:
    """Devices mark dead edges with an error of 1 or more."""
    assert success([0.01, 1.0]) == Range(0.0, 0.0, 0.0)


def test_nothing_to_do_always_succeeds() -> None:
    """No operation, no error."""
    assert success([]) == Range(1.0, 1.0, 1.0)


@given(errors=st.lists(st.floats(0, 0.3), max_size=60), samples=st.integers(50, 10**6), drift=st.floats(0, 0.5))
def test_success_ranges_are_sound(errors: list[float], samples: int, drift: float) -> None:
    """Within [0, 1], around the value, and no narrower with fewer samples or more drift."""
    found = success(errors, samples=samples, drift=drift)
    worse = success(errors, samples=samples // 2, drift=drift * 1.5)
    assert found is not None
    assert worse is not None
    assert 0 <= worse.low <= found.low <= found.value <= found.high <= worse.high <= 1


def test_success_covers() -> None:
    """When calibrations are drawn as assumed, about 95 in 100 ranges hold the true product."""
    rng = random.Random(11)
    truth = [0.01] * 20 + [0.03] * 4
    target = 0.99**20 * 0.97**4
    held = 0
    for _ in range(600):
        seen = [sum(rng.random() < error for _ in range(400)) / 400 for error in truth]
        found = success(seen, samples=400, drift=0.0)
        assert found is not None
        held += found.low <= target <= found.high
    assert held / 600 > 0.92


def test_run_time_adds_up() -> None:
    """Overhead, and for each shot its length and the pause after it."""
    found = run_time([1e-6, 3e-6], 1000, reset=250e-6, overhead=2.0, spread=0.3)
    assert found is not None
    assert found.value == pytest.approx(2.504)
    assert [found.low, found.high] == pytest.approx([0.7 * 2.504, 1.3 * 2.504])


@pytest.mark.parametrize("durations", [[], [1e-6, None]])
def test_unknown_lengths_are_unknown_times(durations: list[float | None]) -> None:
    """One circuit of unknown length makes the whole unknown."""
    assert run_time(durations, 100) is None
