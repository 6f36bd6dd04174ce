"""Policy and approvals from Python and from the command line, against a stand-in of the service."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import typer
from typer.testing import CliRunner

from jupyter_quantum import Hub
from jupyter_quantum.client import policy_commands
from jupyter_quantum.core.ids import new_id

SHIPPED = Path(__file__).parents[3] / "hub_config" / "policies"
WHEN = "2026-05-12T09:00:00Z"
DIGEST = "sha256:" + 64 * "0"
MADE = {
    "id": "dec_1",
    "time": WHEN,
    "effect": "needs_approval",
    "policies": ["qpu-over-5"],
    "roles": ["lead"],
    "version": DIGEST,
    "words": "Needs a lead's approval because the estimate, 6.10 credits, is over 5.",
}
JOB = {
    "id": new_id("job"),
    "name": "bell\x1b[31m",
    "kind": "run",
    "state": "awaiting_approval",
    "owner": "ada",
    "project": "qcourse",
    "device": "campus_qpu",
    "device_kind": "qpu",
    "device_label": "QPU",
    "source": DIGEST,
    "num_circuits": 1,
    "price": 6_100_000,
    "created": WHEN,
    "changed": WHEN,
    "version": 3,
}
ENVELOPE = {
    "id": "env_1",
    "kind": "budget",
    "project": "qcourse",
    "device": "campus_qpu",
    "roles": ["lead"],
    "asked_by": "ada",
    "decided_by": "grace",
    "origin": "req_1",
    "reason": "",
    "amount": 14_000_000,
    "left": 7_420_000,
    "created": WHEN,
    "until": WHEN,
    "state": "approved",
}
ANSWERS: dict[str, Any] = {
    "policy": {
        "version": DIGEST,
        "rules": [
            {"id": "qpu-over-5", "effect": "forbid", "approval": "lead", "actions": ["submit"], "facts": ["price"]}
        ],
        "facts": {"submit": {"price": "Long"}},
    },
    "decision": {
        "job": "job_1",
        "made": [MADE],
        "facts": {"price": 6_100_000, "approvals": []},
        "now": {**MADE, "effect": "allow", "words": "Allowed."},
        "changed": True,
        "rules": [
            {
                "policy": "qpu-over-5",
                "effect": "forbid",
                "applies": True,
                "words": MADE["words"],
                "change": "the estimate at most 5.00 credits or a lead's approval",
            }
        ],
    },
    "replay": {
        "version": DIGEST,
        "since": WHEN,
        "total": 4,
        "same": 3,
        "moves": {"allow → refuse": 1},
        "people": [{"person": "ada", "project": "qcourse", "wins": 0, "loses": 1}],
        "wins": [],
        "loses": [
            {
                "decision": "dec_1",
                "time": WHEN,
                "job": "job_1",
                "action": "submit",
                "person": "ada",
                "project": "qcourse",
                "before": "allow",
                "after": "refuse",
                "policies": ["sandbox-shots"],
                "words": "1 000 shots is over 500 in the sandbox tier.",
            }
        ],
    },
    "approvals": {
        "approvals": [
            {
                "id": "apr_1",
                "job": JOB,
                "project": "qcourse",
                "role": "lead",
                "asked_by": "ada",
                "reason": None,
                "words": MADE["words"],
                "created": WHEN,
                "expires": WHEN,
                "state": "open",
                "may_decide": True,
            }
        ]
    },
    "envelopes": {"envelopes": [ENVELOPE]},
    "env_1": ENVELOPE,
    "revoke": {**ENVELOPE, "state": "revoked"},
    "requests": {
        "id": "req_1",
        "kind": "budget",
        "project": "qcourse",
        "role": "lead",
        "asked_by": "ada",
        "reason": "",
        "words": "",
        "created": WHEN,
        "expires": WHEN,
        "state": "open",
    },
}
app = typer.Typer()
for command in (policy_commands.show, policy_commands.explain, policy_commands.replay, policy_commands.approvals):
    app.command()(command)


class Standin(BaseHTTPRequestHandler):
    """Answers by the last part of the path, and remembers what was sent."""

    sent: ClassVar[list[tuple[str, str, Any]]] = []

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.sent.append((self.command, self.path, json.loads(self.rfile.read(length) or "null")))
        raw = json.dumps(ANSWERS[self.path.partition("?")[0].rpartition("/")[2]]).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = _answer  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The stand-in, as the hub that is known here."""
    Standin.sent = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Standin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/services/quantum"
    monkeypatch.setenv("JUPYTER_QUANTUM_URL", address)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
    yield address
    server.shutdown()
    server.server_close()


