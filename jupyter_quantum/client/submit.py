"""Sending a job: one request, one job, one hold.

The request asks the service to hold its answer back for up to :data:`FIRST_WAIT_S` seconds. A short run is then over
when the answer comes, and its result is in it: submitting and reading the result are one request together. A longer
run gives its job object back after that time, and ``job.result()`` waits for the rest.
Refusals (circuit, option, policy, quota) are raised by ``run`` itself.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from jupyter_quantum.client.circuits import Work
from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.origin import origin
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.money import credits_to_micro
from jupyter_quantum.exceptions import JobRejected, QuantumError, error_from
from jupyter_quantum.wire.base import ErrorBody
from jupyter_quantum.wire.jobs import JobRequest, JobView
from jupyter_quantum.wire.sessions import SessionRef

__all__ = ["FIRST_WAIT_S", "Terms", "decided", "ended", "names_of", "send"]

FIRST_WAIT_S: Final = 0.25
"""For how long ``run`` may wait for a short job's result, in seconds."""

_DECIDED_S: Final = 30.0
_UNDECIDED = frozenset({JobState.DRAFT, JobState.VALIDATED})


@dataclass(frozen=True, slots=True)
class Terms:
    """What a submission says besides its work. ``max_price`` is in credits: refuse where it may cost more."""

    name: str | None = None
    transpile: Literal["auto", "never"] = "auto"
    max_price: float | None = None
    reason: str | None = None
    fallback: tuple[str, ...] = ()
    """Devices that it may move to, in this order."""
    fallback_after: float | None = None
    """Seconds that it waits for a device that starts nothing."""
    session: SessionRef | None = None
    """The session or batch that it belongs into."""


def names_of(fallback: str | Iterable[str]) -> tuple[str, ...]:
    """Devices that a run may move to; one may be named without a list."""
    return (fallback,) if isinstance(fallback, str) else tuple(fallback)


def send(
    connection: Connection,
    device: str,
    project: str | None,
    work: Work | None,
    options: Mapping[str, Any],
    terms: Terms,
    *,
    report: str | None = None,
) -> JobView:
    """Submit ``work``, or what ``report`` validated; raises the refusal if there is one."""
    request = JobRequest.model_construct(
        device=device,
        report=report,
        project=project,
        kind=work.kind if work else JobRequest.model_fields["kind"].default,
        circuits=work.circuits if work else None,
        pubs=work.pubs if work else [],
        options=dict(options),
        transpile=terms.transpile,
        name=terms.name or (work.name if work else None),
        max_price=None if terms.max_price is None else credits_to_micro(terms.max_price),
        reason=terms.reason,
        fallback=list(terms.fallback),
        fallback_after=terms.fallback_after,
        origin=origin(),
        session=terms.session,
    )
    view = connection.post("jobs", JobView, request, wait_s=FIRST_WAIT_S)
    return decided(connection, view)


def ended(view: JobView, raise_as: type[QuantumError]) -> QuantumError:
    """The reason that a job ended without a result, as ``raise_as`` (the service's own class for ``QuantumError``)."""
    body = ErrorBody.model_validate(
        {"error": raise_as.__name__, "code": raise_as.default_code, "message": ""} | (view.error or {})
    )
    details = dict(body.details) | {"job": view.id}
    if raise_as is QuantumError:
        return error_from(body.error, body.message, code=body.code, hint=body.hint, details=details)
    message = body.message or f"The job {view.id} ended as {view.state.value}."
    return raise_as(message, code=body.code, hint=body.hint, details=details)


def decided(connection: Connection, view: JobView) -> JobView:
    """Wait until validation and policy have answered: a refusal belongs to ``run``, not to a later call."""
    stop = time.monotonic() + _DECIDED_S
    while view.state in _UNDECIDED and (left := stop - time.monotonic()) > 0:
        view = connection.get(f"jobs/{view.id}", JobView, wait_s=min(left, 25.0), version=view.version)
    if view.state is JobState.REJECTED and view.approval is None:
        raise ended(view, QuantumError if view.error else JobRejected)
    return view
