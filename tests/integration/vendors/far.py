"""A real runner whose devices are at a vendor's, with the vendor's own record beside it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
from qiskit import QuantumCircuit

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.pipeline.answers import shape_problem
from jupyter_quantum.testing.adapters.server import Behaviour, VendorServer
from jupyter_quantum.wire.runner import ExecuteTask, Prepared, Task, TaskReport, Work
from tests.integration.fabric.asking import Fabric, execute_task, work_of
from tests.integration.fabric.standin import RunnerProcess, Standin, running, task_of

KINDS = ("idempotent", "searchable", "opaque")
CALM = Behaviour()
"""A vendor that does what it is asked to."""


def bell(name: str = "bell") -> QuantumCircuit:
    circuit = QuantumCircuit(2, name=name)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.measure_all()
    return circuit


class Far:
    """What a test does with them."""

    def __init__(self, standin: Standin, runner: RunnerProcess, vendor: VendorServer) -> None:
        self.standin, self.runner, self.vendor = standin, runner, vendor
        self.fabric = Fabric(standin, runner)

    async def task(self, device: str, work: Work | None = None, **changes: Any) -> Task:
        """An execute task, prepared for the device, under a tag of its own."""
        asked = work or work_of(bell(), shots=50)
        prepared: Prepared = await self.fabric.prepare(device, asked)
        assert prepared.error is None, prepared.error
        do: ExecuteTask = execute_task(asked, prepared)
        return task_of(do.model_copy(update={"tag": f"{new_id('job')}-1"} | changes))

    async def give(self, task: Task) -> asyncio.Future[TaskReport]:
        """Queue it; the future is the report that ends it."""
        return await self.standin.give(task)

    async def do(self, task: Task) -> TaskReport:
        """Have it done; a result is one that the service takes."""
        report: TaskReport = await asyncio.wait_for(await self.give(task), 90)
        if report.result is not None and isinstance(task.do, ExecuteTask):
            assert shape_problem(report.result, task.do, len(report.result.experiments)) is None
        return report

    def started(self, task: Task) -> list[TaskReport]:
        """Reports of the task that do not end it."""
        return [report for name, report in self.standin.reports if name == task.id and report.state == "started"]

    async def until(self, happens: Callable[[], Any], most_s: float = 60) -> None:
        """Wait for something."""
        end = time.monotonic() + most_s
        while not await asyncio.to_thread(happens):
            assert time.monotonic() < end, "".join(self.runner.said[-20:])
            await asyncio.sleep(0.1)

    def vendor_processes(self) -> list[psutil.Process]:
        """Of this runner."""
        children = psutil.Process(self.runner.pid).children(recursive=True)
        return [one for one in children if any("vendors.host" in word for word in one.cmdline())]

    def announced(self) -> list[str]:
        """Names of the devices that the service knows."""
        return [device.name for device in self.standin.announced.devices] if self.standin.announced else []


@asynccontextmanager
async def far_away(
    directory: Path, vendor: VendorServer, devices: Sequence[dict[str, Any]] | None = None, **more: Any
) -> AsyncIterator[Far]:
    """A runner with one device of each kind, or with ``devices``."""
    secrets = directory / "secrets.json"
    secrets.write_text(json.dumps({"memory": {"key": "memory-key"}} | more.pop("secret", {})))
    secrets.chmod(0o600)
    common = {"adapter": "memory", "url": vendor.url, "secret": "memory", "submit_s": 2.0, "indexing_s": 0.3}
    served = [{"name": kind, "recovery": kind, "slots": 4} | common for kind in KINDS] if devices is None else devices
    settings = {"secrets": {"provider": "file", "path": str(secrets)}, "poll_s": 0.5} | more
    async with running(directory, served, 2, **settings) as (standin, runner):
        far = Far(standin, runner, vendor)
        await far.until(lambda: {one["name"] for one in served} <= set(far.announced()), 120)
        yield far
