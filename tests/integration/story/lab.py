"""A hub as an administrator of a campus runs it: ``hub_config/oidc`` as it is shipped, in a scratch directory.

Only what a test must have otherwise is set besides: ports, a short memory of who is in which group, a small runner.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from qiskit import QuantumCircuit

from jupyter_quantum.client.hub import Hub
from jupyter_quantum.hub import leash
from jupyter_quantum.hub.demo.proxy import ensure_proxy
from jupyter_quantum.hub.ports import free_ports
from tests.integration.story.provider import Provider

ROOT = Path(__file__).parents[3]
SHIPPED = ROOT / "hub_config/oidc/jupyterhub_config.py"
"""The configuration that an administrator copies."""
TENANTS = SHIPPED.with_name("tenants.yaml")
"""The organisations and projects beside it."""
REFRESH_S = 2
"""Seconds after which the hub asks the identity provider again; 120 as shipped."""
MEMBERSHIP_S = 1
"""Seconds that the service believes the hub; 60 as shipped."""
GONE_S = 20.0
"""Within so many seconds a change at the identity provider has arrived everywhere; 3 on an idle machine."""
SERVER_SCOPES = ("custom:quantum:read", "custom:quantum:submit")
"""What the token of a user's server may do."""
_READY_S = 240.0
_PYTHON_PATH = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
T = TypeVar("T")

_CONFIG = """\
import json, os, pathlib

c = get_config()
shipped = pathlib.Path({shipped!r})
c.QuantumService.update(json.loads({service!r}))
c.JupyterHub.services = [{{"name": "quantum", "url": {service_url!r}}}]
exec(compile(shipped.read_text(), str(shipped), "exec"), {{"get_config": lambda: c, "__file__": str(shipped)}})
c.JupyterHub.bind_url = {public!r}
c.JupyterHub.hub_bind_url = {hub!r}
c.ConfigurableHTTPProxy.api_url = {proxy_api!r}
c.ConfigurableHTTPProxy.pid_file = os.environ["JUPYTERHUB_DATA"] + "/proxy.pid"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.JupyterHub.spawner_class = "simple"
c.Authenticator.auth_refresh_age = {refresh!r}
"""


def wait_for(found: Callable[[], T], seconds: float, what: str | Callable[[], str], *, pause: float = 0.2) -> T:
    """The first truthy value of ``found()``, within ``seconds``; fails with ``what`` otherwise."""
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, what if isinstance(what, str) else what()
        time.sleep(pause)
    return value


def bell() -> QuantumCircuit:
    """The circuit that everybody sends."""
    circuit = QuantumCircuit(2, name="bell")
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


class Person:
    """Somebody at a browser: signed in at the hub by the identity provider, with the service's page open."""

    def __init__(self, lab: Lab, name: str) -> None:
        self.lab, self.name = lab, name
        self.browser = requests.Session()

    def sign_in(self) -> requests.Response:
        """Sign in through the issuer's form and come back to the hub's home; the last answer on the way."""
        asked = self.browser.get(f"{self.lab.url}/hub/oauth_login", params={"next": "/hub/home"}, timeout=30)
        return self.lab.provider.sign_in(self.browser, asked.url, self.name)

    def visit(self, path: str = "") -> requests.Response:
        """Open a page of the service; whoever the hub does not know any more ends at its login."""
        return self.browser.get(f"{self.lab.service}/{path}", timeout=30)

    def ask(self, method: str, path: str, **body: Any) -> requests.Response:
        """A request of the page itself: with its cookie and its XSRF token."""
        prefix = urlsplit(self.lab.service).path + "/"
        xsrf = self.browser.cookies.get("_xsrf", path=prefix) or ""
        headers = {"X-XSRFToken": xsrf}
        sent = {"params": body} if method == "GET" else {"json": body}
        url = f"{self.lab.service}/api/v1/{path}"
        return self.browser.request(method, url, headers=headers, timeout=60, **sent)

    def token(self, *scopes: str) -> str:
        """A token that the hub issues for this person; with a user server's scopes where none are named."""
        answer = self.browser.post(
            f"{self.lab.url}/hub/api/users/{self.name}/tokens",
            json={"scopes": list(scopes or SERVER_SCOPES), "note": "story", "expires_in": 3600},
            headers={"X-XSRFToken": self.browser.cookies.get("_xsrf", path="/hub/") or ""},
            timeout=30,
        )
        assert answer.status_code == 201, f"No token for {self.name}: {answer.status_code} {answer.text}"
        return str(answer.json()["token"])

    def hub(self, project: str | None = None, *scopes: str) -> Hub:
        """The shipped Python client, as in this person's notebook."""
        return Hub(self.lab.service, self.token(*scopes), project=project)


