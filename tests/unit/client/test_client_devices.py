"""``jupyter quantum devices pending|admit|reject``: what an operator sees and says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from jupyter_quantum.client import devices_commands

DIGEST = "sha256:" + "1" * 64
NEW: dict[str, Any] = {
    "device": "iqm_garnet",
    "runner": "quantum-iqm",
    "state": "pending",
    "why": "changed: region us → eu",
    "version": DIGEST,
    "announced": "2026-05-12T09:00:00Z",
    "serving": True,
    "kind": "qpu",
    "label": "\u001b[31mgarnet",
    "vendor": "IQM",
    "region": "eu",
    "description": "",
    "num_qubits": 20,
    "slots": 1,
    "max_shots": 1000,
    "recovery": "opaque",
    "remote": True,
    "jobs": ["run", "sampler"],
}
OLD = NEW | {"device": "aer_far", "state": "admitted", "decided_by": "otto", "price": {"per_shot": 20_000}}


class _Answers(BaseHTTPRequestHandler):
    asked: ClassVar[list[tuple[str, dict[str, Any]]]] = []

    def do_GET(self) -> None:
        self._send({"admissions": [NEW, OLD]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path.rpartition("/api/v1/")[2], body))
        state = "admitted" if body["verdict"] == "admit" else "rejected"
        price = {part: body.get(part, 0) for part in ("per_task", "per_shot", "per_second")}
        self._send(NEW | {"state": state, "decided_by": "otto", "price": price if state == "admitted" else None})

    def _send(self, answer: dict[str, Any]) -> None:
        raw = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    _Answers.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("JUPYTER_QUANTUM_URL", f"http://127.0.0.1:{server.server_port}/services/quantum")
        monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "operator")
        yield
        server.shutdown()


def call(*words: str) -> Any:
    return CliRunner().invoke(devices_commands.app, list(words))


def test_what_waits_is_listed_with_what_has_changed() -> None:
    """Those that wait, or all of them; an escape in a runner's words reaches no terminal."""
    told = call("pending").stdout
    assert "iqm_garnet" in told
    assert "changed: region us → eu" in told
    assert "aer_far" not in told
    assert "aer_far" in call("pending", "--all").stdout
    assert [one["device"] for one in json.loads(call("pending", "--json").stdout)["admissions"]] == ["iqm_garnet"]


def test_what_was_looked_at_is_admitted_at_a_price() -> None:
    """Credits become micro-credits, the version is the one that was listed, and free must be said."""
    done = call("admit", "iqm_garnet", "--per-shot", "0.02", "--max-seconds", "30", "--label", "Garnet")
    assert done.exit_code == 0, done.output
    [(path, body)] = _Answers.asked
    assert path == "devices/iqm_garnet/admission"
    assert (body["verdict"], body["per_shot"], body["max_seconds"], body["version"]) == ("admit", 20_000, 30.0, DIGEST)
    assert "\x1b" not in done.stdout
    assert call("admit", "iqm_garnet").exit_code == 2
    assert call("admit", "iqm_garnet", "--free", "--per-shot", "1").exit_code == 2
    assert len(_Answers.asked) == 1
    assert call("admit", "iqm_garnet", "--free").exit_code == 0
    assert not _Answers.asked[-1][1].get("per_shot")


def test_a_device_is_rejected_with_a_note() -> None:
    """The note goes with it; without one nothing is sent."""
    assert "rejected" in call("reject", "iqm_garnet", "--note", "Not ours.").stdout
    assert _Answers.asked[-1][1]["note"] == "Not ours."
    assert call("reject", "iqm_garnet").exit_code == 2
