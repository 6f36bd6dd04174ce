"""What a simulation cannot end in time for is refused before anything is held; what may not is said to."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from qiskit import QuantumCircuit, qpy

from jupyter_quantum.core.jobs import DeviceKind, JobKind, JobState
from jupyter_quantum.exceptions import CircuitRejected
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.codes import CODES
from jupyter_quantum.wire.devices import Interval
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.reports import ReportRequest, ReportRow
from jupyter_quantum.wire.runner import DeviceAnnouncement, Prepared, Simulation, Work
from tests.integration.pipeline.conftest import ADA, DEVICES, House, request, running, until
from tests.integration.pipeline.test_pipeline_door import refused
from tests.integration.pipeline.test_pipeline_series_real import _ready, real_runner

CODE = "circuit.too_long_to_simulate"


class _Slow(MemoryRunner):
    """Simulates for 0.1 s a shot, give or take a factor of two, after 5 s; its remote device says so of itself, too."""

    def _prepare(self, work: Work, device: DeviceAnnouncement, *, keep: bool) -> Prepared:
        found = super()._prepare(work, device, keep=keep)
        took = 5 + found.shots / 10
        seconds = Interval(value=took, low=took / 2, high=2 * took)
        simulation = Simulation(method="trajectories", qubits=22, fixed=5)
        return found.model_copy(update={"seconds": seconds, "simulation": simulation})


async def report_on(house: House, device: str, shots: int) -> ReportRow:
    bundle = CircuitBundle(format="qasm2", data=b"n=3")
    asked = ReportRequest(circuits=bundle, options={"shots": shots}, devices=[device])
    (row,) = (await house.pipeline.report(ADA, asked)).rows
    return row


async def test_a_run_that_cannot_end_is_refused_and_costs_nothing(house: House) -> None:
    """In words with numbers and a way out that works; a report says the same; nothing is held, no job is left open."""
    async with _Slow(house.pipeline, DEVICES) as runner:
        error = await refused(house, request("fake_torino", 2000), CircuitRejected, CODE)
        assert CODE in CODES
        assert error.message == (
            "fake_torino would take 2 min or longer to simulate this (22 qubits in use, a state for each shot); a run "
            "there may take 1 min."
        )
        assert error.hint == "Use at most 500 shots, fewer qubits, or fewer gates."
        assert error.details["most_shots"] == 500
        row = await report_on(house, "fake_torino", 2000)
        assert (row.code, row.seconds, row.price) == (CODE, None, None)
        assert row.problem == f"{error.message} {error.hint}"
        accounts = await house.store.read(lambda view: view.accounts())
        assert [(one.used, one.held) for one in accounts if one.used or one.held] == []
        assert runner.executed == []
        job = await house.pipeline.submit(ADA, request("fake_torino", 500), key=None, wait_s=5)
        assert job.state is JobState.COMPLETED
        await house.ledger()


async def test_a_precision_is_the_way_out_of_an_estimator(house: House) -> None:
    """Who asked for a precision is told one."""
    async with _Slow(house.pipeline, DEVICES):
        pub = Pub(circuit=0, observables={"ZZ": 1.0}, shots=2000)
        asked = request("fake_torino", None, kind=JobKind.ESTIMATOR, pubs=[pub])
        error = await refused(house, asked, CircuitRejected, CODE)
        assert error.hint == "Use a precision of 0.045 or coarser, fewer qubits, or fewer gates."


@pytest.mark.parametrize(("shots", "warned"), [(200, False), (300, True), (900, True)])
async def test_what_may_not_end_is_said_to(house: House, shots: int, warned: bool) -> None:
    """Where the high end alone is over the limit the run is let in, and the report says what may happen."""
    async with _Slow(house.pipeline, DEVICES):
        row = await report_on(house, "fake_torino", shots)
    assert row.problem is None
    assert row.seconds is not None
    assert row.seconds_rest_on == (
        "what simulating takes on its runner's machine: a state for each shot, 22 qubits in use"
    )
    assert bool(row.warning) is warned
    if shots == 300:
        assert row.warning == "may take up to 1 min; after 1 min it is stopped, and gives no result"


async def test_a_vendors_machine_is_not_judged_by_it(house: House) -> None:
    """What runs elsewhere has its own clock."""
    far = announcement("fake_torino", DeviceKind.EMULATOR).model_copy(update={"remote": True, "recovery": "searchable"})
    async with _Slow(house.pipeline, [far]):
        row = await report_on(house, "fake_torino", 2000)
    assert (row.problem, row.warning) == (None, None)


async def test_minutes_are_refused_at_once_by_a_real_runner(settings: Settings, tmp_path: Path) -> None:
    """Twenty-two noisy qubits would take minutes: they are refused while a first shot would still run, in a report and
    at submission; five run, within the range that was said, and their time is scored."""
    async with running(settings) as house, real_runner(house, tmp_path, "FakeTorino"):
        await until(lambda: (d := house.pipeline._context.registry.get("fake_torino")) and _ready(house, d), 120)
        began = time.monotonic()
        await refused(house, request("fake_torino", 1000, data=written(22)), CircuitRejected, CODE)
        assert time.monotonic() - began < 10
        accounts = await house.store.read(lambda view: view.accounts())
        assert [(one.used, one.held) for one in accounts if one.used or one.held] == []
        job = await house.pipeline.submit(ADA, request("fake_torino", 1000, data=written(5)), key=None, wait_s=60)
        assert job.state is JobState.COMPLETED, job.error
        row = await house.store.read(lambda view: view.job(job.id))
        prepared = Prepared.model_validate_json(row.prepared or "")
        assert prepared.simulation is not None
        assert prepared.simulation.method == "density_matrix"
        device = await house.pipeline.device(ADA, "fake_torino")
        assert {one.what for one in device.scores} >= {"seconds"}


def written(width: int) -> bytes:
    circuit = QuantumCircuit(width)
    for layer in range(5):
        circuit.ry(0.3 + layer, range(width))
        for qubit in range(width - 1):
            circuit.cx(qubit, qubit + 1)
    circuit.measure_all()
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer, version=13)
    return buffer.getvalue()
