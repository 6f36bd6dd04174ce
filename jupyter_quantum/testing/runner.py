"""A runner in memory, for tests: it speaks the runner's messages and answers at once, the same each time.

It parses no circuit. The bytes of a bundle stand for themselves: ``b"n=2"`` is a circuit of two qubits (any other bytes
too), ``b"bad"`` one that does not parse. The executable of a circuit is ``b"x:" + bytes + calibration``, and every run
answers ``shots`` times all zeros and ones, half each. Every shot takes a thousandth of a second of (pretended) time.

::

    runner = MemoryRunner(service, [announcement("aer")])      # service: anything with announce, lease, report_task
    async with runner:
        ...                                                    # jobs that are submitted now run here

To try the unhappy paths: ``hold`` an execution until ``go()``, ``fail_next`` with an error, ``die()`` without a word.

Devices announced as ``remote`` run at a :class:`~jupyter_quantum.testing.vendor.MemoryVendor`, which several runners
may share: it remembers what it was given when its runner has died.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import DeviceKind, JobKind
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.testing.vendor import MemoryVendor
from jupyter_quantum.wire.base import ErrorBody, digest_of
from jupyter_quantum.wire.devices import CalibrationRef, Interval
from jupyter_quantum.wire.results import Array, Bits, Experiment, PubResult, ResultView
from jupyter_quantum.wire.runner import (
    PROTOCOL,
    Announce,
    DeviceAnnouncement,
    EndSessionTask,
    ExecuteTask,
    Leased,
    LeaseRequest,
    PartReport,
    Prepared,
    PrepareTask,
    Reported,
    ReportTask,
    SessionReport,
    SessionTask,
    Share,
    Task,
    TaskReport,
    Welcome,
    Work,
)

__all__ = ["MemoryRunner", "Service", "announcement"]

SECONDS_A_SHOT = 0.001
VERSIONS = {"qiskit": "2.6.2", "qiskit-aer": "0.18.2", "runner": "memory"}


class Service(Protocol):
    """The service as a runner sees it; ``jupyter_quantum.pipeline.Pipeline`` is one."""

    async def announce(self, words: Announce) -> Welcome:
        """Say what is served."""

    async def lease(self, asked: LeaseRequest) -> Leased:
        """Ask for work."""

    async def report_task(self, task_id: str, report: TaskReport) -> Reported:
        """Tell of a move."""


def announcement(
    name: str, kind: DeviceKind = DeviceKind.SIMULATOR, *, epoch: int = 1, **changes: Any
) -> DeviceAnnouncement:
    """A device of 30 qubits with the options ``shots``, ``seed_simulator`` and ``memory``.

    Args:
        epoch: number of the calibration; another one gives another digest.
        changes: other fields of the announcement.
    """
    properties = {
        "shots": {"type": "integer", "minimum": 1},
        "seed_simulator": {"type": "integer"},
        "memory": {"type": "boolean"},
    }
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    fields: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "label": {"qpu": "emulated QPU"}.get(kind.value, kind.value),
        "vendor": "memory",
        "num_qubits": 30,
        "basis_gates": ["cx", "sx", "rz", "x"],
        "max_shots": 100_000,
        "max_circuits": 100,
        "recovery": "repeatable",
        "calibration": CalibrationRef(digest=digest_of(f"{name} {epoch}".encode())),
        "target": {"num_qubits": 30},
        "options": dict.fromkeys((each.value for each in JobKind), schema),
    }
    return DeviceAnnouncement.model_validate(fields | changes)


class MemoryRunner:
    """A runner without processes.

    Args:
        service: whom to ask for work.
        devices: what it serves.
        slots: how many tasks at once.
        name: id of the runner; a fresh one where omitted.
        vendor: where runs of remote devices go; one of its own where omitted.
    """

    def __init__(
        self,
        service: Service,
        devices: Sequence[DeviceAnnouncement],
        *,
        slots: int = 8,
        name: str | None = None,
        vendor: MemoryVendor | None = None,
    ) -> None:
        self.vendor = vendor or MemoryVendor()
        self.recovered: list[str] = []
        """Tags that it was sent to look for, in order."""
        self.name = name or new_id("run")
        self.executed: list[str] = []
        """Tags of the runs that it began, in order."""
        self.stopped: list[str] = []
        """Ids of the tasks that it was told to stop."""
        self.success = 0.95
        """Chance of success that validations find from now on, give or take 0.02."""
        self._service = service
        self._devices = {device.name: device for device in devices}
        self._slots = slots
        self._running: dict[str, tuple[int, asyncio.Task[None]]] = {}
        self._going = asyncio.Event()
        self._going.set()
        self._failures: deque[tuple[ErrorBody, bool, float]] = deque()
        self._cancels: set[str] = set()
        self._loop: asyncio.Task[None] | None = None

    # Life

    async def __aenter__(self) -> MemoryRunner:
        await self.announce()
        self._loop = asyncio.create_task(self._lease())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.die()

    async def announce(self, *devices: DeviceAnnouncement) -> Welcome:
        """Announce, with these devices changed (a new calibration, say)."""
        self._devices |= {device.name: device for device in devices}
        return await self._service.announce(
            Announce(
                protocol=PROTOCOL,
                runner=self.name,
                version="0",
                python="3",
                packages=VERSIONS,
                sandbox=[],
                qpy_versions=(13, 17),
                devices=list(self._devices.values()),
            )
        )

    async def die(self) -> None:
        """End at once and say nothing, as a killed process does."""
        tasks = [task for _, task in self._running.values()] + ([self._loop] if self._loop else [])
        self._loop = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._running.clear()

    # What a test decides

    def calibrate(self, device: DeviceAnnouncement) -> None:
        """Run the device as it is now; the service hears of it with the next :meth:`announce`."""
        self._devices[device.name] = device

    def hold(self) -> None:
        """Runs that start from now on report *started* and then wait for :meth:`go`."""
        self._going.clear()

    def go(self) -> None:
        """Let held runs end."""
        self._going.set()

    def fail_next(
        self, code: str, message: str = "The worker ended.", *, retry: bool = False, used: float = 0.0
    ) -> None:
        """The next run fails with this error; ``retry``: another try may well succeed; ``used``: seconds, charged."""
        self._failures.append((ErrorBody(error="JobFailed", code=code, message=message), retry, used))

    # Work

    async def _lease(self) -> None:
        while True:
            running = {task_id: fence for task_id, (fence, _) in self._running.items()}
            free = max(0, self._slots - len(running))
            asked = LeaseRequest(runner=self.name, slots=free, running=running)
            leased = await (self._service.lease(asked) if free else self._unless_freed(asked))
            self._cancels.update(leased.cancel)
            for task_id in leased.stop:
                self._stop(task_id)
            for task in leased.tasks:
                self._begin(task)

    async def _unless_freed(self, asked: LeaseRequest) -> Leased:
        """A poll that can lease nothing is broken off as soon as there is room."""
        poll = asyncio.ensure_future(self._service.lease(asked))
        working = [work for _, work in self._running.values()]
        await asyncio.wait({poll, *working}, return_when=asyncio.FIRST_COMPLETED)
        if poll.done():
            return poll.result()
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)
        return Leased()

    def _begin(self, task: Task) -> None:
        work = asyncio.create_task(self._do(task))
        self._running[task.id] = (task.fence, work)

    def _stop(self, task_id: str) -> None:
        self.stopped.append(task_id)
        if (found := self._running.get(task_id)) is not None:
            found[1].cancel()

    async def _do(self, task: Task) -> None:
        """One task and what follows it in the same worker."""
        following: Task | None = task
        while following is not None:
            _, work = self._running.pop(task.id)
            task = following
            self._running[task.id] = (task.fence, work)
            try:
                following = (await self._answer(task)).next
            except Conflict:  # the lease is somebody else's now
                break
            except asyncio.CancelledError:
                if self._loop is not None:  # told to stop; a dead runner says nothing
                    await self._stopped(task)
                break
        self._running.pop(task.id, None)

    async def _answer(self, task: Task) -> Reported:
        do = task.do
        if isinstance(do, ExecuteTask):
            return await self._execute(task, do)
        if isinstance(do, EndSessionTask):
            self.vendor.end(do.handle)
            return await self._report(task, "done", vendor_s=self.vendor.usage_s)
        names = do.devices if isinstance(do, ReportTask) else [do.device]
        found = [self._prepare(do.work, self._devices[name], keep=isinstance(do, PrepareTask)) for name in names]
        if isinstance(do, ReportTask):  # rows come one by one, as a real runner's do
            for row in found[:-1]:
                await self._report(task, "part", prepared=[row])
            found = found[-1:]
        return await self._report(task, "done", prepared=found, drawing="q: ─")

    async def _stopped(self, task: Task) -> None:
        """Say that it was stopped. At a vendor only what its owner took back is: a lost lease leaves it running."""
        do = task.do
        if not isinstance(do, ExecuteTask) or not self._devices[do.device].remote:
            await self._report(task, "failed", error=_killed())
        elif task.id in self._cancels:
            await self._take_back(task, do)

    async def _execute(self, task: Task, do: ExecuteTask) -> Reported:
        if not do.recover and do.calibration != self._devices[do.device].calibration.digest:
            changed = ErrorBody(error="JobFailed", code="calibration.changed", message="It was calibrated anew.")
            return await self._report(task, "failed", error=changed)
        if self._devices[do.device].remote:
            return await self._at_vendor(task, do)
        self.executed.append(do.tag)
        if not self._going.is_set():
            await self._report(task, "started")
            await self._going.wait()
        if self._failures:
            return await self._fail(task)
        result = _result(do)
        return await self._report(task, "done", result=result, usage_s=result.seconds, versions=VERSIONS)

    async def _fail(self, task: Task) -> Reported:
        error, retry, used = self._failures.popleft()
        return await self._report(task, "failed", error=error, retry=retry, charged=used > 0, usage_s=used)

    async def _at_vendor(self, task: Task, do: ExecuteTask) -> Reported:
        """Hand it over, or find it; then wait for what the vendor gives."""
        if not do.recover and self._failures:
            return await self._fail(task)
        (self.recovered if do.recover else self.executed).append(do.tag)
        if not do.recover and do.session is not None:
            await self._join(task, do.tag, do.session)
        handle = self._found(do) if do.recover else await self.vendor.receive(do.tag)
        if handle is None:
            sure = do.recover and self._devices[do.device].recovery != "opaque"
            return await self._report(task, "absent" if sure else "unknown")
        if do.cancel:
            return await self._take_back(task, do)
        await self._report(task, "started", handles=[handle])
        await self._going.wait()
        if (gone := self._gone(do)) is not None:
            error = ErrorBody(error="JobFailed", code="vendor.session", message="The session ended before.")
            return await self._report(task, "failed", error=error, retry=True, session=gone)
        result = _result(do)
        told = {"marks": self.vendor.marks, "usage_s": result.seconds, "vendor_s": self.vendor.counts}
        if self.vendor.lacks:
            return await self._in_part(task, do, result, handle)
        return await self._report(task, "done", result=result, versions=VERSIONS, **told)

    async def _in_part(self, task: Task, do: ExecuteTask, result: ResultView, handle: str) -> Reported:
        """What its vendor answered, PUB by PUB."""
        lacks, counts = self.vendor.lacks, self.vendor.counts
        parts = [
            PartReport(
                handle=f"{handle}.{at}",
                answered=at not in lacks,
                owners=[at],
                usage_s=(pub.shots or 0) * SECONDS_A_SHOT,
                vendor_s=counts,
                why="the readout was lost" if at in lacks else "",
            )
            for at, pub in enumerate(do.pubs)
        ]
        missing = PubResult(shape=[], missing=True, metadata={"why": "the readout was lost"})
        pubs = [missing if at in lacks else pub for at, pub in enumerate(result.pubs)]
        told: dict[str, Any] = {"marks": ["partial"], "parts": parts, "versions": VERSIONS}
        told |= {"usage_s": sum(part.usage_s or 0.0 for part in parts)}
        told |= {"vendor_s": None if counts is None else counts * len(parts)}
        return await self._report(task, "done", result=result.model_copy(update={"pubs": pubs}), **told)

    async def _join(self, task: Task, tag: str, asked: SessionTask) -> None:
        """Into the vendor's session, which is opened where it is not; outside of it where it takes no more runs."""
        handle = asked.handle
        if handle is None:
            said = self.vendor.open(asked.name)
            handle = (await self._report(task, "session", session=said)).session
            if said.handle is not None and handle != said.handle:
                self.vendor.end(said.handle)
        if handle is not None and not self.vendor.takes(handle, tag):
            await self._report(task, "session", session=SessionReport(handle=handle, why="ended"))

    def _gone(self, do: ExecuteTask) -> SessionReport | None:
        """The session that took this run with it."""
        found = [name for name, tags in self.vendor.sessions.items() if do.tag in tags and name in self.vendor.drops]
        return SessionReport(handle=found[0], why="ended") if found else None

    def _found(self, do: ExecuteTask) -> str | None:
        """By the vendor's id, else by the tag; where the vendor takes a tag once, by submitting it again."""
        recovery = self._devices[do.device].recovery
        if do.handles or recovery == "opaque":
            return do.handles[0] if do.handles else None
        if recovery == "idempotent" and not do.cancel:
            return self.vendor.submit(do.tag)
        return self.vendor.find(do.tag)

    async def _take_back(self, task: Task, do: ExecuteTask) -> Reported:
        used = self.vendor.cancel(do.tag)
        return await self._report(task, "failed", error=_killed(), charged=used > 0, usage_s=used, vendor_s=used)

    async def _report(self, task: Task, state: Any, **fields: Any) -> Reported:
        return await self._service.report_task(
            task.id, TaskReport(runner=self.name, fence=task.fence, state=state, **fields)
        )

    def _prepare(self, work: Work, device: DeviceAnnouncement, *, keep: bool) -> Prepared:
        data = work.circuits.data
        if data == b"bad":
            said = ErrorBody(error="CircuitRejected", code="circuit.parse", message="Line 1 is not OpenQASM.")
            return Prepared(device=device.name, error=said)
        wide = int(data[2:]) if data.startswith(b"n=") else 2
        shots = max([pub.shots or 0 for pub in work.pubs], default=0) or int(work.options.get("shots", 1024))
        executable = b"x:" + data + device.calibration.digest.encode()
        seconds = shots * SECONDS_A_SHOT
        return Prepared(
            device=device.name,
            num_circuits=1,
            num_qubits=wide,
            depth=3,
            source_depth=2,
            operations=4,
            two_qubit_gates=1,
            shots=shots,
            executions=shots * max(1, len(work.pubs)),
            tasks=max(1, len(work.pubs)),
            shares=[Share(tasks=1, executions=shots)] * max(1, len(work.pubs)) if keep else [],
            success=Interval(value=self.success, low=self.success - 0.02, high=self.success + 0.02),
            seconds=Interval(value=seconds, low=seconds, high=seconds),
            calibration=device.calibration,
            digest=digest_of(executable),
            executable=executable if keep else None,
            compiler={"name": "memory", "level": 1, "seed": 1},
            pubs=work.pubs,
            options={"shots": shots, "seed_simulator": 1, **work.options},
        )


