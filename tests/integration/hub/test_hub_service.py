"""The service under a real hub: who gets in, who may do what, and what happens when it is killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests

from jupyter_quantum.hub import leash
from jupyter_quantum.hub.api.route import Route
from jupyter_quantum.hub.api.routes import ROUTES
from tests.integration.hub.conftest import running_hub, wait_until
from tests.integration.hub.support import Hub, alive

ABSENT = "0" * 32
SCOPES = ("read", "submit", "approve", "operate")
HOLDERS = {"approve": "grace", "operate": "otto"}


def address(route: Route) -> str:
    kind = "apr" if "approvals" in route.path else "rep" if "reports" in route.path else "job"
    return re.sub(r"\{id\}", f"{kind}_{ABSENT}", route.path).replace("{name}", "aer")


def test_a_token_says_who_asks(hub: Hub) -> None:
    """GET me tells name and project; without a token, or with a wrong one, 401."""
    me = hub.ask("api/v1/me", hub.token("ada", "read")).json()
    assert (me["name"], me["projects"]) == ("ada", {"qcourse": "user"})
    assert hub.ask("api/v1/me", hub.token("grace", "read")).json()["projects"] == {"qcourse": "lead"}
    assert hub.ask("api/v1/me").status_code == 401
    assert hub.ask("api/v1/me", "0" * 32).status_code == 401


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.scope is not None], ids=lambda route: f"{route.method} {route.path}"
)
def test_each_route_needs_its_scope(hub: Hub, route: Route) -> None:
    """A real token that holds the other scopes but not the route's is refused with 403."""
    assert route.scope is not None
    needed = route.scope.value.rpartition(":")[2]
    user = HOLDERS.get(needed, "ada")
    others = [scope for scope in ("read", "submit") if scope != needed]
    answer = hub.ask(address(route), hub.token(user, *others), route.method, data=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (403, "scope.missing")


def test_nobody_gets_a_scope_that_is_not_theirs(hub: Hub) -> None:
    """The hub makes no token with approve for a user, with submit for a stranger."""
    for user, scope in (("ada", "approve"), ("ada", "operate"), ("grace", "operate"), ("eve", "submit")):
        asked = {"scopes": [f"custom:quantum:{scope}"], "note": "test"}
        assert hub.admin("POST", f"users/{user}/tokens", json=asked).status_code in {400, 403}


def test_a_job_runs_and_stays_with_its_owner(hub: Hub) -> None:
    """A Bell pair comes back with counts; to somebody else it looks the same as one that never was, on every route."""
    answer = hub.run_bell("ada", options={"shots": 100})
    assert answer.status_code == 201, answer.text
    job = answer.json()
    assert job["state"] == "completed"
    assert sum(job["result"]["experiments"][0]["counts"].values()) == 100
    mine, other = hub.token("ada", "read", "submit"), hub.token("ben", "read", "submit")
    for path in ("", "/result", "/executable", "/source", "/provenance"):
        assert hub.ask(f"api/v1/jobs/{job['id']}{path}", mine).status_code == 200, path
        foreign = hub.ask(f"api/v1/jobs/{job['id']}{path}", other)
        never = hub.ask(f"api/v1/jobs/job_{ABSENT}{path}", other)
        assert (foreign.status_code, foreign.json()) == (404, never.json())
    foreign = hub.ask(f"api/v1/jobs/{job['id']}/cancel", other, "POST")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "absent")


def test_the_page_signs_in_by_the_hub(hub: Hub) -> None:
    """A browser comes back from the hub's login with a cookie; unsafe requests then need the page's token."""
    browser = hub.sign_in("grace")
    assert browser.get(f"{hub.service}/", timeout=20).status_code == 200
    decision = f"{hub.service}/api/v1/approvals/apr_{ABSENT}/decision"
    bare = browser.post(decision, json={"verdict": "approve"}, timeout=20)
    assert (bare.status_code, bare.json()["code"]) == (403, "auth.xsrf")
    xsrf = {"X-XSRFToken": browser.cookies.get("_xsrf", path="/services/quantum/")}
    reached = browser.post(decision, json={"verdict": "approve"}, headers=xsrf, timeout=20)
    assert (reached.status_code, reached.json()["code"]) == (404, "absent")
    state = browser.post(f"{hub.service}/api/v1/devices/aer/state", json={"action": "pause"}, headers=xsrf, timeout=20)
    assert (state.status_code, state.json()["code"]) == (403, "scope.missing")


