"""``jupyter quantum demo``."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table

from jupyter_quantum.exceptions import InputError, QuantumError
from jupyter_quantum.hub.demo import credentials
from jupyter_quantum.hub.demo.accounts import PEOPLE, hashed, new_password
from jupyter_quantum.hub.demo.config import Settings
from jupyter_quantum.hub.demo.proxy import ensure_proxy
from jupyter_quantum.hub.demo.supervisor import Demo, choose_port, data_directory
from jupyter_quantum.hub.ports import free_ports

__all__ = ["demo"]

_ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class _Screen:
    """Progress goes to stderr, the accounts to stdout."""

    began: float
    progress: Console
    answer: Console

    def say(self, words: str) -> None:
        with contextlib.suppress(OSError):  # a terminal that was closed hears no more
            self.progress.print(f"[dim]{time.monotonic() - self.began:5.1f} s[/]  {words}", soft_wrap=True)


def demo(
    port: Annotated[int, typer.Option(help="Port on loopback; 0 for any free one.")] = 8000,
    ready_file: Annotated[
        Path | None, typer.Option(help="Write address and accounts here as JSON (mode 0600) once all is ready.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the data directory after the end.")] = False,
    runner_token: Annotated[
        Path | None,
        typer.Option(
            help="Let a runner of yours connect, with devices called local_…: its token is written here (mode 0600)."
        ),
    ] = None,
    service: Annotated[
        Path | None, typer.Option(help="JSON with settings of the service that take the place of the demo's: devices …")
    ] = None,
) -> None:
    """Start a hub with everything on this machine, and print who may sign in."""
    screen = _Screen(time.monotonic(), Console(stderr=True, highlight=False), Console(highlight=False))
    try:
        _end_on_signals()
        credentials.refuse(os.environ)
        with data_directory(keep) as data_dir:
            own = {} if service is None else json.loads(service.read_text())
            with _token_in(runner_token) as token:
                code = _run(data_dir, choose_port(port, screen.say), ready_file, keep, screen, own, token)
    except KeyboardInterrupt:
        code = 0
    except QuantumError as error:
        screen.progress.print(str(error), style="red", markup=False, soft_wrap=True)
        code = 1
    raise typer.Exit(code)


def _end_on_signals() -> None:
    """Ctrl-C, SIGTERM and a closed terminal end the demo in order, also where a script had SIGINT ignored."""
    for signum in _ENDS:
        signal.signal(signum, _end)


def _end(_signum: int, _frame: FrameType | None) -> None:
    _ignore_signals()
    raise KeyboardInterrupt


def _ignore_signals() -> None:
    """From the first signal on: a second Ctrl-C must not leave processes behind."""
    for signum in _ENDS:
        signal.signal(signum, signal.SIG_IGN)


@contextlib.contextmanager
def _token_in(file: Path | None) -> Iterator[str]:
    """A new token for a runner in its file, while the demo runs; empty where there is no file."""
    if file is None:
        yield ""
        return
    token = secrets.token_hex(32)
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.write(token)
    except OSError as error:
        raise InputError(f"{file} cannot be made: {error.strerror}.", code="file.unwritable") from None
    try:
        yield token
    finally:
        file.unlink(missing_ok=True)


def _run(
    data_dir: Path,
    port: int,
    ready_file: Path | None,
    keep: bool,
    screen: _Screen,
    service: dict[str, Any],
    runner_token: str,
) -> int:
    passwords = {person.name: new_password() for person in PEOPLE}
    hub_port, proxy_api_port, service_port = [free for free in free_ports(4) if free != port][:3]
    settings = Settings(
        port=port,
        hub_port=hub_port,
        proxy_api_port=proxy_api_port,
        service_port=service_port,
        proxy=ensure_proxy(screen.say),
        hashes={name: hashed(password) for name, password in passwords.items()},
        service=service,
        runner_token=runner_token,
    )
    hub = Demo(data_dir, settings, screen.say)
    try:
        hub.wait_ready()
        screen.say("Ready.")
        if runner_token:
            screen.say(f"A runner connects to {hub.url}services/quantum/ and announces devices called local_…")
        _show(screen.answer, hub.url, passwords, data_dir if keep else None)
        if ready_file:
            address = f"http://127.0.0.1:{settings.service_port}/services/quantum"
            _write_ready(ready_file, hub.url, passwords, address)
        code = hub.wait()
        screen.progress.print(f"The hub ended by itself.\n{hub.last_lines()}", style="red", markup=False)
        return code or 1
    finally:
        _ignore_signals()
        screen.say("Stopping …")
        hub.stop()
        if ready_file:
            ready_file.unlink(missing_ok=True)
        screen.say(f"Stopped; data kept in {data_dir}." if keep else "Stopped; nothing is left.")


def _write_ready(target: Path, url: str, passwords: dict[str, str], service: str = "") -> None:
    """Write the ready file at once and privately: a reader sees all of it or none.

    ``service`` is the address of the quantum service itself, as user servers get it.
    """
    users = [{"name": p.name, "role": p.role, "password": passwords[p.name]} for p in PEOPLE]
    scratch = target.with_name(f".{target.name}.{os.getpid()}")
    with open(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"url": url, "users": users} | ({"service": service} if service else {}), file)
    scratch.replace(target)


def _show(out: Console, url: str, passwords: dict[str, str], kept: Path | None) -> None:
    table = Table("name", "password", "role", box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for person in PEOPLE:
        table.add_row(person.name, passwords[person.name], person.role)
    notes = (
        "",
        "All kernels here share one unix user: good for trying things",
        "out, not for strangers. Credentials of vendors are refused.",
        f"Data stays in {kept}" if kept else "Ctrl-C stops everything and removes its data.",
    )
    out.print(Panel(Group(f"[bold]{url}[/]", "", table, *notes), title="Quantum Sandbox", expand=False, padding=(1, 3)))
    sys.stdout.flush()