class Lab:
    """A running hub, its identity provider and its people."""

    def __init__(self, folder: Path, provider: Provider) -> None:
        self.folder, self.provider = folder, provider
        ports = free_ports(4)
        self.url = f"http://127.0.0.1:{ports[0]}"
        self.service = f"{self.url}/services/quantum"
        self.data = folder / "data"
        self._ports = ports
        self._process: subprocess.Popen[bytes] | None = None
        self._people: dict[str, Person] = {}

    @property
    def log(self) -> str:
        """The last words of hub and service."""
        return (self.folder / "hub.log").read_text(errors="replace")[-8000:]

    def person(self, name: str) -> Person:
        """Somebody who has an account at the identity provider, signed in (once), the service's page open."""
        if name not in self._people:
            person = Person(self, name)
            answer = person.sign_in()
            assert "/hub/home" in answer.url, f"{name}: {answer.status_code} {answer.url}\n{self.log}"
            assert (page := person.visit()).status_code == 200, f"{name}: {page.status_code} {page.url}\n{self.log}"
            self._people[name] = person
        return self._people[name]

    def raw(self, token: str | None, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        """A request by token, as anything but our client might send it."""
        sent = headers | ({"Authorization": f"token {token}"} if token else {})
        return requests.request(method, f"{self.service}/api/v1/{path}", json=body, headers=sent, timeout=60)

    def command(self, token: str, *words: str, code: int = 0) -> Any:
        """What ``jupyter quantum …`` prints with ``--json``; fails where it does not exit with ``code``."""
        env = os.environ | {
            "PYTHONPATH": _PYTHON_PATH,
            "JUPYTER_QUANTUM_URL": self.service,
            "JUPYTERHUB_API_TOKEN": token,
            "NO_COLOR": "1",
        }
        line = [sys.executable, "-m", "jupyter_quantum", *words]
        done = subprocess.run(line, env=env, capture_output=True, text=True, timeout=90, cwd=self.folder)
        told = f"{shlex.join(words)}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.returncode == code, told
        return json.loads(done.stdout) if done.stdout.strip() and "--json" in words else done.stdout

    def start(self, service: dict[str, Any]) -> None:
        """Start the hub, which starts the service, and wait until both answer."""
        self.data.mkdir()
        public, hub, proxy_api, service_url = (f"http://127.0.0.1:{port}" for port in self._ports)
        proxy = [sys.executable, "-m", "jupyter_quantum.hub.leash", "--exec", "--", *ensure_proxy(print)]
        config = self.folder / "jupyterhub_config.py"
        config.write_text(
            _CONFIG.format(
                shipped=str(SHIPPED),
                service=json.dumps(service),
                public=public,
                hub=hub,
                service_url=service_url,
                proxy_api=proxy_api,
                proxy=proxy,
                refresh=REFRESH_S,
            )
        )
        env = os.environ | {
            "PYTHONPATH": _PYTHON_PATH,
            "JUPYTERHUB_DATA": str(self.data),
            "JUPYTERHUB_CRYPT_KEY": secrets.token_hex(32),
            "OIDC_ISSUER": self.provider.url,
            "OIDC_CLIENT_ID": "campus-hub",
            "OIDC_CLIENT_SECRET": secrets.token_urlsafe(16),
        }
        with (self.folder / "hub.log").open("wb") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                cwd=self.folder,
                env=env,
                preexec_fn=leash.die_with_parent,
            )
        wait_for(self._answers, _READY_S, lambda: f"The hub is not ready:\n{self.log}", pause=1.0)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"The hub ended:\n{self.log}"
        try:
            return requests.get(f"{self.service}/health/ready", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def stop(self) -> None:
        """Stop the hub and whatever it had started."""
        if self._process is None:
            return
        pids = leash.descendants(self._process.pid)
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def running_lab(provider: Provider, service: dict[str, Any]) -> Iterator[Lab]:
    """A lab in a scratch directory; ``service`` is configuration that the shipped file does not name."""
    with tempfile.TemporaryDirectory(prefix="jq-story-") as place:
        lab = Lab(Path(place), provider)
        try:
            lab.start(service)
            yield lab
        finally:
            lab.stop()
