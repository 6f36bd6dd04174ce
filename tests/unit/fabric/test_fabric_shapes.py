"""What a worker remembers: the same shape again is not parsed or compiled again, and nothing else comes of it."""

from __future__ import annotations

import io
from typing import Any

import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Parameter

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.core.qpy_labels import Label, labelled, split
from jupyter_quantum.fabric.adapters import Device, build
from jupyter_quantum.fabric.limits import Limits
from jupyter_quantum.fabric.parse import parse
from jupyter_quantum.fabric.prepare import prepare
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.shapes import Shapes
from jupyter_quantum.wire.base import CircuitBundle, digest_of
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.runner import Prepared, Work

LIMITS = Limits()


@pytest.fixture(scope="module")
def devices() -> dict[str, Device]:
    """A simulator, and two devices with the same snapshot."""
    specs = [
        DeviceSpec(name="aer", adapter="aer"),
        DeviceSpec.model_validate({"name": "lagos", "adapter": "ibm_fake", "fake": "FakeLagosV2"}),
        DeviceSpec.model_validate({"name": "twin", "adapter": "ibm_fake", "fake": "FakeLagosV2"}),
    ]
    return {spec.name: build(spec, 1) for spec in specs}


def written(*circuits: QuantumCircuit) -> bytes:
    """A QPY file as clients send it."""
    buffer = io.BytesIO()
    qpy.dump(list(circuits), buffer, version=13)
    return buffer.getvalue()


def bell(name: str, **metadata: Any) -> QuantumCircuit:
    """Always the same but for its label."""
    circuit = QuantumCircuit(2, name=name, metadata=metadata)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def test_metadata_without_a_bottom_is_no_label() -> None:
    """Nested deeper than any reader goes: the service, which looks for labels itself, does not stumble over it."""
    data = written(bell("x", note="0" * 100_000))
    at = data.index(b'{"note"')
    size = data.index(b'0"}') + 3 - at
    assert split(data) is not None
    assert split(data[:at] + b"[" * size + data[at + size :]) is None


class Asked:
    """Prepares as a worker does, and counts what was parsed and compiled."""

    def __init__(self, devices: dict[str, Device], monkeypatch: pytest.MonkeyPatch) -> None:
        self.devices, self.shapes = devices, Shapes()
        self.parsed = self.compiled = 0
        for device in devices.values():
            monkeypatch.setattr(device, "compile", self._counting(device.compile))

    def _counting(self, compile_: Any) -> Any:
        def counted(*args: Any) -> Any:
            self.compiled += 1
            return compile_(*args)

        return counted

    def __call__(
        self, data: bytes, device: str = "lagos", kind: str = "run", pubs: list[Pub] | None = None, **options: Any
    ) -> Prepared:
        bundle = CircuitBundle(format="qpy", data=data)
        work = Work(kind=JobKind(kind), circuits=bundle, pubs=pubs or [], options=options, transpile="auto", limits={})

        def read() -> list[QuantumCircuit]:
            self.parsed += 1
            return parse(bundle, LIMITS)

        source = self.shapes.source(bundle, LIMITS, read)
        prepared, executable = prepare(self.devices[device], source, work, LIMITS, self.devices, self.shapes)
        assert prepared.error is None, prepared.error
        assert executable is not None
        assert prepared.digest == digest_of(executable.data)
        return prepared


@pytest.fixture
def asked(devices: dict[str, Device], monkeypatch: pytest.MonkeyPatch) -> Asked:
    """With an empty memory."""
    return Asked(devices, monkeypatch)


def ran(prepared: Prepared) -> QuantumCircuit:
    """The executable as it is read again."""
    assert prepared.executable is not None
    (circuit,) = qpy.load(io.BytesIO(prepared.executable))
    return circuit


def test_another_label_is_the_same_shape(asked: Asked) -> None:
    """Names, metadata, shots and seeds cost no second parse and no second compilation; each keeps its own label."""
    first, second = asked(written(bell("one"))), asked(written(bell("two", cell=7)), shots=12, seed_simulator=3)
    assert (asked.parsed, asked.compiled) == (1, 1)
    assert (ran(first).name, ran(second).name, ran(second).metadata) == ("one", "two", {"cell": 7})
    assert ran(first) == ran(second)
    assert second.shots == 12
    assert first.digest != second.digest


def test_what_comes_out_does_not_depend_on_what_is_remembered(devices: dict[str, Device], asked: Asked) -> None:
    """The same circuit, level and seed give the same bytes in a worker that has seen others, and in a fresh one."""
    for device in devices:
        asked(written(bell("another", x=1)), device)
        warm = asked(written(bell("mine")), device)
        fresh = Asked(devices, pytest.MonkeyPatch())(written(bell("mine")), device)
        assert warm.executable == fresh.executable


def test_devices_that_are_alike_share_what_was_compiled(asked: Asked) -> None:
    """Two devices of one snapshot: laid out once; another level or seed is laid out by itself."""
    data = written(bell("bell"))
    assert asked(data, "lagos").digest == asked(data, "twin").digest
    assert asked.compiled == 1
    asked(data, seed_transpiler=1)
    asked(data, optimization_level=0)
    assert asked.compiled == 3


def test_other_bindings_are_the_same_shape(asked: Asked) -> None:
    """Values of a PUB are no part of a shape; the circuit's angles are."""
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("angle"), 0)
    circuit.measure_all()
    data = written(circuit)
    first = asked(data, kind="sampler", pubs=[Pub(circuit=0, parameters=[0.1])])
    second = asked(data, kind="sampler", pubs=[Pub(circuit=0, parameters=[[0.2], [0.3]])])
    assert (asked.parsed, asked.compiled) == (1, 1)
    assert first.digest == second.digest
    assert (first.tasks, second.tasks) == (1, 2)
    for angle in (0.1, 0.2):
        asked(written(circuit.assign_parameters([angle])))
    assert asked.compiled == 3


def test_a_refused_circuit_is_refused_again(asked: Asked) -> None:
    """What does not parse is not remembered as if it did."""
    for _ in range(2):
        with pytest.raises(Exception, match="QPY"):
            asked(written(bell("bell"))[:-20])
    assert asked.parsed == 2


@pytest.mark.parametrize("version", [13, 14, 15])
def test_labels_come_off_and_on_again(version: int) -> None:
    """Byte for byte what Qiskit writes, for names and metadata of any kind."""
    for name, metadata in (("bell", {}), ("Glocke ü", {"a": [1, None, "é"], "b": {"c": 0.1}}), ("x" * 300, {"n": 1})):
        circuit = bell(name, **metadata)
        buffer = io.BytesIO()
        qpy.dump(circuit, buffer, version=version)
        found = split(buffer.getvalue())
        assert found is not None
        assert found[0] == Label(name, metadata)
        assert labelled(found[1], found[0]) == buffer.getvalue()
        circuit.name, circuit.metadata = "", {}
        plain = io.BytesIO()
        qpy.dump(circuit, plain, version=version)
        assert found[1] == plain.getvalue()


@pytest.mark.parametrize(
    "data",
    [b"", b"QISKIT", written(bell("a"), bell("b")), written(bell("a"))[:60], b"OPENQASM 3.0;" * 9],
    ids=["empty", "short", "two circuits", "cut", "text"],
)
def test_other_files_have_no_label_to_take_off(data: bytes) -> None:
    """They are read whole, as ever."""
    assert split(data) is None
