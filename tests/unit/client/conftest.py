"""A stand-in of the service: a real HTTP server that speaks the wire models and runs circuits with Aer."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit_aer import AerSimulator

from jupyter_quantum.client.circuits import load_circuits
from jupyter_quantum.client.hub import Hub
from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import DeviceKind, JobKind, JobState
from jupyter_quantum.exceptions import NotFound, QuantumError
from jupyter_quantum.targets import canonical, target_to_json
from jupyter_quantum.wire.base import CircuitBundle, ErrorBody, digest_of
from jupyter_quantum.wire.devices import CalibrationRef, DeviceView, PriceView, Wait
from jupyter_quantum.wire.jobs import EventView, JobRequest, JobView, Me, Meter, Pub, QuotaView
from jupyter_quantum.wire.reports import ReportLine, ReportRequest, ReportRow, ReportView, Resources
from jupyter_quantum.wire.results import Array, Bits, Experiment, PubResult, ResultView
from jupyter_quantum.wire.sessions import SessionView

TOKEN = "sesame-0123456789"
NOW = datetime(2026, 5, 12, 12, 0, tzinfo=UTC)


def schema(**properties: Any) -> dict[str, Any]:
    """A schema of options as adapters publish it."""
    return {"type": "object", "additionalProperties": False, "properties": properties}


_SEED = {"type": "integer", "minimum": 0}
_OPTIONS = {
    "run": schema(
        shots={"type": "integer", "minimum": 1, "maximum": 100_000}, seed_simulator=_SEED, memory={"type": "boolean"}
    ),
    "sampler": schema(seed_simulator=_SEED),
    "estimator": schema(seed_simulator=_SEED),
}


class Service:
    """What the server knows and has seen. ``before`` may refuse, delay or drop the next requests."""

    def __init__(self) -> None:
        self.jobs: dict[str, JobView] = {}
        self.results: dict[str, ResultView] = {}
        self.bundles: dict[str, tuple[CircuitBundle, list[Pub]]] = {}
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.keys: dict[str, str] = {}
        self.sessions: dict[str, SessionView] = {}
        self.said: list[JobRequest] = []
        self.before: list[Callable[[_Handler], bool]] = []
        self.hold_back = False
        self.resources: Resources | None = None
        self.events: list[EventView] = []
        self.moved = threading.Condition()
        self.url = ""
        sim = AerSimulator()
        self.target = target_to_json(sim.target)
        digest = digest_of(canonical(self.target))
        self.devices = {
            name: DeviceView(
                name=name,
                kind=kind,
                label=label,
                vendor="test",
                region="local",
                num_qubits=29,
                state="ready",
                basis_gates=[],
                max_shots=100_000,
                max_circuits=3,
                calibration=CalibrationRef(digest=digest),
                price=price,
                wait=wait,
                options=_OPTIONS,
            )
            for name, kind, label, price, wait in [
                ("aer", DeviceKind.SIMULATOR, "simulator", PriceView(), Wait(p50=0, p90=0)),
                ("fake_torino", DeviceKind.EMULATOR, "emulator", PriceView(per_task=20_000), Wait(p50=60, p90=90)),
                ("fake_fez", DeviceKind.EMULATOR, "emulator", PriceView(per_task=20_000), Wait(p50=5, p90=9)),
            ]
        }

    def add(self, request: JobRequest, **changes: Any) -> JobView:
        """Record a job as if it had been submitted."""
        device = self.devices[request.device]
        values: dict[str, Any] = {
            "id": new_id("job"),
            "name": request.name or "unnamed",
            "kind": request.kind,
            "state": JobState.QUEUED,
            "owner": "ada",
            "project": "qcourse",
            "device": device.name,
            "device_kind": device.kind,
            "device_label": device.label,
            "source": digest_of(request.circuits.data if request.circuits else b""),
            "num_circuits": 1,
            "options": request.options,
            "price": 420_000,
            "price_at_most": 450_000,
            "created": NOW,
            "changed": NOW,
            "submitted": NOW,
            "origin": request.origin,
            "version": 1,
        }
        view = JobView(**(values | changes))
        self.jobs[view.id] = view
        if request.circuits:
            self.bundles[view.id] = (request.circuits, request.pubs)
        return view

    def move(self, job_id: str, state: JobState, **changes: Any) -> None:
        """Move a job and wake who waits for it."""
        with self.moved:
            old = self.jobs[job_id]
            self.jobs[job_id] = old.model_copy(update={"state": state, "version": old.version + 1, **changes})
            self.moved.notify_all()

    def run(self, job_id: str) -> None:
        """Run a job with Aer and complete it."""
        view = self.jobs[job_id]
        bundle, pubs = self.bundles[job_id]
        self.results[job_id] = execute(view.kind, bundle, pubs, view.options, view.device)
        self.move(job_id, JobState.COMPLETED, cost=420_000, started=NOW, ended=NOW)

    def paths(self, method: str) -> list[str]:
        """Paths requested with this method, without prefix and query."""
        return [urlsplit(path).path.split("/api/v1/")[1] for verb, path, _ in self.seen if verb == method]


def execute(kind: JobKind, bundle: CircuitBundle, pubs: list[Pub], options: dict[str, Any], device: str) -> ResultView:
    """Run with Aer and answer in the wire's schema."""
    circuits = load_circuits(bundle)
    if kind is JobKind.RUN:
        found = AerSimulator().run(circuits, **options).result()
        experiments = [
            Experiment(
                name=one.header["name"],
                shots=one.shots,
                counts=one.data.counts,
                memory=getattr(one.data, "memory", None),
                seed=getattr(one, "seed", None),
                header=one.header,
            )
            for one in found.results
        ]
        return ResultView(kind=kind, backend=device, experiments=experiments, seconds=0.1)
    seed = options.get("seed_simulator")
    if kind is JobKind.SAMPLER:
        sampler = BackendSamplerV2(backend=AerSimulator(), options={"seed_simulator": seed})
        given = [(circuits[p.circuit], p.parameters, p.shots) for p in pubs]
        answer = sampler.run(given).result()
        results = [
            PubResult(
                shape=list(one.data.shape),
                registers={
                    name: Bits(num_bits=bits.num_bits, array=array("|u1", bits.array))
                    for name, bits in one.data.items()
                },
                metadata=one.metadata,
            )
            for one in answer
        ]
    else:
        estimator = BackendEstimatorV2(backend=AerSimulator(), options={"seed_simulator": seed})
        given = [(circuits[p.circuit], p.observables, p.parameters, p.precision) for p in pubs]
        answer = estimator.run(given).result()
        results = [
            PubResult(
                shape=list(one.data.shape),
                evs=array("<f8", one.data.evs),
                stds=array("<f8", one.data.stds),
                metadata=one.metadata,
            )
            for one in answer
        ]
    return ResultView(kind=kind, backend=device, pubs=results, metadata=answer.metadata, seconds=0.1)


