"""The service: one process that serves the API and the pages, keeps the pipeline and the local runner.

``python -m jupyter_quantum.hub`` (or ``jupyter quantum service``) under a hub that manages it, or beside one. What it
needs from the hub comes in the environment, as for every service of a hub: ``JUPYTERHUB_API_TOKEN``,
``JUPYTERHUB_API_URL``, ``JUPYTERHUB_SERVICE_PREFIX``, ``JUPYTERHUB_SERVICE_URL``.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import secrets
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuth
from jupyterhub.utils import make_ssl_context
from tornado.httpserver import HTTPServer
from traitlets import Bool, Dict, Float, Integer, List, Unicode
from traitlets.config import Application, Config

from jupyter_quantum.exceptions import QuantumError
from jupyter_quantum.hub import settings
from jupyter_quantum.hub.api.limits import Bucket
from jupyter_quantum.hub.auth import Gate, HubApi, HubDirectory
from jupyter_quantum.hub.context import Context
from jupyter_quantum.hub.events import Events
from jupyter_quantum.hub.files import Lock, secret
from jupyter_quantum.hub.leash import die_with_parent
from jupyter_quantum.hub.metrics import Metrics as Counters
from jupyter_quantum.hub.runner_api import RunnerServer
from jupyter_quantum.hub.runner_process import RunnerProcess, socket_path
from jupyter_quantum.hub.web import web_application
from jupyter_quantum.pipeline import Pipeline
from jupyter_quantum.store import Store

__all__ = ["CONFIG_VARIABLE", "QuantumService", "main"]

CONFIG_VARIABLE = "JUPYTER_QUANTUM_SERVICE_CONFIG"
"""Environment variable in which ``configure`` hands over configuration: a JSON object, class name → traits."""


class QuantumService(Application):
    """The quantum service of a JupyterHub."""

    name = "jupyter-quantum-service"
    description = "Serve the API and the pages of jupyter_quantum to the users of a JupyterHub."
    aliases = {  # noqa: RUF012 (as traitlets spells it)
        "config": "QuantumService.config_file",
        "data-dir": "QuantumService.data_dir",
        "url": "QuantumService.url",
    }
    flags: dict[str, Any] = {"managed": ({"QuantumService": {"managed": True}}, "End with the hub.")}  # noqa: RUF012

    config_file = Unicode("", help="A configuration file of traitlets (.py or .json).").tag(config=True)
    data_dir = Unicode("quantum-data", help="Directory for store, results, secrets; made with mode 0700.").tag(
        config=True
    )
    url = Unicode(
        help="Where to listen, such as http://127.0.0.1:10101; JUPYTERHUB_SERVICE_URL where it is empty."
    ).tag(config=True)
    managed = Bool(False, help="End when the process that started the service ends.").tag(config=True)
    db_url = Unicode("", help="SQLAlchemy URL of the store; SQLite in the data directory where it is empty.").tag(
        config=True
    )
    policies = Unicode("", help="Directory of Cedar policies; the packaged ones where it is empty.").tag(config=True)
    projects = Dict(
        help="Project → organisation, tier, members and leads (lists of hub groups), grant and user_quota (credits)."
    ).tag(config=True)
    prices = Dict(help="Device → per_task, per_shot, per_second, in credits. A device that is not here is free.").tag(
        config=True
    )
    device_labels = Dict(help="Device → words for people, where the runner's own do not fit.").tag(config=True)
    max_seconds = Dict(help="Device → seconds that one run may take.").tag(config=True)
    limits = Dict(help="Caps on what a request may hold: bytes, circuits, qubits, operations, shots, …").tag(
        config=True
    )
    operators = Unicode("quantum-operators", help="Hub group of those who operate devices.").tag(config=True)
    auditors = Unicode("quantum-auditors", help="Hub group of those who read everything.").tag(config=True)
    admins = Unicode("quantum-admins", help="Hub group of those who administrate.").tag(config=True)
    mfa_group = Unicode("quantum-mfa", help="Hub group of people who signed in with a second factor.").tag(config=True)
    time_zone = Unicode("UTC", help="The lab's time zone: policy's hours and the months of quotas.").tag(config=True)
    approval_expiry = Float(7 * 24 * 3600.0, help="Seconds until an open request for approval lapses.").tag(config=True)
    devices = List(Dict(), help="Devices of the local runner; the packaged emulators where it is empty.").tag(
        config=True
    )
    run_runner = Bool(True, help="Start a runner on this machine.").tag(config=True)
    workers = Integer(0, help="Sandboxed workers of the local runner; as many as cores where 0.").tag(config=True)
    threads = Integer(0, help="Threads of one simulation; as many as cores where 0.").tag(config=True)
    rate = Float(300.0, help="Requests a second that one user may send in the long run.").tag(config=True)
    burst = Float(600.0, help="Requests that one user may send at once.").tag(config=True)

    def initialize(self, argv: list[str] | None = None) -> None:
        """Read the command line, then file and environment below it."""
        self.parse_command_line(argv)
        given = Config(self.config)
        handed = os.environ.get(CONFIG_VARIABLE)
        if handed:
            self.update_config(Config(json.loads(handed)))
        if self.config_file:
            path = Path(self.config_file).resolve()
            self.load_config_file(path.name, str(path.parent))
        self.update_config(given)

    def start(self) -> None:
        """Serve until a signal says to stop."""
        logging.basicConfig(level=logging.INFO, format="[%(levelname).1s %(asctime)s %(name)s] %(message)s")
        if self.managed:
            die_with_parent()
        try:
            asyncio.run(_Running(self).serve())
        except QuantumError as error:
            self.log.error("%s", error)
            self.exit(1)


def _oauth(service: QuantumService) -> Any:
    """The hub's OAuth client. A hub tells a service that it manages everything; to another one only what differs."""
    name = os.environ.setdefault("JUPYTERHUB_SERVICE_NAME", "quantum")
    os.environ.setdefault("JUPYTERHUB_CLIENT_ID", f"service-{name}")
    prefix = os.environ.setdefault("JUPYTERHUB_SERVICE_PREFIX", f"/services/{name}/")
    return HubOAuth(parent=service, base_url=prefix)


