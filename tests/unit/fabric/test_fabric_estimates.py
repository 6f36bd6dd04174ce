"""Estimates from a calibration: relaxation, readout mitigation, one walk that agrees with Qiskit."""

from __future__ import annotations

import math

import pytest
from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Measure
from qiskit.circuit.library import CZGate, XGate
from qiskit.transpiler import InstructionProperties, QubitProperties, Target
from qiskit_ibm_runtime.fake_provider import FakeLagosV2

from jupyter_quantum.fabric.adapters import build
from jupyter_quantum.fabric.estimates import known_errors, mitigation_overhead, success, survey
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.mirror import mirror_circuit
from jupyter_quantum.testing.bench import fidelity as bench
from jupyter_quantum.testing.bench.fidelity import fidelity, spearman


def target(t1: float | None, readout: float | None = 0.02) -> Target:
    """Two qubits whose gates take a microsecond and are said to be nearly perfect."""
    made = Target(num_qubits=2, qubit_properties=[QubitProperties(t1=t1, t2=t1)] * 2)
    made.add_instruction(XGate(), {(at,): InstructionProperties(1e-6, 1e-4) for at in (0, 1)})
    made.add_instruction(CZGate(), {(0, 1): InstructionProperties(1e-6, 1e-4)})
    made.add_instruction(Measure(), {(at,): InstructionProperties(1e-6, readout) for at in (0, 1)})
    return made


def test_a_gate_is_at_least_as_wrong_as_relaxation_makes_it() -> None:
    """A gate of 1 µs at T1 = T2 = 20 µs cannot have an error of 1 in 10 000; where T1 is unknown, it is believed."""
    circuit = QuantumCircuit(2)
    circuit.x(0)
    kept = (1 + 3 * math.exp(-1 / 20)) / 4
    found, believed = success(circuit, target(20e-6)), success(circuit, target(None))
    assert found is not None
    assert believed is not None
    assert found.value == pytest.approx(1 - (1 - kept) * 2 / 3)
    assert found.low < found.value < found.high
    assert believed.value == pytest.approx(1 - 1e-4)
    both = QuantumCircuit(2)
    both.cz(0, 1)
    assert success(both, target(20e-6)).value == pytest.approx(1 - (1 - kept**2) * 4 / 5)  # type: ignore[union-attr]


def test_mitigation_costs_more_with_each_bit_that_is_read() -> None:
    """1 / (1 − 2e)² for each measured bit; unknown where a readout error is, or where it says nothing."""
    one, two = QuantumCircuit(2, 2), QuantumCircuit(2, 2)
    one.measure(0, 0)
    two.measure([0, 1], [0, 1])
    assert mitigation_overhead(one, target(None)) == pytest.approx(0.96**-2)
    assert mitigation_overhead(two, target(None)) == pytest.approx(0.96**-4)
    assert mitigation_overhead(one, target(None, readout=None)) is None
    assert mitigation_overhead(one, target(None, readout=0.5)) is None
    assert known_errors(target(None)) == ["gates", "readout"]
    assert known_errors(target(None, readout=None)) == ["gates"]


def test_one_walk_says_what_qiskit_says() -> None:
    """Depth and two-qubit gates are Qiskit's, with and without control flow."""
    device = FakeLagosV2()
    plain = transpile(mirror_circuit(5, 3, 1).circuit, device, optimization_level=1, seed_transpiler=1)
    seen = survey(plain, device.target)
    assert seen.depth == plain.depth()
    assert seen.two_qubit_gates == plain.num_nonlocal_gates()
    assert seen.success is not None
    looped = QuantumCircuit(7, 1)
    with looped.for_loop(range(3)):
        looped.cx(0, 1)
    looped.measure(0, 0)
    flow = survey(looped, device.target)
    assert flow.depth == looped.depth()
    assert flow.two_qubit_gates == 3
    assert flow.success is not None


def test_ranks_share_ties() -> None:
    """Spearman's correlation, with equal values at their mean rank."""
    assert spearman([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 1, 2], [1, 2, 3]) == pytest.approx(0.8660, abs=1e-3)


def test_estimates_come_near_noisy_simulation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measurement on one small device: figures with goals, one of which is to be reached from below."""

    monkeypatch.setattr(bench, "_FAMILIES", ("ghz",))
    monkeypatch.setattr(bench, "_WIDTHS", range(2, 6))
    device = build(DeviceSpec.model_validate({"name": "lagos", "adapter": "ibm_fake", "fake": "FakeLagosV2"}), 1)
    found = fidelity(shots=1000, devices=[device])
    assert found.figures["mean_error"] < 0.03
    assert found.figures["covered"] >= 0.75
    assert found.met("mean_error") == (found.figures["mean_error"] <= 0.02)
    assert found.met("spearman") == (found.figures["spearman"] >= 0.98)
    assert found.document()["ratios"].keys() == {"spearman", "mean_error", "covered"}  # type: ignore[attr-defined]
