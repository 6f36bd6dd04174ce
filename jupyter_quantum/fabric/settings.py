"""What a runner is told at start: one JSON line on its standard input."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from jupyter_quantum.core.jobs import DeviceKind

__all__ = ["DeviceSpec", "Settings"]


class DeviceSpec(BaseModel):
    """One device to serve. ``fake`` names a class of ``qiskit_ibm_runtime.fake_provider`` (adapter ``ibm_fake``)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
    adapter: str
    slots: Annotated[int, Field(ge=1, le=64)] = 1
    kind: DeviceKind | None = None
    label: str | None = None
    region: str = "local"
    fake: str | None = None
    max_shots: Annotated[int, Field(ge=1)] = 100_000


class Settings(BaseModel):
    """The first line on standard input. ``token`` never leaves the runner's own process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    socket: str
    """Path of the service's unix socket."""
    token: str = Field(repr=False)
    runner: str
    devices: tuple[DeviceSpec, ...]
    workers: Annotated[int, Field(ge=1, le=64)] = 4
    """Locked workers kept ready, and sessions kept open, at a time."""
    threads: Annotated[int, Field(ge=1, le=256)] = 2
    """Threads of one simulation."""

    @property
    def capacity(self) -> int:
        """Tasks at a time: what the devices run, and preparing beside it."""
        return sum(device.slots for device in self.devices) + self.workers
