"""One run of the service, from lock to drain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

from jupyterhub.services.auth import HubOAuth
from jupyterhub.utils import make_ssl_context
from tornado.httpserver import HTTPServer

from jupyter_quantum.exceptions import QuantumError, Unavailable
from jupyter_quantum.hub import settings
from jupyter_quantum.hub.auth import Gate, HubApi, HubDirectory
from jupyter_quantum.hub.context import Context
from jupyter_quantum.hub.cursor import Cursors
from jupyter_quantum.hub.events import Events
from jupyter_quantum.hub.exchange import Verifier
from jupyter_quantum.hub.files import Lock, secret, token
from jupyter_quantum.hub.issuers import Issuers
from jupyter_quantum.hub.journal import Journal
from jupyter_quantum.hub.metrics import Metrics, RunnerCount
from jupyter_quantum.hub.runner_api import RunnerServer
from jupyter_quantum.hub.runner_process import RunnerProcess, socket_path
from jupyter_quantum.hub.traits import ServiceTraits
from jupyter_quantum.hub.web import web_application
from jupyter_quantum.pipeline import Pipeline
from jupyter_quantum.store import Store
from jupyter_quantum.store.crypt.choose import choose
from jupyter_quantum.wire.runner import Announce

__all__ = ["Running"]

log = logging.getLogger("jupyter_quantum.hub")

_AGAIN_S: Final = 10.0
_CLOSE_S: Final = 2.0
_STORE_S: Final = 2.0
_HEADERS: Final = 32 * 1024


def _oauth(service: ServiceTraits) -> Any:
    """The hub's OAuth client. A hub tells a service that it manages everything; to another one only what differs."""
    name = os.environ.setdefault("JUPYTERHUB_SERVICE_NAME", "quantum")
    os.environ.setdefault("JUPYTERHUB_CLIENT_ID", f"service-{name}")
    prefix = os.environ.setdefault("JUPYTERHUB_SERVICE_PREFIX", f"/services/{name}/")
    return HubOAuth(parent=service, base_url=prefix)


def _hub_api(oauth: Any) -> HubApi:
    tls = make_ssl_context(oauth.keyfile, oauth.certfile, cafile=oauth.client_ca) if oauth.certfile else None
    return HubApi(oauth.api_url, oauth.api_token, tls)


def _why(error: Exception) -> str:
    """Why the service does not start, for its health; a record that was rolled back is said aloud."""
    if isinstance(error, QuantumError) and error.code.startswith("audit."):
        return f"failed to start: {error.message}"
    return "failed to start; see the service's log"


def _runner_counts(pipeline: Pipeline) -> tuple[list[RunnerCount], int]:
    found, pending = pipeline.runner_counts()
    return [RunnerCount(owner or "local", *numbers) for owner, numbers in found.items()], pending


