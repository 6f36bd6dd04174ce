"""A vendor process, from the runner's side: started when it is first needed, and again when it has died.

Each verb has a time-out. A *submit* that takes longer than it may ends the process: nothing can be sent for it later,
so that what is not found afterwards is not there. What was on its way when a process dies is *unsure* where it was a
submission, and *unavailable* otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from contextvars import Context
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from jupyter_quantum.fabric.adapters.vendor import (
    Answer,
    SessionStatus,
    Status,
    VendorError,
    VendorRefused,
    VendorUnavailable,
    VendorUnsure,
)
from jupyter_quantum.fabric.frames import HEAD
from jupyter_quantum.fabric.logs import ABOUT
from jupyter_quantum.fabric.metrics import METRICS
from jupyter_quantum.fabric.refusals import clean
from jupyter_quantum.fabric.secrets import Secrets
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.vendors.messages import MOST, READY, UNSURE, Call, Reading, Reply, Start, Verb
from jupyter_quantum.fabric.vendors.scrub import Scrubber
from jupyter_quantum.fabric.vendors.sessions import Opening
from jupyter_quantum.wire.sessions import SessionMode

__all__ = ["VendorProcess"]

log = logging.getLogger(__name__)

_CONTROL: Final = 3
_CALL_S: Final = 60.0
_ANNOUNCE_S: Final = 180.0
_START_S: Final = 120.0
_RESULT_S: Final = 300.0
_ABANDONED_MOST: Final = 8
_LINE: Final = 2000
_PASSED: Final = (
    "PATH",
    "LANG",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
)
_ERRORS: Final[dict[str, type[VendorError]]] = {
    "unavailable": VendorUnavailable,
    "refused": VendorRefused,
    "unsure": VendorUnsure,
}


class VendorProcess:
    """The verbs of one remote device's vendor; each raises a :class:`VendorError` of one of the three kinds.

    Args:
        spec: the device.
        secrets: where its secret is; read at each start.
    """

    def __init__(self, spec: DeviceSpec, secrets: Secrets) -> None:
        self.spec = spec
        self.submit_s = 30.0
        self.indexing_s = 0.0
        self._opening = Opening(spec, self._open_session)
        self._secrets = secrets
        self._home = tempfile.TemporaryDirectory(prefix="jq-vendor-")
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._numbers = itertools.count(1)
        self._abandoned = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def pid(self) -> int | None:
        """Of the process that lives now."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    # Verbs

    async def announce(self) -> Reading:
        """What the device is."""
        return self._read(await self._call("announce", _ANNOUNCE_S))

    async def calibration(self) -> Reading:
        """The device as it is now."""
        return self._read(await self._call("calibration", _ANNOUNCE_S))

    def _read(self, reply: Reply) -> Reading:
        if reply.reading is None:
            raise VendorUnavailable("the vendor process gave no calibration")
        self.submit_s, self.indexing_s = reply.reading.submit_s, reply.reading.indexing_s
        self._opening.same = reply.reading.same_session
        return reply.reading

    async def submit(self, tag: str, payload: bytes, most_s: float, session: str | None = None) -> str:
        """Hand over a payload within ``most_s`` seconds, the start of the process counted; returns the handle.

        ``session``: handle of the session that it goes into.
        """
        until = time.monotonic() + most_s
        await self._running()
        left = until - time.monotonic()
        if left < most_s / 2:  # the lease was looked at before
            raise VendorUnavailable("the vendor process took too long to start")
        reply = await self._call("submit", left, tag, payload, session=session or "")
        if not reply.handle:
            raise VendorUnsure("the vendor took the job and named no id for it")
        return reply.handle

    async def find(self, tag: str) -> str | None:
        """The handle of what was submitted under this tag."""
        return (await self._call("find", _CALL_S, tag)).handle

    async def status(self, handle: str) -> Status:
        """Where a submission is."""
        reply = await self._call("status", _CALL_S, handle)
        if reply.status is None:
            raise VendorUnavailable("the vendor process gave no status")
        return reply.status

    async def result(self, handle: str) -> Answer:
        """What a submission gave."""
        reply = await self._call("result", _RESULT_S, handle)
        if reply.data is None:
            raise VendorUnavailable("the vendor process gave no result")
        return Answer(reply.data, reply.usage_s, reply.metadata)

    async def cancel(self, handle: str) -> bool:
        """Take a submission back; False where it had ended."""
        return not (await self._call("cancel", _CALL_S, handle)).ended

    async def open_session(self, name: str, mode: SessionMode, most_s: float) -> str:
        """The session of this name, opened where it is not; one, however many runs ask for it at the same time."""
        return await self._opening.of(name, mode, most_s)

    async def _open_session(self, name: str, mode: SessionMode, most_s: float) -> str:
        reply = await self._call("open_session", _CALL_S, name, mode=mode, limit_s=most_s)
        if not reply.handle:
            raise VendorUnsure("the vendor opened a session and named no id for it")
        return reply.handle

    async def session(self, handle: str) -> SessionStatus:
        """Where a session is."""
        return self._seen(await self._call("session", _CALL_S, handle))

    async def end_session(self, handle: str) -> SessionStatus:
        """Have it take no more jobs."""
        return self._seen(await self._call("end_session", _CALL_S, handle))

    @staticmethod
    def _seen(reply: Reply) -> SessionStatus:
        if reply.session is None:
            raise VendorUnavailable("the vendor process said nothing of the session")
        return reply.session

    # Inside

    async def _call(
        self,
        verb: Verb,
        most_s: float,
        name: str = "",
        payload: bytes = b"",
        *,
        session: str = "",
        mode: str = "",
        limit_s: float = 0.0,
    ) -> Reply:
        call = Call(
            id=next(self._numbers),
            verb=verb,
            name=name,
            payload=payload,
            session=session,
            mode=mode,
            most_s=limit_s,
            about=ABOUT.get(),
        )
        with METRICS.asking(self.spec.name, verb):
            return await self._ask(call, most_s)

    async def _ask(self, call: Call, most_s: float) -> Reply:
        verb = call.verb
        writer = await self._running()
        waiting = self._waiting
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        waiting[call.id] = answered
        try:
            async with asyncio.timeout(most_s):
                message = call.model_dump_json().encode()
                writer.write(HEAD.pack(len(message)) + message)
                await writer.drain()
                reply = await answered
        except TimeoutError:
            self._late(verb)
            raise _lost(verb, f"no answer to {verb} within {most_s:.0f} s") from None
        except ConnectionError:
            raise _lost(verb, "the vendor process ended") from None
        finally:
            waiting.pop(call.id, None)
        if reply.error is not None:
            raise _ERRORS[reply.error](reply.words)
        return reply

    def _late(self, verb: Verb) -> None:
        """A thread over there still waits; too many of them, or one that may still send a job, end the process."""
        self._abandoned += 1
        if verb in UNSURE or self._abandoned >= _ABANDONED_MOST:
            self._kill()

    def _kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def _running(self) -> asyncio.StreamWriter:
        """The way to the process, which is started where there is none. Raises :class:`VendorUnavailable`."""
        async with self._starting:
            if self._writer is None or self._process is None or self._process.returncode is not None:
                try:
                    self._writer = await self._start()
                except (OSError, ValueError) as error:
                    raise VendorUnavailable(clean(error, 300)) from None
            return self._writer

    async def _start(self) -> asyncio.StreamWriter:
        values = await asyncio.to_thread(self._secrets.of, self.spec.secret)
        ours, theirs = socket.socketpair()
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            f"import os, sys; os.dup2({theirs.fileno()}, {_CONTROL}); sys.argv = ['vendor {self.spec.name}']; "
            "from jupyter_quantum.fabric.vendors.host import main; main()",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            pass_fds=(theirs.fileno(),),
            env=self._environment(),
            cwd=self._home.name,
        )
        theirs.close()
        self._abandoned = 0
        assert self._process.stdin is not None
        self._process.stdin.write(Start(device=self.spec, secret=values).model_dump_json().encode() + b"\n")
        self._process.stdin.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        # Of this process alone: what another one that is just ending leaves behind concerns nobody here.
        waiting = self._waiting = {}
        ready = waiting[READY] = asyncio.get_running_loop().create_future()
        self._spawn(self._hear(self._process, reader, writer, waiting))
        self._spawn(self._relay(self._process, Scrubber(values.values())))
        await self._ready(ready)
        return writer

    async def _ready(self, ready: asyncio.Future[Reply]) -> None:
        """No call's clock runs while the process starts, and nothing has been sent where it does not."""
        try:
            await asyncio.wait_for(ready, _START_S)
        except (ConnectionError, TimeoutError):
            self._kill()
            raise VendorUnavailable("the vendor process could not be started") from None
        finally:
            self._waiting.pop(READY, None)

    def _environment(self) -> dict[str, str]:
        """What reaching a network takes, and nothing of the runner's."""
        kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
        own = {
            "HOME": self._home.name,
            "TMPDIR": self._home.name,
            "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "OPENBLAS_NUM_THREADS": "1",
            "OMP_NUM_THREADS": "1",
            "QDK_PYTHON_TELEMETRY": "none",
        }
        return {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"} | kept | own

    def _spawn(self, work: object) -> None:
        assert asyncio.iscoroutine(work)
        task = asyncio.get_running_loop().create_task(work, context=Context())  # it is of no run
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _hear(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        waiting: Mapping[int, asyncio.Future[Reply]],
    ) -> None:
        """Give replies to who waits for them; at the end of the process, everybody who waits learns so."""
        try:
            while True:
                (size,) = HEAD.unpack(await reader.readexactly(HEAD.size))
                if size > MOST:
                    break
                reply = Reply.model_validate_json(await reader.readexactly(size))
                asked = waiting.get(reply.id)
                if asked is not None and not asked.done():
                    asked.set_result(reply)
        except (ConnectionError, asyncio.IncompleteReadError):
            log.info("the vendor process of %s ended", self.spec.name)
        except ValidationError:
            log.error("the vendor process of %s gave an answer that makes no sense", self.spec.name)
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            if self._writer is writer:
                self._writer = None
            writer.close()
            for asked in waiting.values():
                if not asked.done():
                    asked.set_exception(ConnectionResetError())
                    asked.exception()  # seen: whoever asked may have given up
            await process.wait()

    async def _relay(self, process: asyncio.subprocess.Process, scrubber: Scrubber) -> None:
        """What it prints goes to the runner's log, scrubbed here as well: it may have died while it was printing."""
        assert process.stdout is not None
        with contextlib.suppress(ValueError):  # a line without an end
            while line := await process.stdout.readline():
                log.warning("%s: %s", self.spec.name, clean(scrubber.text(line.decode(errors="replace")), _LINE))
        while await process.stdout.read(65536):
            pass

    async def close(self) -> None:
        """End the process."""
        self._kill()
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=5)
        self._home.cleanup()


def _lost(verb: Verb, why: str) -> VendorError:
    return VendorUnsure(why) if verb in UNSURE else VendorUnavailable(why)
