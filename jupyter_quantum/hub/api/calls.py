"""One thin function a route: take the arguments apart, ask the pipeline, return its answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.exceptions import InputError
from jupyter_quantum.wire.base import CircuitBundle
from jupyter_quantum.wire.jobs import (
    ApprovalDecision,
    Approvals,
    ApprovalView,
    DeviceAction,
    Devices,
    DeviceView,
    JobRequest,
    Jobs,
    JobView,
    Me,
    Provenance,
    QuotaView,
    ReportRequest,
    ReportView,
    SourceView,
    TargetView,
)
from jupyter_quantum.wire.results import ResultView

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

_LONGEST_WAIT_S = 30.0
_STATES = frozenset(state.value for state in JobState)


async def me(api: Api) -> Me:
    """Who the caller is."""
    return await api.pipeline.me(api.who)


async def devices(api: Api) -> Devices:
    """Devices that the caller may see."""
    return await api.pipeline.devices(api.who)


async def device(api: Api, name: str) -> DeviceView:
    """One device."""
    return await api.pipeline.device(api.who, name)


async def target(api: Api, name: str) -> TargetView | None:
    """A device's Target; 304 where the caller has the one of this calibration."""
    calibration, found = await api.pipeline.target(api.who, name)
    api.set_header("ETag", f'"{calibration.digest}"')
    if api.check_etag_header():
        api.set_status(304)
        return None
    return TargetView(calibration=calibration, target=found)


async def act_on_device(api: Api, name: str) -> DeviceView:
    """Pause, drain, resume."""
    return await api.pipeline.act_on_device(api.who, name, api.body(DeviceAction))


async def report(api: Api) -> ReportView:
    """Validate on several devices."""
    return await api.pipeline.report(api.who, api.body(ReportRequest))


async def get_report(api: Api, id: str) -> ReportView:  # noqa: A002 (the path's own name)
    """A report made before."""
    return await api.pipeline.get_report(api.who, id)


async def submit(api: Api) -> JobView:
    """Run circuits; a device with a price has the hub asked about the caller anew."""
    request = api.body(JobRequest)
    wait_s = api.number("wait", 0.0, _LONGEST_WAIT_S)
    if api.pipeline.priced(request.device):
        await api.reauthenticate()
    return await api.pipeline.submit(api.who, request, key=_idempotency_key(api), wait_s=wait_s)


def _idempotency_key(api: Api) -> str | None:
    key = api.request.headers.get("Idempotency-Key")
    if key is not None and not 0 < len(key) <= 200:
        raise InputError("The header Idempotency-Key takes 1 to 200 characters.", code="request.malformed")
    return key


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


async def cancel(api: Api, id: str) -> JobView:  # noqa: A002
    """Take a job back."""
    return await api.pipeline.cancel(api.who, id)


async def quota(api: Api) -> QuotaView:
    """Budgets that bind the caller."""
    return await api.pipeline.quota(api.who, api.get_query_argument("project", None))


async def approvals(api: Api) -> Approvals:
    """Requests that the caller may see."""
    return await api.pipeline.approvals(api.who, state=api.get_query_argument("state", "open"))


async def decide(api: Api, id: str) -> ApprovalView:  # noqa: A002
    """Approve or reject."""
    return await api.pipeline.decide(api.who, id, api.body(ApprovalDecision))
