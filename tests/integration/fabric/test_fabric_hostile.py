"""Hostile circuits, each through a real runner: refused in words, in time, and without harm to the next task."""

from __future__ import annotations

import time

import pytest
from qiskit import QuantumCircuit

from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.runner import ReportTask
from tests.hostile.corpus import cases
from tests.integration.fabric.asking import Fabric, work_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 3.0


def bell() -> QuantumCircuit:
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


async def test_every_hostile_circuit_is_refused_clearly(fabric: Fabric) -> None:
    """Each file ends in a refusal with its code, in printable words of one line, and the fabric goes on."""
    wrong = []
    for case in cases():
        began = time.monotonic()
        work = work_of(CircuitBundle(format=case.format, data=case.data))
        prepared = await fabric.prepare("aer", work, affinity="", memory_mb=512)
        took = time.monotonic() - began
        error = prepared.error
        fine = (
            error is not None
            and error.code.startswith(case.expected_code_prefix)
            and error.error in {"CircuitRejected", "InputError"}
            and error.message.isprintable()
            and 10 < len(error.message) < 400
            and took < SECONDS
        )
        if not fine:
            wrong.append((case.name, round(took, 2), error))
    assert not wrong
    prepared, result = await fabric.run("aer", work_of(bell(), shots=100))
    assert sum((result.experiments[0].counts or {}).values()) == 100


async def test_the_line_of_a_built_in_name_is_told(fabric: Fabric) -> None:
    """The refusal of a reserved name reads as the interface guide has it."""
    case = next(one for one in cases() if one.name == "qasm2: h that is not h")
    prepared = await fabric.prepare("aer", work_of(CircuitBundle(format=case.format, data=case.data)))
    assert prepared.error is not None
    assert prepared.error.message == (
        "Line 7 defines a gate named `h`, which is built in; the built-in one would run instead."
    )
    assert prepared.error.hint == "Rename yours, for example `my_h`."


async def test_too_wide_names_devices_that_fit(fabric: Fabric) -> None:
    """A circuit of 140 qubits is refused on 133 with the devices that have room."""
    wide = QuantumCircuit(140)
    wide.h(range(140))
    wide.measure_all()
    prepared = await fabric.prepare("fake_torino", work_of(wide))
    assert prepared.error is not None
    assert prepared.error.code == "circuit.too_wide"
    assert prepared.error.message == "The circuit has 140 qubits; fake_torino has 133."
    assert "fake_fez (156)" in (prepared.error.hint or "")


@pytest.mark.parametrize("name", ["resilience_level", "dynamical_decoupling", "twirling"])
async def test_options_of_others_are_refused_by_name(fabric: Fabric, name: str) -> None:
    """An option that the device does not have is an error that names it, never ignored."""
    prepared = await fabric.prepare("aer", work_of(bell(), **{name: {"enable": True}}))
    assert prepared.error is not None
    assert (prepared.error.error, prepared.error.code) == ("OptionRejected", "option.unknown")
    assert name in prepared.error.message


async def test_zero_shots_and_too_many(fabric: Fabric) -> None:
    """Shots out of bounds are refused before anything runs."""
    for shots in (0, 10**9, True, "many"):
        prepared = await fabric.prepare("aer", work_of(bell(), shots=shots))
        assert prepared.error is not None
        assert prepared.error.code == "option.value"


async def test_what_noise_has_no_room_for_is_refused_before_it_runs(fabric: Fabric) -> None:
    """A hundred entangled qubits are a row with a refusal on an emulator, whose dry run is still shown; a method that
    keeps no whole state may be tried, and does run."""
    wide = QuantumCircuit(100)
    wide.h(0)
    for qubit in range(99):
        wide.cx(qubit, qubit + 1)
    wide.measure_all()
    work = work_of(wide, shots=2)
    prepared = await fabric.prepare("fake_torino", work)
    assert prepared.error is not None
    assert (prepared.error.error, prepared.error.code) == ("CircuitRejected", "circuit.too_wide_to_simulate")
    assert prepared.executable is None
    report = await fabric.standin.do(ReportTask(work=work, devices=["fake_torino"], dry_run="fake_torino"))
    rows = [one for one in report.prepared if one.device == "fake_torino"]
    assert [one.error.code for one in rows if one.error] == ["circuit.too_wide_to_simulate"]
    assert report.dry_run is not None
    assert report.dry_run.method == "stim"
    narrower = QuantumCircuit(30)
    narrower.ry(0.3, range(30))
    narrower.measure_all()
    _, result = await fabric.run("fake_torino", work_of(narrower, shots=2, method="matrix_product_state"))
    assert sum((result.experiments[0].counts or {}).values()) == 2


async def test_states_too_large_for_memory_fail_clearly(fabric: Fabric) -> None:
    """Twenty-six entangled qubits need 1 GB: where a run may take half, they are refused before it; the worker's own
    limit holds as well, and the run that hits it fails at once and says so."""
    wide = QuantumCircuit(26)
    for qubit in range(26):
        wide.ry(0.3 + qubit, qubit)
        wide.rz(0.1 + qubit, qubit)
    for qubit in range(25):
        wide.cx(qubit, qubit + 1)
        wide.ry(0.2, qubit)
    wide.measure_all()
    work = work_of(wide, shots=10, method="statevector")
    prepared = await fabric.prepare("aer", work, memory_mb=2048)
    assert prepared.error is None
    report = await fabric.execute(work, prepared, memory_mb=512)
    assert report.state == "failed"
    assert report.error is not None
    assert (report.error.error, report.error.code) == ("JobFailed", "job.memory")
    assert not report.charged
    refused = await fabric.prepare("aer", work, memory_mb=512)
    assert refused.error is not None
    assert refused.error.code == "circuit.too_wide_to_simulate"
