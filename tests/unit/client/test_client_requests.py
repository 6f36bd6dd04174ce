"""Requests from Python and from the command line, against a stand-in of the service."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest
from typer.testing import CliRunner

from jupyter_quantum import Hub
from jupyter_quantum.client import admin, requests_commands

ONE: dict[str, Any] = {
    "id": "req_1",
    "kind": "onboarding",
    "project": "vqe",
    "role": "lead",
    "asked_by": "ada",
    "reason": "course\x1b[31m",
    "words": "ada becomes user of vqe.",
    "created": "2026-05-12T09:00:00Z",
    "expires": "2026-05-19T09:00:00Z",
    "state": "open",
}


class Standin(BaseHTTPRequestHandler):
    """Answers with one request, and remembers what was sent."""

    sent: ClassVar[list[tuple[str, str, Any]]] = []

    def _answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.sent.append((self.command, self.path, json.loads(self.rfile.read(length) or "null")))
        body = {"requests": [ONE]} if self.path.split("?")[0].endswith("/requests") and self.command == "GET" else ONE
        raw = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    do_GET = do_POST = _answer  # noqa: N815 - the base class's names

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Standin.sent = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Standin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/services/quantum"
    monkeypatch.setenv("JUPYTER_QUANTUM_URL", address)
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t")
    yield address
    server.shutdown()
    server.server_close()


def test_ask_list_withdraw(url: str) -> None:
    """What is asked arrives as it is meant; answers show as text and table, and colour no terminal."""
    hub = Hub()
    hub.requests.ask("onboarding", project="vqe", reason="course", role="user", days=30)
    assert Standin.sent[-1][2] == {
        "kind": "onboarding",
        "project": "vqe",
        "reason": "course",
        "body": {"role": "user", "days": 30},
    }
    listed = hub.requests.list("all", kind="onboarding")
    assert Standin.sent[-1][1].endswith("requests?state=all&kind=onboarding")
    assert "req_1" in repr(listed)
    assert "<table>" in listed._repr_html_()
    shown = repr(hub.requests.withdraw("req_1"))
    assert "\x1b" not in shown
    assert "ada becomes user" in shown
    assert Standin.sent[-1][:2] == ("POST", "/services/quantum/api/v1/requests/req_1/withdraw")


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (["list", "--state", "all"], ("GET", "requests?state=all")),
        (["show", "req_1"], ("GET", "requests/req_1")),
        (["withdraw", "req_1"], ("POST", "requests/req_1/withdraw")),
        (["ask", "elevation", "--project", "vqe", "--set", "hours=2", "--set", "role=lead"], ("POST", "requests")),
    ],
)
def test_commands(url: str, words: list[str], sent: tuple[str, str]) -> None:
    """Every command speaks with the service, in words and as one JSON document."""
    plain = CliRunner().invoke(requests_commands.app, words)
    assert (plain.exit_code, "req_1" in plain.stdout) == (0, True), plain.output
    said = CliRunner().invoke(requests_commands.app, [*words, "--json"])
    assert said.exit_code == 0
    assert "req_1" in json.dumps(json.loads(said.stdout))
    assert Standin.sent[-1][:2] == (sent[0], f"/services/quantum/api/v1/{sent[1]}")
    if words[0] == "ask":
        assert Standin.sent[-1][2]["body"] == {"hours": 2, "role": "lead"}


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["12.5"], {"unit": "credits", "amount": 12_500_000, "scope": "user", "window": "month", "days": 30}),
        (["90", "--unit", "qpu_seconds", "--scope", "project", "--days", "7"], {"amount": 90_000, "scope": "project"}),
        (["500", "--unit", "shots", "--window", "day"], {"amount": 500, "window": "day"}),
    ],
)
def test_more_of_a_quota_is_asked_for_in_its_own_unit(url: str, words: list[str], body: dict[str, Any]) -> None:
    """Credits, seconds and shots as a person writes them arrive as whole numbers."""
    done = CliRunner().invoke(requests_commands.app, ["quota", *words, "--project", "vqe", "--reason", "thesis"])
    assert done.exit_code == 0, done.output
    assert Standin.sent[-1][2]["kind"] == "quota"
    assert body.items() <= Standin.sent[-1][2]["body"].items()


def test_an_amount_that_is_none_is_said(url: str) -> None:
    """Words and an exit code, no stack trace; nothing is sent."""
    for amount in ("much", "NaN", "Infinity"):
        done = CliRunner().invoke(requests_commands.app, ["quota", amount, "--project", "vqe"])
        assert (done.exit_code, f"'{amount}' is not an amount" in done.stderr) == (1, True), done.output
    assert Standin.sent == []


def test_a_value_without_a_name_is_wrong_usage(url: str) -> None:
    """`--set days` says what is missing."""
    done = CliRunner().invoke(requests_commands.app, ["ask", "onboarding", "--set", "days"])
    assert done.exit_code == 1
    assert "usage" in done.stderr


def test_the_frame_of_admin_lists_its_commands() -> None:
    """`admin --help` answers without a service."""
    done = CliRunner().invoke(admin.app, ["--help"])
    assert done.exit_code == 0
    assert "Administrate" in done.stdout
