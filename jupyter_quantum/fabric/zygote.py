"""The mother of the workers: exec'd by the runner with a clean environment before any secret is read.

It imports Qiskit, builds devices and pass managers, and forks a worker whenever the runner asks. It never sees a
circuit of a user, never simulates, and so never forks while a simulation's threads live.

Conversation on file descriptor 3 (a sequenced-packet socket): the runner sends ``f`` for a fork; the zygote
sends ``H`` +
a piece of its :class:`Hello` (the last one as ``E``), ``w`` + pid with two descriptors (the worker's socket,
its pidfd), ``x`` + pid + wait status for a worker that has ended.
"""

from __future__ import annotations

import contextlib
import gc
import os
import selectors
import signal
import socket
import struct
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from jupyter_quantum.fabric.adapters import Device, adapter, build
from jupyter_quantum.fabric.frames import Hello, Setup
from jupyter_quantum.fabric.memory import address_space
from jupyter_quantum.fabric.methods import loaded
from jupyter_quantum.fabric.parse import QPY_VERSIONS
from jupyter_quantum.fabric.refusals import clean
from jupyter_quantum.fabric.sandbox import die_with_parent, survey
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.simulation import measured
from jupyter_quantum.fabric.worker import Worker

__all__ = ["CONTROL", "FORK", "main", "packages"]

CONTROL: Final = 3
FORK: Final = b"f"
_PIECE: Final = 48 * 1024
_PACKAGES: Final = (
    "qiskit",
    "qiskit-aer",
    "qiskit-ibm-runtime",
    "qiskit-qasm3-import",
    "numpy",
    "mthree",
    "iqm-client",
    "qiskit-aqt-provider",
    "qiskit-alice-bob-provider",
    "qiskit-braket-provider",
    "qiskit-ionq",
    "azure-quantum",
    "qdk",
    "jupyter-quantum",
)


def packages() -> dict[str, str]:
    """Versions of what decides on results."""
    found = {}
    for name in _PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


class Zygote:
    """Forks workers until the runner is gone."""

    def __init__(self, control: socket.socket, devices: dict[str, Device], remote: list[str]) -> None:
        self._control = control
        self._devices = devices
        self._remote = remote
        self._wake, wake = socket.socketpair()
        self._wake.setblocking(False)
        wake.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        self._wake_other = wake

    def greet(self) -> None:
        """Say what is here."""
        have, missing = survey()
        hello = Hello(
            devices=[device.announcement().model_dump(mode="json") for device in self._devices.values()],
            remote=self._remote,
            packages=packages(),
            sandbox=have,
            missing=missing,
            qpy_versions=QPY_VERSIONS,
            baseline=address_space(),
        )
        said = hello.model_dump_json().encode()
        pieces = [said[at : at + _PIECE] for at in range(0, len(said), _PIECE)]
        for piece in pieces[:-1]:
            self._control.send(b"H" + piece)
        self._control.send(b"E" + pieces[-1])

    def serve(self) -> None:
        """Answer the runner until it closes the socket."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(self._wake, selectors.EVENT_READ)
            while True:
                ready = {key.fileobj for key, _ in selector.select()}
                if self._wake in ready:
                    self._reap()
                if self._control in ready:
                    asked = self._control.recv(16)
                    if not asked:
                        return
                    self._fork()

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake.recv(4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._control.send(struct.pack("!cIi", b"x", pid, status))

    def _fork(self) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            self._become_worker(theirs)
        theirs.close()
        pidfd = os.pidfd_open(pid)
        socket.send_fds(self._control, [struct.pack("!cI", b"w", pid)], [ours.fileno(), pidfd])
        os.close(pidfd)
        ours.close()

    def _become_worker(self, channel: socket.socket) -> None:
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            die_with_parent(signal.SIGKILL)
            code = Worker(channel.detach(), self._devices).live()
        except MemoryError:
            code = 71
        finally:
            os._exit(code)


def _described(spec: DeviceSpec, setup: Setup) -> dict[str, Device]:
    """A remote device as its vendor described it; a description that makes no device keeps nobody else from serving."""
    try:
        device = build(spec, setup.threads, setup.calibrations[spec.name])
        device.warm()
    except Exception as error:
        sys.stderr.write(f"{spec.name}: what its vendor says of it cannot be used: {clean(error, 300)}\n")
        return {}
    return {spec.name: device}


def main() -> None:
    """Entry point: :class:`Setup` as JSON on standard input, to its end."""
    die_with_parent(signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    setup = Setup.model_validate_json(sys.stdin.buffer.read())
    try:
        remote = [spec.name for spec in setup.devices if adapter(spec.adapter).remote]
        devices = {spec.name: build(spec, setup.threads) for spec in setup.devices if spec.name not in remote}
    except ValueError as error:  # words for the operator
        sys.exit(str(error))
    pace = measured()
    for device in devices.values():
        device.pace = pace
        device.warm()
    for spec in setup.devices:
        if spec.name in remote and spec.name in setup.calibrations:
            devices |= _described(spec, setup)
    for name in sorted({name for device in devices.values() for name in device.mitigations()} - {"none"}):
        loaded(name)
    zygote = Zygote(socket.socket(fileno=CONTROL), devices, remote)
    gc.collect()
    gc.freeze()  # pages of what is shared stay shared
    zygote.greet()
    zygote.serve()
