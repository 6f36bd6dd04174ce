"""The two processes of one case of ``attempt-kill``: a service over its directory, and a runner of its device.

Both are forked from a warm parent, and are what ships: ``Pipeline`` behind ``RunnerServer`` on a unix socket, and
``Runner`` with its transport and its runs at a vendor's. Only what a locked worker would do (read circuits, write
payloads) is done in place, since no circuit is in question here. Where a process is to die, it kills itself: SIGKILL at
the n-th of its steps.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import os
import signal
import urllib.request
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, TypeVar

from qiskit import QuantumCircuit, qpy

import jupyter_quantum.pipeline.live as live_module
import jupyter_quantum.pipeline.pipeline as pipeline_module
from jupyter_quantum.core.jobs import FINAL, DeviceKind
from jupyter_quantum.core.money import CREDIT, PriceList, credits_to_micro
from jupyter_quantum.core.tenancy import Principal, ProjectSpec
from jupyter_quantum.exceptions import Conflict, NotFound, Unavailable
from jupyter_quantum.fabric.adapters.vendor import Answer, Status
from jupyter_quantum.fabric.frames import Hello, Order, Outcome
from jupyter_quantum.fabric.remote_run import RemoteRun
from jupyter_quantum.fabric.runner import Runner
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.fabric.settings import Settings as RunnerSettings
from jupyter_quantum.fabric.transport import Transport
from jupyter_quantum.hub.metrics import Metrics
from jupyter_quantum.hub.runner_api import RunnerServer
from jupyter_quantum.pipeline import Pipeline, Settings
from jupyter_quantum.store import Store
from jupyter_quantum.store.books import BOOKS
from jupyter_quantum.store.rows import AttemptState
from jupyter_quantum.testing.adapters.memory import MemoryDevice, MemoryVendor
from jupyter_quantum.testing.runner import announcement
from jupyter_quantum.wire.base import CircuitBundle, digest_of
from jupyter_quantum.wire.devices import Interval
from jupyter_quantum.wire.jobs import JobRequest
from jupyter_quantum.wire.operations import Resolution
from jupyter_quantum.wire.results import Experiment, ResultView
from jupyter_quantum.wire.runner import (
    DeviceAnnouncement,
    ExecuteTask,
    LeaseRequest,
    Prepared,
    PrepareTask,
    Task,
    TaskReport,
)

__all__ = ["ADA", "DEVICE", "Places", "Steps", "circuit", "run_runner", "run_service"]

T = TypeVar("T")

DEVICE: Final = "machine"
ADA: Final = Principal("ada", "2026-01-01T00:00:00Z", frozenset({"lab"}))
_OTTO: Final = Principal("otto", "2026-01-01T00:00:00Z", frozenset({"quantum-operators"}), interactive=True)
_SHOTS: Final = 100
_STAGES: Final = ("Submitting", "Scheduling", "Executing", "Reconciling", "Recovering", "Resolving")
_TOKEN: Final = "t"
_LEASE_S: Final = 1.5
_SUBMIT_S: Final = 0.5
_INDEXING_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Places:
    """Where the parts of a case meet."""

    home: Path
    vendor: str
    """Address of the vendor's server."""
    recovery: str
    plant: bool = False
    """A defect that the proof must find: whoever recovers an attempt submits it again."""

    @property
    def socket(self) -> str:
        """The service's."""
        return str(self.home / "s")


@dataclass(slots=True)
class Steps:
    """Counts the steps of a process, and ends it at one of them; ``told`` writes them down instead."""

    fatal: int = 0
    """0: none."""
    told: Callable[[str], None] | None = None
    armed: bool = False
    _count: int = field(default=0)

    def step(self, name: str) -> None:
        """One step."""
        if not self.armed:
            return
        self._count += 1
        if self.told is not None:
            self.told(name)
        if self._count == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    async def around(self, name: str, work: Awaitable[T]) -> T:
        """A step before, and one after."""
        self.step(f"before {name}")
        found = await work
        self.step(f"after {name}")
        return found