def test_a_stranger_does_not_get_in(hub: Hub) -> None:
    """A user of the hub who is in no group of a project is stopped by the hub itself."""
    browser = hub.sign_in("eve")
    answer = browser.get(f"{hub.service}/", timeout=20)
    assert answer.status_code == 403 or "/hub/" in answer.url


def test_decisions_want_a_person(hub: Hub) -> None:
    """A lead's token with the scope approve cannot decide: only a login on the page can."""
    token = hub.token("grace", "read", "approve")
    path = f"api/v1/approvals/apr_{ABSENT}/decision"
    answer = hub.ask(path, token, "POST", json={"verdict": "approve"})
    assert (answer.status_code, answer.json()["code"]) == (403, "auth.interactive")


def test_an_operators_own_token_operates(hub: Hub) -> None:
    """A token with the scope operate pauses and resumes a device; a server's token never has that scope."""
    token = hub.token("otto", "operate")
    for action, state in (("pause", "paused"), ("resume", "ready")):
        answer = hub.ask("api/v1/devices/aer/state", token, "POST", json={"action": action})
        assert (answer.status_code, answer.json()["state"]) == (200, state)


@pytest.fixture(scope="module")
def server(hub: Hub) -> dict[str, str]:
    """Environment of a lead's running server."""
    assert hub.admin("POST", "users/grace/server").status_code in {201, 202}
    told = hub.data / "server.json"
    wait_until(told.exists, 30, hub.log.read_text()[-2000:])
    environment: dict[str, str] = json.loads(told.read_text())
    return environment


def test_a_server_reaches_the_service_directly(hub: Hub, server: dict[str, str]) -> None:
    """The environment has the address, what the admin had put there stays, and the hooks of both ran."""
    token = server["JUPYTERHUB_API_TOKEN"]
    me = requests.get(
        f"{server['JUPYTER_QUANTUM_URL']}/api/v1/me", headers={"Authorization": f"token {token}"}, timeout=20
    )
    assert me.json()["name"] == "grace"
    assert server["JUPYTER_QUANTUM_PUBLIC_URL"] == "/services/quantum/"
    assert server["SEEN_BY"] == "grace"
    assert (hub.data / "hook-grace").exists()
    assert list((hub.data / "homes").iterdir())


def test_a_servers_token_cannot_decide(hub: Hub, server: dict[str, str]) -> None:
    """Even a lead's kernel, which can read its server's token, can neither decide nor log in with it."""
    token = server["JUPYTERHUB_API_TOKEN"]
    held = hub.ask("api/v1/me", token).json()["scopes"]
    assert not [scope for scope in held if scope.endswith(("approve", "operate", "admin"))]
    answer = hub.ask(f"api/v1/approvals/apr_{ABSENT}/decision", token, "POST", json={"verdict": "approve"})
    assert (answer.status_code, answer.json()["code"]) == (403, "scope.missing")
    query = {
        "client_id": "service-quantum",
        "response_type": "code",
        "redirect_uri": "/services/quantum/oauth_callback",
    }
    login = requests.get(
        f"{hub.url}/hub/api/oauth2/authorize",
        params=query,
        headers={"Authorization": f"token {token}"},
        timeout=20,
        allow_redirects=False,
    )
    assert "code=" not in login.headers.get("Location", "")
    assert "/hub/login" in login.headers.get("Location", "") or login.status_code == 403


