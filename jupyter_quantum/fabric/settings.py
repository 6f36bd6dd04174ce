"""What a runner is told at start: one JSON line on its standard input."""

from __future__ import annotations

from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.fabric.secrets import NoSecrets, SecretsSettings

__all__ = ["DeviceSpec", "OwnSettings", "Settings"]

Own = TypeVar("Own", bound=BaseModel)


class OwnSettings(BaseModel):
    """Base of what an adapter wants beside the settings of every device; an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DeviceSpec(BaseModel):
    """One device to serve. What else its adapter wants stands beside these settings, and :meth:`own` reads it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]
    adapter: str
    slots: Annotated[int, Field(ge=1, le=64)] = 1
    kind: DeviceKind | None = None
    label: str | None = None
    region: str = "local"
    secret: str | None = None
    """Name of the vendor's secret at the secrets provider; only remote devices have one."""
    max_shots: Annotated[int, Field(ge=1)] = 100_000
    sessions: Literal["batch", "dedicated", "off"] | None = None
    """What users' sessions are at the vendor; None: batches where it has them, which cost no more than their jobs.

    *dedicated* ones bill what they wait between jobs too. Nobody here is charged for that, since nobody approved it:
    it stays with who pays the vendor, is bounded by :attr:`session_s`, and is told at each session's end."""
    session_s: Annotated[float, Field(ge=60, le=31 * 86_400)] | None = None
    """The longest that a vendor's session may be open, seconds; without it there are no dedicated ones."""

    def own(self, model: type[Own]) -> Own:
        """The adapter's own settings. Raises ``ValueError`` naming the device and the setting that cannot be used."""
        try:
            return model.model_validate(self.model_extra or {})
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"])) or "settings"
            raise ValueError(f"device {self.name}: {where}: {first['msg']}") from None


class Settings(BaseModel):
    """What :class:`~jupyter_quantum.fabric.runner.Runner` is told. ``token`` never leaves the runner's own process."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    socket: str = ""
    """Path of the service's unix socket, on the same machine."""
    url: str = ""
    """Address of the service with its prefix, from elsewhere: ``https://hub.example.org/services/quantum/``."""
    ca: str | None = None
    """File of certificates that the service's is checked against, instead of the system's."""
    token: str = Field(repr=False)
    runner: str
    devices: tuple[DeviceSpec, ...]
    workers: Annotated[int, Field(ge=1, le=64)] = 4
    """Locked workers kept ready, and sessions kept open, at a time."""
    threads: Annotated[int, Field(ge=1, le=256)] = 2
    """Threads of one simulation."""
    metrics_port: Annotated[int | None, Field(ge=0, le=65535)] = None
    """Port on loopback at which Prometheus reads this runner's metrics; 0 picks one, None: nowhere."""
    secrets: SecretsSettings = NoSecrets()
    """Where the secrets of remote devices are; their values are never among the settings."""
    calibration_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    """How often a vendor is asked for a new calibration, and one that did not answer is tried again."""
    poll_s: Annotated[float, Field(gt=0, le=600)] = 15.0
    """The longest pause between two questions to a vendor about a job."""

    @property
    def capacity(self) -> int:
        """Tasks at a time: what the devices run, and preparing beside it."""
        return sum(device.slots for device in self.devices) + self.workers
