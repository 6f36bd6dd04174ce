"""Sessions from the door to IBM's documented API: the service, a real runner, a vendor process, IBM's real SDK."""

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

import pytest
from qiskit import QuantumCircuit, qpy

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.money import PriceList
from jupyter_quantum.hub.metrics import Metrics
from jupyter_quantum.hub.runner_api import RunnerServer
from jupyter_quantum.hub.runner_process import RunnerProcess, socket_path
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.jobs import JobRequest, JobView
from jupyter_quantum.wire.sessions import SessionRef, SessionView
from tests.integration.pipeline.conftest import ADA, BEN, COURSE, POLICIES, PRICES, House, until
from tests.vendors.ibm import Ibm

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A course with one device of IBM's, which costs by the second."""
    return Settings(
        data_dir=tmp_path,
        db_url=f"sqlite:///{tmp_path}/quantum.sqlite",
        policies=POLICIES,
        projects={COURSE.name: COURSE},
        prices=PRICES | {"manila": PriceList(0, 0, 10_000)},
        secret=b"test",
        lease_s=5.0,
    )


@asynccontextmanager
async def runner(house: House, folder: Path, fake: Ibm) -> AsyncIterator[None]:
    """A runner's process with IBM's device, until it is stopped."""
    home = Path(tempfile.mkdtemp(prefix="jq-", dir=folder))
    token, socket = secrets.token_urlsafe(16), socket_path(home)
    file = home / "secrets.json"
    file.write_text(json.dumps({"ibm": fake.secret}))
    file.chmod(0o600)
    device: dict[str, Any] = {"name": "manila", "adapter": "jupyter_quantum.fabric.adapters.ibm:IbmDevice", "slots": 3}
    device |= {"kind": "emulator", "secret": "ibm", **fake.settings}
    words = {"socket": str(socket), "token": token, "devices": [device], "workers": 2, "threads": 1, "poll_s": 0.5}
    words["secrets"] = {"provider": "file", "path": str(file)}
    server = RunnerServer(SimpleNamespace(pipeline=house.pipeline, metrics=Metrics()), socket, token, lambda _: None)  # type: ignore[arg-type]
    process = RunnerProcess(home / "runner", words, gone=lambda: None)
    process.start()
    try:
        registry = house.pipeline._context.registry
        await until(lambda: (one := registry.get("manila")) and registry.state(one) == "ready", 180)
        yield
    finally:
        await process.stop()
        await server.close()
        shutil.rmtree(home, ignore_errors=True)


async def submit(house: House, session: SessionRef, who: Any = ADA) -> JobView:
    circuit = QuantumCircuit(1)
    circuit.x(0)
    circuit.measure_all()
    buffer = io.BytesIO()
    qpy.dump([circuit], buffer, version=13)
    bundle = CircuitBundle(format="qpy", data=buffer.getvalue())
    asked = JobRequest(device="manila", circuits=bundle, options={"shots": 50}, session=session)
    job = await house.pipeline.submit(who, asked, key=None, wait_s=30.0)
    while job.ended is None:
        job = await house.pipeline.job(who, job.id, wait_s=30.0, version=job.version)
    return job


async def over(house: House, session: SessionRef) -> SessionView:
    async def look() -> SessionView | None:
        view = await house.pipeline.sessions.of(ADA, session.id)
        return view if all(one.state == "ended" for one in view.devices) else None

    found: SessionView = await until(look, 60)
    return found


async def test_from_the_door_to_ibm(settings: Settings, tmp_path: Path) -> None:
    """Two people, a restart of everything, a closing: IBM has one batch for each, and jobs cost what IBM counts."""
    mine, theirs = (SessionRef(id=new_id("ses"), max_s=7200) for _ in range(2))
    house = House(settings)
    with Ibm() as fake:
        await house.open()
        async with runner(house, tmp_path, fake):
            first, bens = await submit(house, mine), await submit(house, theirs, BEN)
        await house.close()
        house = House(replace(settings))
        await house.open()
        async with runner(house, tmp_path, fake):
            second = await submit(house, mine)
            await house.pipeline.sessions.close(ADA, mine.id)
            at = (await over(house, mine)).devices[0]
            provenance = await house.pipeline.provenance(ADA, second.id)
        await house.ledger()
        await house.close()
        used = [job.body.get("session_id") for job in fake.jobs.values()]
        (hers, his) = fake.sessions.values()
    assert [(job.state, job.marks, job.cost) for job in (first, bens, second)] == [(JobState.COMPLETED, [], 20_000)] * 3
    assert used == [hers.id, his.id, hers.id]
    assert hers.body == {"backend": fake.backend, "mode": "batch", "max_ttl": 7200}
    assert (hers.accepting, his.accepting) == (False, True)
    assert (at.vendor_session, at.mode, at.why, at.usage_s) == (hers.id, "batch", "closed", 4.0)
    assert (provenance.attempts[0]["session"], provenance.attempts[0]["session_mode"]) == (hers.id, "batch")


async def test_ended_by_ibm_while_jobs_wait(settings: Settings, tmp_path: Path) -> None:
    """IBM closes the batch with a job in it: that one runs in another attempt outside of it, and so does the next."""
    mine = SessionRef(id=new_id("ses"), kind="batch")
    house = House(replace(settings, max_attempts=1))
    with Ibm() as fake:
        await house.open()
        async with runner(house, tmp_path, fake):
            await submit(house, mine)
            (session,) = fake.sessions
            fake.held = True
            waiting = house.pipeline._context.background.start(submit(house, mine), "a job that waits")
            await until(lambda: [job.body.get("session_id") for job in fake.jobs.values()] == [session] * 2, 60)
            fake.held = False
            fake.end(session)
            cancelled, after = await waiting, await submit(house, mine)
        await house.ledger()
        await house.close()
        inside = [job.body.get("session_id") for job in fake.jobs.values()]
    assert [(job.state, job.attempts, job.marks, job.cost) for job in (cancelled, after)] == [
        (JobState.COMPLETED, 2, ["without-session"], 20_000),
        (JobState.COMPLETED, 1, ["without-session"], 20_000),
    ]
    assert inside == [session, session, None, None]
