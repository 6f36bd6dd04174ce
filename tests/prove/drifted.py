"""A small emulator whose calibration can be made worse, and one that does not do what its calibration says."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from qiskit import QuantumCircuit
from qiskit.providers import BackendV2, Options
from qiskit.transpiler import InstructionProperties, Target
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel
from qiskit_ibm_runtime.fake_provider import FakeBelemV2

__all__ = ["Emulator"]


class Emulator(BackendV2):  # type: ignore[misc]  # Qiskit ships no types
    """A snapshot of five qubits with ``worse`` times its errors.

    Args:
        worse: factor on each error of the calibration, and of the simulation.
        flips: whether the first classical bit is read the wrong way round, which no calibration admits.
    """

    def __init__(self, worse: float = 1.0, *, flips: bool = False) -> None:
        super().__init__(name="drifting", description="an emulator that drifts")
        self._worsened = _worsened(FakeBelemV2().target, worse)
        self._flips = flips
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            noise = NoiseModel.from_backend(self)
        self._simulator = AerSimulator(noise_model=noise, max_parallel_threads=1)

    @property
    def target(self) -> Target:
        """The worsened calibration."""
        return self._worsened

    @property
    def max_circuits(self) -> None:
        """Any number."""
        return

    @classmethod
    def _default_options(cls) -> Options:
        return Options(shots=1024, memory=False, seed_simulator=None)

    def run(self, run_input: QuantumCircuit | Sequence[QuantumCircuit], **options: Any) -> Any:
        """Simulate with the noise of the calibration."""
        circuits = [run_input] if isinstance(run_input, QuantumCircuit) else list(run_input)
        if self._flips:
            circuits = [_flipped(circuit) for circuit in circuits]
        return self._simulator.run(circuits, **options)


def _worsened(target: Target, worse: float) -> Target:
    made = Target(num_qubits=target.num_qubits, dt=target.dt, qubit_properties=target.qubit_properties)
    for name in target.operation_names:
        known = target[name]
        if None in known or name in ("delay", "reset"):
            continue
        made.add_instruction(
            target.operation_from_name(name),
            {
                where: one and InstructionProperties(one.duration, one.error and min(0.45, one.error * worse))
                for where, one in known.items()
            },
            name=name,
        )
    return made


def _flipped(circuit: QuantumCircuit) -> QuantumCircuit:
    """The same circuit with an X before its first measurement."""
    made = circuit.copy_empty_like()
    done = False
    for found in circuit.data:
        if found.name == "measure" and not done:
            made.x(found.qubits[0])
            done = True
        made.append(found)
    return made
