"""Workers, from the runner's side: forked ahead of need, given to one user, killed in time.

A worker that has served a user waits up to a minute for the same user's next task (*affinity*) and then ends; it never
serves another. Its answers are capped and validated; how it died becomes the refusal that the user reads.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import resource
import signal
import socket
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from jupyter_quantum.fabric.adapters.vendor import Calibration
from jupyter_quantum.fabric.frames import FROM_WORKER_MOST, HEAD, Hello, Order, Outcome, Setup
from jupyter_quantum.fabric.memory import SLACK
from jupyter_quantum.fabric.settings import Settings
from jupyter_quantum.wire.runner import Task

__all__ = ["Ended", "Pool", "Session"]

log = logging.getLogger(__name__)

_IDLE_S: Final = 60.0
_START_S: Final = 300.0
_PARTS: Final = 1000
"""The most messages of one answer."""
_READY: Final = b"ready"
_CONTROL: Final = 3


class Ended(Exception):
    """A worker ended without an answer; ``why`` is ``time``, ``memory``, ``crash``, ``cpu``, ``stopped`` …"""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


@dataclass(eq=False)
class Session:
    """One worker process, and whom it belongs to."""

    pid: int
    pidfd: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    affinity: str = ""
    idle_since: float = 0.0
    killed_for: str | None = None
    ended: asyncio.Future[int] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def kill(self, why: str) -> None:
        """End the process at once; whoever waits for its answer gets :class:`Ended`."""
        if self.killed_for is None:
            self.killed_for = why
        if self.ended.done():
            return  # buried: its pid may be another's by now
        if self.pidfd < 0:
            return
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    async def ask(self, task: Task, part: Callable[[Outcome], None] | None = None) -> Outcome:
        """Give the task and wait for its outcome; raises :class:`Ended`.

        ``part`` is called with each part that comes before the last; where it is None, a part is garbage.
        """
        return await self.order(Order(task=task), part)

    async def order(self, order: Order, part: Callable[[Outcome], None] | None = None) -> Outcome:
        """The same, for one end of a run on a vendor's machine."""
        clock = asyncio.get_running_loop().call_later(order.task.timeout_s, self.kill, "time")
        try:
            message = order.model_dump_json().encode()
            self.writer.write(HEAD.pack(len(message)) + message)
            await self.writer.drain()
            for _ in range(_PARTS):
                outcome = Outcome.model_validate_json(await self._frame())
                if not outcome.more:
                    return outcome
                if part is None:
                    break
                part(outcome)
            self.kill("garbage")
            raise Ended("garbage")
        except (ConnectionError, asyncio.IncompleteReadError):
            raise Ended(await self._why()) from None
        except ValidationError:
            self.kill("garbage")
            raise Ended("garbage") from None
        finally:
            clock.cancel()

    async def _frame(self) -> bytes:
        (size,) = HEAD.unpack(await self.reader.readexactly(HEAD.size))
        if size > FROM_WORKER_MOST:
            self.kill("garbage")
            raise Ended("garbage")
        return await self.reader.readexactly(size)

    async def ready(self) -> None:
        """Wait until the worker is locked and warm; raises :class:`Ended`."""
        try:
            said = await asyncio.wait_for(self._frame(), _START_S)
            if said != _READY:
                raise Ended(said.decode(errors="replace")[:500])
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError):
            raise Ended("start") from None

    async def _why(self) -> str:
        """How it died, in a word."""
        if self.killed_for:
            return self.killed_for
        try:
            status = await asyncio.wait_for(asyncio.shield(self.ended), 5)
        except TimeoutError:
            return "crash"
        if os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            return {signal.SIGPROF: "cpu", signal.SIGKILL: "memory", signal.SIGXCPU: "cpu"}.get(
                signal.Signals(number), "crash"
            )
        return "memory" if os.WEXITSTATUS(status) == 71 else "crash"


