"""The demo's beginning and end: what it prints, that nothing outlives it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from playwright.sync_api import Page, expect

from jupyter_quantum.testing.demo import DemoHub
from tests.acceptance.browser import enter_lab, log_in, open_terminal
from tests.acceptance.conftest import start_demo

pytestmark = pytest.mark.acceptance
Open = Callable[..., Page]


def workspaces_of(process: psutil.Process) -> list[Path]:
    """Home directories of the user servers below a process."""
    homes = set()
    for child in process.children(recursive=True):
        home = child.environ().get("HOME", "") if child.is_running() else ""
        if "/homes/" in home:
            homes.add(Path(home))
    return sorted(homes)


def command_of(process: psutil.Process) -> str:
    """Its command line; nothing where it has just ended."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


def test_a_workspace_is_gone_after_stop(demo: DemoHub, person: Open) -> None:
    """Files, kernels and what cell code left behind in a session of its own; a new start begins afresh."""
    page = person()
    enter_lab(page, demo.url, "ben", demo.passwords["ben"])
    root = psutil.Process(demo.process.pid)
    (home,) = [home for home in workspaces_of(root) if home.name.startswith("ben-")]
    assert sorted(path.name for path in home.glob("*.ipynb")) == ["01-first-circuit.ipynb", "02-promotion.ipynb"]
    run_in_terminal(page, "cd / && setsid env -i sleep 4321 & sleep 1; touch $HOME/left.txt", home / "left.txt")
    before = [child for child in root.children(recursive=True) if "4321" in command_of(child)]
    assert before
    page.goto(f"{demo.url}hub/home")
    page.locator("#stop").click()
    expect(page.locator("#stop")).to_be_hidden(timeout=30_000)
    deadline = time.monotonic() + 10
    while (home.exists() or alive(before)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not home.exists()
    assert alive(before) == []


def run_in_terminal(page: Page, command: str, sign: Path) -> None:
    """Type into a terminal of Lab until the file ``sign`` is there."""
    open_terminal(page)
    page.keyboard.type(command)
    page.keyboard.press("Enter")
    deadline = time.monotonic() + 20
    while not sign.exists():
        assert time.monotonic() < deadline, "the terminal did not run the command"
        time.sleep(0.1)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_the_demo_leaves_no_process_and_no_data(how: signal.Signals, person: Open, tmp_path: Path) -> None:
    """With a user's server running and an impatient second Ctrl-C: everything ends within seconds."""
    demo = start_demo(tmp_path)
    assert (tmp_path / "ready.json").stat().st_mode & 0o777 == 0o600
    if how is signal.SIGINT:
        page = person()
        log_in(page, demo.url, "ada", demo.passwords["ada"])
        page.wait_for_url("**/user/ada/**", timeout=60_000)
    below = psutil.Process(demo.process.pid).children(recursive=True)
    (data,) = {Path(child.cwd()) for child in below if child.cmdline()[1:3] == ["-m", "jupyterhub"]}
    assert len(below) >= 4  # hub, proxy, service, runner
    began = time.monotonic()
    demo.process.send_signal(how)
    time.sleep(0.3)
    demo.process.send_signal(how)
    assert demo.process.wait(20) == 0
    assert time.monotonic() - began < 12
    assert alive(below) == []
    assert not data.exists()
    assert not (tmp_path / "ready.json").exists()


def test_a_taken_port_is_said_and_a_killed_demo_leaves_no_process(tmp_path: Path) -> None:
    """The next free port is used, and printed with names, passwords and roles; not even SIGKILL leaves a process."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        demo = start_demo(tmp_path, "--port", str(port))
    said = demo.log.read_text()
    assert re.search(rf"Port {port} is taken; using \d+\.", said)
    for word in (demo.url, "ada", demo.passwords["otto"], "operator", "share one unix user"):
        assert word in said
    below = psutil.Process(demo.process.pid).children(recursive=True)
    (data,) = {Path(child.cwd()) for child in below if child.cmdline()[1:3] == ["-m", "jupyterhub"]}
    demo.process.kill()
    demo.process.wait()
    psutil.wait_procs(below, timeout=20)
    assert alive(below) == []
    subprocess.run(["rm", "-rf", data], check=True)


def test_passwords_are_in_no_file_and_no_log(demo: DemoHub) -> None:
    """Only their hashes are stored; a wrong password does not sign in."""
    (hub,) = [p for p in psutil.Process(demo.process.pid).children() if "jupyterhub" in p.cmdline()]
    data = Path(hub.cwd())
    files = [path for path in data.rglob("*") if path.is_file() and "homes" not in path.parts]
    assert data / "hub.log" in files
    for path in files:
        text = path.read_bytes()
        for password in demo.passwords.values():
            assert password.encode() not in text, path
    assert json.loads((data / "demo.json").read_text())["hashes"].keys() == demo.passwords.keys()


def test_a_hub_that_cannot_start_is_explained(tmp_path: Path) -> None:
    """The log's last lines and a status that is not 0, instead of a trace."""
    (tmp_path / "jupyterhub.py").write_text("raise SystemExit('no hub today')")
    program = Path(sys.executable).with_name("jupyter-quantum")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [program, "demo", "--port", "0"], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
