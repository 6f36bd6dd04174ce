"""Start a program so that nothing of it outlives whoever started it.

``python -m jupyter_quantum.hub.leash [--exec] -- program argument …``

With ``--exec`` the program replaces this process and dies with its parent (proxy). Without, this process is a keeper:
orphans of the program are reparented to it, and when the program has ended, every descendant is killed before the
keeper ends (user servers: kernels, terminals, and whatever cell code left behind in a session of its own).

Linux only; elsewhere the program simply runs. Standard library only.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

__all__ = ["adopt_orphans", "descendants", "die_with_parent", "kill_descendants", "main"]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _prctl(option: int, value: int) -> bool:
    try:
        return int(ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)) == 0
    except (OSError, AttributeError):  # not Linux
        return False


def die_with_parent(signum: int = signal.SIGTERM) -> None:
    """Have the kernel send ``signum`` to this process when its parent ends. Survives ``exec``."""
    _prctl(_PR_SET_PDEATHSIG, signum)


def adopt_orphans() -> bool:
    """Make this process the new parent of its descendants' orphans; False where the system cannot."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def _children() -> dict[int, list[int]]:
    """Parent → children, of every process that can be seen and is not a zombie."""
    found: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            state, parent = entry.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found.setdefault(int(parent), []).append(int(entry.parent.name))
    return found


def descendants(pid: int) -> list[int]:
    """Ids of the living processes below ``pid``, parents first."""
    children = _children()
    found = list(children.get(pid, []))
    for child in found:
        found.extend(children.get(child, []))
    return found


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def kill_descendants(grace_s: float = 2.0) -> list[int]:
    """End every descendant of this process: SIGTERM, and SIGKILL to those still there after ``grace_s`` seconds.

    Returns the ids of those that had to be killed.
    """
    killed: set[int] = set()
    deadline = time.monotonic() + grace_s
    signum = signal.SIGTERM
    while alive := descendants(os.getpid()):
        if time.monotonic() >= deadline:
            signum = signal.SIGKILL
            killed.update(alive)
        for pid in alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signum)
        time.sleep(0.05)
        _reap()
        if time.monotonic() >= deadline + 5:  # uninterruptible, or another user's: nothing more can be done here
            break
    _reap()
    return sorted(killed)


def _keep(command: list[str]) -> int:
    die_with_parent()
    adopt_orphans()
    program = subprocess.Popen(command, preexec_fn=lambda: die_with_parent(signal.SIGKILL))

    def forward(signum: int, _frame: FrameType | None) -> None:
        with contextlib.suppress(ProcessLookupError):
            program.send_signal(signum)

    for signum in _FORWARDED:
        signal.signal(signum, forward)
    code = program.wait()
    kill_descendants(grace_s=1.0)
    return code if code >= 0 else 128 - code


def main(arguments: list[str]) -> int:
    """Run the command line; returns the program's exit status (128 + n after signal n)."""
    direct = arguments[:1] == ["--exec"]
    command = arguments[1:] if direct else arguments
    if command[:1] == ["--"]:
        command = command[1:]
    if direct:
        die_with_parent()
        os.execvp(command[0], command)  # noqa: S606
    return _keep(command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