# -- the service -------------------------------------------------------------------------------------------------------


class _Groups:
    async def groups_of(self, principal_id: str) -> frozenset[str] | None:
        """Everybody is there."""
        return ADA.groups if principal_id == ADA.id else _OTTO.groups

    refreshed = groups_of

    async def find(self, name: str) -> str | None:
        """By name."""
        return ADA.id if name == "ada" else None


def settings_in(home: Path) -> Settings:
    """Short leases; the device is free of policy's questions and costs something."""
    lab = ProjectSpec("lab", "campus", "pilot", frozenset({"lab"}), frozenset(), 100 * CREDIT, 50 * CREDIT)
    prices = PriceList(credits_to_micro("0.02"), credits_to_micro("0.0004"), credits_to_micro("0.0005"))
    return Settings(
        data_dir=home,
        db_url=f"sqlite:///{home}/quantum.sqlite",
        policies=Path(__file__).parents[2] / "hub_config" / "policies",
        projects={"lab": lab},
        prices={DEVICE: prices},
        secret=b"proof",
        lease_s=_LEASE_S,
        retry_s=0.1,
        max_attempts=6,
    )


def run_service(places: Places, steps: Steps, say: Callable[[dict[str, Any]], None]) -> None:
    """Serve until killed; says ``ack``, ``unknown`` and at last ``final``."""
    live_module._LEASE_S = 0.3  # a killed leader's successor need not wait for long
    pipeline_module._TICK_S = 0.1
    asyncio.run(_serve(places, steps, say))


async def _serve(places: Places, steps: Steps, say: Callable[[dict[str, Any]], None]) -> None:
    store = Store(f"sqlite:///{places.home}/quantum.sqlite", artefacts=f"file://{places.home}/artefacts")
    pipeline = Pipeline(settings_in(places.home), store, _Groups())
    _watch_service(pipeline, store, steps)
    await pipeline.start()
    hub: Any = SimpleNamespace(pipeline=pipeline, metrics=Metrics())
    server = RunnerServer(hub, Path(places.socket), _TOKEN, lambda _: None)
    assert server is not None
    steps.armed = True
    job = await _submitted(pipeline)
    say({"ack": job})
    await _until_final(pipeline, store, places, job, say)


def _watch_service(pipeline: Pipeline, store: Store, steps: Steps) -> None:
    """Steps: each transaction of a stage, each report that is taken, each lease that brings work."""
    apart, lease, report_task = store.apart, pipeline.lease, pipeline.report_task

    async def write(work: Any) -> Any:
        name = work.__qualname__.split(".")[0]
        return await (steps.around(f"write of {name}", apart(work)) if name in _STAGES else apart(work))

    async def leased(asked: LeaseRequest) -> Any:
        found = await lease(asked)
        if found.tasks:
            steps.step(f"lease of {found.tasks[0].do.task}")
        return found

    async def report(task_id: str, told: TaskReport) -> Any:
        return await steps.around(f"report {told.state}", report_task(task_id, told))

    store.apart = write  # type: ignore[method-assign]
    pipeline.lease = leased  # type: ignore[method-assign]
    pipeline.report_task = report  # type: ignore[method-assign]


async def _submitted(pipeline: Pipeline) -> str:
    """The one job, by its key: sent again after a crash, as the client does."""
    bundle = CircuitBundle(format="qpy", data=circuit())
    request = JobRequest(device=DEVICE, circuits=bundle, options={"shots": _SHOTS})
    while True:
        try:
            return (await pipeline.submit(ADA, request, key="k", wait_s=0)).id
        except (NotFound, Unavailable):  # the runner is on its way
            await asyncio.sleep(0.02)


