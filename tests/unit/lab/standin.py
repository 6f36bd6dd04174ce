"""A small service that speaks the wire's models: enough for a Jupyter server to talk to, its state in the open."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.money import credits_to_micro
from jupyter_quantum.wire.devices import CalibrationRef, Devices, DeviceView, PriceView, Wait
from jupyter_quantum.wire.jobs import Approvals, ApprovalView, EventView, Jobs, JobView, Me, Meter, QuotaView

TOKEN = "token-of-the-server"
DIGEST = "sha256:" + "0" * 64
NOW = datetime.now(UTC)


def device(name: str, kind: str, label: str, **more: Any) -> DeviceView:
    """A device with believable values."""
    fields: dict[str, Any] = {
        "vendor": "local",
        "region": "here",
        "num_qubits": 133,
        "state": "ready",
        "max_shots": 100_000,
        "max_circuits": 300,
        "calibration": CalibrationRef(digest=DIGEST, at=None if kind == "simulator" else NOW),
        "price": PriceView(),
        "wait": Wait(p50=0, p90=0),
    }
    return DeviceView(name=name, kind=kind, label=label, **(fields | more))


def job(name: str, device: str, state: str, **more: Any) -> JobView:
    """A job of ada's with believable values."""
    label = {"aer": "simulator", "campus_qpu": "emulated QPU"}.get(device, "emulator")
    kind = {"aer": "simulator", "campus_qpu": "qpu"}.get(device, "emulator")
    fields: dict[str, Any] = {
        "id": new_id("job"),
        "kind": "sampler",
        "owner": "ada",
        "project": "qcourse",
        "device_kind": kind,
        "device_label": label,
        "source": DIGEST,
        "num_circuits": 1,
        "shots": 1000,
        "created": NOW - timedelta(minutes=5),
        "changed": NOW - timedelta(minutes=1),
        "submitted": NOW - timedelta(minutes=5),
        "version": 3,
    }
    return JobView(name=name, device=device, state=state, **(fields | more))


def quota(available: float = 12.40, held: float = 6.60, limit: float = 50) -> QuotaView:
    """The quota of the UX guide's pictures."""
    micro = credits_to_micro
    mine = Meter(
        scope="user",
        name="ada",
        project="qcourse",
        window="November",
        limit=micro(limit),
        used=micro(round(limit - available - held, 6)),
        held=micro(held),
        available=micro(available),
        resets=datetime(2026, 12, 1, tzinfo=UTC),
    )
    theirs = Meter(
        scope="project",
        name="qcourse",
        project="qcourse",
        window="the project's grant",
        limit=micro(100),
        used=micro(20),
        held=micro(held),
        available=micro(80 - held),
    )
    return QuotaView(project="qcourse", meters=[mine, theirs], binding=0)


class Standin:
    """The service: change its fields, :meth:`emit` events, ``stop`` and ``start`` it on the same port."""

    def __init__(self) -> None:
        self.events: list[EventView] = []
        self.reset()
        self.seen: list[tuple[str, str]] = []
        self.resumed: list[str | None] = []
        self.port = 0
        self.listens = False
        self._streams: set[Stream] = set()
        self._loop = asyncio.new_event_loop()
        self._server: HTTPServer | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.start()

    def reset(self) -> None:
        """The state of the beginning; events keep their numbers, as in life."""
        self.me = Me(name="ada", roles=[], scopes=[], projects={"qcourse": "user"}, tiers={"qcourse": "sandbox"})
        self.quota = quota()
        self.devices = default_devices()
        self.jobs = default_jobs()
        self.approvals: list[ApprovalView] = []

    @property
    def url(self) -> str:
        """What ``JUPYTER_QUANTUM_URL`` holds."""
        return f"http://127.0.0.1:{self.port}/services/quantum"

    def _call(self, work: Any) -> Any:
        async def run() -> Any:
            return work()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(10)

    def start(self) -> None:
        """Listen; on the port of last time, if there was one."""

        def listen() -> None:
            sockets = bind_sockets(self.port, "127.0.0.1")
            self.port = sockets[0].getsockname()[1]
            self._server = HTTPServer(self._application())
            self._server.add_sockets(sockets)

        self._call(listen)
        self.listens = True

    def stop(self) -> None:
        """Stop listening and break every stream."""

        def close() -> None:
            assert self._server is not None
            self._server.stop()
            for stream in list(self._streams):
                stream.request.connection.stream.close()  # type: ignore[union-attr]

        self._call(close)
        self.listens = False

    def close(self) -> None:
        """Stop for good."""
        if self.listens:
            self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def emit(self, kind: str, data: dict[str, Any], job_id: str | None = None) -> EventView:
        """Add an event and send it to every stream."""
        event = EventView(
            seq=len(self.events) + 1, id=new_id("evt"), time=datetime.now(UTC), type=kind, job=job_id, data=data
        )
        self.events.append(event)
        self._call(lambda: [stream.push(event) for stream in self._streams])
        return event

    def move(self, job_id: str, state: str, **more: Any) -> JobView:
        """Move a job and tell the streams."""
        found = next(one for one in self.jobs if one.id == job_id)
        moved = found.model_copy(
            update={"state": JobState(state), "version": found.version + 1, "changed": datetime.now(UTC)} | more
        )
        self.jobs = [moved if one.id == job_id else one for one in self.jobs]
        self.emit("job.moved", moved.model_dump(mode="json"), job_id)
        return moved

    def _application(self) -> Application:
        prefix = "/services/quantum/api/v1"
        return Application(
            [
                (f"{prefix}/events", Stream, {"service": self}),
                (f"{prefix}/(.*)", Api, {"service": self}),
            ]
        )


