"""Work for a runner, given to it the way the service does."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from qiskit import QuantumCircuit, qpy

from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.jobs import Pub
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import ExecuteTask, Prepared, PrepareTask, TaskReport, Work
from tests.integration.fabric.standin import RunnerProcess, Standin


def bundle(circuits: QuantumCircuit | Sequence[QuantumCircuit]) -> CircuitBundle:
    """Circuits as the client sends them."""
    buffer = io.BytesIO()
    qpy.dump(circuits, buffer, version=13)
    return CircuitBundle(format="qpy", data=buffer.getvalue())


def work_of(
    circuits: QuantumCircuit | Sequence[QuantumCircuit] | CircuitBundle,
    kind: str = "run",
    pubs: Sequence[Pub] = (),
    transpile: str = "auto",
    limits: dict[str, int] | None = None,
    **options: Any,
) -> Work:
    """A request to a runner."""
    sent = circuits if isinstance(circuits, CircuitBundle) else bundle(circuits)
    return Work(kind=kind, circuits=sent, pubs=list(pubs), options=options, transpile=transpile, limits=limits or {})


class Fabric:
    """A running runner, asked the way the service asks it."""

    def __init__(self, standin: Standin, runner: RunnerProcess) -> None:
        self.standin = standin
        self.runner = runner

    async def prepare(self, device: str, work: Work, **more: Any) -> Prepared:
        report = await self.standin.do(PrepareTask(work=work, device=device), **more)
        assert report.state == "done", report.error
        (prepared,) = report.prepared
        return prepared

    async def execute(self, work: Work, prepared: Prepared, **more: Any) -> TaskReport:
        return await self.standin.do(execute_task(work, prepared), **more)

    async def run(self, device: str, work: Work) -> tuple[Prepared, ResultView]:
        """Prepare and execute, both of which must succeed."""
        prepared = await self.prepare(device, work)
        assert prepared.error is None, prepared.error
        report = await self.execute(work, prepared)
        assert report.error is None, report.error
        assert report.result is not None
        return prepared, report.result


def execute_task(work: Work, prepared: Prepared) -> ExecuteTask:
    """What the service sends once it has decided."""
    assert prepared.digest is not None
    assert prepared.calibration is not None
    return ExecuteTask(
        tag="job_0-1",
        device=prepared.device,
        kind=work.kind,
        executable=prepared.executable,
        digest=prepared.digest,
        pubs=prepared.pubs,
        options=prepared.options,
        calibration=prepared.calibration.digest,
        order=prepared.order,
    )


def executable(prepared: Prepared) -> list[QuantumCircuit]:
    """The transpiled circuits, as ``job.transpiled`` has them."""
    assert prepared.executable is not None
    return list(qpy.load(io.BytesIO(prepared.executable)))
