"""What a worker says of counts against ideal ones, on a real emulator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from qiskit import QuantumCircuit

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.fabric.adapters.aer import AerDevice
from jupyter_quantum.fabric.adapters.base import Device, DeviceSpec
from jupyter_quantum.fabric.adapters.ibm_fake import FakeDevice
from jupyter_quantum.fabric.agreement import agreed
from jupyter_quantum.fabric.execute import execute
from jupyter_quantum.fabric.options import fill
from jupyter_quantum.mirror import mirror_circuit
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import Agreement, ResultView


@pytest.fixture(scope="module")
def torino() -> Device:
    """An emulator with noise."""
    return FakeDevice(DeviceSpec(name="fake_torino", adapter="ibm_fake", fake="FakeTorino"), 1)


def ran(
    device: Device, circuits: list[QuantumCircuit], kind: JobKind = JobKind.RUN, **options: Any
) -> tuple[list[QuantumCircuit], list[Pub], ResultView]:
    """Compile and run on the device, as the worker does."""
    compiled = device.compile(circuits, 1, 0)
    pubs = [] if kind is JobKind.RUN else [Pub(circuit=at, shots=2000) for at in range(len(circuits))]
    filled: Mapping[str, Any] = fill(device.name, device.options[kind.value], {"seed_simulator": 7, **options})
    return compiled, pubs, execute(device, kind, compiled, pubs, filled, 2048)


def found(device: Device, circuits: list[QuantumCircuit], kind: JobKind = JobKind.RUN) -> Agreement | None:
    """The agreement of a run of 2000 shots."""
    return agreed(device, *ran(device, circuits, kind, **({"shots": 2000} if kind is JobKind.RUN else {})))


def test_of_a_mirror_circuit_it_is_how_often_its_string_came(torino: Device) -> None:
    """The very share that the counts show, and the answer is certain; for ``run`` and for a sampler."""
    mirror = mirror_circuit(4, 3, 1)
    compiled, pubs, result = ran(torino, [mirror.circuit], shots=2000)
    counts = result.experiments[0].counts or {}
    said = agreed(torino, compiled, pubs, result)
    assert said is not None
    assert said.value == pytest.approx(counts[hex(int(mirror.expected, 2))] / 2000)
    assert said.certain
    sampled = found(torino, [mirror.circuit], JobKind.SAMPLER)
    assert sampled is not None
    assert sampled.certain
    assert sampled.value == pytest.approx(said.value, abs=0.05)


def test_of_a_distribution_it_is_the_hellinger_fidelity(torino: Device) -> None:
    """A Bell pair in crossed registers: its two outcomes are right, and the noise takes a little away."""
    bell = QuantumCircuit(2, 3)
    bell.h(0)
    bell.cx(0, 1)
    bell.measure([0, 1], [2, 0])
    said = found(torino, [bell])
    assert said is not None
    assert not said.certain
    assert 0.8 < said.value < 0.9999


def test_of_several_circuits_the_one_with_the_least_chance_counts(torino: Device) -> None:
    """As the chance of success that was predicted is that circuit's."""
    easy, hard = mirror_circuit(2, 1, 1).circuit, mirror_circuit(6, 6, 1).circuit
    both, alone = found(torino, [easy, hard]), found(torino, [hard])
    assert both is not None
    assert alone is not None
    assert both.value == pytest.approx(alone.value, abs=0.06)


def test_what_cannot_be_said_cheaply_is_not_said(torino: Device) -> None:
    """Wide circuits, gates after a measurement, resets, control flow, a simulator without noise."""
    wide = QuantumCircuit(13)
    wide.x(range(13))
    wide.measure_all()
    middle = QuantumCircuit(1, 2)
    middle.measure(0, 0)
    middle.x(0)
    middle.measure(0, 1)
    again = QuantumCircuit(1, 1)
    again.reset(0)
    again.measure(0, 0)
    for circuit in (wide, middle, again):
        assert found(torino, [circuit]) is None
    plain = AerDevice(DeviceSpec(name="aer", adapter="aer"), 1)
    assert found(plain, [mirror_circuit(2, 1, 1).circuit]) is None
