"""How near the estimated success is to what noisy simulation finds.

Mirror circuits have one right answer, so that success means one thing: how often the known bit string comes back. Other
families have none; for them the share of the two distributions, ideal and noisy, that is common is shown beside.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence

import numpy as np
from qiskit import QuantumCircuit

from jupyter_quantum.fabric.adapters import Device
from jupyter_quantum.fabric.adapters.base import RunOptions
from jupyter_quantum.mirror import mirror_circuit
from jupyter_quantum.testing.bench import Measurement
from jupyter_quantum.testing.bench.devices import built

__all__ = ["GOALS", "fidelity", "spearman"]

GOALS = {"spearman": 0.98, "mean_error": 0.02}
_WIDTHS = range(2, 13)
_FAMILIES = ("ghz", "wstate", "graphstate", "qft")
_FAMILY_QUBITS = 4
_LEVEL = 2


def fidelity(*, shots: int = 2000, devices: Sequence[Device] | None = None) -> Measurement:
    """Compare estimates with noisy simulation over twelve devices; ``shots`` of each circuit."""
    found = Measurement("fidelity", dict(GOALS), floors=frozenset({"spearman"}))
    rows = [row for device in devices or built() for row in _mirrors(device, shots)]
    estimates, seen = [one for one, *_ in rows], [one for _, _, _, one in rows]
    errors = [abs(estimate - share) for estimate, share in zip(estimates, seen, strict=True)]
    found.figures["spearman"] = spearman(estimates, seen)
    found.figures["mean_error"] = statistics.fmean(errors)
    inside = [low - _slack(share, shots) <= share <= high + _slack(share, shots) for _, low, high, share in rows]
    found.figures["covered"] = sum(inside) / len(inside)
    found.notes.append(f"{len(rows)} mirror circuits of 2 to 12 qubits, {shots} shots; largest error {max(errors):.3f}")
    for family in _FAMILIES:
        found.notes.append(_family(family, devices or built(), shots))
    return found


def _slack(share: float, shots: int) -> float:
    """What sampling alone may add, two standard errors."""
    return 2 * math.sqrt(share * (1 - share) / shots)


def _mirrors(device: Device, shots: int) -> Iterator[tuple[float, float, float, float]]:
    """Estimate, its range, and the share of the expected outcome, for each width."""
    for width in _WIDTHS:
        if width > device.num_qubits:
            continue
        mirror = mirror_circuit(width, 1 + width % 3, seed=width)
        (circuit,) = device.compile([mirror.circuit], _LEVEL, 0)
        estimate = device.success(circuit)
        assert estimate is not None  # the snapshots know every error
        counts = device.run([circuit], RunOptions(shots, 11)).get_counts(0)
        yield estimate.value, estimate.low, estimate.high, counts.get(mirror.expected, 0) / shots


def spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Correlation of the ranks; ties share their mean rank."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: Sequence[float]) -> list[float]:
    places: dict[float, list[int]] = {}
    for place, value in enumerate(sorted(values)):
        places.setdefault(value, []).append(place)
    return [statistics.fmean(places[value]) for value in values]


def _family(name: str, devices: Sequence[Device], shots: int) -> str:
    """A line about circuits without one right answer."""
    from mqt.bench import BenchmarkLevel, get_benchmark

    source: QuantumCircuit = get_benchmark(name, BenchmarkLevel.ALG, _FAMILY_QUBITS)
    pairs = []
    for device in devices:
        (circuit,) = device.compile([source], _LEVEL, 0)
        estimate = device.success(circuit)
        assert estimate is not None
        ideal = device.run([circuit], RunOptions(shots, 11), ideal=True).get_counts(0)
        noisy = device.run([circuit], RunOptions(shots, 11)).get_counts(0)
        common = sum(min(ideal.get(bits, 0), noisy.get(bits, 0)) for bits in ideal) / shots
        pairs.append((estimate.value, common))
    above = statistics.fmean(common - estimate for estimate, common in pairs)
    return (
        f"{name} ({_FAMILY_QUBITS} qubits): common share {above:+.3f} beside the estimate, mean of {len(pairs)} devices"
    )
