"""Orders taken apart for a vendor and put together again give what the worker's own simulator gives."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister, transpile
from qiskit.circuit import Parameter
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.adapters.base import Device, Order, RunOptions
from jupyter_quantum.fabric.adapters.remote import Counted, RemoteDevice
from jupyter_quantum.fabric.adapters.vendor import Calibration
from jupyter_quantum.fabric.execute import execute
from jupyter_quantum.fabric.options import fill
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.targets import target_to_json
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import ResultView

SEED = 7


class Elsewhere(RemoteDevice):
    """A machine whose payload is a list of circuits that this process keeps."""

    vendor = "test"
    max_batch = 4

    def payload(self, circuits: Sequence[QuantumCircuit], shots: Sequence[int], order: Order) -> bytes:
        assert len(set(shots)) == 1
        self.sent.append((list(circuits), shots[0]))
        return str(len(self.sent) - 1).encode()

    def counted(self, circuits: Sequence[QuantumCircuit], answer: bytes) -> Sequence[Counted]:
        return [Counted(**one) for one in json.loads(answer)]


@pytest.fixture
def device() -> Elsewhere:
    """Three qubits, all errors known."""
    target = GenericBackendV2(3, seed=1, noise_info=True, basis_gates=["cx", "rz", "sx", "x"]).target
    made = Elsewhere(DeviceSpec(name="far", adapter="far"), 1, Calibration(target_to_json(target), None))
    made.sent = []
    return made


def run_far(device: Elsewhere, order: Order, *, lose: Sequence[int] = (), memory: bool = True) -> ResultView:
    """Encode, run each payload as a vendor would, decode; the submissions in ``lose`` have no answer."""
    device.sent.clear()
    answers: list[bytes | None] = []
    for at, payload in enumerate(device.encode(order)):
        circuits, shots = device.sent[int(payload)]
        found = AerSimulator().run(circuits, shots=shots, seed_simulator=SEED, memory=True).result()
        said: list[dict[str, Any]] = [
            {"memory": one.data.memory} if memory else {"counts": one.data.counts} for one in found.results
        ]
        answers.append(None if at in lose else json.dumps(said).encode())
    return device.decode(order, answers)


def order_of(device: Device, kind: str, circuits: Any, pubs: Sequence[Pub] = (), **options: Any) -> Order:
    one = [circuits] if isinstance(circuits, QuantumCircuit) else circuits
    laid = [transpile(circuit, target=device.target, seed_transpiler=1, optimization_level=0) for circuit in one]
    filled = fill("far", device.options[kind], options)
    return Order(JobKind(kind), laid, list(pubs), filled)


class Here(Device):
    """The same, simulated here."""

    kind = Elsewhere.kind
    vendor = "test"

    def noise(self, circuits: Any) -> None:
        return None

    def success(self, circuit: Any) -> None:
        return None


def here(device: Elsewhere, order: Order) -> ResultView:
    local = Here(DeviceSpec(name="far", adapter="far"), 1, device.target, None)
    options: Mapping[str, Any] = {**order.options, "seed_simulator": SEED, "method": "automatic"}
    return execute(local, order.kind, order.circuits, order.pubs, options, 512)


def skewed() -> QuantumCircuit:
    """An asymmetric state in registers of different names and sizes."""
    circuit = QuantumCircuit(QuantumRegister(3, "q"), ClassicalRegister(1, "low"), ClassicalRegister(2, "high"))
    circuit.x(0)
    circuit.ry(0.7, 1)
    circuit.measure([0, 1, 2], [2, 0, 1])
    return circuit


def turning() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.ry(Parameter("a"), 0)
    circuit.cx(0, 1)
    circuit.rx(Parameter("b"), 1)
    return circuit


def test_run_equals_the_local_way(device: Elsewhere) -> None:
    """Counts, shots, names and headers of a run are those of the worker's own simulator."""
    order = order_of(device, "run", [skewed(), skewed()], shots=300, memory=True)
    far, near = run_far(device, order), here(device, order)
    assert [one.counts for one in far.experiments] == [one.counts for one in near.experiments]
    assert [one.memory for one in far.experiments] == [one.memory for one in near.experiments]
    assert far.experiments[0].header["creg_sizes"] == [["low", 1], ["high", 2]]
    assert far.seconds > 0


def test_sampler_equals_the_local_way(device: Elsewhere) -> None:
    """Registers of PUBs with bindings are the same bits as those of the worker's own simulator."""
    circuit = turning()
    circuit.measure_all()
    values = np.linspace(0, 3, 6).reshape(3, 2).tolist()
    order = order_of(device, "sampler", circuit, [Pub(circuit=0, parameters=values, shots=100)])
    assert run_far(device, order).pubs[0].registers == here(device, order).pubs[0].registers