def test_events_pass_the_proxy(hub: Hub) -> None:
    """A job's moves arrive while it runs, numbered; going on after a number misses nothing and repeats nothing."""
    token = hub.token("ben", "read", "submit")
    headers = {"Authorization": f"token {token}"}
    seen: list[tuple[int, str]] = []

    def listen(after: int | None, wanted: int) -> None:
        last = {"Last-Event-ID": str(after)} if after is not None else {}
        url = f"{hub.service}/api/v1/events"
        with requests.get(url, headers=headers | last, stream=True, timeout=20) as stream:
            for line in stream.iter_lines(decode_unicode=True):
                if line.startswith("data: "):
                    event = json.loads(line[6:])
                    seen.append((event["seq"], event["type"]))
                if len([kind for _, kind in seen if kind == "job.moved"]) >= wanted:
                    return

    thread = threading.Thread(target=listen, args=(None, 3), daemon=True)
    thread.start()
    time.sleep(0.5)
    assert hub.run_bell("ben", options={"shots": 10}).status_code == 201
    thread.join(15)
    assert not thread.is_alive()
    live = [seq for seq, _ in seen]
    assert len(set(live)) == len(live)
    first = [kind for _, kind in seen].index("job.moved")  # a device may have said something before
    seen.clear()
    listen(live[first], 2)
    assert [seq for seq, _ in seen] == live[first + 1 :]


def test_after_a_kill_all_comes_back(hub: Hub) -> None:
    """kill -9 of the service: its runner ends by itself, the hub starts both again, and jobs of before are there."""
    job = hub.run_bell("ada", options={"shots": 10}).json()
    [service], [runner] = hub.processes("jupyter_quantum.hub"), hub.processes("jupyter_quantum.fabric")
    os.kill(service, signal.SIGKILL)
    wait_until(lambda: not alive(runner), 10, "The runner outlived the service.")
    wait_until(hub.ready, 60, "The service did not come back.")
    assert hub.processes("jupyter_quantum.hub") != [service]
    again = hub.ask(f"api/v1/jobs/{job['id']}", hub.token("ada", "read", "submit"))
    assert again.json()["state"] == "completed"
    assert hub.run_bell("ada").json()["state"] == "completed"


def test_a_service_that_the_hub_does_not_start(hub: Hub, tmp_path: Path) -> None:
    """The external form: the command, two variables, and users get in through the hub's proxy; SIGTERM ends it well."""
    own = {"JUPYTERHUB_API_TOKEN": hub.external.token, "JUPYTERHUB_API_URL": hub.external.hub_api}
    own["JUPYTERHUB_SERVICE_NAME"] = "elsewhere"
    config = tmp_path / "service.json"
    config.write_text(
        json.dumps({"QuantumService": {"run_runner": False, "projects": {"other": {"members": ["qcourse"]}}}})
    )
    code = "import typer; from jupyter_quantum.hub.command import service; typer.run(service)"
    command = [sys.executable, "-c", code, "--config", config, "--data-dir", tmp_path / "data"]
    process = subprocess.Popen([*command, "--url", hub.external.url], env={**os.environ, **own})
    try:
        there = f"{hub.url}/services/elsewhere"
        wait_until(lambda: requests.get(f"{there}/health/ready", timeout=5).status_code == 200, 20, "It is not ready.")
        headers = {"Authorization": f"token {hub.token('ada', 'read')}"}
        me = requests.get(f"{there}/api/v1/me", headers=headers, timeout=20).json()
        assert (me["name"], me["projects"]) == ("ada", {"other": "user"})
        browser = hub.sign_in("ada")
        assert browser.get(f"{there}/", timeout=20).url == f"{there}/"
        process.terminate()
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()


def test_nothing_outlives_a_killed_hub() -> None:
    """kill -9 of the hub: service, runner and culler end by themselves."""
    with running_hub() as hub:
        below = leash.descendants(hub.process.pid)
        assert {"jupyter_quantum.hub", "jupyter_quantum.fabric", "jupyterhub_idle_culler"} <= {
            word for pid in below for word in Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        }
        hub.process.kill()
        wait_until(lambda: not any(alive(pid) for pid in below), 15, "Something outlived the hub.")


def test_a_second_service_is_refused(hub: Hub) -> None:
    """Nothing else may use the data directory while the service runs."""
    from jupyter_quantum.exceptions import Unavailable
    from jupyter_quantum.hub.files import Lock

    with pytest.raises(Unavailable, match="already uses"):
        Lock(Path(hub.data / "quantum"), patience_s=0)
