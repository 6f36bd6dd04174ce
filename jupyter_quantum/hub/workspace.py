"""Ephemeral workspaces for local spawners: made at spawn, gone after stop.

A fresh home directory with the tutorials and Lab's settings is made before each spawn. After the stop every process
that belongs to it is killed and every file removed; the hub revokes the server's token. Submitted jobs live in the
service and are not touched.

Runs inside the hub's process, so it needs the standard library only. Where each user has a unix account or a container,
the spawner's own clean-up does this, and better.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import os
import pwd
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jupyter_quantum.resources import resource

__all__ = ["ENVIRONMENT", "Workspaces", "install", "private_home"]

ENVIRONMENT = "JUPYTER_QUANTUM_WORKSPACE"
"""Names a workspace in the environment of its processes."""

_SETTINGS: dict[str, dict[str, object]] = {
    "@jupyterlab/apputils-extension/notification": {"checkForUpdates": False, "fetchNews": "false"},
    "@jupyterlab/apputils-extension/themes": {"adaptive-theme": True},
}

Hook = Callable[[Any], Any]


def _safe(name: str) -> str:
    """A user's name as the start of a file name: never a path, never hidden, at most 32 characters."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:32].strip("-") or "user"


class Workspaces:
    """The workspaces below one directory.

    Args:
        root: parent of all workspaces; made with mode 0700.
        tutorials: directory whose notebooks are copied into each; the packaged ones where omitted.
    """

    def __init__(self, root: Path, tutorials: Path | None = None) -> None:
        self.root = root
        self._tutorials = tutorials
        root.mkdir(mode=0o700, parents=True, exist_ok=True)

    def create(self, user: str) -> Path:
        """Make a fresh home for ``user``, whatever the name holds, and return it."""
        home = Path(tempfile.mkdtemp(prefix=f"{_safe(user)}-", dir=self.root))
        source = self._tutorials or resource("tutorials")
        for notebook in sorted(source.glob("*.ipynb")):
            shutil.copyfile(notebook, home / notebook.name)
        for plugin, values in _SETTINGS.items():
            folder, _, name = plugin.rpartition("/")
            target = home / ".jupyter" / "lab" / "user-settings" / folder / f"{name}.jupyterlab-settings"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(json.dumps(values))
        return home

    def destroy(self, home: Path) -> None:
        """Kill the workspace's processes and remove its files. Does nothing for a path outside ``root``."""
        if home.parent != self.root or not home.exists():
            return
        _kill_all(home)
        shutil.rmtree(home, onerror=_unlock)

    async def pre_spawn(self, spawner: Any) -> None:
        """Hook: give ``spawner`` a fresh home and name it in the environment."""
        await self.post_stop(spawner)  # a start that failed half-way leaves one behind
        home = await asyncio.to_thread(self.create, str(spawner.user.name))
        spawner.home_dir = str(home)
        spawner.environment = {**spawner.environment, ENVIRONMENT: home.name}

    async def post_stop(self, spawner: Any) -> None:
        """Hook: remove the home that :meth:`pre_spawn` gave; the hub serves others meanwhile."""
        await asyncio.to_thread(self.destroy, Path(spawner.home_dir))


def _chained(first: Hook | None, second: Hook) -> Hook:
    if not callable(first):
        return second

    @functools.wraps(second)
    async def both(spawner: Any) -> None:
        for hook in (first, second):
            answer: Awaitable[Any] | Any = hook(spawner)
            if inspect.isawaitable(answer):
                await answer

    return both


def install(c: Any, root: Path, tutorials: Path | None = None) -> Workspaces:
    """Give every spawn of this configuration an ephemeral workspace below ``root``; hooks already there run first."""
    spaces = Workspaces(root, tutorials)
    for name, hook in (("pre_spawn_hook", spaces.pre_spawn), ("post_stop_hook", spaces.post_stop)):
        setattr(c.Spawner, name, _chained(c.Spawner.get(name), hook))
    c.Spawner.cmd = [
        sys.executable,
        "-m",
        "jupyter_quantum.hub.leash",
        "--",
        sys.executable,
        "-m",
        "jupyterhub.singleuser",
    ]
    return spaces


def private_home(spawner: Any) -> None:
    """Hook for users with unix accounts: nobody but its owner may enter a home (``/home`` is often open to all).

    Raises ``KeyError`` where there is no such account: nothing is spawned then.
    """
    Path(pwd.getpwnam(str(spawner.user.name)).pw_dir).chmod(0o700)


def _members(home: Path) -> list[int]:
    """Ids of processes that carry the workspace's name in their environment or work below it; never our own."""
    mark = f"{ENVIRONMENT}={home.name}".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # another user's, or gone meanwhile
            inside = Path(os.readlink(entry / "cwd")).is_relative_to(home)
            if inside or mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return [pid for pid in found if pid != os.getpid()]


def _kill_all(home: Path, rounds: int = 50) -> None:
    for _ in range(rounds):  # a process may fork while we look
        members = _members(home)
        if not members:
            return
        for pid in members:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _unlock(function: Callable[[str], object], path: str, _error: object) -> None:
    """A user may have taken write permission away from a directory: give it back and try again."""
    with contextlib.suppress(OSError):
        for place in (Path(path).parent, Path(path)):
            if not place.is_symlink():
                place.chmod(0o700)
        if Path(path).is_dir() and not Path(path).is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            function(path)
