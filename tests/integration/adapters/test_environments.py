"""Vendors whose pins clash with ours: a runner in an environment of its own, locked workers, the vendor's real SDK."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from math import pi

import numpy as np
import pytest
import pytest_asyncio
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter

from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import PubResult
from tests.integration.fabric.asking import Fabric, executable, work_of
from tests.integration.fabric.standin import running
from tests.prove.adapters import checked
from tests.prove.environments import EXTRAS, python_of
from tests.prove.sdk_parity import EMULATORS, Emulated, compared, directly, through

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(900)]

SLOW = {"aphrodite", "apollo", "cats_noiseless"}
"""What only the proofs go through."""
SPECS = {spec["name"]: (extra, spec) for extra, specs in EMULATORS.items() for spec in specs}
QUICK = [name for name, (extra, _) in SPECS.items() if extra is not None and name not in SLOW]


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=EXTRAS)
async def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fabric]:
    """A runner in the environment of one extra, with its quick devices."""
    specs = [spec for extra, spec in (SPECS[name] for name in QUICK) if extra == request.param]
    async with running(tmp_path_factory.mktemp(request.param), specs, python=python_of(request.param)) as (
        standin,
        runner,
    ):
        yield Fabric(standin, runner)


def ghz(width: int) -> QuantumCircuit:
    circuit = QuantumCircuit(width, name="ghz")
    circuit.h(0)
    for qubit in range(width - 1):
        circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    return circuit


def turned(angle: float | Parameter) -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.rx(angle, 0)
    circuit.rzz(angle, 0, 1)
    return circuit


def names(fabric: Fabric) -> set[str]:
    assert fabric.standin.announced is not None
    return {device.name for device in fabric.standin.announced.devices}


def of(fabric: Fabric, *wanted: str) -> list[str]:
    """Those of the devices that this runner serves."""
    return sorted(names(fabric).intersection(wanted))


def ones(found: PubResult) -> np.ndarray:
    """For each binding, how often register ``meas`` had its lowest bit set."""
    (bits,) = found.registers.values()
    return (np.frombuffer(bits.array.data, np.uint8).reshape(bits.array.shape)[..., -1] & 1).mean(axis=-1)


async def test_every_lock_is_on(served: Fabric) -> None:
    """The workers of a vendor's environment are locked as ours are; errors that the SDK does not tell are unknown."""
    told = served.standin.announced
    assert told is not None
    assert set(told.sandbox) >= {"rlimits", "no_new_privs", "landlock", "seccomp"}
    assert {"iqm-client", "qiskit-aqt-provider", "qiskit-alice-bob-provider"} & set(told.packages)
    for device in told.devices:
        assert device.target is not None
        errors = [row[2] for one in device.target["operations"] for row in one["props"] or []]
        assert set(errors) <= {None}, f"{device.name} tells errors now: its success can be estimated"
        assert "method" not in device.options["run"]["properties"]


async def test_the_distribution_is_the_sdks(served: Fabric) -> None:
    """What comes through validate → run is what the SDK gives for the same circuit when called directly."""
    devices = [Emulated(SPECS[name][1]) for name in sorted(names(served))]
    circuits = {"ghz": ghz(4), "turned": turned(0.7)}
    circuits["turned"].measure_all()
    for device in devices:
        await through(served, device, circuits)
        await asyncio.to_thread(directly, python_of(SPECS[device.spec["name"]][0]), device)
    cases, wrong = compared(devices, level=1e-4, seed=5)
    assert wrong == []
    assert cases + sum(device.refused.total() for device in devices) == 2 * len(devices)
    assert all(device.ran for device in devices if device.spec["name"] != "cats")


async def test_what_an_emulator_cannot_do_is_refused(served: Fabric) -> None:
    """Seeds and shots that the SDK does not take, measuring in mid-circuit, and gates that cannot be built."""
    asked = {
        "adonis": (work_of(ghz(2), shots=10, seed_simulator=1), "option.unknown"),
        "deneb": (work_of(ghz(2), shots=10, memory=True), "option.unknown"),
        "aqt_ideal": (work_of(ghz(2), shots=2001), "option.value"),
        "aqt_noisy": (work_of(early(), shots=10), "circuit.transpile"),
        "cats": (work_of(ghz(2), shots=10), "circuit.transpile"),
        "cats_early": (work_of(ghz(2), shots=10, method="statevector"), "option.unknown"),
    }
    for name in of(served, *asked):
        work, code = asked[name]
        prepared = await served.prepare(name, work)
        assert prepared.error is not None, name
        assert prepared.error.code == code, (name, prepared.error)


def early() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 2)
    circuit.measure(0, 0)
    circuit.h(0)
    circuit.measure(0, 1)
    return circuit


@pytest.mark.parametrize("served", ["iqm", "aqt"], indirect=True)
async def test_parameters_are_bound_when_it_runs(served: Fabric) -> None:
    """IQM and AQT take PUBs with values, outside of the range of AQT's gates as well."""
    circuit = turned(Parameter("a"))
    circuit.measure_all()
    for name in of(served, "adonis", "deneb", "aqt_ideal", "aqt_noisy"):
        pub = Pub(circuit=0, parameters=[[0.0], [-pi], [2 * pi], [3 * pi]], shots=400)
        prepared, result = await served.run(name, work_of(circuit, "sampler", [pub]))
        share = ones(result.pubs[0])
        assert (share > 0.8).tolist() == [False, True, False, True], (name, share)
        assert prepared.success is None


@pytest.mark.parametrize("served", ["aqt"], indirect=True)
async def test_aqts_angles_are_in_range(served: Fabric) -> None:
    """The executable for AQT holds angles that AQT's machines take: r up to π, rxx up to π/2."""
    for name in of(served, "aqt_ideal"):
        circuit = turned(-2.9)
        circuit.measure_all()
        prepared = await served.prepare(name, work_of(circuit, shots=10))
        (compiled,) = executable(prepared)
        angles = [
            (found.operation.name, float(found.operation.params[0])) for found in compiled if found.operation.params
        ]
        most = {"r": pi, "rxx": pi / 2}
        assert any(gate == "rxx" for gate, _ in angles)
        assert all(0 <= angle <= most[gate] + 1e-9 for gate, angle in angles if gate in most)


@pytest.mark.parametrize("served", ["iqm"], indirect=True)
async def test_resonators_stay_out_of_the_executable(served: Fabric) -> None:
    """Deneb's MOVE gates come in when a circuit runs: its six qubits are those of its Target, and all can be used."""
    for name in of(served, "deneb"):
        prepared, result = await served.run(name, work_of(ghz(6), shots=1000))
        (compiled,) = executable(prepared)
        assert compiled.num_qubits == 6
        assert "move" not in compiled.count_ops()
        counts = result.experiments[0].counts or {}
        assert counts.get("0x0", 0) + counts.get("0x3f", 0) > 600


@pytest.mark.parametrize("name", [*QUICK, "generic"])
def test_conforms(name: str) -> None:
    """The public conformance suite is green in the vendor's environment."""
    extra, spec = SPECS[name]
    applied, wrong = checked(extra, spec)
    assert wrong == []
    assert applied > 15
