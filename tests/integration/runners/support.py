"""A real service behind TLS, on a hub that answers from memory, and real runners that come to it from outside."""

from __future__ import annotations

import asyncio
import io
import json
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from jupyterhub.services.auth import HubOAuth
from qiskit import QuantumCircuit, qpy
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application

from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.core.money import CREDIT, PriceList
from jupyter_quantum.core.tenancy import ProjectSpec
from jupyter_quantum.hub.auth import Gate, HubApi
from jupyter_quantum.hub.context import Context
from jupyter_quantum.hub.cursor import Cursors
from jupyter_quantum.hub.metrics import Metrics
from jupyter_quantum.hub.web import web_application
from jupyter_quantum.pipeline.settings import RunnerSpec, Settings
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.jobs import JobRequest, JobView
from tests.integration.pipeline.conftest import POLICIES, Groups, House, person
from tests.integration.runners.certificates import Authority
from tests.unit.hub.support import PREFIX, HubRefresh, HubUser, MemoryHub, listen, parts

ROOT = Path(__file__).resolve().parents[3]
RUNNER = "custom:quantum:runner"
COURSE = ProjectSpec(
    "qcourse", "campus", "sandbox", frozenset({"qcourse"}), frozenset({"qcourse-leads"}), 100 * CREDIT, 50 * CREDIT
)
ADA = person("ada", "qcourse")
_COMMAND = "import typer; from jupyter_quantum.fabric.command import runner; typer.run(runner)"


@dataclass
class Site:
    """The service, and how to reach it."""

    house: House
    hub: MemoryHub
    context: Context
    authority: Authority
    port: int = 0
    server: HTTPServer | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}{PREFIX}"

    async def open(self) -> None:
        """Start the service, on the port of before where there was one."""
        self.context.started = await self.house.open()
        app = web_application(self.context, set(), b"0" * 32)
        sockets = bind_sockets(self.port, "127.0.0.1")
        self.port = sockets[0].getsockname()[1]
        self.server = HTTPServer(app, ssl_options=self.authority.context(), max_body_size=1 << 30)
        self.server.add_sockets(sockets)

    async def close(self) -> None:
        """As a kill would: nothing is said to anybody."""
        assert self.server is not None
        self.server.stop()
        await self.house.close()
        self.context.started = None
        await self.server.close_all_connections()

    def token(self, name: str, kind: str = "service", scopes: Sequence[str] = (RUNNER,)) -> str:
        """A token of the hub."""
        token = f"{kind}-{name}-{len(self.hub.tokens)}"
        model = {"kind": kind, "name": name, "groups": ["qcourse"], "scopes": list(scopes), "token_id": token}
        self.hub.tokens[token] = model
        if kind == "user":
            self.hub.users[name] = model | {"created": "2026-01-01T00:00:00Z"}
        return token

    async def post(self, path: str, body: Any, token: str) -> tuple[int, dict[str, Any]]:
        """A message of whoever holds ``token``."""
        tls = ssl.create_default_context(cafile=str(self.authority.ca))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls)) as http:
            headers = {"Authorization": f"Bearer {token}"}
            async with http.post(self.url + path, json=body, headers=headers) as answer:
                return answer.status, await answer.json()

    def states(self) -> dict[str, str]:
        """Each device that people see, and what it does."""
        registry = self.house.pipeline._context.registry
        return {device.name: registry.state(device) for device in registry}

    async def run(self, device: str, shots: int = 100, circuit: QuantumCircuit | None = None) -> JobView:
        """Submit a Bell circuit (or another) for ada, and wait for its end."""
        view = await self.submit(device, shots, circuit)
        return await self.ended(view.id)

    async def submit(self, device: str, shots: int = 100, circuit: QuantumCircuit | None = None) -> JobView:
        """Submit only."""
        request = JobRequest(device=device, circuits=bundle(circuit or bell()), options={"shots": shots})
        return await self.house.pipeline.submit(ADA, request, key=None, wait_s=0)

    async def ended(self, job: str) -> JobView:
        """The job once it is final."""
        view = await self.house.pipeline.job(ADA, job, wait_s=0)
        end = time.monotonic() + 60
        while view.state not in FINAL and time.monotonic() < end:
            await asyncio.sleep(0.05)
            view = await self.house.pipeline.job(ADA, job, wait_s=0)
        return view


