"""Conformance: results of runs, samplers and estimators."""

from __future__ import annotations

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from jupyter_quantum.fabric.adapters.base import Order
from jupyter_quantum.testing.adapters.bench import Bench, LocalVendor, Rejected
from jupyter_quantum.testing.adapters.circuits import bell, dynamic, ghz, marked, registers, share, shots_of, width_of
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import ResultView

__all__ = [
    "bell_is_correlated",
    "bits_are_in_qiskits_order",
    "circuits_keep_their_order",
    "control_flow_runs_or_is_refused",
    "estimator_agrees_with_theory",
    "estimator_binds_parameters",
    "ghz_is_correlated",
    "memory_holds_each_shot",
    "pubs_have_their_own_shots",
    "results_are_never_silently_zero",
    "same_seed_same_counts",
    "sampler_binds_parameters",
    "sampler_keeps_registers",
]


def bell_is_correlated(bench: Bench) -> str | None:
    """Both outcomes of a Bell pair appear, mixed ones seldom, and counts add up to the shots."""
    if bench.device.num_qubits < 2:
        return "it has one qubit"
    (found,) = bench.run("run", bell()).result.experiments
    assert found.counts is not None
    assert sum(found.counts.values()) == found.shots == bench.shots
    assert share(found.counts, 0b00, 0b11) > 0.6
    assert min(share(found.counts, 0b00), share(found.counts, 0b11)) > 0.1
    return None


def ghz_is_correlated(bench: Bench) -> str | None:
    """The same on three qubits, laid out by the device."""
    width = width_of(bench)
    (found,) = bench.run("run", ghz(width)).result.experiments
    assert share(found.counts, 0, 2**width - 1) > 0.5
    return None


def bits_are_in_qiskits_order(bench: Bench) -> str | None:
    """Qubit 0 is the last digit."""
    width = width_of(bench)
    (found,) = bench.run("run", marked(width, 1)).result.experiments
    assert share(found.counts, 1) > 0.6, found.counts
    return None


def circuits_keep_their_order(bench: Bench) -> str | None:
    """Several circuits of one run come back in their order, under their names."""
    width = width_of(bench)
    circuits = [marked(width, at, f"state {at}") for at in range(2**width - 1)]
    found = bench.run("run", circuits).result.experiments
    assert [one.name for one in found] == [one.name for one in circuits]
    for at, one in enumerate(found):
        assert share(one.counts, at) > 0.5, (at, one.counts)
    return None


def memory_holds_each_shot(bench: Bench) -> str | None:
    """With ``memory`` each shot is there, and they add up to the counts."""
    if "memory" not in bench.device.options["run"]["properties"]:
        return "it has no option memory"
    (found,) = bench.run("run", marked(1, 1), memory=True).result.experiments
    assert found.memory is not None
    assert len(found.memory) == bench.shots
    assert found.counts == {one: found.memory.count(one) for one in set(found.memory)}
    return None


def sampler_keeps_registers(bench: Bench) -> str | None:
    """Classical registers keep names, widths and the place of each bit."""
    if bench.device.num_qubits < 3:
        return "it has fewer than three qubits"
    (found,) = bench.run("sampler", registers(), [Pub(circuit=0)]).result.pubs
    assert list(found.registers) == ["low", "high"]
    assert [one.num_bits for one in found.registers.values()] == [1, 2]
    assert float(np.mean(shots_of(found.registers["high"]) == 0b10)) > 0.6
    assert float(np.mean(shots_of(found.registers["low"]) == 0)) > 0.6
    return None


