"""A vendor of quantum computing in one process: a real HTTP server that keeps jobs in memory and runs them with Aer.

API (JSON; ``Authorization: Bearer <key>``; without the key 401, an unknown job 404)::

    GET  /v1/device                 {"target": …, "at": "2026-01-01T00:00:00+00:00"}
    POST /v1/jobs                   {"tag", "token"?, "session"?, "shots", "circuits": base64 of QPY} → {"id"}
                                    the same token gives the same job; 409 where the session takes none
    GET  /v1/jobs?tag=…             {"jobs": [{"id"}]}, once the indexing delay is over
    GET  /v1/jobs/<id>              {"state", "error", "position", "retry", "usage_s"}
    GET  /v1/jobs/<id>/result       {"results": [{"counts": … | null, "error"?}], "usage_s", "api"}; before its end 409
    POST /v1/jobs/<id>/cancel       {"cancelled"}
    POST /v1/sessions               {"name", "mode", "most_s", "token"?} → {"id"}; the same token gives the same one
    GET  /v1/sessions/<id>          {"open", "usage_s"}
    POST /v1/sessions/<id>/end      the same; {"cancel": true}: what waits in it is cancelled too

What a test decides, without a key::

    POST /control                   changes of :class:`Behaviour`
    GET  /control                   {"runs": {tag: times}, "jobs": {tag: [ids]}, "requests": n,
                                     "sessions": {id: {"name", "mode", "most_s", "open", "tags"}}}

``python -m jupyter_quantum.testing.adapters.server`` reads the behaviour as one JSON line on standard input, writes its
port as one line, and ends when standard input does. :class:`VendorServer` starts one.
"""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import BaseModel, ConfigDict
from qiskit import QuantumCircuit, qpy
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator

from jupyter_quantum.targets import target_to_json

__all__ = ["Behaviour", "VendorServer", "main"]


class Behaviour(BaseModel):
    """How the vendor behaves; chances are from 0 to 1, drawn anew for each request."""

    model_config = ConfigDict(extra="forbid")

    key: str = "memory-key"
    qubits: int = 5
    seed: int = 1
    lose_before: float = 0.0
    """The connection breaks, and the request was not acted on."""
    lose_after: float = 0.0
    """The connection breaks after the request was acted on."""
    lose_opening: float = 0.0
    """The same, only where a session is opened."""
    delay_s: float = 0.0
    """Each answer waits for up to so many seconds."""
    repeat: float = 0.0
    """A question (GET) is answered with the answer that the same question got last time."""
    busy: float = 0.0
    """Answer 503."""
    indexing_s: float = 0.0
    """A job is not in the list of its tag for so long."""
    queue_s: float = 0.0
    run_s: float = 0.0
    fail: float = 0.0
    """A job fails, and another try may succeed."""
    fail_circuits: float = 0.0
    """A circuit of a job fails while the others do not."""
    epoch: int = 1
    """Another one is another calibration."""
    session_s: float = 0.0
    """A session ends by itself after so long, and what waits in it is cancelled; 0: as it was opened."""
    sessions: bool = True
    """Whether it opens any."""
    echo: bool = False
    """Errors repeat the key that came with the request, as careless vendors do."""


class _Job:
    """One submission."""

    def __init__(self, body: dict[str, Any], behaviour: Behaviour, doomed: bool) -> None:
        now = time.monotonic()
        self.body = body
        self.tag = str(body["tag"])
        self.begins = now + behaviour.queue_s
        self.ends = self.begins + behaviour.run_s
        self.listed = now + behaviour.indexing_s
        self.cancelled = False
        self.doomed = doomed
        self.ran = False
        self.results: list[dict[str, Any]] | None = None

    @property
    def state(self) -> str:
        now = time.monotonic()
        if self.cancelled:
            return "cancelled"
        if now < self.begins:
            return "queued"
        if now < self.ends:
            return "running"
        return "failed" if self.doomed else "done"

    @property
    def usage_s(self) -> float:
        return round(0.001 * int(self.body["shots"]), 6)


class _Session:
    """One session: open until it is ended, or its time is up."""

    def __init__(self, body: dict[str, Any], behaviour: Behaviour) -> None:
        limits = [limit for limit in (float(body["most_s"]), behaviour.session_s) if limit > 0]
        self.body = body
        self.began = time.monotonic()
        self.ends = self.began + min(limits, default=1e9)
        self.tags: list[str] = []

    @property
    def open(self) -> bool:
        return time.monotonic() < self.ends

    def told(self) -> dict[str, Any]:
        usage = round(min(time.monotonic(), self.ends) - self.began, 6)
        return {"open": self.open, "usage_s": usage if self.body["mode"] == "dedicated" else None}


