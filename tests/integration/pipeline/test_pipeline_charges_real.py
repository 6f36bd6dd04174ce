"""What a run costs, with nothing made up: a runner's process, locked workers, a vendor behind HTTP, the ledger."""

from __future__ import annotations

import io
import json
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from qiskit import QuantumCircuit, qpy

from jupyter_quantum.core.jobs import JobKind, JobState
from jupyter_quantum.core.tenancy import QuotaSpec
from jupyter_quantum.hub.metrics import Metrics
from jupyter_quantum.hub.runner_api import RunnerServer
from jupyter_quantum.hub.runner_process import RunnerProcess, socket_path
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.testing.adapters.server import Behaviour, VendorServer
from jupyter_quantum.wire.jobs import JobView, Pub

from .conftest import ADA, COURSE, OTHER, House, request, running, until
from .test_pipeline_charges import used
from .test_pipeline_recovery import seen

PRODUCT = {"shots": 1000, "method": "matrix_product_state"}
QUOTAS = (QuotaSpec("user", 10**6, "shots"), QuotaSpec("user", 10**9, "simulator_seconds"))


@asynccontextmanager
async def real(settings: Settings, device: dict[str, Any], **words: Any) -> AsyncIterator[House]:
    """A service and a runner's process with one device, named fake_torino."""
    folder = Path(tempfile.mkdtemp(prefix="jq-"))
    token, socket = secrets.token_urlsafe(16), socket_path(folder)
    served = [{"name": "fake_torino", "kind": "emulator"} | device]
    told = replace(settings, projects={"qcourse": replace(COURSE, quotas=QUOTAS), "lab": OTHER})
    async with running(told, db_url=settings.db_url) as house:
        pipeline = SimpleNamespace(pipeline=house.pipeline, metrics=Metrics())
        server = RunnerServer(pipeline, socket, token, lambda _: None)  # type: ignore[arg-type]
        said = {"socket": str(socket), "token": token, "devices": served, "workers": 2, "threads": 1} | words
        process = RunnerProcess(folder / "runner", said, gone=lambda: None)
        process.start()
        try:
            await until(lambda: house.pipeline._context.registry.get("fake_torino"), 120)
            yield house
        finally:
            await process.stop()
            await server.close()
            shutil.rmtree(folder, ignore_errors=True)


def written(circuit: QuantumCircuit) -> bytes:
    """As QPY."""
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer, version=13)
    return buffer.getvalue()


def bell() -> QuantumCircuit:
    """Two qubits."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


async def done(house: House, wanted: Any) -> JobView:
    """Ada's job at its end; the books are right then."""
    job = await house.pipeline.submit(ADA, wanted, key=None, wait_s=0)
    view = await seen(house, job, lambda now: now.ended is not None)
    await house.ledger()
    return view


async def test_a_part_of_a_vendors_result_costs_that_part(settings: Settings, tmp_path: Path) -> None:
    """Eight submissions of which some fail: circuits, shots and the vendor's seconds of the others, to the last one."""
    with VendorServer(Behaviour(fail=0.5, seed=3)) as vendor:
        keys = tmp_path / "secrets.json"
        keys.write_text(json.dumps({"memory": {"key": "memory-key"}}))
        keys.chmod(0o600)
        device = {"adapter": "memory", "url": vendor.url, "secret": "memory", "recovery": "searchable"}
        async with real(settings, device, secrets={"provider": "file", "path": str(keys)}, poll_s=0.2) as house:
            shots = [100 + at for at in range(8)]
            pubs = [Pub(circuit=0, shots=one) for one in shots]
            job = await done(house, request("fake_torino", None, data=written(bell()), kind=JobKind.SAMPLER, pubs=pubs))
            assert job.state is JobState.COMPLETED, job.error
            result = await house.pipeline.result(ADA, job.id)
            came = [one for at, one in enumerate(shots) if at not in result.missing]
            assert 0 < len(came) < 8
            cost = len(came) * 20_000 + sum(came) * 400
            seconds = sum(came) / 1000  # as the vendor counts: a thousandth of a second a shot, of each submission
            assert job.cost in (round(cost + seconds * 500), round(cost + seconds * 500) + 1)
            assert job.marks == ["partial"]
            spent = await used(house)
            assert (spent["credits"], spent["shots"]) == (job.cost, sum(came))
            assert abs(spent["simulator_seconds"] - 1000 * seconds) <= 1
            told = (await house.pipeline.provenance(ADA, job.id)).attempts[-1]["charge"]
            assert told["missing"] == result.missing
            assert [part["answered"] for part in told["parts"]] == [at not in result.missing for at in range(8)]
            assert [part["owners"] for part in told["parts"]] == [[at] for at in range(8)]


async def test_a_simulation_that_is_killed_at_its_limit_costs_no_credits(settings: Settings) -> None:
    """A locked worker is killed when its time is over: no credits, no shots, its seconds count, and the job says so."""
    limited = replace(settings, max_seconds={"fake_torino": 1.0})
    wide = QuantumCircuit(24)  # how far it entangles nobody knows beforehand: any other way it would be refused
    for layer in range(40):
        for qubit in range(23):
            wide.ry(0.3 + layer + qubit, qubit)
            wide.cx(qubit, qubit + 1)
    wide.measure_all()
    async with real(limited, {"adapter": "aer"}) as house:
        job = await done(house, request("fake_torino", data=written(wide), options=PRODUCT))
        assert (job.state, job.cost, job.on_hold) == (JobState.FAILED, 0, 0), job.error
        assert job.error is not None
        assert job.error["code"] == "job.time"
        assert "Not charged; " in job.error["hint"]
        assert "of use count in budgets of time." in job.error["hint"]
        spent = await used(house)
        assert (spent["credits"], spent["shots"]) == (0, 0)
        assert 900 <= spent["simulator_seconds"] < 60_000