def sampler_binds_parameters(bench: Bench) -> str | None:
    """A PUB with values has their shape, each binding its own shots."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("angle"), 0)
    circuit.measure_all()
    pub = Pub(circuit=0, parameters=[[0.0], [float(np.pi)], [0.0]])
    (found,) = bench.run("sampler", circuit, [pub]).result.pubs
    assert found.shape == [3]
    ones = shots_of(found.registers["meas"]).mean(axis=-1)
    assert ones.shape == (3,)
    assert ones[0] < 0.4 < 0.6 < ones[1], ones
    assert ones[2] < 0.4, ones
    return None


def pubs_have_their_own_shots(bench: Bench) -> str | None:
    """PUBs of one job may differ in shots, and keep their order."""
    few = max(1, bench.shots // 2)
    pubs = [Pub(circuit=0, shots=few), Pub(circuit=1), Pub(circuit=0, shots=few)]
    width = width_of(bench, 2)
    found = bench.run("sampler", [marked(width, 0), marked(width, 1)], pubs).result.pubs
    assert [shots_of(one.registers["meas"]).shape[-1] for one in found] == [few, bench.shots, few]
    means = [float(np.mean(shots_of(one.registers["meas"]) == 1)) for one in found]
    assert means[0] < 0.4
    assert means[1] > 0.6
    assert means[2] < 0.4
    return None


def estimator_agrees_with_theory(bench: Bench) -> str | None:
    """Expectation values of a Bell pair: ⟨ZZ⟩ and ⟨XX⟩ near 1, ⟨ZI⟩ near 0, with standard errors."""
    if bench.device.num_qubits < 2:
        return "it has one qubit"
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    pub = Pub(circuit=0, observables=[{"ZZ": 1.0}, {"XX": 1.0}, {"ZI": 1.0}], precision=0.07)
    (found,) = bench.run("estimator", circuit, [pub]).result.pubs
    assert found.evs is not None
    assert found.stds is not None
    values = np.frombuffer(found.evs.data, dtype="<f8")
    assert values.shape == (3,)
    assert values[0] > 0.4, values
    assert values[1] > 0.4, values
    assert abs(values[2]) < 0.5, values
    assert (np.frombuffer(found.stds.data, dtype="<f8") >= 0).all()
    return None


def estimator_binds_parameters(bench: Bench) -> str | None:
    """Values of parameters broadcast against observables."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("angle"), 0)
    pub = Pub(circuit=0, parameters=[[0.0], [float(np.pi)]], observables={"Z": 2.0}, precision=0.07)
    (found,) = bench.run("estimator", circuit, [pub]).result.pubs
    assert found.evs is not None
    values = np.frombuffer(found.evs.data, dtype="<f8")
    assert found.shape == [2]
    assert values[0] > 0.4, values
    assert values[1] < -0.4, values
    return None


def control_flow_runs_or_is_refused(bench: Bench) -> str | None:
    """Where ``if_else`` is announced it acts on what was measured; elsewhere the circuit is refused."""
    if "if_else" not in bench.device.target.operation_names:
        try:
            bench.prepare("run", dynamic())
        except Rejected:
            return None
        raise AssertionError("if_else is not announced, and the circuit was taken nevertheless")
    (found,) = bench.run("run", dynamic()).result.experiments
    assert share(found.counts, 0b11) > 0.5, found.counts
    return None


def results_are_never_silently_zero(bench: Bench) -> str | None:
    """An answer that is missing, or no answer, is an error and not a row of zeros."""
    if isinstance(bench.vendor, LocalVendor):
        return "it runs in the worker"
    for kind, pubs in (("run", []), ("sampler", [Pub(circuit=0)])):
        _, order = bench.prepare(kind, marked(1, 1), pubs)
        payloads = bench.encode(order)
        for answer in (None, b"", b"{}", b"[]", b"null"):
            _is_error(bench, order, [answer] * len(payloads))
    return None


def _is_error(bench: Bench, order: Order, answers: list[bytes | None]) -> None:
    try:
        found = bench.decode(order, answers)
    except Exception:
        return
    raise AssertionError(f"{answers[0]!r} became a result: {_short(found)}")


def _short(found: ResultView) -> str:
    return found.model_dump_json()[:200]


def same_seed_same_counts(bench: Bench) -> str | None:
    """Where there is a seed, it decides."""
    if "seed_simulator" not in bench.device.options["run"]["properties"]:
        return "it has no seed"
    first, second = (bench.run("run", ghz(width_of(bench)), seed_simulator=7).result for _ in range(2))
    assert first.experiments[0].counts == second.experiments[0].counts
    return None