async def _until_final(
    pipeline: Pipeline, store: Store, places: Places, job: str, say: Callable[[dict[str, Any]], None]
) -> None:
    while True:
        row = await store.read(lambda view: view.job(job))
        if row.state in FINAL:
            break
        last = await store.read(lambda view: view.attempts(job)[-1:])
        if last and last[0].state is AttemptState.UNKNOWN:
            say({"unknown": last[0].tag})
            await _resolve(pipeline, places, last[0].tag, row.on_hold)
        await asyncio.sleep(0.03)

    def judged(view: Any) -> list[str]:
        return [violation for check in BOOKS.values() for violation in check(view)]

    error = json.loads(row.error)["code"] if row.error else None
    said = {"final": row.state.value, "code": error, "cost": row.cost, "on_hold": row.on_hold}
    found = await store.read(lambda view: view.attempts(job))
    tags = [attempt.tag for attempt in found]
    say(said | {"tags": tags, "most": row.price_at_most, "books": await store.read(judged)})


async def _resolve(pipeline: Pipeline, places: Places, tag: str, on_hold: int) -> None:
    """The operator looks at the vendor's page, once nothing can be on its way any more."""
    await asyncio.sleep(_SUBMIT_S)
    ran = (await asyncio.to_thread(_runs, places.vendor)).get(tag, 0)
    told = Resolution(verdict="ran", charge=min(on_hold, 20_000)) if ran else Resolution(verdict="not_run")
    try:
        await pipeline.resolving.resolve(_OTTO, tag, told)
    except Conflict:
        return


def _runs(vendor: str) -> dict[str, int]:
    with urllib.request.urlopen(f"{vendor}/control", timeout=10) as answer:
        found: dict[str, int] = json.loads(answer.read())["runs"]
        return found


# -- the runner --------------------------------------------------------------------------------------------------------


def circuit() -> bytes:
    """A Bell circuit, QPY."""
    bell = QuantumCircuit(2, 2)
    bell.h(0)
    bell.cx(0, 1)
    bell.measure([0, 1], [0, 1])
    buffer = io.BytesIO()
    qpy.dump(bell, buffer, version=13)
    return buffer.getvalue()


def run_runner(places: Places, steps: Steps, name: str) -> None:
    """Run until killed."""

    async def run() -> None:
        await _runner(places, steps, name).run()

    asyncio.run(run())


def _runner(places: Places, steps: Steps, name: str) -> Runner:
    own: dict[str, Any] = {"url": places.vendor, "recovery": places.recovery, "submit_s": _SUBMIT_S}
    spec = DeviceSpec.model_validate({"name": DEVICE, "adapter": "memory", "indexing_s": _INDEXING_S} | own)
    runner = Runner(
        RunnerSettings(socket=places.socket, token=_TOKEN, runner=name, devices=(spec,), workers=2, poll_s=0.3)
    )
    device = announcement(
        DEVICE,
        DeviceKind.EMULATOR,
        recovery=places.recovery,
        remote=True,
        submit_s=_SUBMIT_S,
        indexing_s=_INDEXING_S,
    )
    runner._pool = _Workers(device)  # type: ignore[assignment]
    runner._fleet = _Vendors(spec, places, steps)  # type: ignore[assignment]
    _watch_runner(runner._service, steps)
    if places.plant:
        RemoteRun._recover_part = lambda self, part, until: self._hand_over(part)  # type: ignore[method-assign]
    steps.armed = True
    return runner


def _watch_runner(service: Transport, steps: Steps) -> None:
    """Steps: each report, each lease that brings work."""
    post = service.post

    async def posted(route: str, message: Any, answer: Any) -> Any:
        if isinstance(message, TaskReport):
            return await steps.around(f"message {message.state}", post(route, message, answer))
        found = await post(route, message, answer)
        if route == "lease" and found.tasks:
            steps.step(f"leased {found.tasks[0].do.task}")
        return found

    service.post = posted  # type: ignore[method-assign, assignment]


class _Workers:
    """In the place of locked workers."""

    def __init__(self, device: DeviceAnnouncement) -> None:
        self.lost = asyncio.Event()
        self._device = device

    async def start(self) -> Hello:
        """Nothing to wait for."""
        return Hello(
            devices=[self._device.model_dump()],
            remote=[DEVICE],
            packages={"runner": "proof"},
            sandbox=[],
            missing=[],
            qpy_versions=(13, 17),
            baseline=0,
        )

    async def acquire(self, affinity: str, memory_mb: int) -> _Worker:
        """A fresh one."""
        return _Worker(self._device)

    def release(self, worker: _Worker) -> None:
        """Nobody keeps it."""

    async def close(self) -> None:
        """Nothing to end."""


