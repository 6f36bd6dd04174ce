"""Readout mitigation: raw values stay bit for bit, mitigated ones are nearer, its circuits are counted and told."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Parameter
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator
from qiskit_aer.noise import NoiseModel, ReadoutError

from jupyter_quantum.client.intervals import intervals
from jupyter_quantum.client.results import array_of, primitive_result
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import OptionRejected
from jupyter_quantum.fabric import readout
from jupyter_quantum.fabric.adapters import Device, build
from jupyter_quantum.fabric.adapters.base import Order
from jupyter_quantum.fabric.adapters.vendor import Calibration
from jupyter_quantum.fabric.execute import execute
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.fabric.methods import methods
from jupyter_quantum.fabric.mitigation import Corrected, beside, more
from jupyter_quantum.fabric.prepare import Executable, prepare
from jupyter_quantum.fabric.readout import READOUT
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.shapes import Shapes
from jupyter_quantum.targets import target_to_json
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import Prepared, Work
from tests.unit.fabric.test_fabric_remote import Elsewhere, order_of


@pytest.fixture(scope="module")
def device() -> Device:
    """A small snapshot whose readout errs in one shot of ten or so."""
    return build(DeviceSpec(name="belem", adapter="ibm_fake", fake="FakeBelemV2"), 1)  # type: ignore[call-arg]


def ghz(width: int = 3, *, measured: bool = True) -> QuantumCircuit:
    circuit = QuantumCircuit(width)
    circuit.h(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    if measured:
        circuit.measure_all()
    return circuit


def prepared_for(device: Device, circuits: list[QuantumCircuit], work: Work) -> tuple[Prepared, Executable | None]:
    shapes = Shapes()
    source = shapes.source(work.circuits, Limits(), lambda: circuits)
    return prepare(device, source, work, Limits(), {device.name: device}, shapes)


def ran(
    device: Device, kind: JobKind, circuits: list[QuantumCircuit], pubs: list[Pub], **options: Any
) -> tuple[Prepared, ResultView]:
    """Prepare and execute, as a worker does."""
    buffer = io.BytesIO()
    qpy.dump(circuits, buffer, version=13)
    work = Work(
        kind=kind,
        circuits=CircuitBundle(format="qpy", data=buffer.getvalue()),
        pubs=pubs,
        options={"seed_simulator": 5, **options},
        transpile="auto",
        limits={},
    )
    prepared, executable = prepared_for(device, circuits, work)
    assert executable is not None, prepared.error
    return prepared, execute(device, kind, executable.circuits, prepared.pubs, prepared.options, 1024)


def test_counts_of_a_sampler_are_mitigated_beside_the_raw_ones(device: Device) -> None:
    """Quasi-probabilities are nearer to the ideal ones; raw bits are those of a run without mitigation."""
    pubs = [Pub(circuit=0, shots=4000)]
    bare_plan, bare = ran(device, JobKind.SAMPLER, [ghz()], pubs)
    plan, view = ran(device, JobKind.SAMPLER, [ghz()], pubs, mitigation="readout")
    assert view.pubs[0].registers == bare.pubs[0].registers
    assert (plan.executions, plan.tasks) == (bare_plan.executions + 2 * 4000, bare_plan.tasks + 2)
    found = view.pubs[0].mitigated
    assert found is not None
    (quasi,) = found.quasi
    assert sum(quasi.values()) == pytest.approx(1.0, abs=1e-3)
    raw = primitive_result(view)[0].data.meas.get_counts()
    good = (raw["000"] + raw["111"]) / 4000
    assert good < 0.93
    assert good + 0.03 < quasi["0x0"] + quasi["0x7"] < 1.03
    assert found.overhead[0] > 1
    told = view.mitigation
    assert (told["library"], told["method"], told["shots"], told["circuits"]) == ("mthree", "M3", 4000, 2)
    assert len(told["qubits"]) == 3
    assert bare.mitigation == {}


def test_the_calibration_is_of_the_qubits_that_were_measured(device: Device) -> None:
    """What it finds is what the snapshot says of those qubits, within sampling error."""
    _, view = ran(device, JobKind.SAMPLER, [ghz(2)], [Pub(circuit=0, shots=8000)], mitigation="readout")
    for qubit in view.mitigation["qubits"]:
        said = device.target["measure"][(qubit,)].error
        assert np.mean(view.mitigation["errors"][str(qubit)]) == pytest.approx(said, abs=0.02)


def test_expectation_values_are_mitigated_beside_the_raw_ones(device: Device) -> None:
    """ZZ and XX of a Bell pair are nearer to 1; errors are larger; the identity has none; raw values are untouched."""
    pubs = [Pub(circuit=0, observables=[{"ZZ": 1.0}, {"XX": 0.5, "II": 1.0}], precision=0.015)]
    circuit = ghz(2, measured=False)
    _, bare = ran(device, JobKind.ESTIMATOR, [circuit], pubs)
    plan, view = ran(device, JobKind.ESTIMATOR, [circuit], pubs, mitigation="readout")
    (raw,), (plain,) = view.pubs, bare.pubs
    assert (raw.evs, raw.stds) == (plain.evs, plain.stds)
    found = raw.mitigated
    assert found is not None
    assert found.evs is not None
    assert found.stds is not None
    assert raw.evs is not None
    assert raw.stds is not None
    before, after = array_of(raw.evs), array_of(found.evs)
    assert abs(after[0] - 1) < abs(before[0] - 1) / 2
    assert abs(after[1] - 1.5) < abs(before[1] - 1.5)
    assert (array_of(found.stds) > array_of(raw.stds)).all()
    assert array_of(found.stds)[1] == pytest.approx(array_of(found.stds)[0] / 2)
    assert plan.tasks == 2 + 2
    data = primitive_result(view)[0].data
    assert np.array_equal(data.evs_mitigated, after)
    assert "0.9" in repr(intervals(view))


def test_bindings_and_pubs_of_several_sizes_keep_their_order(device: Device) -> None:
    """Each batch has a calibration of its own; each binding gets its own quasi-probabilities."""
    turn = QuantumCircuit(1, 1)
    turn.rx(Parameter("a"), 0)
    turn.measure(0, 0)
    angles = [[0.0], [np.pi]]
    pubs = [
        Pub(circuit=0, parameters=angles, shots=900),
        Pub(circuit=1, shots=500),
        Pub(circuit=0, parameters=angles, shots=900),
    ]
    plan, view = ran(device, JobKind.SAMPLER, [turn, ghz(2)], pubs, mitigation="readout")
    assert plan.executions == 2 * 900 + 500 + 2 * 900 + 2 * 900 + 2 * 500
    for at in (0, 2):
        found = view.pubs[at].mitigated
        assert found is not None
        assert found.quasi[0]["0x0"] == pytest.approx(1, abs=0.05)
        assert found.quasi[1]["0x1"] == pytest.approx(1, abs=0.05)
    bell = view.pubs[1].mitigated
    assert bell is not None
    assert bell.quasi[0]["0x0"] == pytest.approx(0.5, abs=0.1)


def test_circuits_that_it_is_not_for_are_refused_before_pricing(device: Device) -> None:
    """A bit that decides what happens next, or is measured twice; and a device without noise has no such option."""
    twice = QuantumCircuit(1, 1)
    twice.measure(0, 0)
    twice.measure(0, 0)
    buffer = io.BytesIO()
    qpy.dump([twice], buffer, version=13)
    work = Work(
        kind=JobKind.SAMPLER,
        circuits=CircuitBundle(format="qpy", data=buffer.getvalue()),
        pubs=[Pub(circuit=0)],
        options={"mitigation": "readout"},
        transpile="auto",
        limits={},
    )
    prepared, _ = prepared_for(device, [twice], work)
    assert prepared.error is not None
    assert prepared.error.code == "circuit.mitigation"
    aer = build(DeviceSpec(name="aer", adapter="aer"), 1)
    refused, _ = prepared_for(aer, [ghz()], work)
    assert refused.error is not None
    assert refused.error.error == OptionRejected.__name__


def test_methods_are_found_by_their_entry_points() -> None:
    """Ours is there; a batch of each number of shots takes its circuits."""
    assert "readout" in methods()
    assert more(READOUT, [(0, 3, 100), (1, 2, 50), (0, 1, 100)]) == [(0, 2, 100), (1, 2, 50)]
    assert Corrected({"0x0": 1.0}).overhead == 1.0
    assert callable(beside)


def test_a_machine_elsewhere_is_mitigated_the_same_way() -> None:
    """The calibration goes with the job's own submissions; where its answer is lost, nothing is mitigated."""
    target = GenericBackendV2(3, seed=1, noise_info=True, basis_gates=["cx", "rz", "sx", "x"]).target
    far = Elsewhere(DeviceSpec(name="far", adapter="far"), 1, Calibration(target_to_json(target), None))
    far.sent = []
    noise = NoiseModel()
    noise.add_all_qubit_readout_error(ReadoutError([[0.95, 0.05], [0.1, 0.9]]))
    simulator = AerSimulator(noise_model=noise)

    def run(order: Order, *, lost: bool = False) -> ResultView:
        far.sent.clear()
        answers: list[bytes | None] = []
        for payload in far.encode(order):
            circuits, shots = far.sent[int(payload)]
            found = simulator.run(circuits, shots=shots, seed_simulator=3).result()
            said = [{"counts": one.data.counts} for one in found.results]
            last = [{"counts": None}] if lost else said[-1:]
            answers.append(json.dumps([*said[:-1], *last]).encode())
        return far.decode(order, answers)

    order = order_of(far, "sampler", ghz(), [Pub(circuit=0, shots=4000)], mitigation="readout")
    view = run(order)
    assert [len(circuits) for circuits, _ in far.sent] == [3]
    found = view.pubs[0].mitigated
    assert found is not None
    assert found.quasi[0]["0x0"] + found.quasi[0]["0x7"] == pytest.approx(1, abs=0.05)
    assert view.mitigation["errors"]["0"] == pytest.approx([0.05, 0.1], abs=0.02)
    half = run(order, lost=True)
    assert half.pubs[0].mitigated is None
    assert "calibration" in half.mitigation["why"]
    asked = [Pub(circuit=0, observables={"IZZ": 1.0}, precision=0.02)]
    values = run(order_of(far, "estimator", ghz(3, measured=False), asked, mitigation="readout")).pubs[0]
    assert values.mitigated is not None
    assert values.mitigated.evs is not None
    assert float(array_of(values.mitigated.evs)) == pytest.approx(1, abs=0.08)