def call(*words: str) -> Any:
    """Run a command."""
    return CliRunner().invoke(app, list(words))


def test_a_decision_is_explained_in_words() -> None:
    """What was decided, what would be now, each rule, and what would have to change."""
    said = repr(Hub().policy.explain("job_1"))
    assert said.splitlines() == [
        "needs approval · qpu-over-5",
        MADE["words"],
        "Other policies are in force now: allow. Allowed.",
        "Facts: approvals [], price 6100000",
        f"● qpu-over-5 (forbid): {MADE['words']}",
        "    would change with: the estimate at most 5.00 credits or a lead's approval",
    ]
    assert Standin.sent[-1][1].endswith("/jobs/job_1/decision")
    done = call("explain", "job_1", "--json")
    assert (done.exit_code, json.loads(done.stdout)["changed"]) == (0, True)


def test_files_are_tried_on_what_was_decided() -> None:
    """Every policy file of the directory is sent, and the time span; who loses is told."""
    done = call("replay", str(SHIPPED), "--since", "2w")
    assert done.exit_code == 0
    assert "ada (qcourse): 0 win, 1 lose" in done.stdout
    _, path, body = Standin.sent[-1]
    assert path.endswith("/policy/replay")
    assert body["days"] == 14
    assert set(body["files"]) == {"schema.cedarschema", *(one.name for one in SHIPPED.glob("*.cedar"))}
    assert call("replay", str(SHIPPED), "--since", "soon").exit_code == 1
    assert call("replay", str(SHIPPED / "nothing")).exit_code == 1


def test_approvals_are_listed_with_the_pages_address(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """A list, and where it is decided; nothing of it colours a terminal."""
    done = call("approvals", "--state", "all")
    assert done.exit_code == 0
    assert "you may decide" in done.stdout
    assert "\x1b" not in done.stdout
    assert f"Decide on {url}/" in done.stderr
    assert Standin.sent[-1][1].endswith("/approvals?state=all")
    monkeypatch.setenv("JUPYTER_QUANTUM_PUBLIC_URL", "/services/quantum/")
    monkeypatch.setenv("JUPYTERHUB_PUBLIC_URL", "https://hub.example/")
    assert Hub().page == "https://hub.example/services/quantum/"
    assert "<table>" in Hub().approvals()._repr_html_()


def test_the_rules_are_shown() -> None:
    """One line a rule."""
    assert "qpu-over-5  forbid  lead  submit" in call("show").stdout


def test_envelopes_are_listed_and_revoked() -> None:
    """What is left of each; a budget is a request that a person decides."""
    hub = Hub()
    assert "7.42" in repr(hub.policy.envelopes(ended=True))
    assert Standin.sent[-1][1].endswith("/envelopes?ended=1")
    assert hub.policy.envelope("env_1").decided_by == "grace"
    assert hub.policy.revoke("env_1", "Enough.").state == "revoked"
    assert Standin.sent[-1][2] == {"note": "Enough."}
    until = datetime(2026, 6, 1, tzinfo=UTC)
    hub.policy.ask_budget("campus_qpu", "14", until, project="qcourse", reason="workshop", price_cap=7_000_000)
    assert Standin.sent[-1][2] == {
        "kind": "budget",
        "project": "qcourse",
        "reason": "workshop",
        "body": {
            "device": "campus_qpu",
            "amount": 14_000_000,
            "until": "2026-06-01T00:00:00+00:00",
            "price_cap": 7_000_000,
        },
    }
