"""A fake of IBM's service: what ``QiskitRuntimeService`` talks to, run by Qiskit's primitives on a snapshot.

Made from the documented Qiskit Runtime REST API (https://quantum.cloud.ibm.com/docs/api/qiskit-runtime-rest: backends,
jobs, metrics, sessions, instances; version of 2026-04-15) and from what the SDK 0.51 calls: ``api/rest/runtime.py``,
``api/rest/program_job.py``, ``api/rest/runtime_session.py``, ``api/rest/cloud_backend.py``, ``accounts/account.py``
(Global Search, Global Catalog) and ``ibm_cloud_sdk_core/token_managers`` (IAM). It is reached as an HTTP proxy, so that
all of IBM's hosts lead to it.
"""

from __future__ import annotations

import base64
import json
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from qiskit import QuantumCircuit
from qiskit.primitives import BackendEstimatorV2, BackendSamplerV2
from qiskit_aer import AerSimulator
from qiskit_ibm_runtime import fake_provider
from qiskit_ibm_runtime.json import RuntimeDecoder, RuntimeEncoder

from tests.vendors.server import Fake, Reply, Request, route

__all__ = ["CRN", "TOKEN", "Ibm"]

TOKEN = "planted-ibm-api-key-7f3a"
CRN = "crn:v1:bluemix:public:quantum-computing:us-east:a/0a1b2c:5d4e-6f70::"
_DOMAIN = "ibm.test"


@dataclass
class _Job:
    id: str
    body: dict[str, Any]
    created: str
    status: str = "Queued"
    reason: str | None = None
    code: int | None = None
    result: str = ""
    seconds: float = 0.0
    visible: float = field(default_factory=time.monotonic)


@dataclass
class _Session:
    id: str
    body: dict[str, Any]
    began: float = field(default_factory=time.monotonic)
    accepting: bool = True
    state: str = "open"