def _killed() -> ErrorBody:
    return ErrorBody(error="JobFailed", code="task.stopped", message="Stopped while it ran.")


def _result(do: ExecuteTask) -> ResultView:
    shots = int(do.options.get("shots", 1024))
    seconds = shots * SECONDS_A_SHOT
    if do.kind is JobKind.RUN:
        counts = {"0x0": shots - shots // 2, "0x3": shots // 2}
        made = [Experiment(name="circuit", shots=shots, counts=counts, seed=1)]
        return ResultView(kind=do.kind, backend=do.device, experiments=made, seconds=seconds)
    if do.kind is JobKind.SAMPLER:
        pubs = [_sampled(pub.shots or shots) for pub in do.pubs]
    else:
        pubs = [PubResult(shape=[], evs=_array([b"\0" * 8]), stds=_array([b"\0" * 8])) for _ in do.pubs]
    return ResultView(kind=do.kind, backend=do.device, pubs=pubs, seconds=seconds)


def _sampled(shots: int) -> PubResult:
    raw = b"\x00" * (shots - shots // 2) + b"\x03" * (shots // 2)
    bits = Bits(num_bits=2, array=Array(dtype="|u1", shape=[shots, 1], data=raw))
    return PubResult(shape=[], registers={"meas": bits})


def _array(values: Sequence[bytes]) -> Array:
    return Array(dtype="<f8", shape=[len(values)] if len(values) > 1 else [], data=b"".join(values))
