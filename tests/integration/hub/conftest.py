"""One real hub with its proxy for all tests of this directory, configured by an administrator before configure(c)."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jupyter_quantum.hub import leash
from jupyter_quantum.hub.demo.proxy import ensure_proxy
from jupyter_quantum.hub.ports import free_ports
from tests.integration.hub.support import External, Hub

_HERE = Path(__file__).parent
_CONFIG = """
import os, sys
from pathlib import Path

c = get_config()
data = Path({data!r})
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.db_url = f"sqlite:///{{data}}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(data / "hub_cookie_secret")
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{api_port}"
c.ConfigurableHTTPProxy.pid_file = str(data / "proxy.pid")
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = {password!r}
c.Authenticator.allow_all = True
c.JupyterHub.load_groups = {{
    "qcourse": {{"users": ["ada", "ben", "grace"]}},
    "qcourse-leads": {{"users": ["grace"]}},
    "quantum-operators": {{"users": ["otto"]}},
    "quantum-auditors": {{"users": ["vera"]}},
    "quantum-admins": {{"users": ["root"]}},
    "strangers": {{"users": ["eve"]}},
}}
c.JupyterHub.spawner_class = "simple"

# What an administrator had before: a service, a role, a hook, environment (also by a function).
c.JupyterHub.services = [{{"name": "tester", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "tester", "services": ["tester"], "scopes": ["admin:users", "admin:servers", "tokens", "list:groups"]}}
]


async def note(spawner):
    (data / f"hook-{{spawner.user.name}}").touch()


c.Spawner.pre_spawn_hook = note
c.Spawner.environment.update({{"SEEN_BY": lambda spawner: spawner.user.name, "TELL": str(data / "server.json")}})

from jupyter_quantum.hub import configure

configure(
    c,
    config={{
        "projects": {{
            "qcourse": {{
                "members": ["qcourse"],
                "leads": ["qcourse-leads"],
                "grant": 100,
                "user_quota": 50,
                "service_accounts": {{"nightly": "user"}},
            }}
        }},
        "devices": [{{"name": "aer", "adapter": "aer", "slots": 1}}],
        "workers": 2,
        "webhook_allow": ["127.0.0.1"],
        "webhook_ports": [443, {receiver_port}],
        "webhook_http": True,
    }},
    service_accounts={{"nightly": {nightly!r}, "stranger": {stranger!r}}},
    data_dir=data / "quantum",
    ephemeral_home=data / "homes",
)
# A second service, which something else starts.
configure(
    c,
    name="elsewhere",
    external_url="http://127.0.0.1:{external_port}",
    api_token={external_token!r},
    user_groups=["qcourse"],
    lead_groups=[],
    cull=False,
)
leash = ["-m", "jupyter_quantum.hub.leash", "--exec", "--"]
c.Spawner.cmd = [sys.executable, *leash, sys.executable, {server!r}]
"""


def wait_until(found: Callable[[], object], seconds: float, what: str) -> None:
    """Return once ``found()`` is true; fail with ``what`` after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@contextlib.contextmanager
def running_hub() -> Iterator[Hub]:
    """A hub with the service, ready; stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="jq-hub-") as place:
        data = Path(place)
        port, hub_port, api_port, external_port, receiver_port = free_ports(5)
        password, token, external_token = (secrets.token_hex(24) for _ in range(3))
        accounts = {name: secrets.token_hex(24) for name in ("nightly", "stranger")}
        proxy = [sys.executable, "-m", "jupyter_quantum.hub.leash", "--exec", "--", *ensure_proxy(print)]
        config = data / "jupyterhub_config.py"
        config.write_text(
            _CONFIG.format(
                data=place,
                port=port,
                hub_port=hub_port,
                api_port=api_port,
                external_port=external_port,
                receiver_port=receiver_port,
                external_token=external_token,
                proxy=proxy,
                password=password,
                token=token,
                nightly=accounts["nightly"],
                stranger=accounts["stranger"],
                server=str(_HERE / "server.py"),
            )
        )
        log = data / "hub.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=place,
                env={**os.environ, "PYTHONPATH": str(_HERE.parents[2])},
                preexec_fn=leash.die_with_parent,
            )
        external = External(f"http://127.0.0.1:{external_port}", external_token, f"http://127.0.0.1:{hub_port}/hub/api")
        running = Hub(
            f"http://127.0.0.1:{port}", password, token, external, data, process, log, receiver_port, accounts
        )
        try:
            wait_until(lambda: running.ready() or process.poll() is not None, 240, "The hub does not answer.")
            assert process.poll() is None, log.read_text()[-3000:]
            yield running
        finally:
            pids = leash.descendants(process.pid)
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
            for pid in pids:
                if Path(f"/proc/{pid}").exists():
                    os.kill(pid, signal.SIGKILL)


@pytest.fixture(scope="session")
def hub() -> Iterator[Hub]:
    with running_hub() as running:
        yield running
