"""A locked process can read Python and compute, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_quantum.fabric.sandbox import readable_paths, survey

PROBE = """
import fcntl, json, os, socket, subprocess, sys, threading, signal, ctypes
from jupyter_quantum.fabric.frames import write_frame
from jupyter_quantum.fabric.sandbox import lock
import tempfile, urllib.request, multiprocessing, asyncio

secret, writable, channel = sys.argv[1], sys.argv[2], int(sys.argv[3])
outside = open(secret)   # opened before the lock: must be closed by it
lock(channel)
libc = ctypes.CDLL(None, use_errno=True)

def native(number, *args):
    ctypes.set_errno(0)
    if libc.syscall(number, *args) < 0:
        raise OSError(ctypes.get_errno(), "syscall")

def fork():
    if os.fork() == 0:
        os._exit(0)

acts = {
    "read a secret": lambda: open(secret).read(),
    "read a file opened before": lambda: os.read(3, 1) if channel != 3 else outside.read(),
    "read the accounts": lambda: open("/etc/passwd").read(),
    "read the environment of others": lambda: open(f"/proc/{os.getppid()}/environ").read(),
    "list the root": lambda: os.listdir("/"),
    "list the home": lambda: os.listdir(os.path.expanduser("~")),
    "write a file": lambda: open(os.path.join(writable, "x"), "w"),
    "write a temporary file": lambda: tempfile.TemporaryFile(),
    "delete a file": lambda: os.unlink(secret),
    "rename a file": lambda: os.rename(secret, secret + "2"),
    "make a directory": lambda: os.mkdir(os.path.join(writable, "d")),
    "change a mode": lambda: os.chmod(secret, 0o777),
    "open a TCP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM),
    "open a UDP socket": lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
    "open a unix socket": lambda: socket.socket(socket.AF_UNIX),
    "open a netlink socket": lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "a pair of sockets": lambda: socket.socketpair(),
    "fetch a page": lambda: urllib.request.urlopen("http://127.0.0.1:9/"),
    "fork": fork,
    "vfork": lambda: native(58) if os.uname().machine == "x86_64" else native(220, 0),
    "run a command": lambda: subprocess.run(["/bin/true"], check=True),
    "become another program": lambda: os.execv("/bin/true", ["true"]),
    "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
    "kill the parent": lambda: os.kill(os.getppid(), signal.SIGTERM),
    "kill everybody": lambda: os.kill(-1, signal.SIGTERM),
    "have a socket signal the parent": lambda: fcntl.fcntl(channel, fcntl.F_SETOWN, os.getppid()),
    "have a socket kill": lambda: fcntl.fcntl(channel, fcntl.F_SETSIG, signal.SIGKILL),
    "have a socket signal, by the other call": lambda: fcntl.ioctl(channel, 0x8901, os.getppid().to_bytes(4, "little")),
    "pin the parent": lambda: os.sched_setaffinity(os.getppid(), {0}),
    "trace the parent": lambda: native(101 if os.uname().machine == "x86_64" else 117, 16, os.getppid(), 0, 0),
    "a new namespace": lambda: native(272 if os.uname().machine == "x86_64" else 97, 0x10000000),
    "an io_uring": lambda: native(425, 8, 0),
    "keys": lambda: native(250 if os.uname().machine == "x86_64" else 219, 0, -3, 0),
    "raise a limit": lambda: __import__("resource").setrlimit(4, (1 << 30, 1 << 30)),
}
allowed = {
    "import a module": lambda: __import__("xml.dom.minidom"),
    "start a thread": lambda: (lambda t: (t.start(), t.join()))(threading.Thread(target=int)),
    "random numbers": lambda: os.urandom(8),
    "wait on a descriptor": lambda: (os.set_blocking(channel, False), os.set_blocking(channel, True)),
    "copy a descriptor": lambda: os.close(os.dup(channel)),
    "ask for a terminal": lambda: os.isatty(channel),
    "compute": lambda: __import__("numpy").linalg.svd(__import__("numpy").eye(50)),
}

def outcome(act):
    try:
        act()
    except BaseException as error:
        return type(error).__name__
    return "done"

said = {name: outcome(act) for name, act in acts.items()}, {name: outcome(act) for name, act in allowed.items()}
write_frame(channel, json.dumps(said).encode())
"""


@pytest.fixture(scope="module")
def tried(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], dict[str, str]]:
    """What a locked process could do: denied acts and allowed ones, each ``done`` or the name of an exception."""
    directory = tmp_path_factory.mktemp("sandbox")
    secret = directory / "secret"
    secret.write_text("credential")
    reading, writing = os.pipe()
    root = Path(__file__).resolve().parents[3]
    process = subprocess.run(
        [sys.executable, "-c", PROBE, str(secret), str(directory), str(writing)],
        pass_fds=(writing,),
        env={"PYTHONPATH": str(root), "PATH": "/usr/bin:/bin", "HOME": str(directory), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read()
    assert said, process.stderr.decode()
    assert secret.read_text() == "credential"
    denied, allowed = json.loads(said[4:])
    return denied, allowed


def test_network_processes_and_files_are_denied(tried: tuple[dict[str, str], dict[str, str]]) -> None:
    """Every act that a circuit has no business with fails."""
    denied, _ = tried
    assert len(denied) == 34
    assert {name for name, outcome in denied.items() if outcome == "done"} == set()


def test_what_qiskit_needs_is_left(tried: tuple[dict[str, str], dict[str, str]]) -> None:
    """Imports, threads, random numbers and linear algebra work in a locked process."""
    _, allowed = tried
    assert allowed == dict.fromkeys(allowed, "done")


def test_the_survey_tells_what_is_missing() -> None:
    """Every lock is either there or named as missing, with what that means."""
    have, missing = survey()
    assert len(have) + len(missing) == 4
    assert all(":" in line for line in missing)


def test_nothing_of_users_is_readable() -> None:
    """The paths that stay readable hold no home, no temporary directory, and nothing above the package."""
    paths = [Path(path) for path in readable_paths()]
    package = Path(__file__).resolve().parents[3] / "jupyter_quantum"
    for unwanted in (Path.home(), Path("/tmp"), Path("/etc"), Path("/proc"), package.parent, Path("/var")):
        assert not any(unwanted.is_relative_to(path) for path in paths), unwanted
