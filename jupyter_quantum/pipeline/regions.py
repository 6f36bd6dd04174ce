"""Regions: a project that is bound to some runs and is stored nowhere else (P7)."""

from __future__ import annotations

from jupyter_quantum.core.tenancy import ProjectSpec
from jupyter_quantum.exceptions import Refused
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.registry import Device

__all__ = ["check_region", "fits", "out_of_bounds"]


def fits(project: ProjectSpec, device: Device) -> bool:
    """Whether the device is where the project may run."""
    return not project.regions or device.words.region in project.regions


def out_of_bounds(context: Context, project: ProjectSpec, device: Device) -> Refused | None:
    """Why this project may not use this device, naming those that fit; None where it may.

    Policy says so as well (``regions``); this holds whatever the files say.
    """
    if not project.regions:
        return None
    bound, storage = ", ".join(sorted(project.regions)), context.settings.storage_region
    if storage not in project.regions:
        where = f"in {storage}" if storage else "in a region that nobody named"
        return Refused(
            f"{project.name} is bound to {bound}, and this service keeps its data {where}.",
            code="region.storage",
            hint="An operator sets storage_region, or runs a service there.",
        )
    if fits(project, device):
        return None
    others = [other.name for other in context.registry if fits(project, other)]
    return Refused(
        f"{device.name} is in {device.words.region}; {project.name} is bound to {bound}.",
        code="region.bound",
        hint=f"Devices that fit: {', '.join(others)}." if others else "No device is there at the moment.",
        details={"region": device.words.region, "regions": sorted(project.regions), "devices": others},
    )


def check_region(context: Context, project: ProjectSpec, device: Device) -> None:
    """Raise what :func:`out_of_bounds` says."""
    if (refusal := out_of_bounds(context, project, device)) is not None:
        raise refusal
