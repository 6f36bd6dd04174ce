"""The vendors' SDKs as a notebook calls them, nothing of ours between: the other side of the proof ``sdk-parity``.

Run in a vendor's environment: one JSON object on standard input (a device's settings, circuits as QPY), a list on
standard output (the counts of each circuit).
"""

from __future__ import annotations

import base64
import importlib
import io
import json
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from qiskit import QuantumCircuit, qpy
from qiskit_aer import AerSimulator

_BATCH = 25


def _aer(spec: dict[str, Any]) -> Callable[..., Any]:
    return AerSimulator().run


def _ibm_fake(spec: dict[str, Any]) -> Callable[..., Any]:
    provider = importlib.import_module("qiskit_ibm_runtime.fake_provider")
    return AerSimulator.from_backend(getattr(provider, spec["fake"])()).run


def _backend(spec: dict[str, Any]) -> Callable[..., Any]:
    module, _, name = spec["backend"].partition(":")
    return getattr(importlib.import_module(module), name)(**spec.get("arguments", {})).run


def _iqm(spec: dict[str, Any]) -> Callable[..., Any]:
    iqm = importlib.import_module("iqm.qiskit_iqm")
    fake = getattr(iqm, f"IQMFake{spec['fake']}")()

    def run(circuits: Sequence[QuantumCircuit], **options: Any) -> Any:
        if fake.has_resonators():
            as_laid = {"initial_layout": list(range(fake.target.num_qubits)), "optimization_level": 0}
            circuits = [iqm.transpile_to_IQM(one, fake, optimize_single_qubits=False, **as_laid) for one in circuits]
        return fake.run(circuits, **options)

    return run


def _aqt(spec: dict[str, Any]) -> Callable[..., Any]:
    provider = importlib.import_module("qiskit_aqt_provider").AQTProvider()
    return getattr(provider.offline, spec["simulator"])().run


def _alice_bob(spec: dict[str, Any]) -> Callable[..., Any]:
    provider = importlib.import_module("qiskit_alice_bob_provider").AliceBobLocalProvider()
    return provider.get_backend(spec["emulator"], **spec.get("arguments", {})).run


def _braket_local(spec: dict[str, Any]) -> Callable[..., Any]:
    provider = importlib.import_module("qiskit_braket_provider")
    return provider.BraketLocalBackend(spec.get("simulator", "braket_sv")).run


def _qsharp(spec: dict[str, Any]) -> Callable[..., Any]:
    # Its own transpiler would run once more, and gets a quantum walk of mqt.bench wrong (Aer tells the two apart).
    backend = importlib.import_module("qdk.qiskit").QSharpBackend(skip_transpilation=True)

    def run(circuits: Sequence[QuantumCircuit], **options: Any) -> Any:
        """A circuit that knows its layout is written with hardware qubits, which Q# does not read."""
        bare = [one.copy() for one in circuits]
        for one in bare:
            one._layout = None
        return backend.run(bare, **options)

    return run


DIRECT: dict[str, Callable[[dict[str, Any]], Callable[..., Any]]] = {
    "aer": _aer,
    "ibm_fake": _ibm_fake,
    "backend": _backend,
    "iqm": _iqm,
    "aqt": _aqt,
    "alice_bob": _alice_bob,
    "braket_local": _braket_local,
    "qsharp": _qsharp,
}
"""Adapter → what gives the vendor's own ``run`` for a device's settings."""


def main() -> int:
    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    run = DIRECT[asked["device"]["adapter"]](asked["device"])
    circuits = [qpy.load(io.BytesIO(base64.b64decode(one)))[0] for one in asked["circuits"]]
    counts: dict[int, dict[str, int]] = {}
    for batch in _batches(circuits):
        found = run([circuits[at] for at in batch], shots=asked["shots"]).result()
        counts |= {place: _counts(found, at) for at, place in enumerate(batch)}
    json.dump([counts[at] for at in range(len(circuits))], sys.stdout)
    return 0


def _batches(circuits: Sequence[QuantumCircuit]) -> list[list[int]]:
    """Those with control flow alone: after one of them Aer gets the noise of others in a batch wrong."""
    alone = [at for at, one in enumerate(circuits) if any(found.is_control_flow() for found in one.data)]
    rest = [at for at in range(len(circuits)) if at not in alone]
    return [[at] for at in alone] + [rest[start : start + _BATCH] for start in range(0, len(rest), _BATCH)]


def _counts(found: Any, at: int) -> dict[str, int]:
    return {str(int(bits.replace(" ", ""), 2)): int(times) for bits, times in found.get_counts(at).items()}


if __name__ == "__main__":
    sys.exit(main())
