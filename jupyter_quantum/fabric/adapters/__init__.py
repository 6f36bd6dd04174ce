"""Adapters: one file a kind of device, found by entry points (group ``jupyter_quantum.adapters``) or by import path."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, Final

from jupyter_quantum.fabric.adapters.vendor import Calibration
from jupyter_quantum.fabric.settings import DeviceSpec

if TYPE_CHECKING:
    from jupyter_quantum.fabric.adapters.base import Device

__all__ = ["GROUP", "Device", "adapter", "build"]

GROUP: Final = "jupyter_quantum.adapters"


def adapter(name: str) -> type[Device]:
    """The class that is registered under this name, or named as ``package.module:Class``; imported only now.

    Raises ``ValueError`` for an unknown adapter, or one whose SDK is not installed here.
    """
    if ":" in name:
        return _imported(name)
    found = next(iter(entry_points(group=GROUP, name=name)), None)
    if found is None:
        known = ", ".join(sorted(point.name for point in entry_points(group=GROUP)))
        raise ValueError(f"no adapter named {name!r}; here are {known}")
    try:
        loaded: type[Device] = found.load()
    except ImportError as error:
        raise ValueError(f"adapter {name!r} needs a package that is not installed here: {error}") from error
    return loaded


def _imported(name: str) -> type[Device]:
    module, _, attribute = name.partition(":")
    try:
        found = getattr(import_module(module), attribute, None)
    except ImportError as error:
        raise ValueError(f"adapter {name!r} cannot be imported: {error}") from error
    from jupyter_quantum.fabric.adapters.base import Device

    if not isinstance(found, type) or not issubclass(found, Device):
        raise ValueError(f"adapter {name!r} is no subclass of Device")
    return found


def build(spec: DeviceSpec, threads: int, found: Calibration | None = None) -> Device:
    """Return the device of ``spec``; ``found`` is what the vendor of a remote one announced.

    Raises ``ValueError`` where it cannot be made, in words for an operator.
    """
    make = adapter(spec.adapter)
    if not make.remote:
        return make(spec, threads)  # type: ignore[call-arg]  # subclasses find Target and calibration themselves
    if found is None:
        raise ValueError(f"device {spec.name}: its vendor has not announced it")
    return make(spec, threads, found)  # type: ignore[call-arg]


def __getattr__(name: str) -> Any:
    """``Device`` is imported when it is asked for: the runner reads the contract of vendors without Qiskit."""
    if name == "Device":
        from jupyter_quantum.fabric.adapters import base

        return base.Device
    raise AttributeError(name)
