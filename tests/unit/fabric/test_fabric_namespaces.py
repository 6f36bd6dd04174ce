"""The layer around the zygote: what it hides, and what it does where a machine does not allow it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_TELL = """
import json, os, socket
from jupyter_quantum.fabric import namespaces
before = os.listdir("/tmp")
namespaces.enter(os.environ["HOME"])
try:
    socket.create_connection(("127.0.0.1", int(os.environ["PORT"])), 1)
    reached = True
except OSError:
    reached = False
import numpy
with open(os.path.join(os.environ["HOME"], "mine"), "w") as file:
    file.write("x")
print(json.dumps({
    "entered": namespaces.entered, "lacking": namespaces.lacking, "reached": reached, "uid": os.getuid(),
    "tmp": os.listdir("/tmp"), "devices": os.listdir("/sys/class/net") if os.path.isdir("/sys/class/net") else [],
    "cwd": os.getcwd(),
}))
"""
_FEWER = """
import ctypes, os
libc = ctypes.CDLL(None)
uid, gid = os.geteuid(), os.getegid()
assert libc.unshare(0x10000000) == 0
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write(f"0 {uid} 1")
open("/proc/self/gid_map", "w").write(f"0 {gid} 1")
open("/proc/sys/user/max_user_namespaces", "w").write("0")
"""
"""Inside a user namespace that allows no further ones."""
_NONE = """
from jupyter_quantum.fabric.sandbox import drop_capabilities
drop_capabilities()
"""


def tell(tmp_path: Path, prelude: str = "") -> dict[str, object]:
    """What a process finds that has entered, beside a listening port of this one."""
    import socket

    home = tmp_path / "home"
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        env = {"PATH": os.environ["PATH"], "HOME": str(home), "PORT": port, "PYTHONPATH": str(ROOT)}
        env["OPENBLAS_NUM_THREADS"] = "1"
        done = subprocess.run([sys.executable, "-c", prelude + _TELL], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (home / "mine").exists() or "private_tmp" not in done.stdout or not str(home).startswith("/tmp")
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_nothing_of_the_machine_is_near(tmp_path: Path) -> None:
    """No port of this machine is reached, no file of its /tmp seen or left there; imports and the home still work."""
    found = tell(tmp_path)
    if "user_namespace" not in found["entered"]:
        assert found["lacking"], "what a machine does not allow is said"
        return
    assert found["entered"] == ["user_namespace", "network_namespace", "private_tmp"]
    assert (found["reached"], found["uid"], found["lacking"]) == (False, 65534, [])
    assert tmp_path.name not in found["tmp"]
    assert found["cwd"] == str(tmp_path / "home")


@pytest.mark.parametrize(
    ("prelude", "entered", "words"),
    [
        (_FEWER, ["network_namespace", "private_tmp"], "user_namespace"),
        (_FEWER + _NONE, [], "namespaces: this machine does not allow them"),
    ],
    ids=["no user namespaces", "none at all"],
)
def test_what_is_not_allowed_is_said_and_done_without(
    tmp_path: Path, prelude: str, entered: list[str], words: str
) -> None:
    """Without user namespaces, root makes the others; where nothing may be made, the process goes on and says so."""
    if os.path.exists("/proc/sys/user/max_user_namespaces") is False:
        prelude, entered = _NONE, []
    found = tell(tmp_path, prelude)
    assert found["entered"] == entered
    assert any(words in line for line in found["lacking"])
    assert found["reached"] is (not entered)
