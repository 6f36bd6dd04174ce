"""Webhooks on a real hub: from Python and the command line to a real receiver, which checks each signature."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook
from typer.testing import CliRunner, Result

from jupyter_quantum.client.hub import Hub as Client
from jupyter_quantum.client.webhooks_commands import app
from jupyter_quantum.exceptions import InputError, NotFound, Refused
from tests.integration.hub.conftest import wait_until
from tests.integration.hub.support import Hub


class Receiver:
    """Takes messages on the port that the service may send to; ``status`` is what it answers."""

    def __init__(self, port: int) -> None:
        self.secret, self.status = "", 200
        self.taken: list[dict[str, Any]] = []
        self.tries = 0
        receiver = self

        class Hook(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                message = Webhook(receiver.secret).verify(body, dict(self.headers.items()))
                receiver.tries += 1
                if receiver.status < 300:
                    receiver.taken.append(message)
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self.url = f"http://127.0.0.1:{port}/hook"
        self._server = ThreadingHTTPServer(("127.0.0.1", port), Hook)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def states(self, job: str) -> list[str]:
        return [one["data"]["state"] for one in self.taken if one["job"] == job and one["type"] == "job.moved"]


@pytest.fixture
def receiver(hub: Hub) -> Iterator[Receiver]:
    made = Receiver(hub.receiver_port)
    yield made
    made.close()


def call(hub: Hub, user: str, *words: str) -> Result:
    env = {"JUPYTER_QUANTUM_URL": hub.service, "JUPYTERHUB_API_TOKEN": hub.token(user, "read", "submit")}
    return CliRunner().invoke(app, [*words], env=env)


def client(hub: Hub, user: str) -> Client:
    return Client(hub.service, hub.token(user, "read", "submit"), project="qcourse")


def test_from_the_command_line_to_a_receiver(hub: Hub, receiver: Receiver) -> None:
    """add prints the secret once, test sends, a job's moves arrive signed, rotate gives another, remove ends it."""
    added = call(hub, "ada", "add", receiver.url, "--event", "job.moved", "--label", "lab", "--json")
    assert added.exit_code == 0, added.output
    made = json.loads(added.stdout)
    receiver.secret, webhook = made["secret"], made["webhook"]["id"]
    assert receiver.secret.startswith("whsec_")
    shown = call(hub, "ada", "list")
    assert webhook in shown.stdout
    assert "whsec_" not in shown.stdout
    assert call(hub, "ada", "test", webhook).exit_code == 0
    assert receiver.taken[-1]["type"] == "webhook.test"
    job = hub.run_bell("ada", options={"shots": 10}).json()["id"]
    wait_until(lambda: "completed" in receiver.states(job), 15, "The moves did not arrive.")
    assert receiver.states(job)[-1] == "completed"
    rotated = json.loads(call(hub, "ada", "rotate", webhook, "--json").stdout)
    assert rotated["secret"] != receiver.secret
    receiver.secret = rotated["secret"]
    assert call(hub, "ada", "test", webhook).exit_code == 0
    receiver.status = 503
    failed = call(hub, "ada", "test", webhook, "--json")
    assert (failed.exit_code, json.loads(failed.stdout)["status"]) == (1, 503)
    assert json.loads(call(hub, "ada", "dead", webhook, "--json").stdout)["dead"] == []
    assert call(hub, "ada", "redeliver", webhook, "dlv_1").exit_code == 1
    assert call(hub, "ada", "enable", webhook).exit_code == 0
    assert call(hub, "ben", "remove", webhook).exit_code == 1
    assert call(hub, "ada", "remove", webhook, "--json").exit_code == 0
    assert json.loads(call(hub, "ada", "list", "--json").stdout)["webhooks"] == []


def test_nothing_is_lost_when_the_service_is_killed(hub: Hub, receiver: Receiver) -> None:
    """kill -9 while a receiver fails: what happened before and after arrives, in order, once it takes messages."""
    tools = client(hub, "grace").webhooks
    made = tools.add(receiver.url, project="qcourse", events=["job.moved"])
    receiver.secret, receiver.status = made.secret, 503
    first = hub.run_bell("ada", options={"shots": 10}).json()["id"]
    wait_until(lambda: receiver.tries > 0, 15, "Nothing was tried.")
    [service] = hub.processes("jupyter_quantum.hub")
    os.kill(service, signal.SIGKILL)
    wait_until(lambda: hub.processes("jupyter_quantum.hub") not in ([service], []), 60, "It did not come back.")
    wait_until(hub.ready, 60, "The service did not come back.")
    receiver.status = 200
    second = hub.run_bell("ben", options={"shots": 10}).json()["id"]
    wait_until(lambda: "completed" in receiver.states(second), 40, "The moves did not arrive.")
    assert receiver.states(first)[-1] == receiver.states(second)[-1] == "completed"
    jobs = [one["job"] for one in receiver.taken]
    assert jobs.index(second) > jobs.index(first)
    assert jobs == sorted(jobs, key=[first, second].index)
    tools.remove(made.webhook.id)


def test_who_may_not(hub: Hub, receiver: Receiver) -> None:
    """A member registers none of the project, a stranger sees none; addresses inside are refused."""
    with pytest.raises(Refused, match="Leads"):
        client(hub, "ada").webhooks.add(receiver.url, project="qcourse")
    made = client(hub, "ada").webhooks.add(receiver.url, events=["nothing"])
    with pytest.raises(NotFound):
        client(hub, "ben").webhooks.get(made.webhook.id)
    for url in ("http://127.0.0.2/", "https://169.254.169.254/", "https://[::1]/", "https://hooks.example.org:22/"):
        with pytest.raises((InputError, Refused)):
            client(hub, "ada").webhooks.add(url)
    client(hub, "ada").webhooks.remove(made.webhook.id)