def array(dtype: Any, values: Any) -> Array:
    """A NumPy array as it travels."""
    raw = np.ascontiguousarray(values, dtype=np.dtype(dtype))
    return Array(dtype=dtype, shape=list(np.shape(values)), data=raw.tobytes())


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    service: Service

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        """Any GET."""
        self._serve("GET")

    def do_POST(self) -> None:
        """Any POST."""
        self._serve("POST")

    def _serve(self, method: str) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.raw = self.rfile.read(length)
        self.service.seen.append((method, self.path, dict(self.headers)))
        if self.service.before and self.service.before.pop(0)(self):
            return
        split = urlsplit(self.path)
        self.query = {key: values[0] for key, values in parse_qs(split.query).items()}
        parts = split.path.removeprefix("/services/quantum/api/v1/").split("/")
        try:
            if self.headers.get("Authorization") != f"token {TOKEN}":
                raise QuantumError("no")
            answer = self._answer(method, parts)
        except QuantumError as error:
            self.refuse(error)
            return
        if answer is not None:
            self.send(200, answer.model_dump_json() if hasattr(answer, "model_dump_json") else json.dumps(answer))

    def refuse(self, error: QuantumError, **headers: str) -> bool:
        """Answer with an error body."""
        body = ErrorBody(error=type(error).__name__, code=error.code, message=error.message, hint=error.hint)
        self.send(error.status, body.model_dump_json(), **headers)
        return True

    def send(self, status: int, text: str, kind: str = "application/json", **headers: str) -> None:
        """Write an answer."""
        raw = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(raw)
        self.wfile.flush()

    def _lines(self, whole: ReportView) -> ReportView | None:
        """A report as lines where they are asked for: each device pending, then each row, then the whole."""
        if "application/x-ndjson" not in self.headers.get("Accept", ""):
            return whole
        pending = [row.model_copy(update={"pending": True}) for row in whole.rows]
        lines = [ReportLine(rows=pending), *(ReportLine(rows=[row]) for row in whole.rows), ReportLine(report=whole)]
        self.send(201, "".join(f"{line.model_dump_json()}\n" for line in lines), "application/x-ndjson")
        return None

    def drop(self) -> bool:
        """Close the connection without an answer, as a killed service does."""
        self.close_connection = True
        self.connection.shutdown(2)
        return True

    def _answer(self, method: str, parts: list[str]) -> Any:
        service = self.service
        match method, *parts:
            case "GET", "me":
                return Me(name="ada", roles=[], scopes=[], projects={"qcourse": "user"}, tiers={"qcourse": "sandbox"})
            case "GET", "quota":
                return quota()
            case "GET", "events":
                return self._stream()
            case "GET", "devices":
                return {"devices": [one.model_dump(mode="json") for one in service.devices.values()]}
            case "GET", "devices", name if name in service.devices:
                return service.devices[name]
            case "GET", "devices", name, "target":
                calibration = service.devices[name].calibration.model_dump(mode="json")
                return {"calibration": calibration, "target": service.target}
            case "POST", "reports":
                asked = ReportRequest.model_validate_json(self.raw)
                found = {"resources": service.resources if asked.resources else None}
                return self._lines(report(asked).model_copy(update=found))
            case "POST", "jobs":
                return self._submit(JobRequest.model_validate_json(self.raw))
            case "GET", "jobs":
                return {"jobs": [one.model_dump(mode="json") for one in reversed(service.jobs.values())]}
            case _, "sessions", name, *rest if rest in ([], ["close"]):
                return self._session(name, closes=bool(rest))
            case _, "jobs", job_id, *rest if job_id in service.jobs:
                return self._job(job_id, rest)
        raise NotFound("No such job, or it is not visible to you.")

    def _submit(self, request: JobRequest) -> JobView:
        service = self.service
        key = self.headers["Idempotency-Key"]
        if key in service.keys:
            return service.jobs[service.keys[key]]
        view = service.add(request)
        service.said.append(request)
        if (said := request.session) is not None:
            begun = SessionView(
                id=said.id, kind=said.kind, state="open", created=NOW, max_s=said.max_s, open_jobs=1, devices=[]
            )
            service.sessions.setdefault(said.id, begun)
        service.keys[key] = view.id
        if service.hold_back:
            return view
        service.run(view.id)
        result = service.results[view.id].model_dump(mode="json")
        return service.jobs[view.id].model_copy(update={"result": result})

    def _session(self, name: str, *, closes: bool) -> SessionView:
        """A session that jobs were submitted into."""
        found = self.service.sessions.get(name)
        if found is None:
            raise NotFound("No such session, or it is not visible to you.")
        if closes:
            found = self.service.sessions[name] = found.model_copy(update={"state": "closed"})
        return found

    def _job(self, job_id: str, rest: list[str]) -> Any:
        service = self.service
        match rest:
            case []:
                version = int(self.query.get("version", -1))
                with service.moved:
                    service.moved.wait_for(
                        lambda: service.jobs[job_id].version > version, float(self.query.get("wait", 0))
                    )
                return service.jobs[job_id]
            case ["result"]:
                return service.results[job_id]
            case ["cancel"]:
                service.move(job_id, JobState.CANCELLED)
                return service.jobs[job_id]
            case ["executable"]:
                return service.bundles[job_id][0]
            case ["source"]:
                bundle, pubs = service.bundles[job_id]
                return {
                    "circuits": bundle.model_dump(mode="json"),
                    "pubs": [one.model_dump(mode="json") for one in pubs],
                }
        raise NotFound("There is nothing here.")

    def _stream(self) -> None:
        after = int(self.headers.get("Last-Event-ID", 0))
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        self.wfile.write(b": hello\n\n")
        for event in [one for one in self.service.events if one.seq > after]:
            self.wfile.write(f"id: {event.seq}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n".encode())


