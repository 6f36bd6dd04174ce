"""A report on twelve devices through the whole door, against a plain loop of ``transpile`` over the same Targets.

*cold*: a circuit that no worker has seen. *warm*: the same shape under another name. *first*: the first row of a cold
report. Each of a Bell circuit and of one with 20 qubits; ``cold`` and ``warm`` are the larger of the two.
*noise_emulation*: noise of the active qubits, built and simulated, against the noise model of the whole device.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from qiskit import QuantumCircuit, transpile
from qiskit.circuit.library import efficient_su2
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import fake_provider

from jupyter_quantum.client.hub import Hub
from jupyter_quantum.fabric.adapters import build
from jupyter_quantum.fabric.adapters.base import RunOptions
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.testing.bench import Measurement, Pair, paired
from jupyter_quantum.testing.bench.devices import NAMES, specs
from jupyter_quantum.testing.demo import demo_hub

__all__ = ["GOALS", "hub_of_twelve", "report"]

GOALS = {"cold": 1.2, "warm": 0.05, "noise_emulation": 0.02}
_WIDE = 20
_PRICE = {"per_task": 0.0195, "per_shot": 0.0004, "per_second": 0.0005}
_DAY_S = 86_400.0
"""Twenty noisy qubits take longer than a run usually may, and would be refused: here they are only looked at."""
_LEVEL = 2
_SHOTS = 200
_fresh = itertools.count(1)


@contextlib.contextmanager
def hub_of_twelve() -> Iterator[Hub]:
    """A demo hub whose runner serves the twelve devices, wide enough for the larger circuit."""
    devices = specs(_wide_names())
    names = [one["name"] for one in devices]
    service = {
        "devices": devices,
        "prices": dict.fromkeys(names, _PRICE),
        "max_seconds": dict.fromkeys(names, _DAY_S),
    }
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "service.json")
        file.write_text(json.dumps(service))
        with demo_hub(arguments=("--service", str(file)), seconds=300.0) as demo:
            yield Hub(demo.service, demo.token("ada"))


def _wide_names() -> tuple[str, ...]:
    """The larger devices, and two of 27 qubits in place of those that are too small."""
    small = {"FakeLagosV2", "FakeGuadalupeV2"}
    return tuple(name for name in (*NAMES, "FakeMumbaiV2", "FakeKolkataV2") if name not in small)


def _bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def _chain(num_qubits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(num_qubits)
    circuit.h(0)
    for qubit in range(num_qubits - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def _ansatz(num_qubits: int) -> QuantumCircuit:
    circuit = efficient_su2(num_qubits, reps=2)
    bound = circuit.assign_parameters([0.1 + 0.37 * k for k in range(circuit.num_parameters)])
    bound.measure_all()
    return bound


def _unseen(circuit: QuantumCircuit) -> QuantumCircuit:
    """The same circuit in other bytes: no worker knows it, and it compiles alike."""
    fresh = circuit.copy()
    fresh.global_phase = 1e-3 * next(_fresh)
    return fresh


def report(hub: Hub, *, rounds: int = 20) -> Measurement:
    """Measure against the service that ``hub`` talks to, on the devices with 20 qubits and more that it offers."""
    found = Measurement("report", dict(GOALS))
    backends = [one for one in hub.backends() if one.view.kind.value != "simulator" and one.num_qubits >= _WIDE]
    names, targets = [one.name for one in backends], [one.target for one in backends]
    count = max(5, rounds // 4)
    for size, circuit in (("bell", _bell()), ("wide", _ansatz(_WIDE))):

        def plain(circuit: QuantumCircuit = circuit) -> None:
            for target in targets:
                transpile(circuit, target=target, optimization_level=_LEVEL, seed_transpiler=0)

        def cold(circuit: QuantumCircuit = circuit) -> None:
            _asked(hub, _unseen(circuit), names)

        def warm(circuit: QuantumCircuit = circuit) -> None:
            _asked(hub, circuit.copy(name=f"again-{next(_fresh)}"), names)

        found.pairs[f"cold_{size}"] = paired(cold, plain, rounds=count, warm=1)
        found.pairs[f"warm_{size}"] = paired(warm, plain, rounds=count, warm=1)
        first = min(_first_row(hub, _unseen(circuit), names) for _ in range(3))
        found.notes.append(f"{size}: the first of {len(names)} rows after {1000 * first:.0f} ms")
    for kind in ("cold", "warm"):
        found.pairs[kind] = max(found.pairs[f"{kind}_bell"], found.pairs[f"{kind}_wide"], key=lambda pair: pair.ratio)
    found.pairs["noise_emulation"] = _noise()
    found.notes.append(f"level {_LEVEL}, medians of {count} paired runs")
    return found


def _asked(hub: Hub, circuit: QuantumCircuit, names: list[str], on_rows: Callable[[Any], object] | None = None) -> None:
    """A report; it counts only where every device could run the circuit."""
    rows = hub.report(circuit, devices=names, options={"optimization_level": _LEVEL}, on_rows=on_rows).rows
    problems = [f"{row.device}: {row.problem}" for row in rows if row.problem]
    if problems:
        raise AssertionError("\n".join(problems))


def _first_row(hub: Hub, circuit: QuantumCircuit, names: list[str]) -> float:
    """Seconds until the first device is there."""
    began, came = time.perf_counter(), list[float]()

    def seen(rows: Any) -> None:
        if any(not row.pending for row in rows):
            came.append(time.perf_counter() - began)

    _asked(hub, circuit, names, seen)
    return came[0]


def _noise() -> Pair:
    """Five active qubits of FakeTorino: noise made and circuit run, with what is active and with the whole device."""
    device = build(DeviceSpec.model_validate(specs(("FakeTorino",))[0]), 2)
    whole = fake_provider.FakeTorino()
    (circuit,) = device.compile([_chain(5)], _LEVEL, 0)

    def active() -> None:
        device._noise_of.cache_clear()  # type: ignore[attr-defined]  # as for a circuit on other qubits
        device.run([circuit], RunOptions(_SHOTS, 7))

    def full() -> None:
        AerSimulator.from_backend(whole).run(circuit, shots=_SHOTS, seed_simulator=7).result()

    return paired(active, full, rounds=3, warm=1)
