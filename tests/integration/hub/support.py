"""A running hub as the tests see it."""

from __future__ import annotations

import base64
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from jupyter_quantum.hub import leash

BELL = base64.b64encode(
    b'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\nh q[0];\ncx q[0], q[1];\nc = measure q;\n'
).decode()
"""OpenQASM 3 of a Bell pair, base64."""


@dataclass(frozen=True)
class External:
    """The second service of the hub, which the hub does not start: where, with which token, and the hub's API."""

    url: str
    token: str
    hub_api: str


@dataclass
class Hub:
    """Address, password of everybody, and the token of a service that may make tokens for users."""

    url: str
    password: str
    admin_token: str
    external: External
    data: Path
    process: subprocess.Popen[bytes]
    log: Path
    receiver_port: int
    """Where a receiver of webhooks may listen."""
    accounts: dict[str, str] = field(default_factory=dict)
    """Tokens of services that act for projects."""
    tokens: dict[tuple[str, tuple[str, ...]], str] = field(default_factory=dict)

    @property
    def service(self) -> str:
        """The service behind the hub's proxy."""
        return f"{self.url}/services/quantum"

    def ready(self) -> bool:
        """Whether service, store, policy and runner answer."""
        try:
            return requests.get(f"{self.service}/health/ready", timeout=2).status_code == 200
        except requests.RequestException:
            return False

    def admin(self, method: str, path: str, **options: Any) -> requests.Response:
        """The hub's API, with the right to make users and tokens."""
        headers = {"Authorization": f"token {self.admin_token}"}
        return requests.request(method, f"{self.url}/hub/api/{path}", headers=headers, timeout=20, **options)

    def token(self, user: str, *scopes: str) -> str:
        """A token of ``user`` with just these scopes (``read``, ``submit`` …)."""
        key = (user, scopes)
        if key not in self.tokens:
            full = [f"custom:quantum:{scope}" for scope in scopes] or ["read:users:name!user"]
            answer = self.admin("POST", f"users/{user}/tokens", json={"scopes": full, "note": "test"})
            assert answer.status_code == 201, answer.text
            self.tokens[key] = answer.json()["token"]
        return self.tokens[key]

    def ask(self, path: str, token: str | None = None, method: str = "GET", **options: Any) -> requests.Response:
        """A request to the service, through the proxy."""
        headers = {"Authorization": f"token {token}"} if token else {}
        headers |= options.pop("headers", {})
        options.setdefault("timeout", 40)
        return requests.request(method, f"{self.service}/{path}", headers=headers, **options)

    def run_bell(self, user: str, **options: Any) -> requests.Response:
        """Submit a Bell pair to the simulator and wait for it."""
        body = {"device": "aer", "circuits": {"format": "qasm3", "data": BELL}, **options}
        return self.ask("api/v1/jobs?wait=30", self.token(user, "read", "submit"), "POST", json=body)

    def sign_in(self, user: str) -> requests.Session:
        """A browser that has signed in at the hub and opened the service's page."""
        browser = requests.Session()
        browser.get(f"{self.url}/hub/login", timeout=20)
        form = {"username": user, "password": self.password, "_xsrf": browser.cookies.get("_xsrf", path="/hub/")}
        browser.post(f"{self.url}/hub/login", data=form, timeout=20, allow_redirects=False)
        browser.get(f"{self.service}/", timeout=20)
        return browser

    def processes(self, module: str) -> list[int]:
        """Ids of the hub's descendants that run ``python -m module``."""
        found = []
        for pid in leash.descendants(self.process.pid):
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if module in words:
                found.append(pid)
        return found


def alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
