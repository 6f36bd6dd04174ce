"""A look ahead: ideal and noisy counts of a small circuit, and its drawing."""

from __future__ import annotations

import re
from typing import Final

from qiskit import QuantumCircuit
from qiskit.result import Result

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.fabric.adapters import Device
from jupyter_quantum.fabric.adapters.base import RunOptions
from jupyter_quantum.fabric.isa import active_qubits
from jupyter_quantum.fabric.prepare import Executable
from jupyter_quantum.fabric.pubs import sampler_pub
from jupyter_quantum.wire.jobs import DryRun
from jupyter_quantum.wire.runner import Prepared

__all__ = ["draw", "dry_run"]

_WIDEST: Final = 12
_SHOTS: Final = 1000
_OPERATIONS: Final = 2000
_DRAWN_GATES: Final = 120
_DRAWN_QUBITS: Final = 16
_UNSAFE: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def dry_run(device: Device, prepared: Prepared, executable: Executable, memory_mb: int) -> DryRun:
    """Counts of the first circuit without and with the device's noise, as fractions; or a note why there are none."""
    first = prepared.pubs[0].circuit if prepared.pubs else 0
    circuit = executable.circuits[first]
    shots = min(_SHOTS, prepared.shots)
    note = _objection(circuit, prepared)
    if note is not None:
        return DryRun(device=device.name, shots=0, note=note)
    if prepared.pubs and circuit.num_parameters:
        values = sampler_pub(prepared.pubs[0], circuit, shots).parameter_values
        circuit = values.bind(circuit, tuple(0 for _ in values.shape))
    options = RunOptions(shots, prepared.options.get("seed_simulator"), memory_mb=memory_mb)
    ideal = _fractions(device.run([circuit], options, ideal=True), shots)
    noisy = {} if device.device_kind is DeviceKind.SIMULATOR else _fractions(device.run([circuit], options), shots)
    return DryRun(device=device.name, shots=shots, ideal=ideal, noisy=noisy)


def _objection(circuit: QuantumCircuit, prepared: Prepared) -> str | None:
    if not any(found.operation.name == "measure" for found in circuit.data):
        return "The circuit measures nothing by itself, so there are no counts to compare."
    width = len(active_qubits([circuit]))
    if width > _WIDEST:
        return f"Too wide for a dry run: {width} qubits are in use, {_WIDEST} are the most."
    if prepared.operations > _OPERATIONS:
        return f"Too long for a dry run: {prepared.operations:,} gates, {_OPERATIONS:,} are the most."
    return None


def _fractions(result: Result, shots: int) -> dict[str, float]:
    if not result.success:
        return {}
    return {str(bits): count / shots for bits, count in sorted(result.get_counts(0).items())}


def draw(circuit: QuantumCircuit) -> str:
    """The circuit as plain text; empty where it is too large to be read. Holds no control characters."""
    if circuit.num_qubits > _DRAWN_QUBITS or circuit.size() > _DRAWN_GATES or circuit.num_clbits > 4 * _DRAWN_QUBITS:
        return ""
    try:
        text = str(circuit.draw("text", fold=110))
    except Exception:
        return ""  # a drawing is a courtesy; hostile names must not cost the report
    return _UNSAFE.sub("\ufffd", text)[:20_000]
