"""The sets of circuits that devices are measured with: read from a file, never parsed, and what counts say of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Final

from pydantic import ValidationError

from jupyter_quantum.charts import wilson
from jupyter_quantum.core.series import agreement
from jupyter_quantum.exceptions import InputError, JobFailed
from jupyter_quantum.resources import resource
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.results import Experiment, ResultView
from jupyter_quantum.wire.series import CircuitSet, CircuitSets, Figure, SeriesCircuit

__all__ = ["PACKAGED", "figures", "mean", "read_sets", "width"]

PACKAGED: Final = "hub_config/series/circuits.json"
_PASSES: Final = 2 / 3
"""Share of right answers that a width needs, as in quantum volume (A. Cross et al., Phys. Rev. A 100, 032328, 2019)."""


def read_sets(path: Path | None) -> list[CircuitSet]:
    """The sets of a file (the packaged one where None), the widest first.

    Raises:
        InputError: ``config``; the file is not there, is none, or its circuits are not those that its digests name.
    """
    where = path or resource(PACKAGED)
    try:
        found = CircuitSets.model_validate_json(where.read_bytes()).sets
    except (OSError, ValidationError) as error:
        raise InputError(
            f"{where.name} holds no sets of circuits: {str(error).splitlines()[0]}.",
            code="config",
            hint="Make it with: jupyter quantum series make.",
        ) from None
    for one in found:
        if digest_of(one.qpy) != one.qpy_digest or not one.circuits:
            raise InputError(f"The circuits of {one.name} are not those of their digest.", code="config")
    return sorted(found, key=lambda one: -one.num_qubits)


def figures(circuits: CircuitSet, result: ResultView) -> list[Figure]:
    """What a result says, circuit by circuit. Raises JobFailed ``series.result`` where it does not fit the set."""
    if len(result.experiments) != len(circuits.circuits):
        raise _misfit(f"{len(result.experiments)} results of {len(circuits.circuits)} circuits")
    return [_figure(*pair) for pair in zip(circuits.circuits, result.experiments, strict=True)]


def _figure(circuit: SeriesCircuit, found: Experiment) -> Figure:
    try:
        counts = {int(outcome, 16): count for outcome, count in (found.counts or {}).items()}
        ideal = {int(outcome, 16): share for outcome, share in circuit.ideal.items()}
        value = agreement(counts, ideal)
    except ValueError as error:
        raise _misfit(f"{circuit.name}: {error}") from None
    shots = sum(counts.values())
    low, high = wilson(value, shots)
    told = circuit.model_dump(exclude={"ideal"})
    return Figure(**told, value=value, low=min(low, value), high=max(high, value), shots=shots)


def _misfit(why: str) -> JobFailed:
    return JobFailed(f"The result does not fit the set of circuits: {why}.", code="series.result")


def mean(found: list[Figure], measure: str | None = None) -> float | None:
    """Mean of the figures (of this measure); None where there are none."""
    values = [one.value for one in found if measure is None or one.measure == measure]
    return fmean(values) if values else None


def width(found: list[Figure]) -> int:
    """Qubits of the widest mirror circuit that passes as all narrower ones do; 0 where none does."""
    lows: dict[int, float] = {}
    for one in found:
        if one.family == "mirror":
            lows[one.num_qubits] = min(one.low, lows.get(one.num_qubits, 1.0))
    return _last_passing(lows)


def _last_passing(lows: Mapping[int, float]) -> int:
    widest = 0
    for qubits in sorted(lows):
        if lows[qubits] <= _PASSES:
            break
        widest = qubits
    return widest
