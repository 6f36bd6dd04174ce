"""Memberships from Python and from the command line; a CI job's exchange."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs

import pytest
from typer.testing import CliRunner

from jupyter_quantum import Hub
from jupyter_quantum.client import admin, members_commands, requests_commands
from jupyter_quantum.client.members import exchange
from jupyter_quantum.exceptions import Refused, Unavailable

MEMBER: dict[str, Any] = {
    "id": "mem_1",
    "project": "vqe",
    "role": "user",
    "kind": "breakglass",
    "start": "2026-05-12T09:00:00Z",
    "end": "2026-05-12T10:00:00Z",
    "name": "kay\x1b[31m",
    "granted_by": "kay",
    "reason": "fire",
    "in_force": True,
    "needs_review": True,
}
REQUEST: dict[str, Any] = {
    "id": "req_1",
    "kind": "onboarding",
    "project": "vqe",
    "role": "lead",
    "asked_by": "ada",
    "reason": "",
    "words": "ada joins vqe.",
    "created": "2026-05-12T09:00:00Z",
    "expires": "2026-05-19T09:00:00Z",
    "state": "open",
}
TOKEN: dict[str, Any] = {
    "id": "wlt_1",
    "project": "vqe",
    "subject": "repo:x",
    "issuer": "https://ci",
    "created": "2026-05-12T09:00:00Z",
    "expires": "2026-05-12T09:10:00Z",
}
METER = {
    "scope": "user", "name": "ada", "project": "vqe", "window": "May",
    "limit": 5_000_000, "used": 0, "held": 0, "available": 5_000_000,
}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "GET members": {"members": [MEMBER]},
    "POST members": MEMBER,
    "POST members/mem_1/end": MEMBER,
    "GET onboarding": {"projects": [{"name": "vqe", "tier": "pilot", "owner": "grace"}]},
    "GET welcome": {
        "project": "vqe",
        "tier": "pilot",
        "owner": "grace",
        "role": "user",
        "meters": [METER],
        "devices": ["aer"],
        "steps": ["Start."],
    },
    "POST requests": REQUEST,
    "GET tokens": {"tokens": [TOKEN]},
    "POST tokens/wlt_1/revoke": TOKEN | {"revoked": "2026-05-12T09:05:00Z"},
    "POST token": {"access_token": "jqw_x", "expires_in": 600, "scope": "read", "project": "vqe", "id": "wlt_1"},
}


class Standin(BaseHTTPRequestHandler):
    """Answers from the table."""

    sent: ClassVar[list[tuple[str, bytes]]] = []
    status: ClassVar[int] = 200

    def _answer(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.split("/api/v1/")[1].split("?")[0]
        self.sent.append((f"{self.command} {self.path.split('/api/v1/')[1]}", raw))
        body = ANSWERS[f"{self.command} {path}"]
        if self.status != 200:
            body = {"error": "Refused", "code": "token.replayed", "message": "Taken once."}
        out = json.dumps(body).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_GET = do_POST = _answer  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Standin.sent, Standin.status = [], 200
    server = ThreadingHTTPServer(("127.0.0.1", 0), Standin)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/services/quantum"
    monkeypatch.setenv("JUPYTER_QUANTUM_URL", address)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
    yield address
    server.shutdown()
    server.server_close()


COMMANDS = (
    (admin.app, ["members", "list", "--unreviewed"], "GET members?unreviewed=1", "to be reviewed"),
    (admin.app, ["members", "add", "eve", "--project", "vqe", "--days", "3"], "POST members", "mem_1"),
    (admin.app, ["members", "end", "mem_1"], "POST members/mem_1/end", "mem_1"),
    (admin.app, ["tokens", "list", "--project", "vqe"], "GET tokens?project=vqe", "repo:x"),
    (admin.app, ["tokens", "revoke", "wlt_1"], "POST tokens/wlt_1/revoke", "revoked"),
    (requests_commands.app, ["projects"], "GET onboarding", "pilot"),
    (requests_commands.app, ["join", "vqe", "--days", "30"], "POST requests", "ada joins vqe"),
    (requests_commands.app, ["elevate", "lead", "--reason", "away", "--project", "vqe"], "POST requests", "req_1"),
    (requests_commands.app, ["welcome"], "GET welcome", "1. Start."),
)


@pytest.mark.parametrize(
    ("app", "words", "sent", "shown"), COMMANDS, ids=lambda one: "_".join(one) if isinstance(one, list) else None
)
def test_commands(url: str, app: Any, words: list[str], sent: str, shown: str) -> None:
    """Each asks the service what it should, and speaks in words and as one JSON document."""
    plain = CliRunner().invoke(app, words)
    assert plain.exit_code == 0, plain.output
    assert shown in plain.stdout
    assert "\x1b" not in plain.stdout
    assert Standin.sent[-1][0] == sent
    said = CliRunner().invoke(app, [*words, "--json"])
    assert said.exit_code == 0
    json.loads(said.stdout)


def test_what_is_asked_for(url: str) -> None:
    """Bodies as the service takes them."""
    hub = Hub()
    hub.members.join("vqe", reason="course", days=30)
    assert json.loads(Standin.sent[-1][1])["body"] == {"role": "user", "days": 30}
    hub.members.elevate("operator", "night shift", hours=2)
    assert json.loads(Standin.sent[-1][1]) == {
        "kind": "elevation",
        "reason": "night shift",
        "body": {"role": "operator", "hours": 2},
    }
    hub.members.add("eve", "vqe", role="lead")
    assert json.loads(Standin.sent[-1][1]) == {"name": "eve", "project": "vqe", "role": "lead"}
    assert "<table>" in hub.members.list()._repr_html_()


def test_the_exchange_of_a_ci_job(url: str) -> None:
    """A form, once; the token on stdout; a refusal with its code."""
    done = CliRunner().invoke(cli(), ["--project", "vqe"], env={"ID_TOKEN": "a.b.c", "JUPYTER_QUANTUM_URL": url})
    assert (done.exit_code, done.stdout.strip()) == (0, "jqw_x"), done.output
    form = parse_qs(Standin.sent[-1][1].decode())
    assert (form["subject_token"], form["project"]) == (["a.b.c"], ["vqe"])
    Standin.status = 403
    with pytest.raises(Refused) as refused:
        exchange(url, "a.b.c", "vqe")
    assert refused.value.code == "token.replayed"
    with pytest.raises(Unavailable):
        exchange("http://127.0.0.1:1", "a.b.c", "vqe")


def cli() -> Any:
    """The one command as the frame makes it."""
    import typer

    app = typer.Typer()
    app.command()(members_commands.exchange)
    return app
