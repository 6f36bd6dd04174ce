"""The test behind the proof sdk-parity: two samples of one distribution pass, those of two do not."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.prove.two_samples import p_value

LEAST = 1e-4


def sample(chances: np.ndarray, shots: int, seed: int) -> Counter[int]:
    """Counts of so many shots."""
    drawn = np.random.default_rng(seed).multinomial(shots, chances)
    return Counter({at: int(times) for at, times in enumerate(drawn) if times})


def noisy(peak: float, outcomes: int = 64) -> np.ndarray:
    """Two outcomes that share ``peak``, the rest spread over the others."""
    chances = np.full(outcomes, (1 - peak) / (outcomes - 2))
    chances[[0, -1]] = peak / 2
    return chances


def test_one_distribution_passes() -> None:
    """Of 60 pairs from one distribution none falls below the level of one case, and p-values are spread evenly."""
    values = [
        p_value(sample(noisy(0.8), 2000, at), sample(noisy(0.8), 2000, at + 1000), LEAST, at) for at in range(200)
    ]
    assert min(values) > LEAST
    assert 0.35 < float(np.mean(values)) < 0.65


@pytest.mark.parametrize(("peak", "shots"), [(0.65, 2000), (0.4, 400)])
def test_another_distribution_does_not(peak: float, shots: int) -> None:
    """Noise of another strength, as from another device, is found at the level of one case among a hundred."""
    assert p_value(sample(noisy(0.8), shots, 1), sample(noisy(peak), shots, 2), LEAST, 3) < LEAST


def test_bits_in_another_order_are_found() -> None:
    """One outcome that is told as another one cannot pass, however few outcomes there are."""
    assert p_value({1: 2000}, {2: 2000}, LEAST, 3) < LEAST
    assert p_value({1: 2000}, {1: 2000}, LEAST, 3) == 1.0