class Api(RequestHandler):
    """The plain routes."""

    def initialize(self, service: Standin) -> None:
        self.service = service

    def prepare(self) -> None:
        self.service.seen.append((self.request.method or "", self.request.uri or ""))
        if self.request.headers.get("Authorization") != f"token {TOKEN}":
            self.set_status(401)
            self.answer({"error": "Unauthenticated", "code": "auth.missing", "message": "No token."})

    def get(self, path: str) -> None:
        service = self.service
        jobs = {one.id: one for one in service.jobs}
        found = {
            "me": service.me,
            "quota": service.quota,
            "devices": Devices(devices=service.devices),
            "jobs": Jobs(jobs=service.jobs),
            "approvals": Approvals(approvals=service.approvals),
        }.get(path) or jobs.get(path.removeprefix("jobs/"))
        if found is None:
            self.set_status(404)
            self.answer({"error": "NotFound", "code": "absent", "message": "No such job, or it is not visible to you."})
        else:
            self.answer(found.model_dump(mode="json"))

    def post(self, path: str) -> None:
        moved = self.service.jobs[0]
        for one in self.service.jobs:
            if path == f"jobs/{one.id}/cancel":
                moved = one.model_copy(update={"state": JobState.CANCELLED, "version": one.version + 1, "on_hold": 0})
        self.service.jobs = [moved if one.id == moved.id else one for one in self.service.jobs]
        self.answer(moved.model_dump(mode="json"))

    def answer(self, body: dict[str, Any]) -> None:
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(body))


class Stream(RequestHandler):
    """``events``: goes on after Last-Event-ID, then live."""

    def initialize(self, service: Standin) -> None:
        self.service = service
        self.gone = asyncio.Event()

    async def get(self) -> None:
        last = self.request.headers.get("Last-Event-ID")
        self.service.resumed.append(last)
        self.set_header("Content-Type", "text/event-stream")
        self.write("retry: 2000\n\n")
        await self.flush()
        for event in self.service.events[int(last) if last else len(self.service.events) :]:
            self.push(event)
        self.service._streams.add(self)
        await self.gone.wait()

    def push(self, event: EventView) -> None:
        self.write(f"id: {event.seq}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n")
        self._sending = asyncio.ensure_future(self.flush())

    def on_connection_close(self) -> None:
        self.service._streams.discard(self)
        self.gone.set()


def default_devices() -> list[DeviceView]:
    """The demo's devices, one of them drained."""
    price = PriceView(per_task=20_000, per_shot=400, per_second=500)
    return [
        device("aer", "simulator", "simulator", num_qubits=30),
        device("fake_torino", "emulator", "emulator", price=price, wait=Wait(p50=60, p90=180)),
        device(
            "fake_fez",
            "emulator",
            "emulator",
            price=price,
            calibration=CalibrationRef(digest=DIGEST, at=NOW - timedelta(hours=26)),
        ),
        device(
            "campus_qpu",
            "qpu",
            "emulated QPU",
            price=PriceView(per_task=100_000, per_shot=6000, per_second=8000),
            state="drained",
            state_reason="drained by the operators",
            state_until=NOW + timedelta(hours=2),
        ),
    ]


def default_jobs() -> list[JobView]:
    """One job of each kind of state."""
    return [
        job("bell", "campus_qpu", "running", price=6_100_000, price_at_most=6_580_000, on_hold=6_580_000, started=NOW),
        job(
            "vqe-7", "fake_fez", "queued", price=420_000, price_at_most=450_000, on_hold=450_000,
            wait=Wait(p50=300, p90=600, place=2, reason="wait.share",
                      words="Waiting because your project used more than its share today; "
                            "others go first for a while."),
        ),
        job("ghz", "campus_qpu", "awaiting_approval", price=6_100_000, on_hold=6_580_000),
        job("bell", "fake_torino", "completed", price=420_000, cost=410_000, seconds=3.9, ended=NOW),
        job("bell", "aer", "completed", price=0, cost=0, seconds=0.02, ended=NOW),
        job("wide", "fake_torino", "rejected", ended=NOW, error={
            "error": "CircuitRejected", "code": "circuit.too_wide",
            "message": "The circuit has 140 qubits; fake_torino has 133.",
            "hint": "Devices that fit: fake_fez (156)."}),
        job("qft", "fake_torino", "failed", price=420_000, cost=0, ended=NOW, error={
            "error": "JobFailed", "code": "device.lost",
            "message": "The device stopped answering. Not charged; 2 attempts."}),
    ]  # fmt: skip


def approval(held: JobView) -> ApprovalView:
    """A request that a lead may decide."""
    return ApprovalView(
        id=new_id("apr"), job=held, project="qcourse", role="lead", asked_by="ada", reason="Last figure for the thesis",
        words="Needs a lead's approval because the estimate, 6.10 credits, is over 5.", created=NOW,
        expires=datetime.now(UTC) + timedelta(hours=3, minutes=40, seconds=20), state="open", project_left=5_800_000,
    )  # fmt: skip