@pytest.mark.filterwarnings("ignore:Using faulty qubits", "ignore:Diagonal number")
def test_where_a_method_fails_the_raw_result_is_there(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """A qubit that reads 0 and 1 alike leaves nothing to solve: the run is kept, and says why it is not mitigated."""
    pubs = [Pub(circuit=0, shots=200)]
    _, bare = ran(device, JobKind.SAMPLER, [ghz()], pubs)
    monkeypatch.setattr(readout, "_errors", lambda own: dict.fromkeys(range(device.num_qubits), (0.5, 0.5)))
    _, view = ran(device, JobKind.SAMPLER, [ghz()], pubs, mitigation="readout")
    assert view.pubs[0].registers == bare.pubs[0].registers
    assert view.pubs[0].mitigated is None
    assert view.mitigation["why"].startswith("the method f")


def test_what_an_estimator_will_measure_is_not_in_its_estimate(device: Device) -> None:
    """Its circuits measure nothing, so that the estimate rests on gates, and mitigation is not said to cost nothing."""
    pub = Pub(circuit=0, observables={"ZZZ": 1.0})
    plan, view = ran(device, JobKind.ESTIMATOR, [ghz(measured=False)], [pub], mitigation="readout", precision=0.02)
    assert (plan.basis, plan.mitigation_overhead) == (["gates"], None)
    found = view.pubs[0].mitigated
    assert found is not None
    assert found.overhead[0] > 1.1
    counted, _ = ran(device, JobKind.SAMPLER, [ghz()], [Pub(circuit=0, shots=10)])
    assert counted.basis == ["gates", "readout"]
    assert counted.mitigation_overhead is not None
    assert counted.mitigation_overhead > 1.1
