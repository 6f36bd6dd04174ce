"""Adapters: one file a kind of device, found by entry points (group ``jupyter_quantum.adapters``)."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Final

from jupyter_quantum.fabric.adapters.base import Device
from jupyter_quantum.fabric.settings import DeviceSpec

__all__ = ["GROUP", "Device", "adapter", "build"]

GROUP: Final = "jupyter_quantum.adapters"


def adapter(name: str) -> type[Device]:
    """The class that is registered under this name; its SDK is imported only now.

    Raises ``ValueError`` for an unknown adapter, or one whose SDK is not installed here.
    """
    found = next(iter(entry_points(group=GROUP, name=name)), None)
    if found is None:
        known = ", ".join(sorted(point.name for point in entry_points(group=GROUP)))
        raise ValueError(f"no adapter named {name!r}; here are {known}")
    try:
        loaded: type[Device] = found.load()
    except ImportError as error:
        raise ValueError(f"adapter {name!r} needs a package that is not installed here: {error}") from error
    return loaded


def build(spec: DeviceSpec, threads: int) -> Device:
    """Return the device of ``spec``. Raises ``ValueError`` where it cannot be made, in words for an operator."""
    make = adapter(spec.adapter)
    return make(spec, threads)  # type: ignore[call-arg]  # subclasses find Target and calibration themselves