class Ibm(Fake):
    """One backend of one instance. ``held``: jobs stay queued until :meth:`run_all`."""

    def __init__(self, snapshot: str = "FakeManilaV2", *, held: bool = False, indexing_s: float = 0.0) -> None:
        super().__init__()
        self._fake = getattr(fake_provider, snapshot)()
        self._born = int(time.time())
        self.backend = "ibm_" + self._fake.name.removeprefix("fake_")
        self.jobs: dict[str, _Job] = {}
        self.sessions: dict[str, _Session] = {}
        self.faulty = "/api/v1/jobs"
        self.open_plan = False
        self.held = held
        self.indexing_s = indexing_s
        self.fails: tuple[int, str] | None = None
        self._simulator = AerSimulator.from_backend(self._fake, seed_simulator=7)

    @property
    def settings(self) -> dict[str, Any]:
        """What a device is told to reach this fake."""
        return {"backend": self.backend, "url": f"http://{_DOMAIN}", "proxy": self.url}

    @property
    def secret(self) -> dict[str, str]:
        """The secret of the device."""
        return {"token": TOKEN, "instance": CRN}

    def breaks(self, request: Request) -> bool:
        return request.method == "POST" and request.path == self.faulty

    def failure(self, status: int) -> Reply:
        error = {"code": 1000 + status, "message": f"planned {status}", "solution": "", "more_info": ""}
        return Reply(status, {"errors": [error], "trace": "t"})

    def answer(self, request: Request) -> Reply:
        runtime = request.host.startswith("quantum.")
        if runtime and (
            request.headers.get("authorization") != f"Bearer {self._jwt()}" or request.headers.get("service-crn") != CRN
        ):
            return self.failure(401)
        return super().answer(request)

    def _jwt(self) -> str:
        claims = {"iat": self._born, "exp": self._born + 3600, "iam_id": "IBMid-1"}
        parts = ({"alg": "HS256", "typ": "JWT"}, claims)
        return (
            ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts) + ".c2ln"
        )

    @route("POST", rf"iam\.{_DOMAIN}/identity/token")
    def token(self, request: Request) -> Reply:
        if f"apikey={TOKEN}" not in request.body.decode():
            return Reply(400, {"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found."})
        return Reply(
            body={
                "access_token": self._jwt(),
                "refresh_token": "not_supported",
                "token_type": "Bearer",
                "expires_in": 3600,
                "expiration": self._born + 3600,
                "scope": "ibm openid",
            }
        )

    @route("POST", rf"api\.global-search-tagging\.{_DOMAIN}/v3/resources/search")
    def search(self, request: Request) -> Reply:
        item = {
            "crn": CRN,
            "name": "lab",
            "service_plan_unique_id": "plan-1",
            "tags": [],
            "doc": {"extensions": {"allocations": 1}},
        }
        return Reply(body={"items": [item], "limit": 100})

    @route("GET", rf"globalcatalog\.{_DOMAIN}/api/v1/plan-1")
    def plan(self, request: Request) -> Reply:
        return Reply(body={"overview_ui": {"en": {"display_name": "Flex"}}, "metadata": {"pricing": {"type": "paid"}}})

    @route("GET", "/api/v1/backends")
    def backends(self, request: Request) -> Reply:
        status = {"name": "online", "reason": "available"}
        one = {"name": self.backend, "status": status, "queue_length": 0, "qubits": self._fake.num_qubits}
        return Reply(body={"devices": [one]})

    @route("GET", "/api/v1/backends/([^/]+)/configuration")
    def configuration(self, request: Request, name: str) -> Reply:
        return Reply(body=self._file(self._fake.conf_filename)) if name == self.backend else self.failure(404)

    @route("GET", "/api/v1/backends/([^/]+)/properties")
    def properties(self, request: Request, name: str) -> Reply:
        found = self._file(self._fake.props_filename)
        moment = datetime.fromisoformat(found["last_update_date"]).astimezone(UTC)
        return Reply(body=found | {"last_update_date": f"{moment:%Y-%m-%dT%H:%M:%SZ}"})

    def _file(self, name: str) -> dict[str, Any]:
        """What IBM itself once sent, as the snapshot keeps it."""
        return json.loads((Path(self._fake.dirname) / name).read_text()) | {"backend_name": self.backend}

    @route("GET", "/api/v1/backends/([^/]+)/status")
    def backend_status(self, request: Request, name: str) -> Reply:
        return Reply(body={"state": True, "status": "active", "message": "available", "length_queue": 0})

    @route("GET", "/api/v1/instances/usage")
    def usage(self, request: Request) -> Reply:
        return Reply(body={"instance_id": CRN, "usage_consumed_seconds": 12, "usage_limit_reached": False})

    @route("POST", "/api/v1/jobs")
    def create(self, request: Request) -> Reply:
        body = request.json()
        if body.get("backend") != self.backend or body.get("program_id") not in {"sampler", "estimator"}:
            return self.failure(400)
        if (name := body.get("session_id")) is not None:
            session = self.sessions.get(name)
            if session is None or not self._seen(session).accepting:
                error = {"code": 1205, "message": "The session is closed.", "solution": "Open another one."}
                return Reply(400, {"errors": [error], "trace": "t"})
            session.state = "active"
        job = _Job(uuid.uuid4().hex[:20], body, datetime.now(UTC).isoformat().replace("+00:00", "Z"))
        job.visible += self.indexing_s
        self.jobs[job.id] = job
        if not self.held:
            threading.Thread(target=self._run, args=(job,), daemon=True).start()
        return Reply(body={"id": job.id, "backend": self.backend})

    @route("POST", "/api/v1/sessions")
    def open_session(self, request: Request) -> Reply:
        body = request.json()
        if body.get("backend") != self.backend or body.get("mode") not in {"batch", "dedicated"}:
            return self.failure(400)
        if self.open_plan and body["mode"] == "dedicated":
            return self.failure(403)
        session = _Session(uuid.uuid4().hex[:20], body)
        self.sessions[session.id] = session
        return Reply(body=self._session(session))

    def _seen(self, session: _Session) -> _Session:
        """As it is now: its time may be up, which cancels what waits in it."""
        if time.monotonic() - session.began >= session.body.get("max_ttl", 28_800):
            self.end(session.id)
        return session

    def end(self, name: str) -> None:
        """End a session as IBM does by itself: it takes no jobs, and those that wait in it are cancelled."""
        self.sessions[name].accepting, self.sessions[name].state = False, "closed"
        for job in self.jobs.values():
            if job.body.get("session_id") == name and job.status == "Queued":
                job.status = "Cancelled"

    def _session(self, session: _Session) -> dict[str, Any]:
        theirs = [job.seconds for job in self.jobs.values() if job.body.get("session_id") == session.id]
        batch = session.body["mode"] == "batch"
        return {
            "id": session.id,
            "backend_name": self.backend,
            "mode": session.body["mode"],
            "state": session.state,
            "accepting_jobs": session.accepting,
            "max_ttl": session.body.get("max_ttl", 28_800),
            "interactive_ttl": 60,
            "elapsed_time": sum(theirs) if batch else (60.0 if theirs else 0),
            "timestamps": [],
        }

    @route("GET", "/api/v1/sessions/([^/]+)")
    def session(self, request: Request, name: str) -> Reply:
        found = self.sessions.get(name)
        return self.failure(404) if found is None else Reply(body=self._session(self._seen(found)))

    @route("PATCH", "/api/v1/sessions/([^/]+)")
    def close_session(self, request: Request, name: str) -> Reply:
        if name not in self.sessions:
            return self.failure(404)
        self.sessions[name].accepting = bool(request.json()["accepting_jobs"])
        return Reply(204)

    @route("GET", "/api/v1/jobs")
    def listed(self, request: Request) -> Reply:
        tags = set(request.query.get("tags", []))
        found = [
            job
            for job in self.jobs.values()
            if tags <= set(job.body.get("tags", [])) and job.visible <= time.monotonic()
        ]
        if request.query.get("sort") != ["ASC"]:
            found.reverse()
        limit = int(request.query.get("limit", ["200"])[0])
        offset = int(request.query.get("offset", ["0"])[0])
        page = [self._described(job) for job in found[offset : offset + limit]]
        return Reply(body={"jobs": page, "count": len(found), "limit": limit, "offset": offset})

    def _described(self, job: _Job) -> dict[str, Any]:
        state = {"status": job.status, "reason": job.reason, "reason_code": job.code}
        return {
            "id": job.id,
            "backend": self.backend,
            "state": {name: value for name, value in state.items() if value is not None},
            "status": job.status,
            "program": {"id": job.body["program_id"]},
            "created": job.created,
            "tags": job.body.get("tags", []),
            "cost": job.body.get("cost", 10_000),
            "private": False,
        }

    @route("GET", "/api/v1/jobs/([^/]+)")
    def job(self, request: Request, name: str) -> Reply:
        assert request.query.get("exclude_params") == ["true"], "circuits are not to come back"
        return Reply(body=self._described(self.jobs[name])) if name in self.jobs else self.failure(404)

    @route("GET", "/api/v1/jobs/([^/]+)/results")
    def results(self, request: Request, name: str) -> Reply:
        job = self.jobs[name]
        return Reply(body=job.result.encode()) if job.result else Reply(204)

    @route("GET", "/api/v1/jobs/([^/]+)/metrics")
    def metrics(self, request: Request, name: str) -> Reply:
        job = self.jobs[name]
        done = job.status == "Completed"
        usage = {"qpu_charge_time_seconds": job.seconds, "status": "final" if done else "pending"}
        return Reply(body={"timestamps": {"created": job.created}, "usage": usage})

    @route("POST", "/api/v1/jobs/([^/]+)/cancel")
    def cancel(self, request: Request, name: str) -> Reply:
        job = self.jobs[name]
        if job.status not in {"Queued", "Running"}:
            return self.failure(409)
        job.status = "Cancelled"
        return Reply(204)

    def run_all(self) -> None:
        """Run what waits."""
        for job in list(self.jobs.values()):
            if job.status == "Queued":
                self._run(job)

    def _run(self, job: _Job) -> None:
        job.status = "Running"
        if self.fails is not None:
            job.code, job.reason = self.fails
            job.status = "Failed"
            return
        params = json.loads(json.dumps(job.body["params"]), cls=RuntimeDecoder)
        try:
            result = self._primitive(job.body["program_id"], params)
        except Exception as error:
            job.code, job.reason, job.status = 1002, f"{type(error).__name__}: {error}", "Failed"
            return
        job.result = json.dumps(result, cls=RuntimeEncoder)
        job.seconds = 2.0
        job.status = "Completed"

    def _primitive(self, program: str, params: dict[str, Any]) -> Any:
        assert params["version"] == 2
        options = params.get("options", {})
        if program == "sampler":
            default = options.get("default_shots", 4096)
            pubs = [(pub[0], *_values(pub[0], pub[1]), pub[2] or default) for pub in params["pubs"]]
            return BackendSamplerV2(backend=self._simulator).run(pubs).result()
        pubs = [(pub[0], pub[1], *_values(pub[0], pub[2]), pub[3]) for pub in params["pubs"]]
        return BackendEstimatorV2(backend=self._simulator).run(pubs).result()


def _values(circuit: QuantumCircuit, values: Any) -> tuple[Any]:
    return (values if circuit.num_parameters or values.ndim > 1 else None,)
