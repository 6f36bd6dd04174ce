"""The local runner: started with a clean environment, restarted when it dies, never outliving the service.

The runner gets one line of JSON on its stdin and keeps reading: when the service ends, however it ends, stdin closes
and the runner drains and exits.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.hub.leash import die_with_parent

__all__ = ["RunnerProcess", "clean_environment", "socket_path"]

log = logging.getLogger("jupyter_quantum.hub")

_KEPT: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE")
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_HEALTHY_S: Final = 60.0
_DRAIN_S: Final = 5.0
_SOCKET_BYTES: Final = 100
"""A unix socket's path has at most 107 bytes on Linux."""


def clean_environment(home: Path, environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a runner is told of the service's environment: an allow-list, and a home of its own."""
    kept = {name: environment[name] for name in _KEPT if name in environment}
    # Found where this package is, also in a checkout that is not installed.
    source = str(Path(__file__).resolve().parents[2])
    own = {"HOME": str(home), "TMPDIR": str(home / "tmp"), "PYTHONPATH": source, "PYTHONSAFEPATH": "1"}
    return {**kept, **own}


def socket_path(data_dir: Path) -> Path:
    """Where the socket goes: the data directory, or a private directory of ours where that path is too long."""
    path = data_dir / "runner.sock"
    if len(os.fsencode(path)) <= _SOCKET_BYTES:
        return path
    return Path(tempfile.mkdtemp(prefix="jq-"), "runner.sock")  # mode 0700


class RunnerProcess:
    """Keeps one runner alive.

    Args:
        home: its home directory, made with mode 0700.
        words: what it is told on stdin beside its id: socket, token, devices, workers, threads.
        gone: called whenever it has died.
        command: what to run; ``python -m jupyter_quantum.fabric`` where omitted.
    """

    def __init__(
        self,
        home: Path,
        words: Mapping[str, Any],
        *,
        gone: Callable[[], None],
        command: Sequence[str] = (sys.executable, "-m", "jupyter_quantum.fabric"),
    ) -> None:
        self._home = home
        self._words = dict(words)
        self._gone = gone
        self._command = list(command)
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """Process id of the runner that lives now."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    def start(self) -> None:
        """Start it, and again whenever it dies."""
        self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._keeper = asyncio.create_task(self._keep(), name="runner")

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            began = asyncio.get_running_loop().time()
            code = await self._run()
            if self._stopping:
                return
            self._gone()
            lived = asyncio.get_running_loop().time() - began
            pause = _FIRST_PAUSE_S if lived > _HEALTHY_S else min(pause * 2, _LONGEST_PAUSE_S)
            log.warning("The runner ended with status %s after %.0f s; starting another in %.1f s", code, lived, pause)
            await asyncio.sleep(pause)

    async def _run(self) -> int:
        scratch = self._home / "tmp"  # a killed runner leaves its files here, and only until the next one starts
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700)
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=sys.stderr.fileno(),
            cwd=self._home,
            env=clean_environment(self._home),
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        self._process = process
        assert process.stdin is not None
        line = json.dumps({**self._words, "runner": new_id("run")})
        with contextlib.suppress(ConnectionError):
            process.stdin.write(line.encode() + b"\n")
            await process.stdin.drain()
        try:
            return await process.wait()
        finally:
            _kill_group(process.pid)

    async def stop(self) -> None:
        """Close its stdin, give it time to drain, then end it and everything that it started."""
        self._stopping = True
        process = self._process
        if process is not None and process.returncode is None and process.stdin is not None:
            process.stdin.close()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(process.wait()), _DRAIN_S)
            _kill_group(process.pid)
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
