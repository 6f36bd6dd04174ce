"""The record on a real hub: an auditor's command line searches, exports and verifies; nobody else reads."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from typer.testing import CliRunner, Result

from jupyter_quantum.client import audit_commands
from jupyter_quantum.client.admin import app as admin
from jupyter_quantum.client.audit_commands import app
from tests.integration.hub.conftest import wait_until
from tests.integration.hub.support import Hub


class Auditor:
    """``jupyter quantum audit …`` with a token of the hub."""

    def __init__(self, hub: Hub, user: str, *scopes: str) -> None:
        self._env = {"JUPYTER_QUANTUM_URL": hub.service, "JUPYTERHUB_API_TOKEN": hub.token(user, *scopes)}

    def run(self, *words: str, command: Any = app) -> Result:
        """One command."""
        return CliRunner().invoke(command, list(words), env=self._env)

    def json(self, *words: str) -> Any:
        """One command that answers with JSON."""
        done = self.run(*words, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def found(self, *words: str) -> list[dict[str, Any]]:
        """Entries, once there are any."""
        until = time.monotonic() + 10
        while True:
            events: list[dict[str, Any]] = self.json("search", *words)["events"]
            if events or time.monotonic() > until:
                return events
            time.sleep(0.2)


@pytest.fixture(scope="module")
def vera(hub: Hub) -> Auditor:
    return Auditor(hub, "vera", "read", "audit")


def test_an_auditor_searches_exports_and_verifies(hub: Hub, vera: Auditor, tmp_path: Path) -> None:
    """From a job to a verified export; key, checkpoint and proof by command; an edited export is found."""
    job = hub.run_bell("ada").json()["id"]
    assert {event["type"] for event in vera.found("--job", job, "--who", "ada")} >= {"job.moved"}
    assert "ada" in vera.run("search", "--job", job).stdout
    file = tmp_path / "record.jsonl"
    assert vera.run("export", str(file)).exit_code == 0
    key = vera.json("key")["keys"][0]
    copies = hub.data / "quantum" / "checkpoints"
    wait_until(lambda: list(copies.glob("*.checkpoint")), 10, "no checkpoint was copied")
    done = vera.run("verify", str(file), "--key", key, "--checkpoints", str(copies))
    assert (done.exit_code, done.stdout.split(":")[0]) == (0, "Verified"), done.output
    assert vera.run("check").stdout.startswith("Whole: ")
    assert vera.run("checkpoint").stdout.startswith(key.split("+")[0] + "\n")
    assert vera.run("prove", "1").stdout.startswith("c2sp.org/tlog-proof@v1\nindex 0\n")
    file.write_bytes(file.read_bytes().replace(b"running", b"sunning"))
    assert vera.run("verify", str(file), "--key", key).exit_code == 1
    assert (hub.data / "quantum" / "audit.key").stat().st_mode & 0o777 == 0o600


def test_refusals_and_failed_sign_ins_are_entries(hub: Hub, vera: Auditor) -> None:
    """A foreign job, a missing scope, an unknown token, a login that nobody began."""
    job = hub.run_bell("ada").json()["id"]
    assert hub.ask(f"api/v1/jobs/{job}", hub.token("ben", "read", "submit")).status_code == 404
    assert hub.ask("api/v1/audit/events", hub.token("otto", "read")).status_code == 403
    assert hub.ask("api/v1/me", "stolen").status_code == 401
    assert requests.get(f"{hub.service}/oauth_callback?code=x&state=y", timeout=10).status_code >= 400
    (absent, *_) = vera.found("--type", "request.refused", "--who", "ben", "--code", "absent")
    assert (absent["data"]["route"], absent["data"]["address"]) == ("GET api/v1/jobs/{id}", "loopback")
    assert vera.found("--type", "request.refused", "--who", "otto", "--code", "scope.missing")
    assert vera.found("--type", "auth.failed", "--who", "unknown", "--code", "auth.missing")
    assert vera.found("--type", "auth.failed", "--code", "auth.callback")


def test_only_auditors_read(hub: Hub) -> None:
    """A user and an operator are refused, and told so; reading by an auditor is an entry."""
    for user in ("ada", "otto"):
        done = Auditor(hub, user, "read").run("search")
        assert done.exit_code == 1
    assert Auditor(hub, "vera", "audit").found("--type", "audit.read", "--who", "vera")


def test_a_person_is_forgotten(hub: Hub, vera: Auditor) -> None:
    """By an administrator's command; afterwards a search by name finds nothing, and the entries are still there."""
    job = hub.run_bell("ben").json()["id"]
    assert vera.found("--who", "ben", "--job", job)
    root = Auditor(hub, "root", "read", "audit", "admin")
    assert Auditor(hub, "vera", "read", "audit").run("forget", "ben", "--yes", command=admin).exit_code == 1
    done = root.run("forget", "ben", "--yes", "--json", command=admin)
    assert done.exit_code == 0, done.output
    named = json.loads(done.stdout)["pseudonym"]
    assert vera.json("search", "--who", "ben", "--job", job)["events"] == []
    assert vera.found("--who", named, "--job", job)
    assert "ben" not in vera.run("search", "--job", job).stdout
    assert vera.found("--type", "person.forgotten")


def test_help_names_every_command() -> None:
    """The commands, and none of them imports the client to show its help."""
    shown = CliRunner().invoke(audit_commands.app, ["--help"]).stdout
    for name in ("search", "export", "check", "checkpoint", "key", "prove", "verify"):
        assert name in shown
