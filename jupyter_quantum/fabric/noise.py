"""Noise of a device from its Target, of the operations that a circuit has.

The noise model of a whole device takes seconds to build and to use. Restricted to what is done, on the qubits where it
is done, with their indices kept, it gives the same bits for the same seed in milliseconds.
"""

from __future__ import annotations

import warnings
from typing import Any, Final

from qiskit.providers import BackendV2, Options
from qiskit.transpiler import Target
from qiskit_aer.noise import NoiseModel

from jupyter_quantum.fabric.isa import restricted

__all__ = ["noise_of", "widest"]

_AMPLITUDE: Final = 16
"""Bytes of a complex number."""
_STATES: Final = {"automatic": 1, "statevector": 1, "density_matrix": 2}
"""Method → how often the number of qubits stands in the exponent of what it keeps. Where not all is Clifford, Aer's
automatic choice is one of the other two, whether or not there is room."""


def noise_of(target: Target, done: frozenset[tuple[str, tuple[int, ...]]]) -> NoiseModel:
    """Qiskit Aer's model of the Target's errors of what is ``done``; ideal where the Target names none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return NoiseModel.from_backend(_Snapshot(restricted(target, done)))


def widest(method: str, memory_mb: int) -> int | None:
    """The most qubits in use whose state has room in ``memory_mb`` MiB; None where ``method`` keeps no whole state."""
    if method not in _STATES:
        return None
    amplitudes = (memory_mb << 20) // _AMPLITUDE
    return (amplitudes.bit_length() - 1) // _STATES[method]


class _Snapshot(BackendV2):  # type: ignore[misc]  # Qiskit ships no types
    """What ``NoiseModel.from_backend`` reads: a Target."""

    def __init__(self, target: Target) -> None:
        super().__init__(name="snapshot")
        self._restricted = target

    @property
    def target(self) -> Target:
        return self._restricted

    @property
    def max_circuits(self) -> None:
        return

    @classmethod
    def _default_options(cls) -> Options:
        return Options()

    def run(self, run_input: Any, **options: Any) -> Any:
        raise TypeError("a snapshot is only read")
