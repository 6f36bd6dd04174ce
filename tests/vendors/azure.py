"""A fake of an Azure Quantum workspace and of its blob storage; Q#'s simulator runs the QIR.

Made from the documented REST API (https://learn.microsoft.com/rest/api/quantum: jobs, sessions, providers, storage),
of which ``azure/quantum/_client/operations/_operations.py`` of the SDK 3.13 has paths and verbs, and from Blob
storage's ``Put Blob`` and ``Get Blob`` (https://learn.microsoft.com/rest/api/storageservices).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.vendors.server import Fake, Reply, Request, route

__all__ = ["KEY", "TARGET", "Azure"]

KEY = "planted-azure-key-2d94b0"
TARGET = "rigetti.sim.qvm"
_SUBSCRIPTION = "11111111-2222-4333-8444-555555555555"
_BASE = f"/subscriptions/{_SUBSCRIPTION}/resourceGroups/lab/providers/Microsoft.Quantum/workspaces/lab-ws"
_SIGNED = "sv=2024-11-04&sr=c&sp=rcw&sig=planted-sas-signature"


@dataclass
class _Job:
    details: dict[str, Any]
    status: str = "Waiting"
    error: dict[str, str] | None = None
    began: datetime | None = None


class Azure(Fake):
    """One workspace with one target. ``held``: jobs wait until :meth:`run_all`."""

    def __init__(self, *, held: bool = False) -> None:
        super().__init__()
        self.jobs: dict[str, _Job] = {}
        self.sessions: dict[str, dict[str, Any]] = {}
        self.faulty = "/jobs/"
        self.blobs: dict[str, bytes] = {}
        self.held = held
        self.fails = ""
        self.runs = 0

    @property
    def settings(self) -> dict[str, Any]:
        """What a device is told to reach this fake."""
        place = {"resource_id": _BASE.replace("workspaces", "Workspaces"), "location": "westeurope"}
        return {"target": TARGET, "qubits": 10, "endpoint": self.url} | place

    @property
    def secret(self) -> dict[str, str]:
        """The secret of the device."""
        return {"api_key": KEY}

    def breaks(self, request: Request) -> bool:
        return request.method == "PUT" and self.faulty in request.path

    def failure(self, status: int) -> Reply:
        return Reply(status, {"error": {"code": "Planned", "message": f"planned {status}"}})

    def answer(self, request: Request) -> Reply:
        signed = "sig" in request.query
        if not signed and request.headers.get("x-ms-quantum-api-key") != KEY:
            return self.failure(401)
        return super().answer(request)

    @route("GET", f"{_BASE}/providerStatus")
    def providers(self, request: Request) -> Reply:
        target = {"id": TARGET, "currentAvailability": "Available", "averageQueueTime": 0, "statusPage": ""}
        one = {"id": "rigetti", "currentAvailability": "Available", "targets": [target]}
        return Reply(body={"value": [one]})

    @route("POST", f"{_BASE}/storage/sasUri")
    def signed(self, request: Request) -> Reply:
        asked = request.json()
        path = "/".join(asked[name] for name in ("containerName", "blobName") if asked.get(name))
        return Reply(body={"sasUri": f"{self.url}/labstore/{path}?{_SIGNED}"})

    @route("PUT", "/labstore/(.+)")
    def put_blob(self, request: Request, name: str) -> Reply:
        if request.query.get("restype") == ["container"]:
            return Reply(201)
        if name in self.blobs and request.headers.get("if-none-match") == "*":
            return _storage(409, "BlobAlreadyExists")
        self.blobs[name] = request.body
        return Reply(201, None, {"ETag": '"1"', "Last-Modified": "Fri, 27 Nov 2026 04:00:00 GMT"})

    @route("HEAD", "/labstore/(.+)")
    def head_blob(self, request: Request, name: str) -> Reply:
        container = request.query.get("restype") == ["container"]
        return Reply(200 if container or name in self.blobs else 404)

    @route("GET", "/labstore/(.+)")
    def get_blob(self, request: Request, name: str) -> Reply:
        if request.query.get("restype") == ["container"]:
            return Reply(200, None, {"ETag": '"1"', "Last-Modified": "Fri, 27 Nov 2026 04:00:00 GMT"})
        data = self.blobs.get(name)
        if data is None:
            return _storage(404, "BlobNotFound")
        end = len(data) - 1
        about = {"ETag": '"1"', "Last-Modified": "Fri, 27 Nov 2026 04:00:00 GMT", "x-ms-blob-type": "BlockBlob"}
        return Reply(206, data, about | {"Content-Range": f"bytes 0-{end}/{len(data)}"})

    @route("PUT", f"{_BASE}/jobs/([^/:]+)")
    def create(self, request: Request, name: str) -> Reply:
        body = request.json()
        if body["target"] != TARGET or body["inputDataFormat"] != "qir.v1" or body["tags"] != [body["name"]]:
            return self.failure(400)
        if name in self.jobs:
            return Reply(409, {"error": {"code": "JobAlreadyExists", "message": "A job with this id exists."}})
        if body.get("sessionId") is not None:
            session = self.sessions.get(body["sessionId"])
            if session is None or session["status"] not in {"Waiting", "Executing"}:
                return Reply(409, {"error": {"code": "SessionClosed", "message": "The session takes no jobs."}})
        job = self.jobs[name] = _Job(body | {"id": name})
        if not self.held:
            self._run(job)
        return Reply(201, self._described(job))

    @route("PUT", f"{_BASE}/sessions/([^/:]+)")
    def open_session(self, request: Request, name: str) -> Reply:
        body = request.json()
        if body["target"] != TARGET or body["jobFailurePolicy"] != "Continue":
            return self.failure(400)
        if name not in self.sessions:
            self.sessions[name] = body | {"id": name, "itemType": "Session", "status": "Waiting"}
        return Reply(200, self.sessions[name])

    @route("GET", f"{_BASE}/sessions/([^/:]+)")
    def session(self, request: Request, name: str) -> Reply:
        return Reply(body=self.sessions[name]) if name in self.sessions else self.failure(404)

    @route("POST", f"{_BASE}/sessions/([^/:]+):close")
    def close_session(self, request: Request, name: str) -> Reply:
        self.end(name, "Succeeded")
        return Reply(body=self.sessions[name])

    def end(self, name: str, status: str = "TimedOut") -> None:
        """End a session, as Azure does by itself where no job comes."""
        self.sessions[name]["status"] = status

    def _described(self, job: _Job) -> dict[str, Any]:
        more: dict[str, Any] = {"status": job.status, "itemType": "Job", "creationTime": "2026-11-27T04:00:00Z"}
        container = job.details["containerUri"].partition("?")[0]
        more["outputDataUri"] = f"{container}/rawOutputData"
        if job.began:
            more["beginExecutionTime"] = job.began.isoformat()
            more["endExecutionTime"] = (job.began + timedelta(seconds=3)).isoformat()
        if job.error:
            more["errorData"] = job.error
        return job.details | more

    @route("GET", f"{_BASE}/jobs/([^/:]+)")
    def job(self, request: Request, name: str) -> Reply:
        return Reply(body=self._described(self.jobs[name])) if name in self.jobs else self.failure(404)

    @route("POST", f"{_BASE}/jobs/([^/:]+):cancel")
    def cancel(self, request: Request, name: str) -> Reply:
        job = self.jobs[name]
        if job.status == "Waiting":
            job.status = "Cancelled"
        return Reply(200, self._described(job))

    def run_all(self) -> None:
        """Run what waits."""
        for job in self.jobs.values():
            if job.status == "Waiting":
                self._run(job)

    def _run(self, job: _Job) -> None:
        from qdk.simulation import run_qir  # not before the adapter, which keeps the kit from calling home

        self.runs += 1
        job.began = datetime.now(UTC)
        if self.fails:
            job.status, job.error = "Failed", {"code": "ProviderError", "message": self.fails}
            return
        container = job.details["containerUri"].partition("?")[0].rpartition("/")[2]
        qir = self.blobs[f"{container}/inputData"].decode()
        shots = [
            [int(str(one) == "One") for one in shot]
            for shot in run_qir(qir, job.details["inputParams"]["shots"], type="cpu")
        ]
        counted: dict[str, int] = {}
        for shot in shots:
            counted[str(shot)] = counted.get(str(shot), 0) + 1
        histogram = [{"Outcome": json.loads(one), "Display": one, "Count": n} for one, n in counted.items()]
        result = {"DataFormat": "microsoft.quantum-results.v2", "Results": [{"Histogram": histogram, "Shots": shots}]}
        self.blobs[f"{container}/rawOutputData"] = json.dumps(result).encode()
        job.status = "Succeeded"


def _storage(status: int, code: str) -> Reply:
    xml = f'<?xml version="1.0"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    return Reply(status, xml.encode(), {"Content-Type": "application/xml", "x-ms-error-code": code})
