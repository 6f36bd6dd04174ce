"""The runner: asks the service for work, gives it to locked workers, reports.

It holds the runner's token and never looks at a circuit; it imports neither Qiskit nor a vendor's SDK. One
long poll is open at a time: it leases work, renews the leases of what runs, and brings what is to be stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import random
import time
from collections.abc import AsyncIterator
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from jupyter_quantum.fabric.failures import failure, refused
from jupyter_quantum.fabric.frames import Hello, Outcome
from jupyter_quantum.fabric.logs import ABOUT, subject
from jupyter_quantum.fabric.metrics import METRICS, serve
from jupyter_quantum.fabric.minding import Minding
from jupyter_quantum.fabric.parts import Parts
from jupyter_quantum.fabric.pool import Ended, Pool, Session
from jupyter_quantum.fabric.remote_hands import RunnerHands
from jupyter_quantum.fabric.remote_run import RemoteRun
from jupyter_quantum.fabric.remote_session import end_session
from jupyter_quantum.fabric.running import Running
from jupyter_quantum.fabric.settings import Settings
from jupyter_quantum.fabric.transport import OUTAGES, Refusal, Transport
from jupyter_quantum.fabric.vendors.fleet import Fleet
from jupyter_quantum.wire.runner import (
    PROTOCOL,
    PROTOCOLS,
    Announce,
    DeviceAnnouncement,
    EndSessionTask,
    ExecuteTask,
    Leased,
    LeaseRequest,
    Prepared,
    Reported,
    ReportTask,
    Task,
    TaskReport,
    Welcome,
)

__all__ = ["Runner"]

log = logging.getLogger(__name__)

_POLL_S: Final = 20.0
_POLL_BUSY_S: Final = 2.0
_STARTED_AFTER_S: Final = 0.2
_BACKOFF_S: Final = (0.1, 10.0)
_REPORT_TRIES: Final = 8
_DRAINED: Final = "drained"


class Runner:
    """One runner's life: start, serve, drain."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._pool = Pool(settings)
        self._fleet = Fleet(settings)
        self._running: dict[str, Running] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()
        self._freed = asyncio.Event()
        self._lease_s = 30.0
        self._grace_s = float("inf")
        self._packages: dict[str, str] = {}
        self._service = Transport(settings)
        self._hello: Hello
        self._minding: Minding | None = None

    def drain(self, grace_s: float = 30.0) -> None:
        """Take no more work; what runs may go on for ``grace_s`` seconds."""
        self._grace_s = min(self._grace_s, grace_s)
        self._draining.set()
        self._freed.set()

    async def run(self) -> None:
        """Serve until :meth:`drain`, let running tasks end, and end."""
        async with self._service, self._measured():
            try:
                hello = await self._pool.start()
                self._packages = hello.packages
                _say(hello)
                await self._announce(hello)
                if hello.remote:
                    self._minding = Minding(self._settings, self._fleet, self._swap, self._used)
                    self._minding.start(hello.remote)
                await self._serve()
                await self._finish()
            finally:
                await self._close()

    @contextlib.asynccontextmanager
    async def _measured(self) -> AsyncIterator[None]:
        """Let Prometheus read what is counted, where a port is configured."""
        METRICS.watch(lambda: len(self._running), lambda: self._pool.live, lambda: self._pool.ready)
        if self._settings.metrics_port is None:
            yield
            return
        site, port = await serve(self._settings.metrics_port)
        log.info("metrics at http://127.0.0.1:%d/metrics", port)
        try:
            yield
        finally:
            await site.cleanup()

    async def _announce(self, hello: Hello) -> None:
        self._hello = hello
        announce = Announce(
            protocol=PROTOCOL,
            protocols=PROTOCOLS,
            runner=self._settings.runner,
            version=_version(),
            python=platform.python_version(),
            packages=hello.packages,
            sandbox=hello.sandbox,
            missing=hello.missing,
            qpy_versions=hello.qpy_versions,
            devices=[self._fleet.announced(DeviceAnnouncement.model_validate(one)) for one in hello.devices],
        )
        pause = _BACKOFF_S[0]
        while not self._draining.is_set():
            try:
                welcome = await self._service.post("announce", announce, Welcome)
            except OUTAGES as error:
                log.warning("the service does not answer (%s); trying again in %.1f s", _named(error), pause)
                pause = await self._wait(pause)
                continue
            except Refusal as error:
                if error.status != 409:
                    raise SystemExit(f"the service refuses this runner: {error}") from None
                log.warning("%s Trying again in %.1f s", error, pause)  # another runner may end
                pause = await self._wait(pause)
                continue
            if not PROTOCOLS[0] <= welcome.protocol <= PROTOCOLS[1]:
                raise SystemExit(
                    f"the service speaks protocol {welcome.protocol}, this runner {PROTOCOLS[0]} to {PROTOCOLS[1]}"
                )
            self._lease_s = welcome.lease_s
            log.info("admitted: %s", ", ".join(welcome.admitted) or "no device")
            if waits := [one.name for one in announce.devices if one.name not in welcome.admitted]:
                log.info("these take no jobs before an operator admits them: %s", ", ".join(waits))
            return

    async def _serve(self) -> None:
        """Lease until drained. After an outage the runner announces itself again: the service may be a new one."""
        pause = _BACKOFF_S[0]
        while not self._draining.is_set() and not self._pool.lost.is_set():
            try:
                leased = await self._lease()
            except Refusal:
                await self._wait(1.0)
                await self._announce(self._hello)
            except OUTAGES as error:
                log.warning("the service does not answer (%s)", _named(error))
                pause = await self._wait(pause)
                if not self._draining.is_set():
                    await self._announce(self._hello)
            else:
                pause = _BACKOFF_S[0]
                self._take(leased)
        if self._pool.lost.is_set() and not self._draining.is_set():
            raise SystemExit("the zygote ended")

    async def _lease(self) -> Leased:
        free = max(0, self._settings.capacity - len(self._running)) if not self._draining.is_set() else 0
        request = LeaseRequest(
            runner=self._settings.runner,
            slots=free,
            running={name: one.task.fence for name, one in self._running.items()},
            wait_s=min(_POLL_BUSY_S if self._running else _POLL_S, self._lease_s / 3),
        )
        if not free:
            self._freed.clear()
        # Broken off only to end: a task that is on its way then is reconciled by the service.
        began = time.monotonic()
        leased = await self._unless(self._draining if free else self._freed, request)
        if leased is None:
            return Leased()
        for name in request.running:
            if name in self._running:
                self._running[name].renewed = began
        return leased

    async def _unless(self, event: asyncio.Event, request: LeaseRequest) -> Leased | None:
        """Poll until the service answers or ``event`` is set; None: it has not answered."""
        poll = asyncio.ensure_future(self._service.post("lease", request, Leased))
        happened = asyncio.ensure_future(event.wait())
        await asyncio.wait({poll, happened}, return_when=asyncio.FIRST_COMPLETED)
        happened.cancel()
        if not poll.done():
            await asyncio.wait({poll}, timeout=0.05)
        if poll.done():
            return poll.result()
        poll.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await poll
        return None

    def _take(self, leased: Leased) -> None:
        for name in leased.stop:
            running = self._running.get(name)
            if running is not None and not running.reporting:
                running.stop(cancelled=name in leased.cancel)
        for task in leased.tasks:
            if task.id in self._running:
                continue
            self._running[task.id] = Running(task)
            job = asyncio.get_running_loop().create_task(self._do(self._running[task.id]))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)

    async def _do(self, running: Running) -> None:
        """One task, and those that follow it in the same worker."""
        first = running.task
        ABOUT.set(subject(first))
        try:
            if isinstance(first.do, EndSessionTask):  # no circuit, so no worker
                await self._last(running, await end_session(first.do, self._fleet.of(first.do.device)))
                return
            running.pool = self._pool
            running.session = await running.pool.acquire(first.affinity, first.memory_mb)
            following: Task | None = first
            while following is not None:
                self._running.pop(running.task.id, None)
                running.task = following
                ABOUT.set(subject(following))
                self._running[following.id] = running
                following = await self._one(running, running.session)
            if running.session is not None:  # otherwise a vendor had it, and the worker is somebody else's
                running.pool.release(running.session)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("task %s broke off", running.task.id)
            if running.session is not None:
                running.session.kill("broken")
        finally:
            self._running.pop(running.task.id, None)
            self._freed.set()

    async def _one(self, running: Running, session: Session) -> Task | None:
        task = running.task
        if isinstance(task.do, ExecuteTask) and task.do.device in self._fleet:
            await self._elsewhere(running, task.do.device)
            return None
        if running.stopped:
            session.kill("stopped")
        began = time.monotonic()
        parts = self._parts(task)
        asking = asyncio.ensure_future(session.ask(task, parts.take if parts else None))
        if isinstance(task.do, ExecuteTask):
            await asyncio.wait({asking}, timeout=_STARTED_AFTER_S)
            if not asking.done():  # the device has it; what is over sooner is not worth a message
                await self._report(task, TaskReport(runner="", fence=0, state="started"))
        try:
            report = self._judge(task, await asking, parts)
        except Ended as error:
            if error.why == _DRAINED:  # nobody's fault: unreported, it is reconciled and not charged
                return None
            report = failure(task, error.why, time.monotonic() - began, parts.missing if parts else None)
        if parts is not None:
            report = report.model_copy(update={"prepared": [*parts.rest(), *report.prepared]})
        return await self._last(running, report)

    async def _last(self, running: Running, report: TaskReport) -> Task | None:
        """Send the report that ends the task; the task that follows has a lease of its own."""
        running.reporting = True
        asked = time.monotonic()
        try:
            answer = await self._report(running.task, report)
            return None if answer is None else answer.next
        finally:
            running.reporting = False
            running.renewed = asked
            METRICS.seconds.labels(running.task.do.task).observe(time.monotonic() - running.began)

    async def _elsewhere(self, running: Running, device: str) -> None:
        """A run on a vendor's machine."""
        running.elsewhere = True
        hands = RunnerHands(
            running,
            self._fleet,
            self._settings.poll_s,
            pool=lambda: self._pool,
            report=self._report,
            draining=self._draining,
            lease_s=lambda: self._lease_s,
        )
        report = await RemoteRun(running.task, self._fleet.of(device), hands).run()
        if report is not None:
            await self._last(running, report)

    def _parts(self, task: Task) -> Parts | None:
        """Where the rows of a report go as they come; None for another task."""
        if not isinstance(task.do, ReportTask):
            return None

        async def send(rows: list[Prepared]) -> bool:
            part = TaskReport(runner=self._settings.runner, fence=task.fence, state="part", prepared=rows)
            try:
                await self._service.post(f"tasks/{task.id}/report", part, Reported)
            except (Refusal, *OUTAGES):
                return False  # they go with the last report
            return True

        return Parts(task.do.devices, send)

    def _judge(self, task: Task, outcome: Outcome, parts: Parts | None) -> TaskReport:
        """Turn what a worker says into a report; it speaks only about what it was asked."""
        do = task.do
        error = outcome.error
        if not isinstance(do, ExecuteTask):
            return _judged(task, outcome, parts)
        if error is not None or outcome.result is None:
            return TaskReport(runner="", fence=0, state="failed", error=error or refused("garbage"))
        if outcome.result.backend != do.device or outcome.result.kind is not do.kind:
            return failure(task, "garbage", 0.0)
        return TaskReport(runner="", fence=0, state="done", result=outcome.result, usage_s=outcome.result.seconds)

    async def _report(self, task: Task, report: TaskReport) -> Reported | None:
        """Send until the service has it; a refusal means that the lease is lost, and the work with it: None."""
        full = report.model_copy(
            update={"runner": self._settings.runner, "fence": task.fence, "versions": self._packages}
        )
        pause = _BACKOFF_S[0]
        for _ in range(_REPORT_TRIES):
            try:
                answer = await self._service.post(f"tasks/{task.id}/report", full, Reported)
                _count(task, report)
                return answer
            except Refusal as error:
                log.info("task %s: report refused (%s)", task.id, error)
                return None
            except OUTAGES:
                pause = await self._wait(pause)
        log.warning("task %s: could not be reported", task.id)
        return None

    async def _wait(self, pause: float) -> float:
        """Wait about ``pause`` seconds (less when drained); returns the next pause."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._draining.wait(), pause * random.uniform(0.8, 1.2))  # noqa: S311 not a secret
        return min(2 * pause, _BACKOFF_S[1])

    async def _finish(self) -> None:
        """Wait for what runs, its leases renewed; kill what is left."""
        until = time.monotonic() + self._grace_s
        while self._jobs and time.monotonic() < until:
            renewal = asyncio.ensure_future(self._lease())
            await asyncio.wait({renewal, *self._jobs}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            if renewal.done() and renewal.exception() is None:
                self._take(renewal.result().model_copy(update={"tasks": []}))
            renewal.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await renewal
        for running in self._running.values():
            if running.session is not None:
                running.session.kill(_DRAINED)
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=2.0)
        for job in self._jobs:
            job.cancel()
        await self._leave()

    async def _leave(self) -> None:
        """Say that this runner ends, so that another serves its devices now and not when its leases run out."""
        with contextlib.suppress(Refusal, *OUTAGES):
            leaving = LeaseRequest(runner=self._settings.runner, slots=0, wait_s=0.0, leaving=True)
            await asyncio.wait_for(self._service.post("lease", leaving, Leased), 2.0)

    # Remote devices

    async def _swap(self, pool: Pool, hello: Hello) -> Pool:
        """Serve from this pool, and announce what it knows; returns the one of before."""
        old, self._pool = self._pool, pool
        await self._announce(hello)
        return old

    def _used(self, pool: Pool) -> bool:
        return any(running.pool is pool for running in self._running.values())

    async def _close(self) -> None:
        if self._minding is not None:
            await self._minding.close()
        await self._pool.close()
        await self._fleet.close()


def _count(task: Task, report: TaskReport) -> None:
    """How a task ended, with the code of what went wrong."""
    if report.state not in ("started", "part", "session"):
        error = report.error or next((one.error for one in report.prepared if one.error is not None), None)
        METRICS.tasks.labels(task.do.task, error.code if error is not None else report.state).inc()


def _named(error: BaseException) -> str:
    """What went wrong on the way, with the words of a certificate that does not fit."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def _judged(task: Task, outcome: Outcome, parts: Parts | None) -> TaskReport:
    """The report of what was checked; a report's rows are in its parts."""
    if parts is not None:
        parts.take(outcome)
        complete = parts.sound and not parts.missing
    else:
        complete = [one.device for one in outcome.prepared] == [getattr(task.do, "device", None)]
    if outcome.error is None and not complete:
        return failure(task, "garbage", 0.0)
    return TaskReport(
        runner="",
        fence=0,
        state="failed" if outcome.error else "done",
        prepared=[] if parts is not None else outcome.prepared,
        dry_run=outcome.dry_run,
        resources=outcome.resources,
        drawing=outcome.drawing,
        error=outcome.error,
    )


def _say(hello: Hello) -> None:
    log.info("workers are locked by: %s", ", ".join(hello.sandbox))
    for lack in hello.missing:
        log.warning("not here: %s", lack)


def _version() -> str:
    try:
        return version("jupyter-quantum")
    except PackageNotFoundError:
        return "0"