def _hub_api(oauth: Any) -> HubApi:
    tls = make_ssl_context(oauth.keyfile, oauth.certfile, cafile=oauth.client_ca) if oauth.certfile else None
    return HubApi(oauth.api_url, oauth.api_token, tls)


class _Running:
    """One run of the service, from lock to drain."""

    def __init__(self, service: QuantumService) -> None:
        self._service = service
        self._data = Path(service.data_dir).resolve()
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = Lock(self._data)
        self._streams: set[Events] = set()
        self._stopping = asyncio.Event()
        self._announced = False
        self._store: Store | None = None
        self._oauth = _oauth(service)
        self._hub = _hub_api(self._oauth)
        self._metrics = Counters()
        self._context = Context(
            gate=Gate(self._hub, mfa_group=service.mfa_group),
            metrics=self._metrics,
            bucket=Bucket(service.rate, service.burst),
            prefix=self._oauth.base_url,
            hub_base=urlsplit(self._oauth.hub_prefix).path.removesuffix("hub/"),
            oauth=self._oauth,
            ready=self._ready,
        )

    async def serve(self) -> None:
        """Listen at once, start pipeline and runner, wait for a signal, drain."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._stopping.set)
        server = self._listen()
        runner_server: RunnerServer | None = None
        runner: RunnerProcess | None = None
        try:
            await self._start_pipeline()
            runner_server, runner = self._start_runner()
            await self._stopping.wait()
        finally:
            server.stop()
            for stream in list(self._streams):
                stream.end()
            if runner is not None:
                await runner.stop()
            if runner_server is not None:
                await runner_server.close()
            await self._stop_pipeline()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(server.close_all_connections(), 2.0)
            self._hub.close()
            self._lock.release()

    async def _start_pipeline(self) -> None:
        told = settings.settings_of(self._service, self._data, secret(self._data / "affinity.key"))
        self._store = store = Store(told.db_url, artefacts=(self._data / "artefacts").as_uri())
        await asyncio.to_thread(store.migrate)
        pipeline = Pipeline(told, store, HubDirectory(self._hub))
        await pipeline.start()
        self._context.started = pipeline

    async def _stop_pipeline(self) -> None:
        if self._context.started is not None:
            await self._context.started.stop()
        if self._store is not None:
            self._store.close()

    def _listen(self) -> HTTPServer:
        where = urlsplit(self._service.url or os.environ.get("JUPYTERHUB_SERVICE_URL") or "http://127.0.0.1:10101")
        app = web_application(self._context, self._streams, secret(self._data / "cookie.key"))
        # Larger bodies are refused by the routes, in words; this is only the last resort.
        server = HTTPServer(app, max_body_size=1 << 30, idle_connection_timeout=600)
        server.listen(where.port or 80, where.hostname or "127.0.0.1")
        return server

    def _start_runner(self) -> tuple[RunnerServer | None, RunnerProcess | None]:
        service = self._service
        if not service.run_runner:
            return None, None
        token, socket = secrets.token_urlsafe(32), socket_path(self._data)
        cores = os.cpu_count() or 1
        words: Mapping[str, Any] = {
            "socket": str(socket),
            "token": token,
            "devices": list(service.devices or settings.DEVICES),
            "workers": service.workers or max(2, cores),
            "threads": service.threads or cores,
        }
        server = RunnerServer(self._context, socket, token, lambda _: self._runner_is(True))
        runner = RunnerProcess(self._data / "runner", words, gone=self._runner_gone)
        runner.start()
        return server, runner

    def _runner_is(self, there: bool) -> None:
        self._announced = there

    def _runner_gone(self) -> None:
        self._announced = False
        self._metrics.restarts.inc()

    def _ready(self) -> dict[str, str]:
        there = self._context.started is not None
        parts = dict.fromkeys(("store", "policy"), "ready" if there else "starting")
        if self._service.run_runner:
            parts["runner"] = "ready" if self._announced else "starting"
        return parts


def main(argv: list[str] | None = None) -> None:
    """Run the service with this command line."""
    QuantumService.launch_instance(sys.argv[1:] if argv is None else argv)
