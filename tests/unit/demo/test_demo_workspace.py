"""Ephemeral workspaces and the keeper of processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from traitlets.config import Config

from jupyter_quantum.hub import workspace
from jupyter_quantum.hub.workspace import ENVIRONMENT, Workspaces


@pytest.fixture
def spaces(tmp_path: Path) -> Workspaces:
    tutorials = tmp_path / "tutorials"
    tutorials.mkdir()
    (tutorials / "01-first.ipynb").write_text("{}")
    return Workspaces(tmp_path / "homes", tutorials)


def a_spawner(name: str) -> Any:
    return SimpleNamespace(user=SimpleNamespace(name=name), environment={"KEEP": "1"}, home_dir="/nowhere/at/all")


def gone(pid: int, within_s: float = 5) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_a_spawn_gets_a_private_home_with_tutorials_and_settings(spaces: Workspaces) -> None:
    """What the user finds, and that nobody else may look."""
    spawner = a_spawner("ada")
    asyncio.run(spaces.pre_spawn(spawner))
    home = Path(spawner.home_dir)
    assert (home / "01-first.ipynb").read_text() == "{}"
    assert list(home.glob(".jupyter/lab/user-settings/**/*.jupyterlab-settings"))
    assert home.stat().st_mode & 0o777 == 0o700
    assert spawner.environment == {"KEEP": "1", ENVIRONMENT: home.name}


def test_each_spawn_starts_afresh(spaces: Workspaces) -> None:
    """Files of an earlier workspace are never seen again."""
    spawner = a_spawner("ada")
    asyncio.run(spaces.pre_spawn(spawner))
    first = Path(spawner.home_dir)
    (first / "notes.txt").write_text("mine")
    asyncio.run(spaces.pre_spawn(spawner))
    assert not first.exists()
    assert not (Path(spawner.home_dir) / "notes.txt").exists()


@pytest.mark.parametrize(
    "name", ["../../etc", "/root", "..", ".", "a/b", "ada\x00", "-rf", "é" * 300, "", "$(id)", "A\nB"]
)
def test_no_name_leads_out_of_the_root(spaces: Workspaces, name: str) -> None:
    """Hostile user names stay names."""
    home = spaces.create(name)
    assert home.parent == spaces.root
    assert not home.name.startswith((".", "-"))
    assert len(home.name) < 64


def test_stop_removes_files_also_those_made_unwritable(spaces: Workspaces) -> None:
    """A directory without write permission does not survive either."""
    spawner = a_spawner("ada")
    asyncio.run(spaces.pre_spawn(spawner))
    locked = Path(spawner.home_dir, "locked")
    locked.mkdir()
    (locked / "file").write_text("x")
    locked.chmod(0o500)
    asyncio.run(spaces.post_stop(spawner))
    assert not Path(spawner.home_dir).exists()


def test_stop_holds_nobody_up(spaces: Workspaces) -> None:
    """The hub's loop goes on while a home with many files is removed."""
    spawner = a_spawner("ada")
    asyncio.run(spaces.pre_spawn(spawner))
    home = Path(spawner.home_dir)
    for number in range(1_000):
        (home / f"{number}").touch()

    async def stop() -> None:
        stopping = asyncio.create_task(spaces.post_stop(spawner))
        await asyncio.sleep(0)  # its first step
        assert not stopping.done()
        await stopping

    asyncio.run(stop())
    assert not home.exists()


def test_stop_follows_no_link_out_of_the_workspace(spaces: Workspaces, tmp_path: Path) -> None:
    """A link that the user made is removed, not what it points to."""
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "gold").write_text("1")
    home = spaces.create("ada")
    (home / "link").symlink_to(treasure)
    spaces.destroy(home)
    assert (treasure / "gold").read_text() == "1"
    assert not home.exists()


def test_nothing_outside_the_root_is_removed(spaces: Workspaces, tmp_path: Path) -> None:
    """A spawner that never got a workspace loses nothing at its stop."""
    other = tmp_path / "other"
    other.mkdir()
    asyncio.run(spaces.post_stop(SimpleNamespace(home_dir=str(other))))
    assert other.exists()


@pytest.mark.parametrize("how", ["environment", "directory"])
def test_stop_kills_what_runs_in_the_workspace(spaces: Workspaces, how: str) -> None:
    """Also a process that made itself a session of its own."""
    home = spaces.create("ada")
    env = {**os.environ, ENVIRONMENT: home.name} if how == "environment" else {}
    process = subprocess.Popen(
        ["/bin/sleep", "60"], cwd=home if how == "directory" else "/", env=env, start_new_session=True
    )
    spaces.destroy(home)
    assert process.wait(5) == -9


async def test_install_runs_hooks_that_are_there_already() -> None:
    """An administrator's hook runs before ours, whether it is a coroutine or not."""
    ran: list[str] = []

    async def theirs(_spawner: object) -> None:
        ran.append("theirs")

    chained = workspace._chained(theirs, lambda _spawner: ran.append("ours"))
    await chained(object())
    assert ran == ["theirs", "ours"]


def test_install_sets_hooks_and_keeper(tmp_path: Path) -> None:
    """User servers run below the leash."""
    c = Config()
    workspace.install(c, tmp_path / "homes", tmp_path)
    assert callable(c.Spawner.pre_spawn_hook)
    assert callable(c.Spawner.post_stop_hook)
    assert "jupyter_quantum.hub.leash" in c.Spawner.cmd


def test_the_keeper_kills_what_its_program_left_behind(tmp_path: Path) -> None:
    """A daemon with another session, no environment and another directory ends with the server."""
    pid_file = tmp_path / "pid"
    script = f"cd / && env -i setsid sh -c 'echo $$ > {pid_file}; exec sleep 60' & sleep 0.5; exit 7"
    done = subprocess.run([sys.executable, "-m", "jupyter_quantum.hub.leash", "--", "sh", "-c", script], check=False)
    assert done.returncode == 7
    assert gone(int(pid_file.read_text()))


@pytest.mark.parametrize("option", [[], ["--exec"]])
def test_a_leashed_program_ends_with_its_parent(tmp_path: Path, option: list[str]) -> None:
    """Also where the parent is killed without a chance to clean up."""
    pid_file = tmp_path / "pid"
    program = ["sh", "-c", f"echo $$ > {pid_file}; exec sleep 60"]
    leash = [sys.executable, "-m", "jupyter_quantum.hub.leash", *option, "--", *program]
    code = f"import subprocess, time; subprocess.Popen({leash!r}); time.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code])
    while not (pid_file.exists() and pid_file.read_text()):
        time.sleep(0.02)
    time.sleep(0.1)
    parent.kill()
    parent.wait()
    assert gone(int(pid_file.read_text()))
