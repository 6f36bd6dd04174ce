"""Devices: what they are, and what operators do to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Route
from jupyter_quantum.wire.devices import (
    AdmissionDecision,
    Admissions,
    AdmissionView,
    DeviceAction,
    Devices,
    DeviceView,
    TargetView,
)

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_DEVICE = "api/v1/devices/{name}"


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
    """Pause, isolate, drain, wait for a calibration, resume."""
    return await api.pipeline.act_on_device(api.who, name, api.body(DeviceAction))


async def admissions(api: Api) -> Admissions:
    """Devices that no configuration admits."""
    return await api.pipeline.admissions.list(api.who)


async def decide_admission(api: Api, name: str) -> AdmissionView:
    """Admit a device, or reject it."""
    return await api.pipeline.admissions.decide(api.who, name, api.body(AdmissionDecision))


ROUTES: Final = (
    Route("GET", "api/v1/devices", Scope.READ, "Devices that the caller may see", Devices, devices),
    Route("GET", "api/v1/admissions", Scope.OPERATE, "Devices that operators admit", Admissions, admissions),
    Route(
        "POST",
        f"{_DEVICE}/admission",
        Scope.OPERATE,
        "Admit a device that a runner announced, or reject it",
        AdmissionView,
        decide_admission,
        body=AdmissionDecision,
        errors=(404, 409),
    ),
    Route("GET", _DEVICE, Scope.READ, "One device", DeviceView, device, errors=(404,)),
    Route(
        "GET",
        f"{_DEVICE}/target",
        Scope.READ,
        "A device's Target; the ETag is its calibration",
        TargetView,
        target,
        errors=(304, 404),
    ),
    Route(
        "POST",
        f"{_DEVICE}/state",
        Scope.OPERATE,
        "Pause, isolate, drain or resume a device, or have it wait for a calibration",
        DeviceView,
        act_on_device,
        body=DeviceAction,
        errors=(404, 409),
    ),
)
"""Routes about devices."""
