"""A real Jupyter server in its own process, set up as the hub would."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.unit.lab.standin import TOKEN

LOGIN = "login-token-of-the-test"


class Server:
    """``jupyter server`` (or ``lab``) with our extension, a fresh home and the hub's environment."""

    def __init__(self, home: Path, service_url: str, app: str = "server", **environment: str) -> None:
        self.home = home
        self.log = home / "server.log"
        home.mkdir(parents=True, exist_ok=True)
        # A hub's own variables would turn this into a hub's server; a developer's configuration would leak in.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTER")}
        place = {
            "HOME": str(home),
            "JUPYTER_QUANTUM_URL": service_url,
            "JUPYTER_QUANTUM_PUBLIC_URL": "/services/quantum/",
            "JUPYTERHUB_API_TOKEN": TOKEN,
        }
        module = "jupyterlab" if app == "lab" else "jupyter_server"
        options = ["--no-browser", "--allow-root", "--ServerApp.port=0", "--ServerApp.ip=127.0.0.1"]
        options += [f"--IdentityProvider.token={LOGIN}", f"--ServerApp.root_dir={home}"]
        if app == "lab":
            options.append("--expose-app-in-browser")
        command = [sys.executable, "-m", module, *options]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, env=clean | place | environment, stdout=log, stderr=subprocess.STDOUT, cwd=home
            )
        self.url = self._wait()

    def _wait(self) -> str:
        until = time.monotonic() + 40
        while time.monotonic() < until:
            for info in self.home.glob(".local/share/jupyter/runtime/jpserver-*.json"):
                port = json.loads(info.read_text() or "{}").get("port")
                if port and self._answers(f"http://127.0.0.1:{port}/"):
                    return f"http://127.0.0.1:{port}/"
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.1)
        raise AssertionError(self.log.read_text())

    @staticmethod
    def _answers(url: str) -> bool:
        try:
            urllib.request.urlopen(f"{url}api", timeout=2).close()
        except OSError:
            return False
        return True

    def ask(self, path: str, body: bytes | None = None, *, login: bool = True) -> tuple[int, Any]:
        """GET, or POST where there is a body; returns status and JSON (None where it is not JSON)."""
        headers = {"Authorization": f"token {LOGIN}"} if login else {}
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                status, text = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            return status, json.loads(text)
        except ValueError:
            return status, None

    def websocket(self, path: str) -> str:
        """Address of a WebSocket of this server."""
        return re.sub("^http", "ws", self.url) + path

    def close(self) -> None:
        """Stop the server and its kernels."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
