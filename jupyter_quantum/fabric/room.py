"""Whether a simulator of ours has room for compiled circuits: what can only end for want of memory is not let in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from qiskit import QuantumCircuit

from jupyter_quantum.exceptions import CircuitRejected
from jupyter_quantum.fabric.adapters.base import Device

__all__ = ["no_room"]


def no_room(
    device: Device, circuits: Sequence[QuantumCircuit], options: Mapping[str, Any], shots: int, memory_mb: int
) -> CircuitRejected | None:
    """Why ``device`` has no room for the circuits, as laid out for it, in ``memory_mb`` MiB; None: nothing is known
    against them. ``shots``: the most of one circuit."""
    method = options.get("method", "automatic")
    most = device.widest(method, memory_mb)
    if most is None:
        return None
    loads = [device.load(circuit) for circuit in circuits]
    noise = device.known_noise
    if method == "automatic" and (noise.clifford or not noise.any):  # what is Clifford needs no whole state
        loads = [one for one in loads if one.clifford is False]
    width = max((one.qubits for one in loads), default=0)
    if width > most:
        return _too_wide(device, width, most, method)
    dense = device.widest("density_matrix", memory_mb)
    if noise.any and method == "automatic" and dense is not None and width > dense and shots > 1 << width:
        return _too_often(device, width, dense, shots)
    return None


def _too_wide(device: Device, width: int, most: int, method: str) -> CircuitRejected:
    way = "" if method == "automatic" else f' with method="{method}"'
    noisy = device.known_noise.any
    few, other = (", with few shots,", "; or try a simulator without noise") if noisy else ("", "")
    what = "its noise is simulated" if noisy else "there is room for the state of such a circuit"
    return _refusal(
        f"As laid out for {device.name}, the circuit uses {width} qubits; {what} on at most {most}{way}.",
        f"Use fewer qubits. A circuit that entangles weakly may run wider{few} by "
        f'method="matrix_product_state"{other}.',
        num_qubits=width,
        most_qubits=most,
    )


def _too_often(device: Device, width: int, dense: int, shots: int) -> CircuitRejected:
    """For more shots than there are amplitudes Aer's automatic choice is the density matrix, room or not."""
    return _refusal(
        f"As laid out for {device.name}, the circuit uses {width} qubits; for as many as {shots:,} shots its noise is "
        f"simulated on at most {dense}.",
        f'Use at most {1 << width:,} shots, fewer qubits, or method="statevector".',
        num_qubits=width,
        most_qubits=dense,
        shots=shots,
    )


def _refusal(message: str, hint: str, **details: int) -> CircuitRejected:
    return CircuitRejected(message, code="circuit.too_wide_to_simulate", hint=hint, details=details)
