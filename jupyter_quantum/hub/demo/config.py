"""The demo hub's configuration, from the settings that one start wrote beside it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from jupyter_quantum.hub.configure import configure
from jupyter_quantum.hub.demo.accounts import groups

__all__ = ["Settings", "apply"]

_FILE = "demo.json"
_RUNNER: Final = "quantum-runner"
_EMULATOR: Final = {"per_task": 0.0195, "per_shot": 0.0004, "per_second": 0.0005}
_SERVICE: Final[dict[str, Any]] = {
    "projects": {
        "qcourse": {
            "organisation": "campus",
            "tier": "sandbox",
            "members": ["qcourse"],
            "leads": ["qcourse-leads"],
            "grant": 100,
            "user_quota": 50,
            "data_class": "public",
            "export": {"targets": ["download"], "review": None},
        },
        # Nobody is in it: the service's own account runs benchmarks, where an operator asks for one.
        "benchmarks": {
            "organisation": "campus",
            "tier": "pilot",
            "grant": 1000,
            "user_quota": 1000,
            "data_class": "public",
            "service_accounts": {"quantum": "user"},
        },
    },
    "series": {"project": "benchmarks", "max_price": 20},
    "export_targets": {"download": {}},
    "prices": {
        "fake_torino": _EMULATOR,
        "fake_fez": _EMULATOR,
        "campus_qpu": {"per_task": 0.096, "per_shot": 0.006, "per_second": 0.008},
    },
}


@dataclass(frozen=True, slots=True)
class Settings:
    """What one start decided: the hub's address, ports on loopback, the proxy's command, password hashes."""

    port: int
    hub_port: int
    proxy_api_port: int
    service_port: int
    proxy: list[str]
    hashes: dict[str, str]
    service: dict[str, Any] = field(default_factory=dict)
    """Settings of the service that take the place of the demo's own."""
    runner_token: str = ""
    """Of a runner that may announce devices called local_…; empty: there is none beside the demo's own."""

    def write(self, data_dir: Path) -> None:
        """Store these for :func:`apply`, readable by the owner only."""
        with open(os.open(data_dir / _FILE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(self), file)

    @classmethod
    def read(cls, data_dir: Path) -> Settings:
        """What :meth:`write` stored."""
        return cls(**json.loads((data_dir / _FILE).read_text()))


def apply(c: Any, data_dir: Path) -> None:
    """Fill the hub's configuration ``c``; everything the hub writes goes below ``data_dir``."""
    settings = Settings.read(data_dir)
    _hub(c, settings, data_dir)
    _people(c, settings)
    _servers(c)
    runner = {"runners": {_RUNNER: {"devices": ["local_*"]}}} if settings.runner_token else {}
    configure(
        c,
        config={**_SERVICE, "time_zone": _time_zone(), **runner, **settings.service},
        runners={_RUNNER: settings.runner_token} if settings.runner_token else None,
        data_dir=data_dir / "quantum",
        url=f"http://127.0.0.1:{settings.service_port}",
        ephemeral_home=data_dir / "homes",
        cull_timeout=30 * 60,
        max_age=8 * 3600,
    )


def _hub(c: Any, settings: Settings, data_dir: Path) -> None:
    c.JupyterHub.bind_url = f"http://127.0.0.1:{settings.port}"
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings.hub_port}"
    c.JupyterHub.db_url = f"sqlite:///{data_dir}/jupyterhub.sqlite"
    c.JupyterHub.cookie_secret_file = str(data_dir / "cookie_secret")
    c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{settings.proxy_api_port}"
    c.ConfigurableHTTPProxy.pid_file = str(data_dir / "proxy.pid")
    c.ConfigurableHTTPProxy.command = [
        sys.executable,
        "-m",
        "jupyter_quantum.hub.leash",
        "--exec",
        "--",
        *settings.proxy,
    ]


def _people(c: Any, settings: Settings) -> None:
    c.JupyterHub.authenticator_class = "jupyter_quantum.hub.demo.authenticator.DemoAuthenticator"
    c.DemoAuthenticator.hashes = settings.hashes
    c.DemoAuthenticator.allowed_users = set(settings.hashes)
    c.JupyterHub.load_groups = groups()


def _servers(c: Any) -> None:
    c.JupyterHub.spawner_class = "simple"
    c.Spawner.default_url = "/lab"
    c.Spawner.args = ["--allow-root"] if os.geteuid() == 0 else []
    c.Spawner.http_timeout = 60
    c.LocalProcessSpawner.interrupt_timeout = 3
    c.LocalProcessSpawner.term_timeout = 2
    c.LocalProcessSpawner.kill_timeout = 1


def _time_zone() -> str:
    """The machine's, as far as it says so."""
    file = Path("/etc/timezone")
    name = os.environ.get("TZ") or (file.read_text().strip() if file.is_file() else "")
    try:
        return ZoneInfo(name).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"
