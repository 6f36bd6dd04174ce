"""Isolation on the real thing: unix users of this machine, a running service with its runner, and a locked worker.

Each actor is a process of its own that gives its rights away and then tries what it should not be able to do.
"""

from __future__ import annotations

import json
import os
import pwd
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from jupyter_quantum.hub.workspace import private_home
from tests.prove.lab import ProofLab

ROOT = Path(__file__).resolve().parents[3]
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can make unix users")

PROBE = """
import ctypes, json, os, signal, socket, sys, urllib.request
from pathlib import Path
from jupyter_quantum.fabric.frames import write_frame
from jupyter_quantum.fabric.sandbox import lock

told = json.loads(sys.argv[1])
channel = int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
ATTACH, READ = {"x86_64": (101, 310), "aarch64": (117, 270)}[os.uname().machine]

def native(number, *arguments):
    ctypes.set_errno(0)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")

def connect(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)

acts = {}
for path in told["files"]:
    acts[f"read {path}"] = lambda path=path: open(path, "rb").read(1)
    acts[f"overwrite {path}"] = lambda path=path: open(path, "r+b")
for path in told["folders"]:
    acts[f"list {path}"] = lambda path=path: os.listdir(path)
    acts[f"add to {path}"] = lambda path=path: open(path + "/planted", "x")
for path in told["sockets"]:
    acts[f"speak to {path}"] = lambda path=path: connect(path)
for pid in told["processes"]:
    acts[f"environment of {pid}"] = lambda pid=pid: open(f"/proc/{pid}/environ", "rb").read()
    acts[f"memory of {pid}"] = lambda pid=pid: open(f"/proc/{pid}/mem", "rb")
    acts[f"descriptors of {pid}"] = lambda pid=pid: os.listdir(f"/proc/{pid}/fd")
    acts[f"signal {pid}"] = lambda pid=pid: os.kill(pid, signal.SIGUSR1)
    acts[f"trace {pid}"] = lambda pid=pid: native(ATTACH, 16, pid, 0, 0)

if told["user"] is None:
    lock(channel)
else:
    os.setgroups([])
    os.setresgid(told["group"], told["group"], told["group"])
    os.setresuid(told["user"], told["user"], told["user"])

def outcome(act):
    try:
        act()
    except BaseException as error:
        return type(error).__name__
    return "done"

own = {path: outcome(lambda: open(path, "rb").read(1)) for path in told["own"]}
write_frame(channel, json.dumps([{name: outcome(act) for name, act in acts.items()}, own]).encode())
"""


def attempts(user: pwd.struct_passwd | None, **told: Any) -> tuple[dict[str, str], dict[str, str]]:
    """What a process of ``user`` (None: a locked worker) can do: its attacks, and what it must be able to."""
    whole = {name: [str(one) for one in told.get(name, ())] for name in ("files", "folders", "sockets", "own")}
    words = {
        **whole,
        "processes": told.get("processes", []),
        "user": user and user.pw_uid,
        "group": user and user.pw_gid,
    }
    reading, writing = os.pipe()
    done = subprocess.run(
        [sys.executable, "-c", PROBE, json.dumps(words), str(writing)],
        pass_fds=(writing,),
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        said = answer.read()
    assert said, done.stderr.decode()
    attacks, own = json.loads(said[4:])
    return attacks, own


def succeeded(outcomes: dict[str, str]) -> set[str]:
    """The attacks that were not answered with "not permitted"."""
    return {f"{act}: {outcome}" for act, outcome in outcomes.items() if outcome != "PermissionError"}


@pytest.fixture
def people(tmp_path: Path) -> Iterator[list[pwd.struct_passwd]]:
    """Two unix users with homes that ``useradd`` made as it does here."""
    for place in (tmp_path, *tmp_path.parents):
        if place.stat().st_uid == os.geteuid() and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)  # so that nothing but the home itself protects it
    names = [f"jq{secrets.token_hex(4)}" for _ in range(2)]
    try:
        for name in names:
            home = str(tmp_path / name)
            subprocess.run(["useradd", "--create-home", "--home-dir", home, name], check=True, capture_output=True)
        yield [pwd.getpwnam(name) for name in names]
    finally:
        for name in names:
            subprocess.run(["userdel", name], check=False, capture_output=True)


@pytest.fixture(scope="module")
def lab() -> Iterator[ProofLab]:
    """A hub and a service with its runner; only the service's own modes protect its data."""
    with ProofLab() as made:
        made.folder.chmod(0o711)
        made.hub("ada").backend("aer")
        yield made


def service_parts(lab: ProofLab) -> dict[str, Any]:
    """Files, sockets and processes of the running service."""
    data = lab.folder / "data"
    family = [psutil.Process(lab.service_pid), *psutil.Process(lab.service_pid).children(recursive=True)]
    assert len(family) >= 4  # service, runner, zygote, workers
    files = [data / name for name in ("quantum.sqlite", "cookie.key", "affinity.key", "service.lock")]
    assert all(file.is_file() for file in files)
    return {
        "files": files,
        "folders": [data, data / "runner"],
        "sockets": [one.laddr for one in family[0].net_connections("unix") if str(one.laddr).endswith("runner.sock")],
        "processes": [one.pid for one in family],
    }


@AS_ROOT
def test_a_home_is_its_owners(people: list[pwd.struct_passwd]) -> None:
    """After the spawn's hook one unix user reads and changes nothing of another's workspace; the owner does."""
    ada, ben = people
    home = Path(ada.pw_dir)
    notebook = home / "work.ipynb"
    notebook.write_text("{}")
    os.chown(notebook, ada.pw_uid, ada.pw_gid)
    notebook.chmod(0o666)
    home.chmod(0o755)  # as many systems make homes
    assert f"read {notebook}: done" in succeeded(attempts(ben, files=[notebook])[0])
    private_home(SimpleNamespace(user=SimpleNamespace(name=ada.pw_name)))
    attacks, _ = attempts(ben, files=[notebook], folders=[home])
    assert succeeded(attacks) == set()
    assert attempts(ada, own=[notebook])[1] == {str(notebook): "done"}


@AS_ROOT
def test_a_unix_user_reaches_nothing_of_the_service(lab: ProofLab, people: list[pwd.struct_passwd]) -> None:
    """Not its store, keys, runner's socket, environment (tokens), memory; and its processes take no signal."""
    parts = service_parts(lab)
    assert parts["sockets"]
    attacks, _ = attempts(people[0], **parts)
    assert len(attacks) >= 30
    assert succeeded(attacks) == set()
    assert lab.hub("ada").quota()  # it still serves


def test_a_locked_worker_reaches_nothing_of_the_service(lab: ProofLab) -> None:
    """The same for a worker, which is of the service's own unix user; other workers are among the processes."""
    parts = service_parts(lab)
    attacks, _ = attempts(None, **parts)
    assert succeeded(attacks) == set()
    assert lab.hub("ada").quota()


def test_no_token_is_on_a_command_line(lab: ProofLab) -> None:
    """Command lines are open to every user of the machine: none of the service's holds a secret."""
    told = lab._told
    for pid in service_parts(lab)["processes"]:
        line = Path(f"/proc/{pid}/cmdline").read_text()
        assert not any(secret in line for secret in (told["service_token"], told["prover"], lab.token("ada")))
