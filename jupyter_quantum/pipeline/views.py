"""Rows into the shapes that cross the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import BaseModel

from jupyter_quantum.core.facts import Decision
from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.money import PriceList
from jupyter_quantum.core.tenancy import name_of
from jupyter_quantum.exceptions import QuantumError, error_from
from jupyter_quantum.pipeline.named import Naming
from jupyter_quantum.store.rows import AccountRow, ApprovalRow, AttemptRow, EventRow, JobRow, Json
from jupyter_quantum.store.stating import EXPECTED
from jupyter_quantum.wire.base import ErrorBody
from jupyter_quantum.wire.devices import CalibrationRef, PriceView, Wait
from jupyter_quantum.wire.jobs import ApprovalView, DecisionView, JobView, Meter, Origin, Provenance
from jupyter_quantum.wire.results import ResultView

__all__ = [
    "approval_view",
    "decision_view",
    "error_body",
    "error_of",
    "estimate",
    "job_view",
    "meter",
    "price_view",
    "provenance",
    "summary",
]

M = TypeVar("M", bound=BaseModel)


def _model(shape: type[M], text: Json | None) -> M | None:
    return None if text is None else shape.model_validate_json(text)


def _data(text: Json | None) -> Any:
    return None if text is None else json.loads(text)


def decision_view(made: Decision) -> DecisionView:
    """Policy's answer as it is stored with the job."""
    return DecisionView(
        effect=made.effect,
        role=made.role,
        roles=list(made.roles),
        policies=list(made.policies),
        version=made.version,
        words=made.words,
        facts=made.deciding,
    )


def error_body(error: QuantumError, job: str | None = None) -> ErrorBody:
    """An error as it is stored and sent."""
    return ErrorBody(
        error=type(error).__name__,
        code=error.code,
        message=error.message,
        hint=error.hint,
        details=error.details,
        job=job or error.details.get("job"),
    )


def error_of(body: ErrorBody) -> QuantumError:
    """The error that a body describes."""
    return error_from(body.error, body.message, code=body.code, hint=body.hint, details=body.details)


def job_view(row: JobRow, result: ResultView | None = None) -> JobView:
    """A job as its owner sees it."""
    return JobView(
        id=row.id,
        name=row.name,
        kind=row.kind,
        state=row.state,
        owner=row.owner,
        project=row.project,
        device=row.device,
        device_kind=row.device_kind,
        device_label=row.device_label,
        report=row.report,
        source=row.source,
        executable=row.executable,
        num_circuits=row.num_circuits,
        num_qubits=row.num_qubits,
        shots=row.shots,
        executions=row.executions,
        options=_data(row.options),
        price=row.price,
        price_at_most=row.price_at_most,
        on_hold=row.on_hold,
        cost=row.cost,
        attempts=row.attempts,
        decision=_model(DecisionView, row.decision),
        approval=row.approval,
        envelope=row.envelope,
        wait=_model(Wait, row.wait),
        error=_data(row.error),
        fallback=_data(row.fallback),
        moved_from=_data(row.moved_from),
        marks=_data(row.marks),
        cancel_asked=row.cancel_asked,
        created=row.created,
        changed=row.changed,
        submitted=row.submitted,
        started=row.started,
        ended=row.ended,
        seconds=row.seconds,
        vendor_seconds=row.vendor_s,
        version=row.version,
        replay_of=row.replay_of,
        origin=_model(Origin, row.origin),
        session=row.session,
        result=None if result is None else result.model_dump(mode="json"),
    )


def meter(account: AccountRow, window: str, near: str | None = None) -> Meter:
    """One budget; ``near``: what to say where its soft limit is reached."""
    return Meter(
        scope=account.scope,
        name=account.name,
        project=account.project,
        window=window,
        limit=account.limit,
        used=account.used,
        held=account.held,
        available=account.available,
        resets=account.resets,
        unit=account.unit,
        device_kind=None if account.device_kind is None else DeviceKind(account.device_kind),
        soft=account.soft,
        near=near is not None,
        words=near,
    )


def price_view(prices: PriceList) -> PriceView:
    """A device's price list."""
    return PriceView(**asdict(prices))


def approval_view(row: ApprovalRow, job: JobRow, *, project_left: int, may_decide: bool) -> ApprovalView:
    """A request for a person, as that person or its owner sees it."""
    return ApprovalView(
        id=row.id,
        job=job_view(job),
        project=row.project,
        role=row.role,
        asked_by=row.asked_by,
        reason=row.reason,
        words=row.words,
        created=row.created,
        expires=row.expires,
        state=row.state,
        decided_by=row.decided_by and name_of(row.decided_by),
        decided=row.decided,
        note=row.note,
        project_left=project_left,
        may_decide=may_decide,
    )


