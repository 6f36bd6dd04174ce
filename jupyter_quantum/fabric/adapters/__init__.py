"""Adapters: one file a kind of device. :func:`build` makes the devices that a runner serves."""

from __future__ import annotations

from jupyter_quantum.fabric.adapters.base import Device
from jupyter_quantum.fabric.settings import DeviceSpec

__all__ = ["Device", "build"]


def build(spec: DeviceSpec, threads: int) -> Device:
    """Return the device of ``spec``; its SDK is imported only now. Raises ``ValueError`` for an unknown adapter."""
    if spec.adapter == "aer":
        from jupyter_quantum.fabric.adapters.aer import AerDevice

        return AerDevice(spec, threads)
    if spec.adapter == "ibm_fake":
        from jupyter_quantum.fabric.adapters.ibm_fake import FakeDevice

        return FakeDevice(spec, threads)
    raise ValueError(f"no adapter named {spec.adapter!r}")
