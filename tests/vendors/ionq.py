"""A fake of IonQ's cloud, run by Qiskit's state vectors.

Made from IonQ's documented API v0.4 (https://docs.ionq.com/api-reference/v0.4: backends, characterizations, jobs,
results, sessions) and from what the SDK 1.1 sends and reads: ``ionq_client.py``, ``helpers.py`` (the JSON of circuits),
``ionq_job.py``. A circuit is built from IonQ's JSON alone, so that a wrong gate or qubit shows in the counts.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit.library import get_standard_gate_name_mapping
from qiskit.quantum_info import Statevector
from qiskit_ionq.ionq_gates import GPI2Gate, GPIGate, MSGate, ZZGate

from tests.vendors.server import Fake, Reply, Request, route

__all__ = ["TOKEN", "Ionq"]

TOKEN = "planted-ionq-key-51e8"
_QPU = "qpu.forte-1"
_QUBITS = {"simulator": 29, _QPU: 6}
_NAMES = {"v": "sx", "vi": "sxdg", "si": "sdg", "ti": "tdg", "xx": "rxx", "yy": "ryy", "zz": "rzz", "not": "x"}


@dataclass
class _Job:
    id: str
    body: dict[str, Any]
    status: str = "submitted"
    failure: dict[str, str] | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    shots: list[int] = field(default_factory=list)


class Ionq(Fake):
    """A simulator and a machine of six qubits. ``held``: jobs stay submitted until :meth:`run_all`."""

    def __init__(self, *, held: bool = False, offers_shots: bool = False) -> None:
        super().__init__()
        self.jobs: dict[str, _Job] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.faulty = "/v0.4/jobs"
        self.held = held
        self.offers_shots = offers_shots
        self.fails: dict[str, str] | None = None
        self.spam = 0.995

    def settings(self, backend: str = "simulator", gateset: str = "qis") -> dict[str, Any]:
        """What a device is told to reach this fake."""
        return {"backend": backend, "gateset": gateset, "url": f"{self.url}/v0.4"}

    def breaks(self, request: Request) -> bool:
        return request.method == "POST" and request.path == self.faulty

    def failure(self, status: int) -> Reply:
        return Reply(status, {"statusCode": status, "error": "Planned", "message": f"planned {status}"})

    def answer(self, request: Request) -> Reply:
        if request.headers.get("authorization") != f"apiKey {TOKEN}":
            return self.failure(401)
        return super().answer(request)

    @route("GET", "/v0.4/backends/([^/]+)")
    def backend(self, request: Request, name: str) -> Reply:
        if name not in _QUBITS:
            return self.failure(404)
        return Reply(body={"backend": name, "status": "available", "qubits": _QUBITS[name], "average_queue_time": 0})

    @route("GET", "/v0.4/backends/([^/]+)/characterizations")
    def characterizations(self, request: Request, name: str) -> Reply:
        one = {
            "id": "617a1f8b-59d4-435d-aa33-695433d7155e",
            "backend": name,
            "date": "2026-11-25T10:00:00Z",
            "qubits": _QUBITS[name],
            "connectivity": [[0, 1]],
            "fidelity": {"spam": {"median": self.spam}, "1q": {"median": 0.9998}, "2q": {"median": 0.995}},
            "timing": {"readout": 1.5e-4, "reset": 5e-5, "1q": 1.3e-4, "2q": 9.7e-4, "t1": 100, "t2": 1},
        }
        return Reply(body={"characterizations": [one]})

    @route("POST", "/v0.4/jobs")
    def create(self, request: Request) -> Reply:
        body = request.json()
        if body["type"] != "ionq.circuit.v1" or body["backend"] not in _QUBITS or not body["shots"]:
            return self.failure(400)
        if body["input"]["qubits"] > _QUBITS[body["backend"]]:
            return self.failure(400)
        if body.get("session_id") is not None:
            session = self.sessions.get(body["session_id"])
            if session is None or session["status"] == "ended":
                return Reply(400, {"statusCode": 400, "error": "Bad Request", "message": "Session is not active"})
            session |= {"status": "started", "started_at": session["started_at"] or _now()}
        job = _Job(str(uuid.uuid4()), body)
        self.jobs[job.id] = job
        if not self.held:
            self._run(job)
        return Reply(body={"id": job.id, "status": "submitted", "session_id": None})

    @route("POST", "/v0.4/sessions")
    def open_session(self, request: Request) -> Reply:
        body = request.json()
        if body["backend"] != _QPU or not body["settings"].get("duration_limit_min"):
            return self.failure(400)
        name = str(uuid.uuid4())
        about = {"id": name, "status": "created", "active": True, "created_at": _now(), "started_at": None}
        self.sessions[name] = body | about | {"ended_at": None}
        return Reply(201, self.sessions[name])

    @route("GET", "/v0.4/sessions/([^/]+)")
    def session(self, request: Request, name: str) -> Reply:
        return Reply(body=self.sessions[name]) if name in self.sessions else self.failure(404)

    @route("POST", "/v0.4/sessions/([^/]+)/end")
    def end_session(self, request: Request, name: str) -> Reply:
        if name not in self.sessions:
            return self.failure(404)
        self.end(name)
        return Reply(body=self.sessions[name])

    def end(self, name: str) -> None:
        """End a session, as IonQ does by itself when a limit is reached."""
        session = self.sessions[name]
        session |= {"status": "ended", "active": False, "ended_at": session["ended_at"] or _now()}

    @route("GET", "/v0.4/jobs/([^/]+)")
    def job(self, request: Request, name: str) -> Reply:
        job = self.jobs.get(name)
        if job is None:
            return self.failure(404)
        about: dict[str, Any] = {
            "id": job.id,
            "status": job.status,
            "type": job.body["type"],
            "backend": job.body["backend"],
            "metadata": job.body["metadata"],
            "submitted_at": datetime.now(UTC).isoformat(),
        }
        if job.failure:
            about["failure"] = job.failure
        if job.status == "completed":
            about["execution_duration_ms"] = 1250
            about["results"] = {"probabilities": {"url": f"/v0.4/jobs/{name}/results/probabilities"}}
            if job.shots:
                about["results"]["shots"] = {"url": f"/v0.4/jobs/{name}/results/shots"}
        return Reply(body=about)

    @route("GET", "/v0.4/jobs/([^/]+)/results/(probabilities|shots)")
    def results(self, request: Request, name: str, what: str) -> Reply:
        job = self.jobs[name]
        return Reply(body=job.shots if what == "shots" else job.probabilities)

    @route("PUT", "/v0.4/jobs/([^/]+)/status/cancel")
    def cancel(self, request: Request, name: str) -> Reply:
        job = self.jobs[name]
        if job.status not in {"completed", "failed"}:
            job.status = "canceled"
        return Reply(body={"id": name, "status": job.status})

    def run_all(self) -> None:
        """Run what waits."""
        for job in self.jobs.values():
            if job.status == "submitted":
                self._run(job)

    def _run(self, job: _Job) -> None:
        if self.fails:
            job.status, job.failure = "failed", self.fails
            return
        chances = Statevector(_circuit(job.body["input"])).probabilities()
        if job.body["backend"] == "simulator":
            job.probabilities = {str(at): float(p) for at, p in enumerate(chances) if p > 1e-12}
        else:
            drawn = np.random.default_rng(5).choice(len(chances), job.body["shots"], p=chances / chances.sum())
            times = np.bincount(drawn)
            job.probabilities = {str(at): n / job.body["shots"] for at, n in enumerate(times) if n}
            job.shots = drawn.tolist() if self.offers_shots else []
        job.status = "completed"


def _now() -> str:
    return datetime.now(UTC).isoformat().replace("+00:00", "Z")


def _circuit(found: dict[str, Any]) -> QuantumCircuit:
    circuit = QuantumCircuit(found["qubits"])
    native = found["gateset"] == "native"
    for one in found["circuit"]:
        circuit.append(*(_native(one) if native else _gate(one)))
    return circuit


def _gate(one: dict[str, Any]) -> tuple[Any, list[int]]:
    """A gate of the set ``qis``: a name, an angle, controls."""
    name = _NAMES.get(one["gate"], one["gate"])
    standard = get_standard_gate_name_mapping()[name]
    if "rotation" in one:
        standard = (
            get_standard_gate_name_mapping()["p"].base_class(one["rotation"])
            if name == "z"
            else standard.base_class(one["rotation"])
        )
    controls = one.get("controls", [])
    return (standard.control(len(controls)) if controls else standard), [*controls, *one["targets"]]


def _native(one: dict[str, Any]) -> tuple[Any, list[int]]:
    if one["gate"] in {"gpi", "gpi2"}:
        return {"gpi": GPIGate, "gpi2": GPI2Gate}[one["gate"]](one["phase"]), [one["target"]]
    if one["gate"] == "zz":
        return ZZGate(one["angle"]), one["targets"]
    return MSGate(*one["phases"], one["angle"]), one["targets"]
