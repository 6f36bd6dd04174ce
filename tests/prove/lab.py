"""A real hub with the service beside it (external form), so that a proof can kill and start the service as it likes."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from qiskit import QuantumCircuit

from jupyter_quantum.client.hub import Hub
from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.demo.proxy import ensure_proxy
from jupyter_quantum.hub.ports import free_ports
from jupyter_quantum.pipeline.limits import KINDS
from jupyter_quantum.store import Store
from jupyter_quantum.store.verify import verify
from jupyter_quantum.testing.demo import sign_in
from jupyter_quantum.wire.jobs import JobView

EVERY_SCOPE = [scope.value for scope in Scope]
TIGHT_ROOM = 10
"""So many holds of 1000 shots on the emulated QPU fit into a tight project."""
_HOLD = 6.58
_PASSWORD = secrets.token_urlsafe(12)
_READY_S = 90.0

_CONFIG = """\
import os
from jupyter_quantum.hub import configure

c = get_config()
told = {told!r}
c.JupyterHub.bind_url = told["public"]
c.JupyterHub.hub_bind_url = told["hub"]
c.JupyterHub.db_url = "sqlite:///" + told["folder"] + "/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = told["folder"] + "/cookie_secret"
c.ConfigurableHTTPProxy.api_url = told["proxy_api"]
c.ConfigurableHTTPProxy.pid_file = told["folder"] + "/proxy.pid"
c.ConfigurableHTTPProxy.command = told["proxy"]
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = told["password"]
c.Authenticator.allow_all = True
c.JupyterHub.load_groups = told["groups"]
c.JupyterHub.services = [{{"name": "prover", "api_token": told["prover"]}}]
c.JupyterHub.load_roles = [
    {{"name": "prover", "services": ["prover"], "scopes": ["admin:users", "tokens", "groups"]}},
    {{"name": "scopes-only", "users": ["sly"], "scopes": told["every_scope"]}},
    {{"name": "runner-scope", "users": ["zoe"], "scopes": ["custom:quantum:runner"]}},
]
configure(
    c,
    config=told["service"],
    external_url=told["service_url"],
    api_token=told["service_token"],
    runners={{"far": told["runner_token"]}},
    cull=False,
)
"""


def _project(members: str, grant: float) -> dict[str, Any]:
    return {
        "organisation": "campus",
        "tier": "sandbox",
        "members": [members],
        "leads": [members + "-leads"],
        "grant": grant,
        "user_quota": 1e6,
    }


def bell() -> QuantumCircuit:
    """The circuit that most proofs send."""
    circuit = QuantumCircuit(2)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


class ProofLab:
    """Hub and service on free ports in a scratch directory.

    Args:
        tight_projects: how many further projects there are, each with room for :data:`TIGHT_ROOM` holds.
        db_url: the service's database; SQLite in its data directory where it is empty.
    """

    def __init__(self, tight_projects: int = 0, db_url: str = "") -> None:
        self.tight_projects = tight_projects
        self._db_url = db_url
        self._folder = tempfile.TemporaryDirectory(prefix="jq-prove-")
        self.folder = Path(self._folder.name)
        self._hub_process: subprocess.Popen[bytes] | None = None
        self._service: subprocess.Popen[bytes] | None = None
        self._tokens: dict[str, str] = {}
        self._hubs: dict[tuple[str, str], Hub] = {}
        self._sessions: dict[str, requests.Session] = {}
        ports = free_ports(4)
        self._public = f"http://127.0.0.1:{ports[0]}/"
        self._service_url = f"http://127.0.0.1:{ports[3]}"
        self.url = f"{self._service_url}/services/quantum"
        many = [f"user{k:02d}" for k in range(10)]
        self._told: dict[str, Any] = {
            "folder": str(self.folder),
            "public": self._public,
            "hub": f"http://127.0.0.1:{ports[1]}",
            "proxy_api": f"http://127.0.0.1:{ports[2]}",
            "proxy": ensure_proxy(lambda line: print(line, file=sys.stderr)),
            "password": _PASSWORD,
            "prover": secrets.token_hex(24),
            "service_token": secrets.token_hex(24),
            "runner_token": secrets.token_hex(24),
            "service_url": self._service_url,
            "groups": {
                "qcourse": {"users": ["ada", "ben", "grace", "zoe"]},
                "qcourse-leads": {"users": ["grace", "zoe"]},
                "crowd": {"users": many},
                "crowd-leads": {"users": []},
                "strangers": {"users": ["lise"]},
                "strangers-leads": {"users": ["lena"]},
                **{f"quantum-{staff}": {"users": ["zoe"]} for staff in ("operators", "auditors", "admins")},
            },
            "every_scope": [*EVERY_SCOPE, "access:services!service=quantum"],
            "service": self._service_config(),
        }

    def _service_config(self) -> dict[str, Any]:
        projects = {"qcourse": _project("qcourse", 1e6), "strangers": _project("strangers", 1e6)}
        for number in range(self.tight_projects):
            projects[f"tight-{number:02d}"] = _project("crowd", round(TIGHT_ROOM * _HOLD + 0.5, 2))
        emulator = {"per_task": 0.0195, "per_shot": 0.0004, "per_second": 0.0005}
        qpu = {"per_task": 0.096, "per_shot": 0.006, "per_second": 0.008}
        return {
            "projects": projects,
            "prices": {"aer": {}, "fake_torino": emulator, "fake_fez": emulator, "campus_qpu": qpu},
            "rate": 1e5,
            "burst": 1e5,
            "rates": {kind: {"rate": 1e5, "burst": 100_000} for kind in KINDS},
            "webhook_allow": ["127.0.0.1"],
            "webhook_ports": [9, 443],
            "webhook_http": True,
            "limits": {"active": 100_000},
            "runners": {"far": {"devices": ["far_*"]}},
            "data_dir": str(self.folder / "data"),
            "db_url": self._db_url,
        }

    def __enter__(self) -> Self:
        config = self.folder / "jupyterhub_config.py"
        config.write_text(_CONFIG.format(told=self._told))
        with (self.folder / "hub.log").open("wb") as log:
            self._hub_process = subprocess.Popen(
                [sys.executable, "-m", "jupyterhub", "-f", str(config)],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
                start_new_session=True,
            )
        try:
            self._until(self._public + "hub/api/", self._hub_process, "hub.log")
            self.start_service()
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for name in ("service.log", "hub.log"):
                with contextlib.suppress(OSError):
                    print(f"--- {name}\n" + (self.folder / name).read_text()[-6000:], file=sys.stderr)
        self.close()

    def close(self) -> None:
        """Stop service and hub, and remove what they wrote."""
        self._stop(self._service)
        self._stop(self._hub_process)
        self._folder.cleanup()

    @staticmethod
    def _stop(process: subprocess.Popen[bytes] | None) -> None:
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    # the service

    @property
    def service_pid(self) -> int:
        """Process id of the running service."""
        assert self._service is not None
        return self._service.pid

    def start_service(self) -> None:
        """Start the service; returns at once."""
        settings = self.folder / "service.json"
        settings.write_text(json.dumps({"QuantumService": self._told["service"]}))
        env = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "JUPYTERHUB_API_TOKEN": self._told["service_token"],
            "JUPYTERHUB_API_URL": f"{self._told['hub']}/hub/api",
            "JUPYTERHUB_BASE_URL": "/",
            "JUPYTERHUB_HOST": "",
            "JUPYTERHUB_CLIENT_ID": "service-quantum",
            "JUPYTERHUB_SERVICE_NAME": "quantum",
            "JUPYTERHUB_SERVICE_PREFIX": "/services/quantum/",
            "JUPYTERHUB_SERVICE_URL": self._service_url,
            "JUPYTERHUB_OAUTH_SCOPES": json.dumps(["access:services!service=quantum"]),
            "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps(["access:services!service=quantum"]),
        }
        with (self.folder / "service.log").open("ab") as log:
            self._service = subprocess.Popen(
                [sys.executable, "-m", "jupyter_quantum.hub", f"--config={settings}"],
                cwd=self.folder,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env=env,
                start_new_session=True,
            )

    def wait_ready(self) -> None:
        """Return once the service and its runner answer."""
        assert self._service is not None
        self._until(f"{self.url}/health/ready", self._service, "service.log")

    def kill_service(self) -> None:
        """``kill -9`` of the service alone; its runner has to notice by itself."""
        assert self._service is not None
        self._service.kill()
        self._service.wait()

    def _until(self, url: str, process: subprocess.Popen[bytes], log: str) -> None:
        end = time.monotonic() + _READY_S
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(requests.RequestException):
                if requests.get(url, timeout=5).status_code == 200:
                    return
            time.sleep(0.3)
        raise RuntimeError(f"{url} did not answer:\n" + self._without_proxy(log))

    def _without_proxy(self, log: str) -> str:
        """The end of a log without the proxy's lines, which repeat what the hub says."""
        lines = (self.folder / log).read_text(errors="replace").splitlines()
        return "\n".join([line for line in lines if line.startswith(("[", "Traceback", "    raise"))][-40:])

    @property
    def runner_token(self) -> str:
        """Token of the service that may run jobs on other machines."""
        token: str = self._told["runner_token"]
        return token

    # users

    def token(self, user: str, *scopes: str) -> str:
        """A token of that user with these scopes; those of a notebook where none is named."""
        wanted = scopes or (Scope.READ.value, Scope.SUBMIT.value)
        key = " ".join((user, *wanted))
        if key not in self._tokens:
            answer = requests.post(
                f"{self._told['hub']}/hub/api/users/{user}/tokens",
                headers={"Authorization": f"token {self._told['prover']}"},
                json={"scopes": list(wanted)},
                timeout=30,
            )
            answer.raise_for_status()
            self._tokens[key] = answer.json()["token"]
        return self._tokens[key]

    def hub(self, user: str, project: str = "qcourse") -> Hub:
        """The shipped client, signed in as that user."""
        key = (user, project)
        if key not in self._hubs:
            self._hubs[key] = Hub(self.url, self.token(user), project=project)
        return self._hubs[key]

    def job(self, user: str, job_id: str) -> JobView:
        """The job as its owner sees it now; raises ``QuantumError``, and tries again while the service is away."""
        view: JobView = self.hub(user).job(job_id).view
        return view

    def session(self, user: str) -> requests.Session:
        """A browser's session on the hub's page of the service."""
        if user not in self._sessions:
            session = sign_in(self._public, user, _PASSWORD)
            session.get(self._public + "services/quantum/", timeout=30).raise_for_status()
            self._sessions[user] = session
        return self._sessions[user]

    def request(
        self,
        user: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        cookie: bool = False,
        xsrf: bool = True,
        scopes: tuple[str, ...] = (),
    ) -> requests.Response:
        """A raw request to ``path`` (from ``/api`` on), by token, or by the hub page's cookie with its XSRF token."""
        if not cookie:
            return self.bare(method, path, body=body, Authorization=f"token {self.token(user, *scopes)}")
        session = self.session(user)
        page = {"X-XSRFToken": session.cookies.get("_xsrf", path="/services/quantum/") or ""}
        headers = page if xsrf else {"Sec-Fetch-Mode": "cors"}
        return session.request(method, self._public + "services/quantum" + path, json=body, headers=headers, timeout=60)

    def bare(self, method: str, path: str, *, body: Any = None, **headers: str) -> requests.Response:
        """A request with these headers alone."""
        return requests.request(method, self.url + path, json=body, headers=headers, timeout=60)

    def verify_store(self) -> list[str]:
        """What is wrong in the ledger, the lives of the jobs or the chain of events; nothing, if all is well."""
        import asyncio

        async def look() -> list[str]:
            url = self._db_url or f"sqlite:///{self.folder}/data/quantum.sqlite"
            store = Store(url, artefacts=f"file://{self.folder}/data/artefacts")
            try:
                return await store.read(verify)
            finally:
                store.close()

        return asyncio.run(look())