class Pool:
    """The zygote and its workers.

    Args:
        settings: of the runner.
        calibrations: what the vendors of remote devices announced, by name; a remote device without is not served.
    """

    def __init__(self, settings: Settings, calibrations: Mapping[str, Calibration] | None = None) -> None:
        self._settings = settings
        self._calibrations = dict(calibrations or {})
        self._home = tempfile.TemporaryDirectory(prefix="jq-runner-")
        self._idle: dict[str, list[Session]] = {}
        self._fresh: asyncio.Queue[Session] = asyncio.Queue()
        self._coming = 0
        self._wanted = 0
        self._retired = False
        self._all: dict[int, Session] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._hello = bytearray()
        self._greeted: asyncio.Future[Hello] = asyncio.get_running_loop().create_future()
        self._lost = asyncio.Event()
        self._control: socket.socket | None = None
        self._zygote: asyncio.subprocess.Process | None = None
        self._closing = False

    async def start(self) -> Hello:
        """Start the zygote and the first workers; returns what it says of itself."""
        settings = self._settings
        setup = Setup(threads=settings.threads, devices=list(settings.devices), calibrations=self._calibrations)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        self._zygote = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            f"import os, sys; os.dup2({theirs.fileno()}, {_CONTROL}); sys.argv = ['zygote']; "
            "from jupyter_quantum.fabric.namespaces import enter; enter(os.environ['HOME']); "
            "from jupyter_quantum.fabric.zygote import main; main()",
            stdin=asyncio.subprocess.PIPE,
            pass_fds=(theirs.fileno(),),
            env=self._environment(),
            cwd=self._home.name,
        )
        theirs.close()
        assert self._zygote.stdin is not None
        self._zygote.stdin.write(setup.model_dump_json().encode())
        self._zygote.stdin.close()
        self._control = ours
        asyncio.get_running_loop().add_reader(ours.fileno(), self._hear)
        hello = await asyncio.wait_for(self._greeted, _START_S)
        self._baseline = hello.baseline
        self._fill()
        return hello

    def _environment(self) -> dict[str, str]:
        """Nothing of the service's: only what Python and the simulators need."""
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": self._home.name,
            "TMPDIR": self._home.name,
            "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONHASHSEED": "0",
            "QISKIT_IN_PARALLEL": "TRUE",
            "QISKIT_PARALLEL": "FALSE",
            "RAYON_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": str(self._settings.threads),
            "OMP_WAIT_POLICY": "PASSIVE",  # a helper thread that spins after a run takes a core from the service
            "MALLOC_ARENA_MAX": "2",
            "QDK_PYTHON_TELEMETRY": "none",
        }

    def _hear(self) -> None:
        assert self._control is not None
        while True:
            try:
                message, descriptors, _, _ = socket.recv_fds(self._control, 65536, 2)
            except BlockingIOError:
                return
            except OSError:
                message, descriptors = b"", []
            if not message:
                self._zygote_lost()
                return
            self._heard(message, descriptors)

    def _zygote_lost(self) -> None:
        assert self._control is not None
        asyncio.get_running_loop().remove_reader(self._control.fileno())
        self._lost.set()
        if not self._greeted.done():
            self._greeted.set_exception(RuntimeError("the zygote ended before it was ready"))

    def _heard(self, message: bytes, descriptors: list[int]) -> None:
        what, body = message[:1], message[1:]
        if what in {b"H", b"E"}:
            self._hello += body
            if what == b"E":
                self._greeted.set_result(Hello.model_validate_json(bytes(self._hello)))
        elif what == b"w":
            self._spawn(self._welcome(struct.unpack("!I", body)[0], descriptors[0], descriptors[1]))
        elif what == b"x":
            pid, status = struct.unpack("!Ii", body)
            session = self._all.pop(pid, None)
            if session is not None:
                self._bury(session, status)

    def _spawn(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task = asyncio.get_running_loop().create_task(work, context=Context())  # it is of no task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _bury(self, session: Session, status: int) -> None:
        if not session.ended.done():
            session.ended.set_result(status)
        if session.pidfd >= 0:
            os.close(session.pidfd)
            session.pidfd = -1
        idle = self._idle.get(session.affinity, [])
        if session in idle:
            idle.remove(session)

    async def _welcome(self, pid: int, channel: int, pidfd: int) -> None:
        reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=channel), limit=1 << 20)
        session = Session(pid, pidfd, reader, writer)
        self._all[pid] = session
        try:
            await session.ready()
        except Ended as error:
            log.error("a worker could not be started: %s", error.why)
            session.kill("start")
            await asyncio.sleep(1)
            self._bury(session, 0)
            self._coming -= 1
            self._fill()
            return
        self._coming -= 1
        self._fresh.put_nowait(session)

    def _fill(self) -> None:
        """Ask for workers until enough are ready or on their way."""
        most = self._wanted if self._retired else self._settings.workers
        while not self._closing and self._fresh.qsize() + self._coming < most:
            assert self._control is not None
            self._control.send(b"f")
            self._coming += 1

    @property
    def live(self) -> int:
        """Workers that live."""
        return len(self._all)

    @property
    def ready(self) -> int:
        """Workers that nobody has."""
        return self._fresh.qsize()

    @property
    def lost(self) -> asyncio.Event:
        """Set once the zygote is gone; no worker can be had any more."""
        return self._lost

    async def acquire(self, affinity: str, memory_mb: int) -> Session:
        """A worker of this user's, or a fresh one; waits while none is ready."""
        waiting = self._idle.get(affinity, [])
        while waiting:
            session = waiting.pop()
            if not session.ended.done() and session.killed_for is None:
                self._bound(session, memory_mb)
                return session
        session = await self._next()
        session.affinity = affinity
        self._bound(session, memory_mb)
        return session

    async def _next(self) -> Session:
        """A fresh worker."""
        self._wanted += 1
        try:
            while True:
                self._fill()
                session = await self._fresh.get()
                if not session.ended.done():
                    return session
        finally:
            self._wanted -= 1
            self._fill()

    def _bound(self, session: Session, memory_mb: int) -> None:
        most = self._baseline + SLACK + memory_mb * 1024 * 1024
        try:
            resource.prlimit(session.pid, resource.RLIMIT_AS, (most, most))
        except ProcessLookupError:
            return  # it has ended, and whoever asks it learns so
        except PermissionError:
            session.kill("limits")  # one that cannot be bounded serves nobody

    def retire(self) -> None:
        """Another pool takes over. Who has a worker or waits for one is served still; :meth:`close` after that."""
        self._retired = True
        for session in [one for them in self._idle.values() for one in them]:
            session.kill("idle")

    def release(self, session: Session) -> None:
        """Keep the worker for its user for a while, or end it."""
        if not session.affinity or session.ended.done() or session.killed_for or self._closing or self._retired:
            session.kill("done")
            return
        session.idle_since = time.monotonic()
        self._idle.setdefault(session.affinity, []).append(session)
        self._evict()
        asyncio.get_running_loop().call_later(_IDLE_S + 0.1, self._evict)

    def _evict(self) -> None:
        """End sessions that have been idle too long, and the oldest of too many."""
        idle = sorted((one for them in self._idle.values() for one in them), key=lambda one: one.idle_since)
        surplus = len(idle) - self._settings.workers
        for at, session in enumerate(idle):
            if at < surplus or time.monotonic() - session.idle_since >= _IDLE_S:
                self._idle[session.affinity].remove(session)
                session.kill("idle")
        self._idle = {affinity: them for affinity, them in self._idle.items() if them}

    async def close(self) -> None:
        """End every worker and the zygote."""
        self._closing = True
        for session in list(self._all.values()):
            session.kill("stopped")
        if self._control is not None and not self._lost.is_set():
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
        if self._zygote is not None:
            with contextlib.suppress(ProcessLookupError):
                self._zygote.kill()  # it holds nothing that would have to be put away
            await self._zygote.wait()
        for task in list(self._tasks):
            task.cancel()
        for session in list(self._all.values()):
            self._bury(session, 0)
            session.writer.close()
        self._home.cleanup()