def summary(result: ResultView) -> dict[str, Any]:
    """A few words about a result for the provenance: outcomes of the first circuit, sizes of the rest."""
    more: dict[str, Any] = {"mitigation": result.mitigation} if result.mitigation else {}
    if result.missing:
        more["missing"] = len(result.missing)
    if result.experiments:
        counts = result.experiments[0].counts or {}
        top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:16]
        ran = {"circuits": len(result.experiments), "shots": result.experiments[0].shots, "top_counts": dict(top)}
        return ran | more
    shapes = [pub.shape for pub in result.pubs]
    return {"pubs": len(shapes), "shapes": shapes, "registers": [sorted(pub.registers) for pub in result.pubs]} | more


def _attempt(row: AttemptRow) -> dict[str, Any]:
    return {
        "number": row.number,
        "tag": row.tag,
        "state": row.state.value,
        "runner": row.runner,
        "started": _iso(row.started),
        "ended": _iso(row.ended),
        "device": row.device,
        "seconds": row.usage,
        "vendor_seconds": row.vendor_s,
        "handles": _data(row.handles),
        "marks": _data(row.marks),
        "recoveries": row.recoveries,
        "session": row.session,
        "session_mode": row.session_mode,
        "cost": row.cost,
        "error": _data(row.error),
        "charge": _data(row.charge),
    }


def _event(row: EventRow, naming: Naming, proof: str | None) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "id": row.id,
        "time": _iso(row.time),
        "type": row.type,
        "actor": naming.actor(row.actor),
        "hash": row.leaf.hex(),
        "data": naming.data(dict(row.data)),
        "payload": row.payload,
        "proof": proof,
    }


def _iso(when: datetime | None) -> str | None:
    return None if when is None else when.astimezone(UTC).isoformat()


def provenance(
    row: JobRow,
    *,
    attempts: Sequence[AttemptRow],
    events: Sequence[EventRow],
    approver: str | None,
    approvals: Sequence[ApprovalRow],
    naming: Naming,
    proofs: Mapping[str, str],
    found: dict[str, Any],
) -> Provenance:
    """The record of one run (R1); ``found`` is the result's summary, empty where there is none."""
    prepared = _data(row.prepared) or {}
    return Provenance(
        id=row.id,
        job=job_view(row),
        tenant=f"{row.organisation}/{row.project}",
        user=row.owner,
        source=row.source,
        executable=row.executable,
        compiler=prepared.get("compiler") or {},
        versions=_data(row.versions) or {},
        calibration=_model(CalibrationRef, row.calibration),
        policy=_model(DecisionView, row.decision),
        approver=approver,
        approvals=[_approval(asked) for asked in approvals],
        snapshot=row.snapshot,
        transpile=_transpile(row, prepared),
        estimate=estimate(row),
        actual={"seconds": row.seconds, "cost": row.cost},
        mitigation=found.pop("mitigation", {}),
        marks=job_view(row).marks,
        attempts=[_attempt(attempt) for attempt in attempts],
        times=_times(row),
        summary=found,
        events=[_event(event, naming, proofs.get(event.id)) for event in events],
    )


def _transpile(row: JobRow, prepared: Mapping[str, Any]) -> dict[str, Any]:
    """How the circuits became what ran; level and seed are those of the job even where nothing was altered."""
    options, compiler = _data(row.options) or {}, prepared.get("compiler") or {}
    return {
        "mode": row.transpile,
        "altered": compiler.get("altered"),
        "level": options.get("optimization_level"),
        "seed": options.get("seed_transpiler"),
    }


def estimate(row: JobRow) -> dict[str, Any]:
    """What was expected before the job ran; None where it was not known. Prices in micro-credits."""
    prepared = _data(row.prepared) or {}
    said = {name: prepared.get(name) for name in EXPECTED}
    return said | {"price": row.price, "price_at_most": row.price_at_most}


def _approval(row: ApprovalRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "role": row.role,
        "state": row.state,
        "asked": _iso(row.created),
        "decided": _iso(row.decided),
        "decided_by": row.decided_by and name_of(row.decided_by),
        "note": row.note,
    }


def _times(row: JobRow) -> dict[str, Any]:
    """Moments, and seconds between them; None where it has not happened."""
    queued = None if row.submitted is None or row.started is None else (row.started - row.submitted).total_seconds()
    return {
        "created": _iso(row.created),
        "submitted": _iso(row.submitted),
        "started": _iso(row.started),
        "ended": _iso(row.ended),
        "queue_seconds": queued,
        "device_seconds": row.seconds,
    }