def quota() -> QuotaView:
    """Two budgets."""
    mine = Meter(
        scope="user", name="ada", project="qcourse", window="May", limit=50_000_000, used=31_000_000, held=6_600_000,
        available=12_400_000, resets=datetime(2026, 6, 1, tzinfo=UTC),
    )  # fmt: skip
    ours = Meter(
        scope="project", name="qcourse", project="qcourse", window="the project's grant", limit=100_000_000, used=0,
        held=0, available=100_000_000,
    )  # fmt: skip
    return QuotaView(project="qcourse", meters=[mine, ours], binding=0)


def report(request: ReportRequest) -> ReportView:
    """A report with one row for each device asked for."""
    assert request.circuits is not None
    rows = [
        ReportRow(device=name, kind=DeviceKind.SIMULATOR, label="simulator", state="ready", noise_free=True, price=0)
        for name in request.devices or ["aer"]
    ]
    return ReportView(
        id=new_id("rep"),
        created=NOW,
        project="qcourse",
        name=request.name or "unnamed",
        kind=request.kind,
        source=digest_of(request.circuits.data),
        num_circuits=1,
        num_qubits=2,
        executions=1000,
        shots=request.options.get("shots", 1024),
        policy=digest_of(b""),
        rows=rows,
    )


@pytest.fixture
def service() -> Iterator[Service]:
    """A fresh service for one test."""
    found = Service()
    handler = type("Handler", (_Handler,), {"service": found})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    found.url = f"http://127.0.0.1:{server.server_port}/services/quantum"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def hub(service: Service) -> Hub:
    """A hub that talks to the stand-in."""
    return Hub(url=service.url, token=TOKEN)


def qpy_version(raw: bytes) -> int:
    """The version that a QPY file says."""
    assert io.BytesIO(raw).read(6) == b"QISKIT"
    assert qpy.load(io.BytesIO(raw))
    return raw[6]


@pytest.fixture
def bell() -> QuantumCircuit:
    """Two entangled qubits, measured."""
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit
