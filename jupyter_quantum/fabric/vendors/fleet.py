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
_FIRST_PAUSE_S = 0.5
_TOGETHER_S = 10.0


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
        self._built: dict[str, str] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._due: dict[str, float] = {}
        self._pauses: dict[str, float] = {}
        self._said: dict[str, str] = {}
        self._recovery: dict[str, str] = {}

    def __contains__(self, device: str) -> bool:
        """Whether this device was announced, and runs at a vendor's."""
        return device in self._readings and device in self._recovery

    def of(self, device: str) -> VendorProcess:
        """The vendor of a remote device."""
        return self._processes[device]

    def take(self) -> dict[str, Calibration]:
        """What a zygote builds remote devices from; :meth:`look` tells of what is newer than this."""
        self._built = {name: reading.digest for name, reading in self._readings.items()}
        return {name: Calibration(reading.target, reading.at) for name, reading in self._readings.items()}

    async def look(self, devices: Iterable[str], most_s: float = _TOGETHER_S) -> bool:
        """Ask the vendors that are due for their devices; returns whether any is new or was calibrated anew.

        Who takes longer than ``most_s`` seconds delays nobody, and is looked at the next time.
        """
        now = time.monotonic()
        for name in devices:
            if name not in self._asking and self._due.get(name, 0.0) <= now:
                self._asking[name] = asyncio.create_task(self._look(name))
        if self._asking:
            await asyncio.wait(self._asking.values(), timeout=most_s)
        for name in [name for name, asking in self._asking.items() if asking.done()]:
            self._asking.pop(name).result()
        return any(reading.digest != self._built.get(name) for name, reading in self._readings.items())

    def rest_s(self) -> float:
        """Seconds until there is something to look at."""
        soon = 0.0 if self._asking else min(self._due.values(), default=0.0) - time.monotonic()
        return max(_FIRST_PAUSE_S, soon)

    async def _look(self, name: str) -> None:
        self._due[name] = time.monotonic() + self._settings.calibration_s
        process = self._processes.get(name)
        if process is None:
            process = self._processes[name] = VendorProcess(self._specs[name], self._settings.secrets)
        try:
            found = await (process.calibration() if name in self._readings else process.announce())
        except VendorError as error:
            self._failed(name, str(error))
            return
        self._said.pop(name, None)
        self._pauses.pop(name, None)
        self._looked[name] = time.monotonic()
        self._due[name] = self._looked[name] + self._settings.calibration_s
        self._readings[name] = found

    def _failed(self, name: str, words: str) -> None:
        """Try again later, and later still; say it once."""
        pause = self._pauses.get(name, _FIRST_PAUSE_S)
        self._due[name] = time.monotonic() + pause
        self._pauses[name] = min(2 * pause, self._settings.calibration_s)
        if self._said.get(name) != words:
            log.warning("%s: its vendor does not describe it: %s", name, words)
        self._said[name] = words

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
        for asking in self._asking.values():
            asking.cancel()
        await asyncio.gather(*(process.close() for process in self._processes.values()))
