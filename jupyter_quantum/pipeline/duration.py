"""Whether a run will end within the time that its device gives it, as far as that can be told beforehand.

Only simulations are refused for it: their range is wide, and where even its low end is over the limit the run could
only be stopped. A vendor's machine is not stopped for what a model of its gates says.
"""

from __future__ import annotations

import math
from typing import Final

from jupyter_quantum.core import words
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import CircuitRejected
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.wire.runner import Method, Prepared

__all__ = ["check_time", "rests_on", "warning"]

_METHODS: Final[dict[Method, str]] = {
    "statevector": "one state",
    "trajectories": "a state for each shot",
    "density_matrix": "a density matrix",
    "stabilizer": "Clifford circuits",
    "matrix_product_state": "a matrix product state",
    "other": "the device's own simulator",
}


def check_time(device: Device, kind: JobKind, prepared: Prepared) -> None:
    """Raise CircuitRejected where the simulation would take longer than the device's limit at the very least."""
    seconds, simulation = prepared.seconds, prepared.simulation
    if device.words.remote or seconds is None or simulation is None or seconds.low <= device.max_seconds:
        return
    shots = _fitting(prepared, device.max_seconds)
    raise CircuitRejected(
        f"{device.name} would take {words.seconds(seconds.low)} or longer to simulate this "
        f"({words.plural(simulation.qubits, 'qubit')} in use, {_METHODS[simulation.method]}); a run there may take "
        f"{words.seconds(device.max_seconds)}.",
        code="circuit.too_long_to_simulate",
        hint=_hint(kind, shots),
        details={
            "seconds_at_least": math.floor(seconds.low),
            "max_seconds": device.max_seconds,
            "num_qubits": simulation.qubits,
            "most_shots": shots,
        },
    )


def _fitting(prepared: Prepared, most_s: float) -> int:
    """So many shots of one circuit would probably end in time, rounded down to one digit; 0 where none would."""
    assert prepared.seconds is not None
    assert prepared.simulation is not None
    fixed = prepared.simulation.fixed
    each = (prepared.seconds.value - fixed) / max(prepared.shots, 1)
    if each <= 0 or fixed >= most_s:
        return 0
    found = math.floor((most_s - fixed) / each)
    digit = int(10 ** (len(str(found)) - 1))
    return found // digit * digit


def _hint(kind: JobKind, shots: int) -> str:
    smaller = "fewer qubits, or fewer gates"
    if not shots:
        return f"Use {smaller}, or another device."
    fewer = f"at most {words.shots(shots)}"
    if kind is JobKind.ESTIMATOR:
        fewer = f"a precision of {min(1.0, math.ceil(1000 / math.sqrt(shots)) / 1000):g} or coarser"
    return f"Use {fewer}, {smaller}."


def warning(device: Device, prepared: Prepared) -> str | None:
    """What to say where the simulation may end in time, and may not; None where it will."""
    seconds = prepared.seconds
    if device.words.remote or seconds is None or prepared.simulation is None or seconds.high <= device.max_seconds:
        return None
    return (
        f"may take up to {words.seconds(seconds.high)}; after {words.seconds(device.max_seconds)} it is stopped, and "
        "gives no result"
    )


def rests_on(prepared: Prepared) -> str | None:
    """What the estimate of seconds is taken from."""
    if prepared.seconds is None:
        return None
    found = prepared.simulation
    if found is None:
        return "durations of its gates, and the shots"
    size = words.plural(found.qubits, "qubit")
    return f"what simulating takes on its runner's machine: {_METHODS[found.method]}, {size} in use"