class Running:
    """The parts of a service that runs; make it inside the event loop.

    Raises :class:`Unavailable` where another service has the data directory or the port.
    """

    def __init__(self, service: ServiceTraits) -> None:
        self._service = service
        self._data = Path(service.data_dir).resolve()
        self._data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = Lock(self._data)
        self._streams: set[Events] = set()
        self._stopping = asyncio.Event()
        self._announced = False
        self._runner_id = ""
        self._lost: asyncio.Future[None] | None = None
        self._failure = "starting"
        self._store: Store | None = None
        self._runner: tuple[RunnerServer, RunnerProcess] | None = None
        oauth = _oauth(service)
        self._hub = _hub_api(oauth)
        self._metrics = Metrics()
        self._context = Context(
            gate=Gate(self._hub, mfa_group=service.mfa_group, longest=service.membership_age),
            metrics=self._metrics,
            prefix=oauth.base_url,
            hub_base=urlsplit(oauth.hub_prefix).path.removesuffix("hub/"),
            oauth=oauth,
            ready=self._parts,
            metrics_token=token(self._data / "metrics.token"),
            cursors=Cursors(secret(self._data / "affinity.key")),
            trusted_proxies=frozenset(service.trusted_proxies),
        )
        self._issuers = Issuers(insecure_loopback=service.insecure_issuers)
        self._context.verifier = Verifier(self._issuers, lambda: self._context.pipeline.workloads.issuers())

    async def serve(self) -> None:
        """Listen at once, start pipeline and runner, wait for a signal, drain."""
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(signum, self._stopping.set)
        server = self._listen()
        try:
            await self._until_stopped(self._start)
            if self._service.run_runner and not self._stopping.is_set():
                self._runner = self._start_runner()
            await self._stopping.wait()
        finally:
            await self._drain(server)

    async def _until_stopped(self, start: Callable[[], Any]) -> None:
        """Try until it starts: a service that ends at its start would take the whole hub down."""
        while not self._stopping.is_set():
            try:
                await start()
            except Exception as error:
                self._failure = _why(error)
                log.exception("The service cannot start; trying again in %.0f s", _AGAIN_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), _AGAIN_S)
            else:
                return

    async def _start(self) -> None:
        told = settings.settings_of(self._service, self._data, secret(self._data / "affinity.key"))
        if self._store is None:
            self._store = Store(
                told.db_url,
                artefacts=(self._data / "artefacts").as_uri(),
                master=choose(self._service.keys, self._data),
                algorithm=self._service.encryption,
            )
        await asyncio.to_thread(self._store.migrate)
        pipeline = Pipeline(told, self._store, HubDirectory(self._hub, max_age=self._service.membership_age))
        try:
            await pipeline.start()
        except BaseException:
            await pipeline.stop()
            raise
        self._context.gate.signed_in = pipeline.signed_in
        self._context.refused = pipeline.audit.refusals.note
        journal = Journal(self._service)
        if journal.wanted:
            pipeline.audit.follow("journal", journal.take)
        self._context.gate.workload = pipeline.workloads.identify
        self._context.started = pipeline
        self._metrics.watch(lambda: _runner_counts(pipeline))

    async def _drain(self, server: HTTPServer) -> None:
        """No new connections; the runner finishes what it can and reports it; then everything closes."""
        server.stop()
        for stream in list(self._streams):
            stream.end()
        if self._runner is not None:
            runner_server, runner = self._runner
            await runner.stop()
            await runner_server.close()
        if self._context.started is not None:
            await self._context.started.stop()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(server.close_all_connections(), _CLOSE_S)
        if self._store is not None:
            self._store.close()
        self._hub.close()
        self._issuers.close()
        self._lock.release()

    def _listen(self) -> HTTPServer:
        where = self._where()
        app = web_application(self._context, self._streams, secret(self._data / "cookie.key"))
        # Larger bodies are refused by the routes, in words; this is only the last resort.
        server = HTTPServer(app, max_body_size=1 << 30, max_header_size=_HEADERS, idle_connection_timeout=600)
        try:
            server.listen(where.port or 80, where.hostname or "127.0.0.1")
        except OSError as error:
            raise Unavailable(
                f"The service cannot listen at {where.geturl()}: {error.strerror}.",
                code="service.address",
                hint="Choose another with configure(c, url=…).",
            ) from error
        return server

    def _where(self) -> SplitResult:
        return urlsplit(self._service.url or os.environ.get("JUPYTERHUB_SERVICE_URL") or "http://127.0.0.1:10101")

    def _start_runner(self) -> tuple[RunnerServer, RunnerProcess]:
        service = self._service
        token, socket = secrets.token_urlsafe(32), socket_path(self._data)
        cores = os.cpu_count() or 1
        words = {
            "socket": str(socket),
            "token": token,
            "devices": list(service.devices or settings.DEVICES),
            "workers": service.workers or max(2, cores),
            "threads": service.threads or cores,
            **settings.runner_secrets(service),
        }
        server = RunnerServer(self._context, socket, token, self._runner_came)
        runner = RunnerProcess(self._data / "runner", words, gone=self._runner_went)
        runner.start()
        return server, runner

    def _runner_came(self, words: Announce) -> None:
        self._announced = True
        self._runner_id = words.runner

    def _runner_went(self) -> None:
        self._announced = False
        self._metrics.restarts.inc()
        if self._context.started is not None:  # its work is reconciled now, not when its leases run out
            self._lost = asyncio.ensure_future(self._context.started.runner_lost(self._runner_id))

    async def _parts(self) -> dict[str, str]:
        """Each part, ``ready`` or why not. The store counts as ready when it has just written."""
        there = self._context.started is not None
        parts = {"policy": "ready" if there else self._failure, "store": self._failure}
        if there and self._store is not None:
            try:
                await asyncio.wait_for(self._store.write(lambda _: None), _STORE_S)
                parts["store"] = "ready"
            except Exception:
                log.exception("The store does not write")
                parts["store"] = "does not write; see the service's log"
        if self._service.run_runner:
            parts["runner"] = "ready" if self._announced else "starting"
        parts["audit"] = self._failure if self._context.started is None else self._context.started.audit.state
        return parts
