"""Benchmark series: under which conditions runs may be compared, and how far counts agree with what they should be.

A *series* is a set of circuits on a device under fixed conditions: options and shots, the device's calibration, the
compiler with its level and seed. Where one of these changes, another series begins: a trend runs through one only.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["COMPILER", "Conditions", "agreement"]

COMPILER: Final = ("name", "version", "level", "seed")
"""What of a compiler's record makes another series; the layouts that it found do not."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What two runs must share to be in one series."""

    device: str
    circuits: str
    """Digest of the set."""
    options: Mapping[str, Any]
    """As they were asked for."""
    calibration: str
    """Digest of the calibration."""
    compiler: Mapping[str, Any]
    """As the worker recorded it; only :data:`COMPILER` of it counts."""

    @property
    def compiled(self) -> dict[str, Any]:
        """What counts of the compiler."""
        return {name: self.compiler.get(name) for name in COMPILER}

    @property
    def key(self) -> str:
        """Digest of all of it: the same key, the same series."""
        whole = [self.device, self.circuits, dict(self.options), self.calibration, self.compiled]
        text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def agreement(counts: Mapping[int, int], ideal: Mapping[int, float]) -> float:
    """Hellinger fidelity (0…1) of counts and ideal shares: the squared sum of ``sqrt(share · ideal)``.

    Where one outcome is the right one it is the share of the shots that gave it. In ``n`` shots its variance is to
    first order ``F (1 - F) / n`` (delta method), that of a share, so that an interval of a share holds for it as well.

    Raises:
        ValueError: no counts, or negative ones.
    """
    shots = sum(counts.values())
    if shots <= 0 or min(counts.values()) < 0:
        raise ValueError("there are no counts")
    overlap = math.fsum(math.sqrt(count / shots * ideal.get(outcome, 0.0)) for outcome, count in counts.items())
    return min(1.0, round(overlap * overlap, 12))  # beyond that it is the roots that are rounded
