"""What a simulation takes, as a model: Aer's choice of method, how it grows, what its range covers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import psutil
import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from jupyter_quantum.fabric import simulation
from jupyter_quantum.fabric.adapters import Device, build
from jupyter_quantum.fabric.adapters.base import RunOptions
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.simulation import measured

GENERIC = {
    "backend": "qiskit.providers.fake_provider:GenericBackendV2",
    "arguments": {"num_qubits": 24, "basis_gates": ["h", "rz", "cx"], "seed": 1},
}


@pytest.fixture(scope="module")
def devices() -> dict[str, Device]:
    """A simulator without noise, a snapshot with it, and a backend of which nothing is known."""
    specs = [
        DeviceSpec(name="aer", adapter="aer"),
        DeviceSpec.model_validate({"name": "lagos", "adapter": "ibm_fake", "fake": "FakeLagosV2"}),
        DeviceSpec.model_validate({"name": "lab", "adapter": "backend", **GENERIC}),
    ]
    return {spec.name: build(spec, 1) for spec in specs}


def turned(width: int, angle: float | Parameter = 0.3, *, early: bool = False) -> QuantumCircuit:
    """All qubits entangled, one turned about z; ``early``: something follows a measurement."""
    circuit = QuantumCircuit(width)
    circuit.h(range(width))
    circuit.rz(angle, 0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    if early:
        circuit.x(0)
        circuit.measure(0, 0)
    return circuit


CLIFFORD = 1.5707963267948966


@pytest.mark.parametrize("name", ["aer", "lagos"])
@pytest.mark.parametrize("shots", [4, 2000])
@pytest.mark.parametrize("angle", [0.3, CLIFFORD])
@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("method", ["automatic", "density_matrix", "statevector"])
def test_the_method_is_the_one_that_aer_takes(
    devices: dict[str, Device], name: str, shots: int, angle: float, early: bool, method: str
) -> None:
    """With and without noise, few shots and many, Clifford or not, measured at the end or before."""
    device = devices[name]
    (circuit,) = device.compile([turned(3, angle, early=early)], 1, 0)
    told = device.seconds([(circuit, 1, shots)], {"method": method}).simulation
    assert told is not None
    (ran,) = device.run([circuit], RunOptions(shots, 7, method=method)).results
    assert {"trajectories": "statevector"}.get(told.method, told.method) == ran.metadata["method"]
    if ran.metadata["method"] == "statevector":
        assert (told.method == "trajectories") is not ran.metadata["measure_sampling"]
    assert told.qubits == ran.metadata["num_qubits"]


def test_time_grows_with_everything(devices: dict[str, Device]) -> None:
    """Qubits, gates, shots and circuits; a density matrix is paid for once, a trajectory each time."""

    def seconds(name: str, width: int = 5, count: int = 1, shots: int = 1000, **options: str) -> float:
        device = devices[name]
        (circuit,) = device.compile([turned(width)], 1, 0)
        return device.seconds([(circuit, count, shots)], options).seconds.value

    assert seconds("aer", 21) > 1.9 * seconds("aer", 20) > 20 * seconds("aer", 10)
    assert seconds("aer", 20, count=10) == pytest.approx(10 * seconds("aer", 20))
    assert seconds("aer", 20, shots=2000) < 1.1 * seconds("aer", 20)
    few, many = seconds("lagos", 7, shots=100), seconds("lagos", 7, shots=120)
    assert few < many < 1.2 * few
    assert seconds("lagos", 7, shots=2000) < 1.2 * seconds("lagos", 7, shots=1000)
    assert devices["aer"].seconds([(turned(60), 1000, 100_000)], {}).seconds.high == 1e9


def test_the_range_holds_what_may_be(devices: dict[str, Device]) -> None:
    """Open parameters may turn out Clifford; nobody knows how a backend simulates; threads may share the work."""

    def told(device: Device, circuit: QuantumCircuit) -> tuple[float, float, float]:
        found = device.seconds([(circuit, 1, 1000)], {}).seconds
        assert 0 < found.low <= found.value <= found.high
        return found.low, found.value, found.high

    aer, lab = devices["aer"], devices["lab"]
    clifford, other, open_ = (told(aer, turned(24, angle)) for angle in (CLIFFORD, 0.3, Parameter("a")))
    assert open_[0] == pytest.approx(clifford[0])
    assert open_[1:] == other[1:]
    unknown = told(lab, turned(24, CLIFFORD))
    assert unknown[0] < 0.01 * other[0]
    assert unknown[2] > other[2]
    shared = build(aer.spec, 2)
    if (os.cpu_count() or 1) > 1:
        assert told(shared, turned(24))[0] == pytest.approx(other[0] / 2)
    assert told(shared, turned(24))[2] == pytest.approx(other[2])


def test_a_slower_machine_takes_longer(devices: dict[str, Device]) -> None:
    """Every number is scaled by what was measured."""
    slow = build(devices["aer"].spec, 1)
    slow.pace = 3.0
    usual = devices["aer"].seconds([(turned(20), 1, 100)], {})
    slower = slow.seconds([(turned(20), 1, 100)], {})
    assert slower.seconds.low == pytest.approx(3 * usual.seconds.low)
    assert slower.simulation is not None
    assert usual.simulation is not None
    assert slower.simulation.fixed == pytest.approx(3 * usual.simulation.fixed)


@pytest.mark.parametrize("goes", [lambda: time.sleep(60), lambda: 1 / 0], ids=["hangs", "breaks"])
def test_a_measurement_that_fails_keeps_no_runner_from_starting(
    monkeypatch: pytest.MonkeyPatch, goes: Callable[[], object]
) -> None:
    """One that hangs is ended, one that breaks off is done without; the usual figures hold then."""
    monkeypatch.setattr(simulation, "_benchmark", goes)
    monkeypatch.setattr(simulation, "_PATIENCE_S", 0.2)
    before = psutil.Process().children()
    assert measured() == 1.0
    assert psutil.Process().children() == before


def test_the_measurement_leaves_nothing_behind() -> None:
    """It gives a number of this world, and neither a thread nor a process is left of it."""
    ours = psutil.Process()
    threads, children = ours.num_threads(), ours.children()
    assert 0.1 < measured() < 20
    assert ours.num_threads() <= threads  # those of a run before may end meanwhile
    assert ours.children() == children
