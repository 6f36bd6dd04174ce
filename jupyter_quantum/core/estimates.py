"""Numbers with a range: fractions, success probability, run time. Pure standard library.

Unknown is None, never zero: an estimate that rests on a missing number is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, fsum, log1p, sqrt
from statistics import NormalDist

__all__ = ["Range", "run_time", "success", "wilson"]


@dataclass(frozen=True, slots=True)
class Range:
    """A value and the range that it lies in with the confidence that was asked for."""

    value: float
    low: float
    high: float


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError("confidence lies between 0 and 1")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(hits: int, tries: int, confidence: float = 0.95) -> Range | None:
    """Range of the probability behind ``hits`` of ``tries``; None for no tries.

    The score interval: it stays within [0, 1] and is sound for few tries and rare hits. (E. B. Wilson, *Probable
    Inference, the Law of Succession, and Statistical Inference*, 1927.)
    """
    if not 0 <= hits <= tries:
        raise ValueError("hits lie between 0 and tries")
    if tries == 0:
        return None
    z, share = _z(confidence), hits / tries
    scale = 1 + z * z / tries
    middle = (share + z * z / (2 * tries)) / scale
    half = z / scale * sqrt(share * (1 - share) / tries + z * z / (4 * tries * tries))
    low = 0.0 if hits == 0 else max(0.0, middle - half)
    high = 1.0 if hits == tries else min(1.0, middle + half)
    return Range(share, low, high)


def success(
    errors: Iterable[float | None], *, samples: int = 1_000, drift: float = 0.2, confidence: float = 0.95
) -> Range | None:
    """The chance that no modelled error occurs: the product of ``1 - error`` over all gates and readouts.

    Args:
        errors: one error probability for each operation as it is executed; an unknown one (None) makes the answer None.
        samples: executions behind each calibrated number; its statistical error follows from them.
        drift: relative standard deviation of a device's errors between calibrations. It moves all of them alike and
            therefore does not average out.
        confidence: of the range.
    """
    known: list[float] = []
    for error in errors:
        if error is None:
            return None
        if error >= 1:
            return Range(0.0, 0.0, 0.0)
        known.append(max(0.0, error))
    total = fsum(log1p(-error) for error in known)
    # log(1 - e) has the derivative -1 / (1 - e); a calibrated e has the variance e (1 - e) / samples.
    statistical = fsum(error / (1 - error) for error in known) / samples
    half = _z(confidence) * sqrt(statistical + (drift * total) ** 2)
    return Range(exp(total), exp(total - half), min(1.0, exp(total + half)))


def run_time(
    durations: Sequence[float | None], shots: int, *, reset: float = 250e-6, overhead: float = 2.0, spread: float = 0.3
) -> Range | None:
    """Seconds on a device for circuits whose single shots last ``durations`` seconds, each run ``shots`` times.

    Args:
        durations: length of one shot of each circuit (its critical path, readout included); None where unknown.
        shots: of each circuit.
        reset: seconds from the end of a shot to the start of the next.
        overhead: seconds for loading and reading a job, whatever it holds.
        spread: relative half-width of the range.
    """
    lengths = [length for length in durations if length is not None]
    if len(lengths) != len(durations) or not lengths:
        return None
    value = overhead + shots * fsum(length + reset for length in lengths)
    return Range(value, value * (1 - spread), value * (1 + spread))
