"""What is known of a job on its way through the door, and the checks that need nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from jupyter_quantum.core import words
from jupyter_quantum.core.facts import Decision, Facts
from jupyter_quantum.core.money import Cost
from jupyter_quantum.core.tenancy import ProjectSpec
from jupyter_quantum.exceptions import Conflict, PolicyRefused, QuantumError
from jupyter_quantum.pipeline.budgets import prices_json
from jupyter_quantum.pipeline.decide import Asker
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.validate import Parcel
from jupyter_quantum.pipeline.views import decision_view, error_of
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.base import ErrorBody
from jupyter_quantum.wire.devices import Interval
from jupyter_quantum.wire.reports import ReportRow
from jupyter_quantum.wire.runner import Prepared
from jupyter_quantum.wire.sessions import SessionRef

__all__ = ["Covered", "Run", "Verdict", "ahead", "check_promise", "check_success", "policy_error", "refusal"]


@dataclass(frozen=True, slots=True)
class Run:
    """One job on its way through the door."""

    row: JobRow
    parcel: Parcel
    asker: Asker
    project: ProjectSpec
    device: Device
    promised: ReportRow | None = None
    """What the report said, where the job comes from one."""
    session: SessionRef | None = None
    """What it says of its session, where it is new."""


@dataclass(frozen=True, slots=True)
class Covered:
    """An envelope that fits, and what policy says with the approval that it stands for."""

    envelope: str
    decision: Decision
    facts: Facts


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found out and decided about a run."""

    prepared: Prepared
    cost: Cost
    decision: Decision
    facts: Facts
    covered: Covered | None = None
    """The envelope that spares it the request that the decision asks for."""

    @property
    def goes_on(self) -> bool:
        """Whether nobody need be asked."""
        return self.decision.effect == "allow" or self.covered is not None

    def columns(self, run: Run) -> dict[str, Any]:
        """For the job's row."""
        prepared = self.prepared
        options = {**run.parcel.options, **prepared.options}
        return {
            "num_circuits": prepared.num_circuits,
            "num_qubits": prepared.num_qubits,
            "shots": prepared.shots,
            "executions": prepared.executions,
            "executable": prepared.digest,
            "prepared": prepared.model_dump_json(exclude={"executable"}),
            "snapshot": self._snapshot(run.device),
            "calibration": None if prepared.calibration is None else prepared.calibration.model_dump_json(),
            "options": json.dumps(options),
            "price": self.cost.estimate,
            "price_at_most": self.cost.at_most,
            "prices": prices_json(self.cost.prices),
            "decision": decision_view(self.decision).model_dump_json(),
        }

    def _snapshot(self, device: Device) -> str | None:
        """Digest of the calibration's document; None where the device has been calibrated anew since."""
        found = self.prepared.calibration
        return device.row.target if found is not None and found.digest == device.words.calibration.digest else None


def ahead(row: JobRow, columns: dict[str, Any]) -> JobRow:
    """The row as the commit will leave it, as far as the queue looks at it."""
    return JobRow(**{name: getattr(row, name) for name in row.__slots__} | columns)


def refusal(row: JobRow) -> QuantumError:
    """The error that the job records, with the job's id in its details."""
    error = error_of(ErrorBody.model_validate_json(row.error or "{}"))
    error.details["job"] = row.id
    return error


def policy_error(decision: Decision) -> PolicyRefused:
    """Policy's no, with what it rests on."""
    details: dict[str, Any] = {"policies": list(decision.policies), "facts": decision.deciding}
    details["version"] = decision.version
    if decision.near:
        details["near"] = [{"policy": one.policy, "words": one.words, "change": one.change} for one in decision.near]
    return PolicyRefused(decision.words, code=decision.code, details=details)


def check_promise(run: Run, prepared: Prepared, cost: Cost) -> None:
    """A job from a report must still be what the report promised. Raises Conflict ``promise.changed``."""
    said = run.promised
    if said is None:
        return
    if said.price_at_most is not None and cost.at_most > said.price_at_most:
        raise Conflict(
            f"{run.device.name} may cost {words.price(cost.at_most)} credits now "
            f"(was {words.price(said.price_at_most)}). Validate again to go on.",
            code="promise.changed",
        )
    check_success(run.device.name, said.success, prepared.success)


def check_success(device: str, before: Interval | None, now: Interval | None) -> None:
    """A new calibration must not fall below the promised range. Raises Conflict ``promise.changed``."""
    if before is not None and now is not None and now.value < before.low:
        raise Conflict(
            f"{device} was recalibrated: success is now {now.value:.2f} (was {before.value:.2f}). "
            "Validate again to go on.",
            code="promise.changed",
        )
