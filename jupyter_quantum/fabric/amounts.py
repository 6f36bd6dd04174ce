"""Numbers in a circuit: finite, and no larger than anything that a device could mean.

A rotation by *not a number* passes every transpiler and comes out of a simulator as a distribution that is none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit.classical import types

from jupyter_quantum.exceptions import CircuitRejected
from jupyter_quantum.fabric.refusals import clean, refusal

__all__ = ["check_declared", "check_numbers", "check_power"]

_MOST: Final = 1e12
_BITS: Final = 64
"""Width of a whole number, as in texts."""


def check_numbers(name: str, values: Iterable[Any]) -> None:
    """Raise :class:`CircuitRejected` (``circuit.number``) where a value of the gate ``name`` is not finite, or huge."""
    for value in values:
        if isinstance(value, np.ndarray):
            fine = value.dtype.kind not in "fc" or bool(np.isfinite(value).all())
        elif isinstance(value, complex):
            fine = math.isfinite(value.real) and math.isfinite(value.imag)
        else:
            fine = not isinstance(value, float | int | np.floating | np.integer) or abs(float(value)) <= _MOST
        if not fine:  # a comparison with not-a-number is false, so that it ends here, too
            raise _not_a_number(f"The gate `{clean(name, 60)}` has")


def check_declared(circuit: QuantumCircuit) -> None:
    """The same for a circuit's phase; its variables must be bits or numbers of up to 64 bits, and need no input."""
    phase = circuit.global_phase
    if isinstance(phase, float | int) and not abs(phase) <= _MOST:
        raise _not_a_number("The circuit's global phase is")
    inputs = [one.name for one in circuit.iter_input_vars()]
    if inputs:
        raise refusal(
            "unbound",
            f"The circuit waits for an input (`{clean(inputs[0], 60)}`), and nothing can give it one.",
            "Declare it as a variable with a value.",
        )
    for one in circuit.iter_declared_vars():
        if isinstance(one.type, types.Uint) and one.type.width > _BITS:
            raise refusal(
                "too_large", f"The variable `{clean(one.name, 60)}` has {one.type.width:,} bits; at most 64 do."
            )


def check_power(name: str, power: float, most: int) -> None:
    """Raise where a gate is to be repeated more often than ``most``, or a number of times that is none."""
    if not abs(power) <= most:
        raise refusal(
            "too_large", f"The gate `{clean(name, 60)}` is raised to a power over {most}.", "Repeat it in a loop."
        )


def _not_a_number(what: str) -> CircuitRejected:
    return refusal("number", f"{what} a number that is infinite, not a number, or over 10¹².", "Compute it again.")
