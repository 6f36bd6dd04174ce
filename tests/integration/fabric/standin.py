"""The service's side of the runner protocol, as small as it can be, and a real runner process to talk to it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from aiohttp import web

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.hub.settings import DEVICES
from jupyter_quantum.wire.runner import (
    PROTOCOL,
    Announce,
    ExecuteTask,
    Leased,
    LeaseRequest,
    Prepared,
    PrepareTask,
    Reported,
    ReportTask,
    Task,
    TaskReport,
    Welcome,
)

_ROOT = Path(__file__).resolve().parents[3]
TOKEN = "runner-secret-3c1f"


class Standin:
    """Hands out tasks that a test queues, and keeps what the runner reports."""

    def __init__(self) -> None:
        self.announced: Announce | None = None
        self.announcements = 0
        self.leases: list[LeaseRequest] = []
        self.reports: list[tuple[str, TaskReport]] = []
        self.stop: list[str] = []
        self.taken_back: list[str] = []
        self.refuse_reports = False
        self.down = False
        self._queue: list[Task] = []
        self._news = asyncio.Condition()
        self._ends: dict[str, asyncio.Future[TaskReport]] = {}
        self._then: dict[str, Task] = {}
        self.ready = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application(client_max_size=256 * 1024 * 1024, middlewares=[self._guard])
        app.router.add_post("/runner/v1/announce", self._announce)
        app.router.add_post("/runner/v1/lease", self._lease)
        app.router.add_post("/runner/v1/tasks/{task}/report", self._report)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.json_response({}, status=401)
        if self.down:
            return web.json_response({}, status=503)
        return await handler(request)

    async def _announce(self, request: web.Request) -> web.Response:
        self.announced = Announce.model_validate_json(await request.read())
        self.announcements += 1
        self.ready.set()
        names = [device.name for device in self.announced.devices]
        return _json(Welcome(protocol=PROTOCOL, lease_s=30.0, admitted=names))

    async def _lease(self, request: web.Request) -> web.Response:
        asked = LeaseRequest.model_validate_json(await request.read())
        self.leases.append(asked)
        async with self._news:
            with suppress(TimeoutError):
                await asyncio.wait_for(
                    self._news.wait_for(lambda: (self._queue and asked.slots) or self.stop), asked.wait_s
                )
            tasks, self._queue = self._queue[: asked.slots], self._queue[asked.slots :]
            stop, self.stop = self.stop, []
            cancel, self.taken_back = self.taken_back, []
        return _json(Leased(tasks=tasks, stop=stop, cancel=cancel))

    async def _report(self, request: web.Request) -> web.Response:
        name = request.match_info["task"]
        report = TaskReport.model_validate_json(await request.read())
        self.reports.append((name, report))
        if self.refuse_reports:
            return web.json_response({}, status=409)
        if report.state == "session":
            assert report.session is not None
            return _json(Reported(session=None if report.session.why else report.session.handle))
        following = self._then.pop(name, None) if report.state == "done" else None
        if report.state not in {"started", "part"} and name in self._ends:
            self._ends[name].set_result(report.model_copy(update={"prepared": self._rows(name)}))
        return _json(Reported(next=following))

    def _rows(self, name: str) -> list[Prepared]:
        """Every row that came for a task, in parts or at the end, the first time that it came."""
        rows: dict[str, Prepared] = {}
        for task, report in self.reports:
            for row in report.prepared if task == name else ():
                rows.setdefault(row.device, row)
        return list(rows.values())

    async def give(self, task: Task) -> asyncio.Future[TaskReport]:
        """Queue a task; the future is its last report."""
        end: asyncio.Future[TaskReport] = asyncio.get_running_loop().create_future()
        self._ends[task.id] = end
        async with self._news:
            self._queue.append(task)
            self._news.notify_all()
        return end

    async def cancel(self, task_id: str, *, owner: bool = False) -> None:
        """Ask the runner to stop a task: the lease is lost, or its owner takes it back."""
        async with self._news:
            self.stop.append(task_id)
            if owner:
                self.taken_back.append(task_id)
            self._news.notify_all()

    async def do(self, do: PrepareTask | ReportTask | ExecuteTask, **more: Any) -> TaskReport:
        """Have one task done."""
        return await (await self.give(task_of(do, **more)))


def task_of(
    do: PrepareTask | ReportTask | ExecuteTask, *, affinity: str = "ada", timeout_s: float = 60, memory_mb: int = 2048
) -> Task:
    """A task around ``do``."""
    return Task(id=new_id("tsk"), fence=1, affinity=affinity, timeout_s=timeout_s, memory_mb=memory_mb, do=do)


def _json(model: Any) -> web.Response:
    return web.Response(body=model.model_dump_json().encode(), content_type="application/json")


class RunnerProcess:
    """A real runner, started as the service starts it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.said: list[str] = []

    async def listen(self) -> None:
        assert self.process.stderr is not None
        while line := await self.process.stderr.readline():
            self.said.append(line.decode(errors="replace"))

    @property
    def pid(self) -> int:
        return self.process.pid


@asynccontextmanager
async def running(
    directory: Path,
    devices: Sequence[Mapping[str, Any]] = DEVICES,
    workers: int = 2,
    python: str | Path = sys.executable,
    **more: Any,
) -> AsyncIterator[tuple[Standin, RunnerProcess]]:
    """A stand-in and a runner, in the environment of ``python``, that has announced itself to it."""
    standin = Standin()
    site_runner = web.AppRunner(standin.app(), shutdown_timeout=0.1)
    await site_runner.setup()
    socket = str(directory / "service.sock")
    await web.UnixSite(site_runner, socket).start()
    settings: dict[str, Any] = {"socket": socket, "token": TOKEN, "runner": "run_test", "workers": workers}
    settings["devices"] = list(devices)
    settings |= more
    process = await asyncio.create_subprocess_exec(
        str(python),
        "-m",
        "jupyter_quantum.fabric",
        stdin=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=_ROOT,
        env={"PATH": os.environ["PATH"], "SECRET_OF_THE_SERVICE": "do-not-inherit"},
    )
    runner = RunnerProcess(process)
    listening = asyncio.create_task(runner.listen())
    assert process.stdin is not None
    process.stdin.write(json.dumps(settings).encode() + b"\n")
    await process.stdin.drain()
    try:
        ended = asyncio.create_task(process.wait())
        ready = asyncio.create_task(standin.ready.wait())
        await asyncio.wait({ended, ready}, timeout=300, return_when=asyncio.FIRST_COMPLETED)
        assert standin.ready.is_set(), "".join(runner.said)
        yield standin, runner
    finally:
        if process.returncode is None:
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                await process.wait()
        await asyncio.wait_for(listening, 5)
        ready.cancel()
        await site_runner.cleanup()
