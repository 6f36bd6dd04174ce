"""The one table of the API: method, path, scope, who may; handlers and the OpenAPI document are both made from it."""

from __future__ import annotations

from typing import Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api import calls
from jupyter_quantum.hub.api.route import Query, Route
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

__all__ = ["ROUTES"]

_WAIT = Query(
    "wait", {"type": "number", "minimum": 0, "maximum": 30}, "Seconds to wait for a final state before answering."
)
_PROJECT = Query("project", {"type": "string"}, "The project; the caller's only one where omitted.")
_KEY = Query(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 200},
    "The same key with the same body gets the first answer; with another body 409 idempotency.mismatch.",
)
_LIST = (
    Query("state", {"type": "string"}, "Only jobs in these states, comma-separated."),
    Query("active", {"type": "string", "enum": ["0", "1"]}, "1: only jobs that are not final."),
    Query("limit", {"type": "integer", "minimum": 1, "maximum": 200}, "Jobs on a page; 50 where omitted."),
    Query("before", {"type": "string"}, "Cursor: `next` of the page before."),
    Query("project", {"type": "string"}, "All jobs of a project that the caller leads; own jobs where omitted."),
)
_VERSION = Query("version", {"type": "integer"}, "Answer as soon as the job's version is greater.")
_OPEN = Query("state", {"type": "string"}, "open (default), approved, rejected, expired, withdrawn or all.")

R, S = Scope.READ, Scope.SUBMIT
_DEVICE, _JOB = "api/v1/devices/{name}", "api/v1/jobs/{id}"

ROUTES: Final = (
    Route("GET", "api/v1/me", R, "Who the service takes the caller for", Me, calls.me),
    Route("GET", "api/v1/devices", R, "Devices that the caller may see", Devices, calls.devices),
    Route("GET", _DEVICE, R, "One device", DeviceView, calls.device, errors=(404,)),
    Route(
        "GET",
        f"{_DEVICE}/target",
        R,
        "A device's Target; the ETag is its calibration",
        TargetView,
        calls.target,
        errors=(304, 404),
    ),
    Route(
        "POST",
        f"{_DEVICE}/state",
        Scope.OPERATE,
        "Pause, drain or resume a device",
        DeviceView,
        calls.act_on_device,
        body=DeviceAction,
        cookie_only=True,
        errors=(404, 409),
    ),
    Route(
        "POST",
        "api/v1/reports",
        S,
        "Validate circuits on several devices; runs nothing",
        ReportView,
        calls.report,
        body=ReportRequest,
        status=201,
    ),
    Route("GET", "api/v1/reports/{id}", R, "A report", ReportView, calls.get_report, errors=(404,)),
    Route(
        "POST",
        "api/v1/jobs",
        S,
        "Run circuits on one device",
        JobView,
        calls.submit,
        body=JobRequest,
        status=201,
        query=(_WAIT,),
        headers=(_KEY,),
        errors=(409,),
    ),
    Route("GET", "api/v1/jobs", R, "Jobs, newest first", Jobs, calls.jobs, query=_LIST),
    Route("GET", _JOB, R, "A job", JobView, calls.job, query=(_WAIT, _VERSION), errors=(404,)),
    Route("GET", f"{_JOB}/result", R, "The result", ResultView, calls.result, errors=(404, 409, 410)),
    Route("GET", f"{_JOB}/executable", R, "The circuits that ran", CircuitBundle, calls.executable, errors=(404, 409)),
    Route("GET", f"{_JOB}/source", R, "The circuits as they were sent", SourceView, calls.source, errors=(404,)),
    Route("GET", f"{_JOB}/provenance", R, "The record of the run", Provenance, calls.provenance, errors=(404,)),
    Route("POST", f"{_JOB}/cancel", S, "Take a job back", JobView, calls.cancel, errors=(404, 409)),
    Route("GET", "api/v1/quota", R, "Budgets that bind the caller", QuotaView, calls.quota, query=(_PROJECT,)),
    Route("GET", "api/v1/approvals", R, "Requests for approval", Approvals, calls.approvals, query=(_OPEN,)),
    Route(
        "POST",
        "api/v1/approvals/{id}/decision",
        Scope.APPROVE,
        "Approve or reject a request",
        ApprovalView,
        calls.decide,
        body=ApprovalDecision,
        cookie_only=True,
        errors=(404, 409),
    ),
)
"""Every JSON route. Routes without a body refuse none that is empty."""
