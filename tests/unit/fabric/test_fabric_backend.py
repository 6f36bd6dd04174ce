"""Any BackendV2 as a device: what it says is brought into one shape, and what it cannot do is refused."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp
from qiskit_aer import AerSimulator

from jupyter_quantum.core.jobs import DeviceKind, JobKind
from jupyter_quantum.exceptions import JobFailed, OptionRejected
from jupyter_quantum.fabric.adapters import build
from jupyter_quantum.fabric.adapters.backend import BackendDevice
from jupyter_quantum.fabric.adapters.base import RunOptions
from jupyter_quantum.fabric.counts import shots_of
from jupyter_quantum.fabric.execute import execute
from jupyter_quantum.fabric.options import fill
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import ResultView
from tests.integration.fabric.backends import Lab

SEED = 11


def device(path: str = "tests.integration.fabric.backends:Lab", **settings: Any) -> BackendDevice:
    """A device on a backend of the lab."""
    spec = DeviceSpec.model_validate({"name": "lab_sim", "adapter": "backend", "backend": path, **settings})
    return BackendDevice(spec, 1)


def lab(gives: str, **more: Any) -> BackendDevice:
    """A device on a lab's backend that answers so."""
    return device(arguments={"gives": gives}, **more)


def bell() -> QuantumCircuit:
    """Two registers, so that the order of bits matters: ``a`` is always 1, ``b`` a coin."""
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1, "a"), ClassicalRegister(2, "b"), name="bell")
    circuit.x(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure([2, 0, 1], [0, 1, 2])
    return circuit


def run(on: BackendDevice, kind: JobKind, pubs: list[Pub], *circuits: QuantumCircuit, **options: Any) -> ResultView:
    """What the worker does once a job was validated."""
    compiled = on.compile(circuits, 1, 0)
    return execute(on, kind, compiled, pubs, fill(on.name, on.options[kind.value], options), 512)


@pytest.mark.parametrize("gives", ["counts", "bits", "memory", "both"])
def test_counts_are_those_of_the_backend(gives: str) -> None:
    """However a backend spells its outcomes, counts and headers are as Aer has them."""
    on = lab(gives, honours=["seed_simulator"])
    found = run(on, JobKind.RUN, [], bell(), shots=500, seed_simulator=SEED)
    plain = AerSimulator().run(on.compile([bell()], 1, 0), shots=500, seed_simulator=SEED).result()
    (one,) = found.experiments
    assert one.counts == plain.data(0)["counts"]
    assert one.memory is None
    assert one.header["creg_sizes"] == [["a", 1], ["b", 2]]
    assert (one.name, one.shots, one.seed) == ("bell", 500, SEED)


@pytest.mark.parametrize(
    ("gives", "origin"), [("counts", "counts"), ("bits", "counts"), ("memory", None), ("both", None)]
)
def test_sampler_has_shots_from_memory_or_from_counts(gives: str, origin: str | None) -> None:
    """A sampler's registers hold every shot, and say so where their order was not known."""
    found = run(lab(gives), JobKind.SAMPLER, [Pub(circuit=0)], bell(), shots=400)
    (pub,) = found.pubs
    bits = {name: np.frombuffer(one.array.data, np.uint8) for name, one in pub.registers.items()}
    assert set(bits["a"].tolist()) == {1}
    assert set(bits["b"].tolist()) == {0, 3}
    assert 100 < np.count_nonzero(bits["b"]) < 300
    assert pub.metadata.get("shots_from") == origin


@pytest.mark.parametrize(
    ("gives", "words"),
    [
        ("neither", "no shots"),
        ("zeros", "no shots"),
        ("few", "300 shots where 301"),
        ("wide", "more bits"),
        ("fractions", "no number"),
        ("words", "no row of bits"),
    ],
)
@pytest.mark.parametrize("kind", [JobKind.RUN, JobKind.SAMPLER])
def test_never_silently_zero(gives: str, words: str, kind: JobKind) -> None:
    """A backend without shots, with too few, or with what are none fails the job."""
    with pytest.raises(JobFailed, match=words) as caught:
        run(lab(gives), kind, [Pub(circuit=0)] if kind is JobKind.SAMPLER else [], bell(), shots=301)
    assert caught.value.code == "job.no_shots"


def test_estimator_from_counts() -> None:
    """Expectation values come out of counts alone."""
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    on = lab("counts")
    (laid,) = on.compile([circuit], 1, 0)
    observable = SparsePauliOp(["ZZ", "XX"]).apply_layout(laid.layout)
    pub = Pub(circuit=0, observables=[dict(observable.to_list())], parameters=[[0.0], [np.pi / 2]])
    options = fill(on.name, on.options["estimator"], {"precision": 0.05})
    found = execute(on, JobKind.ESTIMATOR, [laid], [pub], options, 512)
    assert found.pubs[0].evs is not None
    values = np.frombuffer(found.pubs[0].evs.data, "<f8")
    assert values == pytest.approx([1.0, 2.0], abs=0.2)


def test_batches_are_no_larger_than_the_backend_takes() -> None:
    """Five circuits go in three calls where two at a time are taken, in order, each call with a seed of its own."""
    on = lab("counts", honours=["seed_simulator"])
    found = run(on, JobKind.RUN, [], *[bell() for _ in range(5)], shots=50, seed_simulator=SEED)
    asked = cast(Lab, on.backend).asked
    assert [number for number, _ in asked] == [2, 2, 1]
    assert [options["seed_simulator"] for _, options in asked] == [SEED, SEED + 1, SEED + 2]
    assert len(found.experiments) == 5


@pytest.mark.parametrize("kind", ["run", "sampler", "estimator"])
def test_what_it_cannot_do_raises(kind: str) -> None:
    """A backend that lists neither seed nor memory nor method has no such options; it is never sent them."""
    on = lab("counts")
    for name in {"seed_simulator": 1, "method": "automatic", "memory": True}:
        with pytest.raises(OptionRejected):
            fill(on.name, on.options[kind], {name: 1})
    run(on, JobKind.RUN, [], bell(), shots=10)
    assert cast(Lab, on.backend).asked == [(1, {"shots": 10})]


def test_limits_of_the_backend_hold() -> None:
    """Its most shots are the device's, as far as the operator allows no fewer."""
    assert lab("counts").announcement().max_shots == 2000
    assert lab("counts", max_shots=300).announcement().max_shots == 300
    with pytest.raises(OptionRejected):
        fill("lab_sim", lab("counts").options["run"], {"shots": 2001})
    assert fill("lab_sim", lab("counts", max_shots=300).options["run"], {})["shots"] == 300
    precision = fill("lab_sim", lab("counts").options["estimator"], {})["default_precision"]
    assert 1900 < precision**-2 <= 2000, "what is usual elsewhere would take more shots than there are"


def test_a_fault_of_the_backend_is_told() -> None:
    """What the backend raises or says of a failure reaches the user, and answers that are missing are noticed."""
    for fault, code, words in [
        ("raises", "job.device", "the lid is open"),
        ("fails", "job.device", "too warm"),
        ("short", "job.no_shots", "0 circuits of 1"),
    ]:
        with pytest.raises(JobFailed, match=words) as caught:
            run(device(arguments={"fault": fault}), JobKind.RUN, [], bell(), shots=10)
        assert caught.value.code == code


@pytest.mark.parametrize(
    ("path", "arguments", "words"),
    [
        ("no_such_package.devices:Lab", {}, "no_such_package"),
        ("tests.integration.fabric.backends:Missing", {}, "Missing"),
        ("tests.integration.fabric.backends:_BASIS", {}, "neither a class nor a function"),
        ("tests.integration.fabric.backends:Lab", {"colour": "red"}, "colour"),
        ("tests.integration.fabric.backends:nothing", {}, "no BackendV2"),
        ("os.system", {}, "backend: "),
    ],
)
def test_a_bad_path_is_said(path: str, arguments: dict[str, Any], words: str) -> None:
    """What cannot be imported, called or used ends in a sentence that names the device."""
    with pytest.raises(ValueError, match=words) as caught:
        device(path, arguments=arguments)
    assert "lab_sim" in str(caught.value)


def test_unknown_errors_stay_unknown() -> None:
    """A Target without errors gives no chance of success; a factory works as a class does."""
    on = device("tests.integration.fabric.backends:lab", arguments={"gives": "counts"})
    (compiled,) = on.compile([bell()], 1, 0)
    assert on.success(compiled) is None
    told = on.announcement()
    assert told.description == "Five qubits of our lab"
    assert told.target is not None
    assert all(error is None for one in told.target["operations"] for *_, error in one["props"] or [])


def test_qiskits_generic_backend() -> None:
    """A backend with errors, durations, a seed and noise of its own: bit for bit what it gives when called directly."""
    path = "qiskit.providers.fake_provider:GenericBackendV2"
    on = device(path, arguments={"num_qubits": 5, "seed": 3})
    assert {"seed_simulator", "memory"} <= set(on.options["run"]["properties"])
    compiled = on.compile([bell()], 1, 0)
    found = on.run(compiled, RunOptions(300, SEED, memory=True))
    plain = on.backend.run(compiled, shots=300, seed_simulator=SEED, memory=True).result()
    assert found.get_memory(0) == plain.get_memory(0)
    chance = on.success(compiled[0])
    assert chance is not None
    assert 0 < chance.low < chance.value < chance.high < 1
    ideal = on.run(compiled, RunOptions(300, SEED), ideal=True)
    assert set(ideal.get_counts(0)) <= {"00 1", "11 1"}


def dynamic() -> QuantumCircuit:
    """A coin that decides whether another qubit is turned."""
    circuit = QuantumCircuit(2, 2)
    circuit.h(0)
    circuit.measure(0, 0)
    with circuit.if_test((circuit.clbits[0], 1)):
        circuit.x(1)
    circuit.measure(1, 1)
    return circuit


@pytest.mark.parametrize(
    "settings",
    [
        {"adapter": "ibm_fake", "fake": "FakeTorino"},
        {
            "adapter": "backend",
            "backend": "qiskit.providers.fake_provider:GenericBackendV2",
            "arguments": {"num_qubits": 5, "seed": 3, "control_flow": True},
        },
    ],
)
def test_noisy_circuits_of_one_job_do_not_spoil_each_other(settings: dict[str, Any]) -> None:
    """A circuit after one with control flow gives what it gives alone; Aer by itself would say that it is all zeros."""
    on = build(DeviceSpec.model_validate({"name": "lab_sim", **settings}), 1)
    circuits = on.compile([dynamic(), bell()], 1, 0)
    found = on.run(circuits, RunOptions(1000, SEED))
    assert found.success
    both = found.get_counts(1)
    assert both["00 1"] > 300
    assert both["11 1"] > 300
    assert {"00", "11"} <= set(found.get_counts(0))


def test_it_is_found_by_name() -> None:
    """The adapter's name stands in the package's entry points, and the operator's kind wins."""
    path = "qiskit.providers.fake_provider:GenericBackendV2"
    settings = {"name": "lab_sim", "adapter": "backend", "backend": path, "arguments": {"num_qubits": 2}, "kind": "qpu"}
    made = build(DeviceSpec.model_validate(settings), 1)
    assert made.device_kind is DeviceKind.QPU


def test_shots_of_counts() -> None:
    """As many shots as were counted, outcome after outcome."""
    assert shots_of({"0x3": 2, "0x0": 1}) == ["0x0", "0x3", "0x3"]
