"""Reports and jobs: each call takes the arguments apart, asks the pipeline, returns its answer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.exceptions import InputError, QuantumError
from jupyter_quantum.hub.api.base import body_of
from jupyter_quantum.hub.api.route import NDJSON, File, Query, Route
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.devices import TargetView
from jupyter_quantum.wire.jobs import JobRequest, Jobs, JobView, Provenance, ReplayRequest, SourceView
from jupyter_quantum.wire.reports import ReportLine, ReportRequest, ReportView
from jupyter_quantum.wire.results import ResultView

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_LONGEST_WAIT_S = 30.0
_STATES = frozenset(state.value for state in JobState)
_JOB = "api/v1/jobs/{id}"
_WAIT = Query(
    "wait", {"type": "number", "minimum": 0, "maximum": 30}, "Seconds to wait for a final state before answering."
)
_LIST = (
    Query("state", {"type": "string"}, "Only jobs in these states, comma-separated."),
    Query("active", {"type": "string", "enum": ["0", "1"]}, "1: only jobs that are not final."),
    Query("limit", {"type": "integer", "minimum": 1, "maximum": 200}, "Jobs on a page; 50 where omitted."),
    Query("before", {"type": "string"}, "Cursor: `next` of the page before."),
    Query("project", {"type": "string"}, "All jobs of a project that the caller leads; own jobs where omitted."),
)
_VERSION = Query("version", {"type": "integer"}, "Answer as soon as the job's version is greater.")


async def report(api: Api) -> ReportView | File:
    """Validate on several devices; as lines, each row as soon as it is there."""
    request = api.body(ReportRequest)
    if not api.wants(NDJSON):
        return await api.pipeline.report(api.who, request)
    lines = await api.pipeline.report_lines(api.who, request)
    first = await anext(lines)
    if first.report is not None:  # the only one: no need to send it in pieces
        await lines.aclose()
        return File(_line(first), media=NDJSON)
    return File(_lines(first, lines), media=NDJSON)


async def _lines(first: ReportLine, more: AsyncGenerator[ReportLine, None]) -> AsyncGenerator[bytes, None]:
    """Each as it comes; an error ends them, since the status was sent with the first."""
    try:
        async with contextlib.aclosing(more):
            yield _line(first)
            async for line in more:
                yield _line(line)
    except QuantumError as error:
        yield _line(ReportLine(error=body_of(error)))


def _line(line: ReportLine) -> bytes:
    return line.model_dump_json(exclude_none=True).encode() + b"\n"


async def get_report(api: Api, id: str) -> ReportView:  # noqa: A002 (the path's own name)
    """A report made before."""
    return await api.pipeline.get_report(api.who, id)


async def submit(api: Api) -> JobView:
    """Run circuits; a device with a price, if only to fall back to, has the hub asked about the caller anew."""
    request = api.body(JobRequest)
    wait_s = api.number("wait", 0.0, _LONGEST_WAIT_S)
    if any(map(api.pipeline.priced, (request.device, *request.fallback))):
        await api.reauthenticate()
    return await api.pipeline.submit(api.who, request, key=api.key(), wait_s=wait_s)


async def jobs(api: Api) -> Jobs:
    """A page of jobs."""
    states = [word for value in api.get_query_arguments("state") for word in value.split(",") if word]
    unknown = sorted(set(states) - _STATES)
    if unknown:
        raise InputError(
            f"There is no job state {unknown[0]!r}.",
            code="request.malformed",
            hint=f"States are {', '.join(sorted(_STATES))}.",
        )
    return await api.pipeline.jobs(
        api.who,
        states=frozenset(map(JobState, states)) or None,
        active=api.get_query_argument("active", "0") in {"1", "true"},
        limit=int(api.number("limit", 50, 200, low=1)),
        before=api.get_query_argument("before", None),
        project=api.get_query_argument("project", None),
    )


async def job(api: Api, id: str) -> JobView:  # noqa: A002
    """One job, perhaps after a wait for its next move."""
    wait_s = api.number("wait", 0.0, _LONGEST_WAIT_S)
    return await api.pipeline.job(api.who, id, wait_s=wait_s, version=int(api.number("version", -1, 2**53, low=-1)))


async def result(api: Api, id: str) -> ResultView:  # noqa: A002
    """What the device answered."""
    return await api.pipeline.result(api.who, id)


async def executable(api: Api, id: str) -> CircuitBundle:  # noqa: A002
    """The transpiled circuits."""
    return CircuitBundle(format="qpy", data=await api.pipeline.executable(api.who, id))


async def source(api: Api, id: str) -> SourceView:  # noqa: A002
    """The circuits as they were sent."""
    circuits, pubs = await api.pipeline.source(api.who, id)
    return SourceView(circuits=circuits, pubs=pubs)


async def provenance(api: Api, id: str) -> Provenance:  # noqa: A002
    """The record of one run."""
    return await api.pipeline.provenance(api.who, id)


async def calibration(api: Api, id: str) -> TargetView:  # noqa: A002
    """The calibration that the job was laid out for."""
    reference, target = await api.pipeline.calibration(api.who, id)
    return TargetView(calibration=reference, target=target)


async def replay_job(api: Api, id: str) -> JobView:  # noqa: A002
    """Run a job once more; the hub is asked about the caller anew, as for any run that may cost something."""
    asked = api.body(ReplayRequest)
    wait_s = api.number("wait", 0.0, _LONGEST_WAIT_S)
    await api.reauthenticate()
    return await api.pipeline.replay(api.who, id, asked, key=api.key(), wait_s=wait_s)


async def cancel(api: Api, id: str) -> JobView:  # noqa: A002
    """Take a job back."""
    return await api.pipeline.cancel(api.who, id)


R, S = Scope.READ, Scope.SUBMIT

ROUTES: Final = (
    Route(
        "POST",
        "api/v1/reports",
        S,
        "Validate circuits on several devices; runs nothing",
        ReportView,
        report,
        body=ReportRequest,
        status=201,
        limit="validate",
        lines=ReportLine,
    ),
    Route("GET", "api/v1/reports/{id}", R, "A report", ReportView, get_report, errors=(404,)),
    Route(
        "POST",
        "api/v1/jobs",
        S,
        "Run circuits on one device",
        JobView,
        submit,
        body=JobRequest,
        status=201,
        query=(_WAIT,),
        own_key=True,
        errors=(409,),
    ),
    Route("GET", "api/v1/jobs", R, "Jobs, newest first", Jobs, jobs, query=_LIST),
    Route("GET", _JOB, R, "A job", JobView, job, query=(_WAIT, _VERSION), errors=(404,)),
    Route("GET", f"{_JOB}/result", R, "The result", ResultView, result, errors=(404, 409, 410)),
    Route("GET", f"{_JOB}/executable", R, "The circuits that ran", CircuitBundle, executable, errors=(404, 409)),
    Route("GET", f"{_JOB}/source", R, "The circuits as they were sent", SourceView, source, errors=(404,)),
    Route("GET", f"{_JOB}/provenance", R, "The record of the run", Provenance, provenance, errors=(404,)),
    Route(
        "GET",
        f"{_JOB}/calibration",
        R,
        "The calibration that the job was laid out for, as it was then",
        TargetView,
        calibration,
        errors=(404, 409),
    ),
    Route(
        "POST",
        f"{_JOB}/replay",
        S,
        "Run a job once more, on its own device or another: the same circuits, options and seeds",
        JobView,
        replay_job,
        body=ReplayRequest,
        status=201,
        query=(_WAIT,),
        own_key=True,
        errors=(404, 409),
    ),
    Route("POST", f"{_JOB}/cancel", S, "Take a job back", JobView, cancel, errors=(404, 409)),
)
"""Routes about reports and jobs."""
