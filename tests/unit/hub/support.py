"""The service's addresses over a pipeline and a hub that answer from memory."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, create_signed_value

from jupyter_quantum.core.jobs import DeviceKind, JobKind, JobState
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import NotFound
from jupyter_quantum.hub.auth import HubApi
from jupyter_quantum.hub.context import Context
from jupyter_quantum.pipeline.limits import KINDS, Rate, RateLimits
from jupyter_quantum.wire.base import CircuitBundle, digest_of
from jupyter_quantum.wire.devices import CalibrationRef, Devices
from jupyter_quantum.wire.jobs import EventView, Jobs, JobView, Me

PREFIX = "/services/quantum/"
NOW = datetime(2026, 5, 12, 9, 0, tzinfo=UTC)
READ, SUBMIT = "custom:quantum:read", "custom:quantum:submit"
ALL = [f"custom:quantum:{word}" for word in ("read", "submit", "approve", "operate", "audit", "admin", "runner")]


JOB: dict[str, Any] = {"device": "aer", "circuits": {"format": "qasm3", "data": "T1BFTlFBU00gMy4wOw=="}}
"""A small submission."""


def job_view(**changes: Any) -> JobView:
    """A job of ada's."""
    values: dict[str, Any] = {
        "id": "job_1",
        "name": "bell",
        "kind": JobKind.RUN,
        "state": JobState.QUEUED,
        "owner": "ada",
        "project": "qcourse",
        "device": "aer",
        "device_kind": DeviceKind.SIMULATOR,
        "device_label": "simulator",
        "source": digest_of(b""),
        "num_circuits": 1,
        "created": NOW,
        "changed": NOW,
        "version": 1,
    }
    return JobView(**{**values, **changes})


@dataclass
class Part:
    """A method of the pipeline, or an area with methods of its own: ``pipeline.jobs`` and ``pipeline.ledger.usage``."""

    pipeline: MemoryPipeline
    name: str

    def __getattr__(self, name: str) -> Part:
        return Part(self.pipeline, f"{self.name}.{name}")

    async def __call__(self, who: Principal, *args: Any, **options: Any) -> Any:
        return await self.pipeline.call(self.name, who, *args)


class MemoryDraw:
    """Buckets of the rate limits in memory."""

    def __init__(self) -> None:
        self.left: dict[str, float] = {}

    async def __call__(self, name: str, rate: float, burst: int, wanted: int) -> tuple[int, float]:
        left = self.left.get(name, float(burst))
        drawn = min(wanted, int(left))
        self.left[name] = left - drawn
        return drawn, 0.0 if drawn else 1 / rate


class MemoryDoor:
    """Rate limits from memory; a test that sends keys puts a :class:`~jupyter_quantum.pipeline.once.Once` here."""

    def __init__(self) -> None:
        self.rates: dict[str, Rate] = {}
        self.limit(**{kind: Rate(1000.0, 1000) for kind in KINDS})
        self.once: Any = None

    def limit(self, **rates: Rate) -> None:
        self.rates |= rates
        self.limits = RateLimits(MemoryDraw(), self.rates, spread=lambda low, _: low)


async def _lines() -> AsyncIterator[bytes]:
    """An export without entries."""
    yield b"{}\n"


@dataclass
class MemoryPipeline:
    """Remembers who called what; answers with one job."""

    calls: list[tuple[str, Principal]] = field(default_factory=list)
    raises: BaseException | None = None
    live: asyncio.Queue[EventView] = field(default_factory=asyncio.Queue)
    door: MemoryDoor = field(default_factory=MemoryDoor)

    def priced(self, device: str) -> bool:
        return device != "aer"

    def __getattr__(self, name: str) -> Any:
        return Part(self, name)

    async def call(self, name: str, who: Principal, *args: Any) -> Any:
        self.calls.append((name, who))
        if self.raises is not None:
            raise self.raises
        return self._answer(name, args)

    def _answer(self, name: str, args: tuple[Any, ...]) -> Any:
        if "foreign" in args:
            raise NotFound("There is no such job.")
        known = {
            "me": Me(name="ada", roles=[], scopes=[], projects={}, tiers={}),
            "devices": Devices(devices=[]),
            "jobs": Jobs(jobs=[job_view()]),
            "target": (CalibrationRef(digest=digest_of(b"cal")), {"num_qubits": 2}),
            "calibration": (CalibrationRef(digest=digest_of(b"cal")), {"num_qubits": 2}),
            "executable": b"QISKIT",
            "ledger.usage_csv": b"project,cost\r\n",
            "series.csv": b"series\r\n",
            "data.exports.take": b"PK",
            "source": (CircuitBundle(format="qasm3", data=b"OPENQASM 3.0;"), []),
        }
        return _lines() if name == "audit.export" else known.get(name, job_view())

    async def events(self, who: Principal, *, after: int | None) -> AsyncIterator[EventView]:
        self.calls.append((f"events after {after}", who))
        while True:
            yield await self.live.get()


