"""The demo hub as a context manager, for benchmarks, proofs and tests: the same command that a newcomer runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import requests

__all__ = ["DemoHub", "demo_hub", "sign_in", "user_token"]

_SCOPES = ("custom:quantum:read", "custom:quantum:submit")


def sign_in(url: str, name: str, password: str) -> requests.Session:
    """A signed-in browser-like session at the hub ``url``; raises ``requests.HTTPError`` where the hub refuses."""
    session = requests.Session()
    login = urljoin(url, "hub/login")
    session.get(login, timeout=30).raise_for_status()
    form = {"username": name, "password": password, "_xsrf": session.cookies.get("_xsrf", path="/hub/")}
    home = urlsplit(urljoin(url, "hub/home")).path  # without it the hub would start a server for the user
    session.post(login, params={"next": home}, data=form, timeout=30).raise_for_status()
    return session


def user_token(url: str, name: str, password: str, *, lifetime_s: int = 7200) -> str:
    """An API token of that user with the scopes that a notebook has (read, submit)."""
    session = sign_in(url, name, password)
    answer = session.post(
        urljoin(url, f"hub/api/users/{name}/tokens"),
        json={"scopes": list(_SCOPES), "note": "measurement", "expires_in": lifetime_s},
        headers={"X-XSRFToken": session.cookies.get("_xsrf", path="/hub/") or ""},
        timeout=30,
    )
    answer.raise_for_status()
    return str(answer.json()["token"])


@dataclass(slots=True)
class DemoHub:
    """A running demo: address of the hub, address of the service, and each user's password."""

    url: str
    service: str
    passwords: dict[str, str]
    process: subprocess.Popen[bytes]
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, name: str) -> str:
        """That user's token, made at the first call."""
        if name not in self.tokens:
            self.tokens[name] = user_token(self.url, name, self.passwords[name])
        return self.tokens[name]


def _wait_ready(process: subprocess.Popen[bytes], ready: Path, log: Path, seconds: float) -> dict[str, object]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready.exists():
            document: dict[str, object] = json.loads(ready.read_text())
            return document
        if process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    raise RuntimeError("The demo hub did not start:\n" + log.read_text()[-4000:])


@contextlib.contextmanager
def demo_hub(*, arguments: Sequence[str] = (), seconds: float = 240.0) -> Iterator[DemoHub]:
    """Start ``jupyter quantum demo`` on a free port, wait up to ``seconds`` until it is ready, and stop it.

    The demo itself gives up sooner, and then says why.
    """
    with tempfile.TemporaryDirectory(prefix="jq-demo-") as folder:
        ready, log = Path(folder, "ready.json"), Path(folder, "demo.log")
        command = [
            sys.executable,
            "-m",
            "jupyter_quantum",
            "demo",
            "--port",
            "0",
            "--ready-file",
            str(ready),
            *arguments,
        ]
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, env=dict(os.environ)
            )
        try:
            told = _wait_ready(process, ready, log, seconds)
            users = told["users"]
            assert isinstance(users, list)
            yield DemoHub(
                url=str(told["url"]).rstrip("/") + "/",
                service=str(told["service"]),
                passwords={user["name"]: user["password"] for user in users},
                process=process,
            )
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()