class _Answer(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(status)
        self.status, self.words = status, words


class _Service:
    """What the vendor knows; used under its lock."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.lock = threading.RLock()
        self.jobs: dict[str, _Job] = {}
        self.sessions: dict[str, _Session] = {}
        self.runs: Counter[str] = Counter()
        self.requests = 0
        self.last: dict[str, tuple[int, dict[str, Any]]] = {}
        self.chance = random.Random(behaviour.seed)  # noqa: S311  not a secret
        self._tokens: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._simulator = AerSimulator(max_parallel_threads=1)
        self._devices: dict[tuple[int, int], dict[str, Any]] = {}

    def drawn(self, probability: float) -> bool:
        return probability > 0 and self.chance.random() < probability

    def control(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        if method == "POST":
            self.behaviour = Behaviour.model_validate(self.behaviour.model_dump() | body)
            return {}
        jobs: dict[str, list[str]] = {}
        for name, job in self.jobs.items():
            self._settle(job)
            jobs.setdefault(job.tag, []).append(name)
        sessions = {
            name: {key: one.body[key] for key in ("name", "mode", "most_s")} | {"open": one.open, "tags": one.tags}
            for name, one in self.sessions.items()
        }
        return {"runs": dict(self.runs), "jobs": jobs, "requests": self.requests, "sessions": sessions}

    def act(self, method: str, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> dict[str, Any]:
        parts = path.strip("/").split("/")[1:]
        if parts == ["device"]:
            return self._device()
        if parts == ["jobs"]:
            return self._submit(body) if method == "POST" else self._listed(query["tag"][0])
        if parts[:1] == ["sessions"]:
            return self._session(parts[1:], body)
        job = self.jobs.get(parts[1]) if len(parts) > 1 else None
        if job is None:
            raise _Answer(404, "no such job")
        self._settle(job)
        if parts[2:] == ["cancel"]:
            return self._cancel(job)
        return self._result(job) if parts[2:] == ["result"] else self._status(job)

    def _device(self) -> dict[str, Any]:
        key = (self.behaviour.qubits, self.behaviour.epoch)
        if key not in self._devices:
            target = GenericBackendV2(key[0], seed=key[1], noise_info=True).target
            target.description = "A machine for tests"
            self._devices[key] = target_to_json(target)
        return {"target": self._devices[key], "at": datetime(2026, 1, 1, key[1] % 24, tzinfo=UTC).isoformat()}

    def _submit(self, body: dict[str, Any]) -> dict[str, Any]:
        token = body.get("token")
        if token in self._tokens:
            return {"id": self._tokens[token]}
        if not {"tag", "shots", "circuits"} <= set(body):
            raise _Answer(400, "tag, shots and circuits are wanted")
        session = None if body.get("session") is None else self.sessions.get(body["session"])
        if body.get("session") is not None and (session is None or not session.open):
            raise _Answer(409, "this session takes no jobs")
        name = f"v{next(self._numbers):06d}"
        if session is not None:
            session.tags.append(str(body["tag"]))
        self.jobs[name] = _Job(body, self.behaviour, self.drawn(self.behaviour.fail))
        if token is not None:
            self._tokens[token] = name
        return {"id": name}

    def _session(self, parts: list[str], body: dict[str, Any]) -> dict[str, Any]:
        if not parts:
            return self._open(body)
        session = self.sessions.get(parts[0])
        if session is None:
            raise _Answer(404, "no such session")
        if parts[1:] == ["end"]:
            session.ends = min(session.ends, time.monotonic())
            if body.get("cancel"):
                self._drop(parts[0])
        return session.told()

    def _open(self, body: dict[str, Any]) -> dict[str, Any]:
        if not self.behaviour.sessions:
            raise _Answer(403, "your plan has no sessions")
        token = None if body.get("token") is None else f"session {body['token']}"
        if token in self._tokens:
            return {"id": self._tokens[token]}
        name = f"s{next(self._numbers):06d}"
        self.sessions[name] = _Session(body, self.behaviour)
        if token is not None:
            self._tokens[token] = name
        return {"id": name}

    def _drop(self, session: str) -> None:
        """What waits in a session that is over is cancelled."""
        for job in self.jobs.values():
            if job.body.get("session") == session and job.state == "queued":
                job.cancelled = True

    def _listed(self, tag: str) -> dict[str, Any]:
        now = time.monotonic()
        return {"jobs": [{"id": name} for name, job in self.jobs.items() if job.tag == tag and now >= job.listed]}

    def _settle(self, job: _Job) -> None:
        """A job has run from the moment at which its turn came, unless its session was over by then."""
        session = self.sessions.get(str(job.body.get("session")))
        if session is not None and not job.ran and session.ends <= min(job.begins, time.monotonic()):
            job.cancelled = job.cancelled or self.behaviour.session_s > 0
        if not job.ran and job.state in ("running", "done", "failed"):
            job.ran = True
            self.runs[job.tag] += 1

    def _status(self, job: _Job) -> dict[str, Any]:
        state = job.state
        return {
            "state": state,
            "error": "the cryostat is warm" if state == "failed" else "",
            "position": 1 if state == "queued" else None,
            "retry": job.doomed,
            "usage_s": job.usage_s if state in ("done", "failed") else None,
        }

    def _cancel(self, job: _Job) -> dict[str, Any]:
        if job.state not in ("queued", "running"):
            return {"cancelled": False}
        job.cancelled = True
        return {"cancelled": True}

    def _result(self, job: _Job) -> dict[str, Any]:
        if job.state != "done":
            raise _Answer(409, "the job has no result")
        if job.results is None:
            circuits = qpy.load(io.BytesIO(base64.b64decode(job.body["circuits"])))
            job.results = [self._run(circuit, job) for circuit in circuits]
        return {"results": job.results, "usage_s": job.usage_s, "api": "1"}

    def _run(self, circuit: QuantumCircuit, job: _Job) -> dict[str, Any]:
        if self.drawn(self.behaviour.fail_circuits):
            return {"counts": None, "error": "the readout was lost"}
        answer = self._simulator.run(circuit, shots=job.body["shots"], seed_simulator=self.behaviour.seed).result()
        return {"counts": answer.data(0)["counts"]}


class _Handler(BaseHTTPRequestHandler):
    service: _Service

    def _serve(self) -> None:
        where = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(raw) if raw else {}
        service = self.service
        with service.lock:
            if where.path == "/control":
                self._say(200, service.control(self.command, body))
                return
            behaviour = service.behaviour
            service.requests += 1
            pause = service.chance.uniform(0, behaviour.delay_s)
            before, after = service.drawn(behaviour.lose_before), service.drawn(behaviour.lose_after)
        time.sleep(pause)
        if before:
            self._break()
            return
        with service.lock:
            status, said = self._acted(where.path, parse_qs(where.query), body)
            opening = self.command == "POST" and where.path == "/v1/sessions"
            after = after or (opening and service.drawn(behaviour.lose_opening))
        if after:
            self._break()
            return
        self._say(status, said)

    do_GET = do_POST = _serve  # noqa: N815  the base class's names

    def _acted(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        service = self.service
        if service.drawn(service.behaviour.busy):
            return 503, {"error": "busy"}
        answer = self._answer(path, query, body)
        if self.command == "GET":
            old = service.last.get(self.path)
            service.last[self.path] = answer
            if old is not None and service.drawn(service.behaviour.repeat):
                return old
        return answer

    def _answer(self, path: str, query: dict[str, list[str]], body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        echo = f" (key {given})" if self.service.behaviour.echo else ""
        if given != self.service.behaviour.key:
            return 401, {"error": f"this key opens nothing{echo}"}
        try:
            return 200, self.service.act(self.command, path, query, body)
        except _Answer as answer:
            return answer.status, {"error": f"{answer.words}{echo}"}

    def _break(self) -> None:
        self.close_connection = True
        self.connection.close()

    def _say(self, status: int, body: dict[str, Any]) -> None:
        said = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def handle(self) -> None:
        """A connection that is broken on purpose is no accident to tell of."""
        try:
            super().handle()
        except (ValueError, OSError):
            self.close_connection = True

    def finish(self) -> None:
        """See :meth:`handle`."""
        try:
            super().finish()
        except (ValueError, OSError):
            self.close_connection = True


class VendorServer:
    """A vendor in a process of its own, which lives on when its customers are killed.

    ::

        with VendorServer(Behaviour(lose_after=0.2)) as vendor:
            spec = {"name": "memory", "adapter": "memory", "url": vendor.url, "secret": "memory"}
            …
            vendor.runs()                        # {"job_…-1": 1}
    """

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_quantum.testing.adapters.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[3])},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write((behaviour or Behaviour()).model_dump_json().encode() + b"\n")
        self._process.stdin.flush()
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def __enter__(self) -> VendorServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def behave(self, **changes: Any) -> None:
        """Change the vendor's :class:`Behaviour` from now on."""
        self._ask(changes)

    def runs(self) -> dict[str, int]:
        """How often each tag has run."""
        found: dict[str, int] = self._ask(None)["runs"]
        return found

    def jobs(self) -> dict[str, list[str]]:
        """Ids of the submissions under each tag."""
        found: dict[str, list[str]] = self._ask(None)["jobs"]
        return found

    def sessions(self) -> dict[str, dict[str, Any]]:
        """Sessions by id: ``name``, ``mode``, ``most_s``, ``open``, and the ``tags`` of their jobs."""
        found: dict[str, dict[str, Any]] = self._ask(None)["sessions"]
        return found

    def end_session(self, session: str, *, key: str = "memory-key", cancel: bool = False) -> None:
        """End one as the vendor might; ``cancel``: what waits in it goes too."""
        asked = urllib.request.Request(  # noqa: S310  our own address
            f"{self.url}/v1/sessions/{session}/end",
            json.dumps({"cancel": cancel}).encode(),
            {"Authorization": f"Bearer {key}"},
        )
        with urllib.request.urlopen(asked, timeout=30):  # noqa: S310
            pass

    def _ask(self, changes: dict[str, Any] | None) -> Any:
        data = None if changes is None else json.dumps(changes).encode()
        with urllib.request.urlopen(f"{self.url}/control", data, timeout=30) as answer:  # noqa: S310  our own address
            return json.loads(answer.read())

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


def main() -> None:
    """Serve until standard input ends."""
    service = _Service(Behaviour.model_validate_json(sys.stdin.readline()))
    handler = type("Handler", (_Handler,), {"service": service})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
