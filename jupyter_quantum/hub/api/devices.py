"""Devices: what they are, and what operators do to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Route
from jupyter_quantum.wire.jobs import DeviceAction, Devices, DeviceView, TargetView

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


ROUTES: Final = (
    Route("GET", "api/v1/devices", Scope.READ, "Devices that the caller may see", Devices, devices),
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
