"""A look ahead: ideal and noisy counts of the first circuit, and its drawing.

Small circuits run on Aer with the noise of the qubits that they touch: the very circuit, the very noise. A Clifford
circuit of any width runs on stim, with errors as :mod:`.stabilizer` describes. What is too wide or too long for Aer is
replaced by a Clifford *stand-in* of the same layout, and said to be.
"""

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
from jupyter_quantum.fabric.stabilizer import sampled
from jupyter_quantum.wire.reports import DryRun
from jupyter_quantum.wire.runner import Prepared

__all__ = ["draw", "dry_run"]

_WIDEST: Final = 12
"""Qubits that Aer simulates with noise in seconds."""
_QUICK: Final = 5
"""Qubits up to which Aer's exact noise costs no more time than stim's approximation saves."""
_SHOTS: Final = 1000
_OPERATIONS: Final = 2000
_LONGEST: Final = 50_000
"""Gates that are written down for stim."""
_PAULI: Final = "Noise as random Pauli errors, as likely as the calibration says."
_STAND_IN: Final = (
    "Too {what} to simulate, so this dry run uses a Clifford stand-in with the same layout. Not your circuit's result."
)
_DRAWN_GATES: Final = 120
_DRAWN_QUBITS: Final = 16
_UNSAFE: Final = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def dry_run(device: Device, prepared: Prepared, executable: Executable, memory_mb: int) -> DryRun:
    """Counts of the first circuit without and with the device's noise, as fractions; or a note why there are none."""
    first = prepared.pubs[0].circuit if prepared.pubs else 0
    circuit = executable.circuits[first]
    shots = min(_SHOTS, prepared.shots)
    if not any(found.name == "measure" for found in circuit.data):
        note = "The circuit measures nothing by itself, so there are no counts to compare."
        return DryRun(device=device.name, shots=0, note=note)
    if prepared.pubs and circuit.num_parameters:
        values = sampler_pub(prepared.pubs[0], circuit, shots).parameter_values
        circuit = values.bind(circuit, tuple(0 for _ in values.shape))
    seed = prepared.options.get("seed_simulator")
    width = len(active_qubits([circuit]))
    too = "wide" if width > _WIDEST else "long" if prepared.operations > _OPERATIONS else None
    if too is not None or width > _QUICK:
        found = _by_stim(device, circuit, shots, 0 if seed is None else int(seed), too)
        if found is not None:
            return found
    if too is not None:
        return DryRun(device=device.name, shots=0, note=f"Too {too} to simulate, and no Clifford circuit is like it.")
    return _by_aer(device, circuit, RunOptions(shots, seed, memory_mb=memory_mb))


def _by_aer(device: Device, circuit: QuantumCircuit, options: RunOptions) -> DryRun:
    ideal = _fractions(device.run([circuit], options, ideal=True), options.shots)
    noisy = _fractions(device.run([circuit], options), options.shots) if _noisy(device) else {}
    return DryRun(device=device.name, shots=options.shots, ideal=ideal, noisy=noisy, method="aer")


def _by_stim(device: Device, circuit: QuantumCircuit, shots: int, seed: int, too: str | None) -> DryRun | None:
    """A Clifford circuit itself, or a stand-in for one that is ``too`` wide or long; None where there is neither."""
    if circuit.size() > _LONGEST:
        return None
    found = sampled(circuit, device.target if _noisy(device) else None, shots, seed)
    if found is None or (found.stand_in and too is None):
        return None
    note = _STAND_IN.format(what=too) if found.stand_in else _PAULI if found.noisy else None
    return DryRun(
        device=device.name,
        shots=shots,
        ideal=found.ideal,
        noisy=found.noisy,
        method="stim",
        stand_in=found.stand_in,
        note=note,
    )


def _noisy(device: Device) -> bool:
    return device.device_kind is not DeviceKind.SIMULATOR


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
