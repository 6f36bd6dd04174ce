"""The vendors of a runner: one process a remote device, and what each last said of its device."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable

from jupyter_quantum.fabric.adapters.vendor import Calibration, VendorError
from jupyter_quantum.fabric.settings import Settings
from jupyter_quantum.fabric.vendors.messages import Reading
from jupyter_quantum.fabric.vendors.process import VendorProcess
from jupyter_quantum.wire.runner import DeviceAnnouncement

__all__ = ["Fleet"]

log = logging.getLogger(__name__)

_FRESH_S = 30.0


class Fleet:
    """Starts vendor processes, and keeps the latest calibrations.

    Args:
        settings: of the runner.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._specs = {spec.name: spec for spec in settings.devices}
        self._processes: dict[str, VendorProcess] = {}
        self._readings: dict[str, Reading] = {}
        self._looked: dict[str, float] = {}
        self._recovery: dict[str, str] = {}

    def __contains__(self, device: str) -> bool:
        """Whether this device was announced, and runs at a vendor's."""
        return device in self._readings and device in self._recovery

    def of(self, device: str) -> VendorProcess:
        """The vendor of a remote device."""
        return self._processes[device]

    @property
    def calibrations(self) -> dict[str, Calibration]:
        """What the zygote builds remote devices from."""
        return {name: Calibration(reading.target, reading.at) for name, reading in self._readings.items()}

    async def look(self, devices: Iterable[str]) -> bool:
        """Ask each vendor for its device; returns whether any is new or was calibrated anew."""
        return any(await asyncio.gather(*(self._look(name) for name in devices)))

    async def _look(self, name: str) -> bool:
        process = self._processes.get(name)
        if process is None:
            process = self._processes[name] = VendorProcess(self._specs[name], self._settings.secrets)
        known = self._readings.get(name)
        try:
            found = await (process.announce() if known is None else process.calibration())
        except VendorError as error:
            log.warning("%s: its vendor does not describe it: %s", name, error)
            return False
        self._looked[name] = time.monotonic()
        self._readings[name] = found
        return known is None or known.digest != found.digest

    def missing(self, devices: Iterable[str]) -> bool:
        """Whether one of these has not been described yet."""
        return any(name not in self._readings for name in devices)

    async def drifted(self, device: str, digest: str) -> bool:
        """Whether the device was calibrated anew since the calibration with this digest."""
        if time.monotonic() - self._looked.get(device, 0.0) > _FRESH_S:
            await self._look(device)
        return self._readings[device].digest != digest

    def recovery(self, device: str) -> str:
        """What can be known of its submissions after a crash."""
        return self._recovery[device]

    def announced(self, device: DeviceAnnouncement) -> DeviceAnnouncement:
        """With how long handing over may take at its vendor."""
        self._recovery[device.name] = device.recovery
        if device.name not in self._readings:
            return device
        reading = self._readings[device.name]
        return device.model_copy(update={"submit_s": reading.submit_s, "indexing_s": reading.indexing_s})

    async def close(self) -> None:
        """End all vendor processes."""
        await asyncio.gather(*(process.close() for process in self._processes.values()))