@asynccontextmanager
async def site(folder: Path, authority: Authority, **changes: Any) -> AsyncIterator[Site]:
    """A service for runners ``quantum-far`` (devices ``far_*`` in ``eu``) and ``quantum-other`` (anything)."""
    runners = {"quantum-far": RunnerSpec(("far_*",), ("eu",)), "quantum-other": RunnerSpec(("*",))}
    settings = Settings(
        data_dir=folder,
        db_url=f"sqlite:///{folder}/quantum.sqlite",
        policies=POLICIES,
        projects={"qcourse": COURSE},
        **{"prices": {"far_aer": PriceList()}, "runners": runners, "lease_s": 6.0, "secret": b"0" * 32, **changes},
    )
    hub = MemoryHub()
    hub_server, port = listen(
        Application(
            [
                (r"/hub/api/user", HubUser),
                (r"/hub/api/users/(.+)", HubUser),
                (r"/hub/api/quantum/refresh/(.+)", HubRefresh),
            ],
            hub=hub,
        )
    )
    oauth = HubOAuth(
        api_url=f"http://127.0.0.1:{port}/hub/api",
        api_token="service-token",
        base_url=PREFIX,
        oauth_client_id="service-quantum",
        access_scopes={"access:services", "access:services!service=quantum"},
    )
    api = HubApi(oauth.api_url, oauth.api_token)
    context = Context(
        gate=Gate(api),
        metrics=Metrics(),
        prefix=PREFIX,
        hub_base="/",
        oauth=oauth,
        ready=parts("ready"),
        metrics_token="scraper",
        cursors=Cursors(b"key"),
    )
    found = Site(House(settings, Groups({ADA.id: ADA.groups})), hub, context, authority)
    await found.open()
    try:
        yield found
    finally:
        if found.context.started is not None:
            await found.close()
        hub_server.stop()
        await hub_server.close_all_connections()
        api.close()


@dataclass
class FarRunner:
    """A runner's process."""

    process: asyncio.subprocess.Process
    said: list[str] = field(default_factory=list)

    async def listen(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.said.append(line.decode(errors="replace"))

    async def says(self, words: str) -> None:
        """Wait until it does."""
        await until(lambda: any(words in line for line in self.said), lambda: "".join(self.said))

    async def end(self, within_s: float = 60.0) -> int:
        """Its exit status, after SIGTERM."""
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), within_s)


async def until(happened: Callable[[], bool], words: Callable[[], str] = lambda: "", within_s: float = 60.0) -> None:
    """Wait for something; ``words`` say what was found instead."""
    end = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < end, words()
        await asyncio.sleep(0.05)


async def scraped(runner: FarRunner) -> str:
    """What Prometheus would read of it."""
    await runner.says("metrics at ")
    [address] = [line.split("metrics at ")[1].strip() for line in runner.said if "metrics at " in line]
    async with aiohttp.ClientSession() as http, http.get(address) as answer:
        assert answer.status == 200
        return await answer.text()


def settings_file(folder: Path, url: str, token: str, ca: Path, devices: str = "", more: str = "") -> Path:
    """A runner's file and its token."""
    folder.mkdir(parents=True, exist_ok=True)
    secret = folder / "token"
    secret.write_text(token + "\n")
    secret.chmod(0o600)
    file = folder / "runner.toml"
    file.write_text(
        f'[service]\nurl = "{url}"\ntoken_file = "token"\nca_file = "{ca}"\n\n[runner]\nname = "{folder.name}"\n'
        f"workers = 1\n{more}\n" + (devices or '[[devices]]\nname = "far_aer"\nadapter = "aer"\nregion = "eu"\n')
    )
    return file


@asynccontextmanager
async def far_runner(file: Path) -> AsyncIterator[FarRunner]:
    """A runner as an operator starts it: the command, with this file."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _COMMAND,
        f"--config={file}",
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), "HOME": str(file.parent)},
    )
    found = FarRunner(process)
    listening = asyncio.create_task(found.listen())
    try:
        yield found
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await listening


def bell() -> QuantumCircuit:
    """Two entangled qubits."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


def slow() -> QuantumCircuit:
    """A circuit that takes a second or more to simulate."""
    circuit = QuantumCircuit(20)
    for _ in range(6):
        for qubit in range(20):
            circuit.ry(0.3, qubit)
            circuit.cx(qubit, (qubit + 1) % 20)
    circuit.measure_all()
    return circuit


def bundle(circuit: QuantumCircuit, version: int = 13) -> CircuitBundle:
    """A circuit as the client sends it."""
    buffer = io.BytesIO()
    qpy.dump(circuit, buffer, version=version)
    return CircuitBundle(format="qpy", data=buffer.getvalue())


def announce(*devices: Any, runner: str = "one", **changes: Any) -> dict[str, Any]:
    """An announcement by hand."""
    told: dict[str, Any] = {
        "protocol": 1,
        "runner": runner,
        "version": "0.1.0",
        "python": "3.11.2",
        "packages": {},
        "sandbox": ["rlimits"],
        "qpy_versions": [13, 15],
        "devices": [json.loads(device.model_dump_json()) for device in devices],
    }
    return told | changes
