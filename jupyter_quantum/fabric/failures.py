"""What a user reads when a worker ended without an answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from jupyter_quantum.exceptions import CircuitRejected, JobCancelled, JobFailed, QuantumError
from jupyter_quantum.fabric.refusals import error_body
from jupyter_quantum.wire.base import ErrorBody
from jupyter_quantum.wire.runner import ExecuteTask, Prepared, Task, TaskReport

__all__ = ["failure", "refused"]

_SMALLER: Final = "Use a smaller circuit, or fewer shots."
_CHECKING: Final[dict[str, QuantumError]] = {
    "time": CircuitRejected("Checking the circuit took too long and was stopped.", code="circuit.time", hint=_SMALLER),
    "cpu": CircuitRejected("Reading the circuit took too long and was stopped.", code="circuit.time", hint=_SMALLER),
    "memory": CircuitRejected(
        "Checking the circuit took more memory than it may.", code="circuit.memory", hint=_SMALLER
    ),
    "crash": CircuitRejected(
        "Reading the circuit made the reader crash; the file may be damaged.",
        code="circuit.crash",
        hint="Write it again, or send it as OpenQASM.",
    ),
    "stopped": JobCancelled("Stopped before it was checked.", code="task.stopped"),
}
_RUNNING: Final[dict[str, QuantumError]] = {
    "time": JobFailed("The run reached its time limit and was stopped.", code="job.time", hint=_SMALLER),
    "cpu": JobFailed("Reading the executable took too long.", code="job.time", hint=_SMALLER),
    "memory": JobFailed("The run took more memory than it may.", code="job.memory", hint="Use fewer qubits."),
    "crash": JobFailed("The simulator crashed on this circuit.", code="job.crash", hint=_SMALLER),
    "stopped": JobCancelled("Stopped while it ran.", code="task.stopped"),
}
_DEFECT: Final = QuantumError("The worker gave an answer that makes no sense.", code="runner.garbage")


def failure(task: Task, why: str, seconds: float, missing: Sequence[str] | None = None) -> TaskReport:
    """The report of a task whose worker ended: a refusal where a circuit was being checked, a failure where it ran.

    ``missing`` are the devices that have no row yet, where some of a report's have theirs.
    """
    if isinstance(task.do, ExecuteTask):
        error = _RUNNING.get(why, _DEFECT)
        used = why in {"time", "memory", "stopped"}
        return TaskReport(
            runner="", fence=0, state="failed", error=error_body(error), charged=used, usage_s=seconds if used else 0.0
        )
    body = error_body(_CHECKING.get(why, _DEFECT))
    if why == "stopped" or why not in _CHECKING:
        return TaskReport(runner="", fence=0, state="failed", error=body)
    asked: Sequence[str] = task.do.devices if task.do.task == "report" else [task.do.device]
    devices = asked if missing is None else missing
    return TaskReport(
        runner="", fence=0, state="done", prepared=[Prepared(device=name, error=body) for name in devices]
    )


def refused(why: str) -> ErrorBody:
    """The body of a defect."""
    return error_body(_RUNNING.get(why, _DEFECT))
