"""What a noisy simulator has no room for is refused before it runs, and nothing else is."""

from __future__ import annotations

import pytest
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from jupyter_quantum.fabric.adapters import Device, build
from jupyter_quantum.fabric.adapters.base import RunOptions
from jupyter_quantum.fabric.noise import widest
from jupyter_quantum.fabric.room import no_room
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.simulation import Noise
from jupyter_quantum.wire.codes import CODES


@pytest.fixture(scope="module")
def devices() -> dict[str, Device]:
    """A simulator without noise, and a snapshot with it."""
    specs = [
        DeviceSpec(name="aer", adapter="aer"),
        DeviceSpec.model_validate({"name": "torino", "adapter": "ibm_fake", "fake": "FakeTorino"}),
    ]
    return {spec.name: build(spec, 1) for spec in specs}


def ghz(width: int) -> QuantumCircuit:
    """Qubits that are all entangled, measured."""
    circuit = QuantumCircuit(width)
    circuit.h(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def turned(width: int) -> QuantumCircuit:
    """The same, by a little more than Clifford gates can."""
    circuit = QuantumCircuit(width)
    circuit.ry(0.3, range(width))
    return circuit.compose(ghz(width))


@pytest.mark.parametrize(
    ("method", "memory_mb", "most"),
    [
        ("automatic", 4096, 28),
        ("automatic", 4095, 27),
        ("statevector", 4096, 28),
        ("density_matrix", 4096, 14),
        ("automatic", 16, 20),
        ("matrix_product_state", 4096, None),
        ("stabilizer", 4096, None),
    ],
)
def test_room_is_the_state_that_is_kept(method: str, memory_mb: int, most: int | None) -> None:
    """Sixteen bytes an amplitude, by the method; a method that keeps no whole state has no such bound."""
    assert widest(method, memory_mb) == most


def test_clifford_circuits_of_any_width_where_nothing_relaxes(devices: dict[str, Device]) -> None:
    """Without noise what is Clifford needs no state, also where parameters may make it so; anything else does."""
    aer = devices["aer"]
    assert no_room(aer, [ghz(500)], {"method": "automatic"}, 1000, 4096) is None
    open_ = QuantumCircuit(29)
    open_.rz(Parameter("a"), 0)
    assert no_room(aer, [open_.compose(ghz(29))], {"method": "automatic"}, 1000, 4096) is None
    assert no_room(aer, [turned(28)], {"method": "automatic"}, 1000, 4096) is None
    for circuit, method in ((turned(29), "automatic"), (ghz(29), "statevector")):
        refused = no_room(aer, [circuit], {"method": method}, 1000, 4096)
        assert refused is not None
        assert refused.code == "circuit.too_wide_to_simulate"
        assert "uses 29 qubits; there is room for the state of such a circuit on at most 28" in refused.message
        assert 'method="matrix_product_state"' in (refused.hint or "")
    assert devices["torino"].known_noise == Noise(any=True, clifford=False)


def test_ghz_on_a_hundred_qubits_is_refused_in_words(devices: dict[str, Device]) -> None:
    """What was wrong with numbers, what to do, and a code that programs know; as laid out, idle qubits not counted."""
    torino = devices["torino"]
    (wide,) = torino.compile([ghz(100)], 1, 0)
    refused = no_room(torino, [wide], {"method": "automatic"}, 1000, 4096)
    assert refused is not None
    assert refused.code == "circuit.too_wide_to_simulate"
    assert refused.code in CODES
    assert refused.message == (
        "As laid out for torino, the circuit uses 104 qubits; its noise is simulated on at most 28."
    )
    assert 'method="matrix_product_state"' in (refused.hint or "")
    assert refused.details == {"num_qubits": 104, "most_qubits": 28}
    (narrow,) = torino.compile([ghz(28)], 1, 0)
    assert no_room(torino, [narrow], {"method": "automatic"}, 1000, 4096) is None
    assert no_room(torino, [wide], {"method": "matrix_product_state"}, 1000, 4096) is None
    assert no_room(devices["aer"], [ghz(29)], {"method": "automatic"}, 1000, 4096) is None


@pytest.mark.parametrize("method", ["automatic", "statevector", "density_matrix"])
def test_the_bound_without_noise_is_aers_own(devices: dict[str, Device], method: str) -> None:
    """The same of a simulator without noise."""
    width = 8 if method == "density_matrix" else 16
    for circuit, fits in ((turned(width), True), (turned(width + 1), False)):
        assert (no_room(devices["aer"], [circuit], {"method": method}, 1, 1) is None) is fits
        assert devices["aer"].run([circuit], RunOptions(1, 7, method=method, memory_mb=1)).success is fits


@pytest.mark.parametrize(("method", "width", "shots"), [("statevector", 16, 1), ("automatic", 8, 300)])
def test_the_bound_is_aers_own(devices: dict[str, Device], method: str, width: int, shots: int) -> None:
    """Of two neighbouring widths, the one that is refused is the one that Aer itself has no memory for: of states, and
    of density matrices where there are more shots than amplitudes."""
    torino = devices["torino"]
    circuits = torino.compile([ghz(width), ghz(width + 1)], 1, 0)
    shots_of = [shots, shots if shots == 1 else 2 * shots]
    for circuit, count, fits in zip(circuits, shots_of, (True, False), strict=True):
        refused = no_room(torino, [circuit], {"method": method}, count, 1)
        assert (refused is None) is fits
        assert torino.run([circuit], RunOptions(count, 7, method=method, memory_mb=1)).success is fits


def test_more_shots_than_amplitudes_need_more_room(devices: dict[str, Device]) -> None:
    """The refusal says how many shots there is room for, and so many pass."""
    torino = devices["torino"]
    (circuit,) = torino.compile([ghz(15)], 1, 0)
    refused = no_room(torino, [circuit], {"method": "automatic"}, 40_000, 4096)
    assert refused is not None
    assert refused.message == (
        "As laid out for torino, the circuit uses 15 qubits; for as many as 40,000 shots its noise is simulated on at "
        "most 14."
    )
    assert refused.hint == 'Use at most 32,768 shots, fewer qubits, or method="statevector".'
    assert no_room(torino, [circuit], {"method": "automatic"}, 32_768, 4096) is None
    assert no_room(torino, [circuit], {"method": "statevector"}, 40_000, 4096) is None