class HubUser(RequestHandler):
    """``GET user`` and ``GET users/<name>``."""

    def get(self, name: str | None = None) -> None:
        hub: MemoryHub = self.settings["hub"]
        hub.asked.append(self.request.path.removeprefix("/hub/api/"))
        token = self.request.headers["Authorization"].removeprefix("token ")
        model = hub.tokens.get(token) if name is None else hub.users.get(name)
        if hub.broken or model is None or (hub.mute and name is not None):
            self.send_error(500 if hub.broken else 403 if name is None or hub.mute else 404)
        else:
            self.write(json.dumps(model))


class HubRefresh(RequestHandler):
    """``GET quantum/refresh/<name>``, where ``configure(c)`` was called."""

    def get(self, name: str) -> None:
        hub: MemoryHub = self.settings["hub"]
        hub.asked.append(f"refresh/{name}")
        model = hub.users.get(name) if hub.refreshes else None
        if model is None or hub.mute:
            self.send_error(403 if hub.mute else 404)
        else:
            self.write(json.dumps(model | {"refused": name in hub.refused}))


@dataclass
class MemoryHub:
    """Knows tokens and users as the hub's API shows them."""

    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    users: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: bool = False
    mute: bool = False
    """It does not let the service ask about users."""
    refreshes: bool = True
    refused: set[str] = field(default_factory=set)

    def add(self, token: str, scopes: list[str], *, name: str = "ada", groups: tuple[str, ...] = ("qcourse",)) -> str:
        """A token of a user; returns it."""
        model = {"kind": "user", "name": name, "groups": list(groups), "admin": False}
        access = "access:services!service=quantum"
        self.tokens[token] = {**model, "scopes": [*scopes, access], "token_id": f"id-{token}"}
        self.users[name] = {**model, "created": "2026-05-12T09:00:00Z"}
        return token


@dataclass
class Service:
    """A running service of a test."""

    port: int
    hub: MemoryHub
    api: HubApi
    pipeline: MemoryPipeline
    context: Context
    app: Application

    async def fetch(self, path: str, *, token: str | None = None, method: str = "GET", **options: Any) -> HTTPResponse:
        """A request to an address below the prefix; never raises for a status."""
        headers = dict(options.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"token {token}"
        if method in {"POST", "PUT", "PATCH"}:
            options.setdefault("body", "")
        url = f"http://127.0.0.1:{self.port}{PREFIX}{path}"
        client = AsyncHTTPClient(force_instance=True)
        try:
            return await client.fetch(
                url, method=method, headers=headers, raise_error=False, follow_redirects=False, **options
            )
        finally:
            client.close()


def parts(runner: str) -> Callable[[], Awaitable[dict[str, str]]]:
    """What the service says about its parts."""

    async def found() -> dict[str, str]:
        return {"store": "ready", "runner": runner}

    return found


def listen(app: Application) -> tuple[HTTPServer, int]:
    """Serve on a free port of loopback."""
    sockets = bind_sockets(0, "127.0.0.1")
    server = HTTPServer(app, max_body_size=1 << 30)
    server.add_sockets(sockets)
    return server, sockets[0].getsockname()[1]


def cookies(service: Service, token: str) -> dict[str, str]:
    """What a browser sends after the hub's login, with the token against cross-site requests."""
    secret = service.app.settings["cookie_secret"]
    name = service.context.oauth.cookie_name
    login = create_signed_value(secret, name, token).decode()
    return {"Cookie": f"{name}={login}"}


async def signed_in(service: Service, token: str) -> dict[str, str]:
    """Headers of a page's script: login, XSRF cookie and header."""
    login = cookies(service, token)
    answer = await service.fetch("", headers=login)
    xsrf = re.search(r"_xsrf=([^;]+)", answer.headers["Set-Cookie"])
    assert xsrf is not None
    return {"Cookie": f"{login['Cookie']}; _xsrf={xsrf[1]}", "X-XSRFToken": xsrf[1]}
