"""Data at rest on a real hub: an administrator's command line rotates, plans and shreds; owners delete and export."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from jupyter_quantum.client import exports_commands
from jupyter_quantum.client.admin import app as admin
from tests.integration.hub.support import Hub


def run(hub: Hub, user: str, *words: str, command: Any = admin) -> Result:
    """One command with a token of the hub."""
    scopes = ("read", "submit", "admin") if user == "root" else ("read", "submit")
    env = {"JUPYTER_QUANTUM_URL": hub.service, "JUPYTERHUB_API_TOKEN": hub.token(user, *scopes)}
    return CliRunner().invoke(command, list(words), env=env)


def told(hub: Hub, user: str, *words: str, command: Any = admin) -> Any:
    """What a command answers in JSON."""
    done = run(hub, user, *words, "--json", command=command)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def tenant(view: Any, name: str = "qcourse") -> Any:
    """What is said of one tenant."""
    return next(one for one in view["tenants"] if one["tenant"] == name)


def test_keys_are_listed_rotated_and_followed(hub: Hub) -> None:
    """After a rotation nothing waits under the old key, and the owner's circuits are there."""
    job = hub.run_bell("ada").json()["id"]
    before = tenant(told(hub, "root", "keys", "list"))
    after = told(hub, "root", "keys", "rotate", "--tenant", "qcourse", "--wait")
    assert len(tenant(after)["keys"]) == len(before["keys"]) + 1
    assert tenant(after)["pending"] == 0
    assert "current" in run(hub, "root", "keys", "list").stdout
    assert hub.ask(f"api/v1/jobs/{job}/source", hub.token("ada", "read")).status_code == 200
    assert told(hub, "root", "keys", "rotate", "--master")["master"] != after["master"]
    assert hub.ask(f"api/v1/jobs/{job}/result", hub.token("ada", "read")).status_code == 200
    assert run(hub, "root", "keys", "rotate", "--tenant", "qcourse", "--master").exit_code == 1


def test_nobody_else_handles_keys(hub: Hub) -> None:
    """A user's token lacks the scope; shredding wants the name again, and a person to say it."""
    assert run(hub, "ada", "keys", "list").exit_code != 0
    unsure = run(hub, "root", "keys", "shred", "--tenant", "qcourse", "--confirm", "qcours", "--json")
    assert json.loads(unsure.stdout)["code"] == "data.confirm"
    assert json.loads(run(hub, "root", "keys", "shred", "--tenant", "x", "--json").stdout)["code"] == "data.confirm"


def test_retention_is_planned_and_run(hub: Hub) -> None:
    """Nothing is due where nothing says so."""
    assert told(hub, "root", "retention", "plan")["due"] == []
    assert run(hub, "root", "retention", "plan").stdout == "Nothing is due.\n"
    assert run(hub, "root", "retention", "run").stdout.startswith("Deleted: data of 0 jobs")


def test_an_owner_deletes_a_job(hub: Hub) -> None:
    """From Python: the job is archived, and its result says why it is gone."""
    from jupyter_quantum import Hub as Client
    from jupyter_quantum.exceptions import Conflict

    job_id = hub.run_bell("ada").json()["id"]
    job = Client(hub.service, token=hub.token("ada", "read", "submit")).job(job_id)
    job.delete()
    assert job.state == "archived"
    with pytest.raises(Conflict) as gone:
        job.result()
    assert gone.value.code == "job.archived"
    assert job.provenance.job.id == job_id


def test_an_export_without_a_target_is_refused(hub: Hub) -> None:
    """The command says what is allowed, and lists nothing."""
    job = hub.run_bell("ada").json()["id"]
    refused = run(hub, "ada", "ask", job, "--to", "archive", "--json", command=exports_commands.app)
    assert (refused.exit_code, json.loads(refused.stdout)["code"]) == (1, "export.target")
    assert run(hub, "ada", "list", command=exports_commands.app).stdout == "No exports.\n"
    assert run(hub, "ada", "get", "exp_absent", command=exports_commands.app).exit_code == 1
    assert run(hub, "ada", "ask", job, "--to", "a", "--data", "all", command=exports_commands.app).exit_code == 1