def test_estimator_equals_the_local_way(device: Elsewhere) -> None:
    """Values and errors are those of Qiskit's own estimator with the same counts."""
    pubs = [
        Pub(circuit=0, parameters=[[0.3, 0.4]], observables=[{"IZZ": 1.0}, {"IXX": 0.5, "IZI": 2.0}], precision=0.05),
    ]
    order = order_of(device, "estimator", turning(), pubs)
    far, near = run_far(device, order), here(device, order)
    assert far.pubs == near.pubs


def test_small_pubs_share_a_submission(device: Elsewhere) -> None:
    """PUBs with the same shots go together, others apart, and none holds more circuits than the device takes."""
    circuit = skewed()
    pubs = [Pub(circuit=0, shots=10) for _ in range(6)] + [Pub(circuit=0, shots=20)]
    order = order_of(device, "sampler", circuit, pubs)
    device.encode(order)
    assert [(len(circuits), shots) for circuits, shots in device.sent] == [(4, 10), (2, 10), (1, 20)]


def test_same_order_gives_the_same_pieces(device: Elsewhere) -> None:
    """A recovery makes the payloads anew: they hold the same circuits in the same order."""
    order = order_of(device, "estimator", turning(), [Pub(circuit=0, parameters=[0.1, 0.2], observables={"IXZ": 1.0})])
    device.encode(order)
    first = list(device.sent)
    device.sent.clear()
    device.encode(order)
    assert device.sent == first


def test_lost_submission_marks_its_pubs(device: Elsewhere) -> None:
    """What the vendor did not give is marked with a reason and empty; the rest is there."""
    order = order_of(device, "sampler", skewed(), [Pub(circuit=0, shots=10)] * 6)
    result = run_far(device, order, lose=[1])
    assert [one.missing for one in result.pubs] == [False] * 4 + [True] * 2
    assert result.pubs[5].registers == {}
    assert result.pubs[5].metadata["why"]
    assert result.pubs[0].registers["high"].array.shape == [10, 1]


def test_lost_part_of_an_estimator_is_missing(device: Elsewhere) -> None:
    """A PUB of which one circuit is missing has no value at all."""
    observables = [{"IXX": 1.0}, {"IZZ": 1.0}, {"IYY": 1.0}]
    pub = Pub(circuit=0, parameters=[[0.1, 0.2]], observables=observables, precision=0.1)
    other = Pub(circuit=0, parameters=[0.1, 0.2], observables={"IZZ": 1.0}, precision=0.2)
    result = run_far(device, order_of(device, "estimator", turning(), [pub, other]), lose=[0])
    assert result.pubs[0].missing
    assert result.pubs[0].evs is None
    assert result.pubs[0].shape == [3]
    assert not result.pubs[1].missing


def test_nothing_at_all_is_an_error(device: Elsewhere) -> None:
    """Where no submission has an answer there is no result of zeros."""
    with pytest.raises(JobFailed, match="gave no result"):
        run_far(device, order_of(device, "run", skewed(), shots=10), lose=[0])


@pytest.mark.parametrize("counts", [{}, {"0x0": 0}, {"0x0": 9}, {"0x1f": 10}, {"zz": 10}])
def test_answers_that_cannot_be(device: Elsewhere, counts: dict[str, int]) -> None:
    """No shots, too few, bits that the circuit has not, and no bits are never taken for a result."""
    order = order_of(device, "run", skewed(), shots=10)
    device.encode(order)
    with pytest.raises(JobFailed):
        device.decode(order, [json.dumps([{"counts": counts}]).encode()])


def test_counts_alone_make_samples(device: Elsewhere) -> None:
    """A device that gives counts only has sampler results, and they say where the shots are from."""
    order = order_of(device, "sampler", skewed(), [Pub(circuit=0, shots=50)])
    result = run_far(device, order, memory=False)
    assert result.pubs[0].metadata["shots_from"] == "counts"
    bits = np.frombuffer(result.pubs[0].registers["high"].array.data, dtype=np.uint8)
    assert set(bits.tolist()) == {2}, "qubit 0 is 1 and was measured into the upper bit of the register"


def test_device_refuses_what_it_has_not(device: Elsewhere) -> None:
    """A machine elsewhere has no simulator's seed or method."""
    for kind in JobKind:
        assert not {"seed_simulator", "method"} & set(device.options[kind.value]["properties"])


def test_dry_run_has_the_noise_of_the_target(device: Elsewhere) -> None:
    """The device can be imitated here from its calibration."""
    circuit = transpile(skewed(), target=device.target, optimization_level=0)
    noisy = device.run([circuit], RunOptions(2000, SEED)).get_counts(0)
    assert len(noisy) > len(device.run([circuit], RunOptions(2000, SEED), ideal=True).get_counts(0))