class _Worker:
    def __init__(self, device: DeviceAnnouncement) -> None:
        self._device = device

    def kill(self, why: str) -> None:
        """It is doing nothing."""

    async def ask(self, task: Task, part: Any = None) -> Outcome:
        """Describe the circuit."""
        assert isinstance(task.do, PrepareTask)
        data = task.do.work.circuits.data
        seconds = Interval(value=0.1, low=0.1, high=0.1)
        found = Prepared(
            device=DEVICE,
            num_circuits=1,
            num_qubits=2,
            depth=2,
            shots=_SHOTS,
            executions=_SHOTS,
            tasks=1,
            seconds=seconds,
            calibration=self._device.calibration,
            digest=digest_of(data),
            executable=data,
            options={"shots": _SHOTS},
        )
        return Outcome(prepared=[found])

    async def order(self, order: Order, part: Any = None) -> Outcome:
        """Write the payload, or read the answer."""
        do = order.task.do
        assert isinstance(do, ExecuteTask)
        if order.step == "encode":
            raw = circuit()
            payload = json.dumps({"shots": _SHOTS, "circuits": base64.b64encode(raw).decode()}).encode()
            return Outcome(payloads=[payload], executable=None if do.executable else raw)
        (answer,) = order.answers
        counts = json.loads(answer or b"[]")[0]["counts"]
        experiment = Experiment(name="bell", shots=_SHOTS, counts=counts)
        return Outcome(result=ResultView(kind=do.kind, backend=DEVICE, experiments=[experiment], seconds=0.1))


class _Vendors:
    """In the place of vendor processes: the same adapter, in threads."""

    def __init__(self, spec: DeviceSpec, places: Places, steps: Steps) -> None:
        vendor = MemoryDevice.connect(spec, {"key": "memory-key"})
        assert isinstance(vendor, MemoryVendor)
        self._vendor = _Verbs(vendor, steps)
        self._recovery = places.recovery

    def __contains__(self, device: str) -> bool:
        return device == DEVICE

    def of(self, device: str) -> _Verbs:
        """Its vendor."""
        return self._vendor

    def recovery(self, device: str) -> str:
        """As the case has it."""
        return self._recovery

    def announced(self, device: DeviceAnnouncement) -> DeviceAnnouncement:
        """As it is."""
        return device

    async def drifted(self, device: str, digest: str) -> bool:
        """Never."""
        return False

    async def look(self, devices: Any) -> bool:
        """Nothing new."""
        return False

    def rest_s(self) -> float:
        """For ever."""
        return 3600.0

    async def close(self) -> None:
        """Nothing to end."""


class _Verbs:
    """The vendor's verbs, with a step before and after each."""

    def __init__(self, vendor: MemoryVendor, steps: Steps) -> None:
        self.submit_s, self.indexing_s = vendor.submit_s, vendor.indexing_s
        self._vendor = vendor
        self._steps = steps

    async def _do(self, name: str, *given: Any) -> Any:
        return await self._steps.around(f"vendor {name}", asyncio.to_thread(getattr(self._vendor, name), *given))

    async def submit(self, tag: str, payload: bytes, most_s: float, session: str | None = None) -> str:
        """Hand over; the proof's job belongs into no session."""
        assert session is None
        return str(await self._do("submit", tag, payload))

    async def find(self, tag: str) -> str | None:
        """By tag."""
        found: str | None = await self._do("find", tag)
        return found

    async def status(self, handle: str) -> Status:
        """Where it is."""
        found: Status = await self._do("status", handle)
        return found

    async def result(self, handle: str) -> Answer:
        """What came."""
        found: Answer = await self._do("result", handle)
        return found

    async def cancel(self, handle: str) -> bool:
        """Take it back."""
        return bool(await self._do("cancel", handle))
