"""Why a job waits and when it would start, in words; the queues run ahead (``core.forecast``)."""

from __future__ import annotations

import math
from typing import Final

from jupyter_quantum.core import forecast
from jupyter_quantum.core.fairshare import Demand, Scheduler
from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.tenancy import ProjectSpec
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.later import Later
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.store.rows import Json
from jupyter_quantum.wire.devices import Wait
from jupyter_quantum.wire.runner import Prepared

__all__ = ["Queues"]

_WHOSE: Final = {"organisation": "your organisation", "project": "your project", "user": "you", "class": "your class"}


class Queues:
    """Answers about waiting, from the scheduler's own state."""

    def __init__(self, context: Context, scheduler: Scheduler, later: Later) -> None:
        self._context = context
        self._scheduler = scheduler
        self._later = later

    def waits(self, device: Device) -> dict[str, Wait]:
        """Every waiting job of a device: place, estimate, reason."""
        lane = self._scheduler.lane(device.name)
        return {found.job: self._wait(device, found) for found in forecast.ahead(lane, self._now())}

    def texts(self) -> dict[str, Json]:
        """The same for all devices, as it is stored."""
        found = {job: wait for device in self._context.registry for job, wait in self.waits(device).items()}
        return self._later.texts() | {job: wait.model_dump_json() for job, wait in found.items()}

    def wait(self, device: str, job_id: str) -> Wait | None:
        """The same for one job; None where it does not wait."""
        if (later := self._later.wait(job_id)) is not None:
            return later
        found = self._context.registry.get(device)
        return None if found is None else self.waits(found).get(job_id)

    def expected(self, device: Device, prepared: Prepared) -> float | None:
        """Seconds that a run would probably wait for its device, whoever submits it."""
        return self.outlook(device, None, "", prepared).p50

    def outlook(self, device: Device, project: ProjectSpec | None, principal: str, prepared: Prepared | None) -> Wait:
        """When a job would start if it were submitted now."""
        seconds = prepared.seconds if prepared is not None else None
        value, high = (seconds.value, seconds.high) if seconds is not None else (1.0, 1.0)
        organisation, name = (project.organisation, project.name) if project is not None else ("", "")
        now = self._now()
        lane = self._scheduler.lane(device.name)
        if lane.device.state == "ready" and not lane.shares.waiting and len(lane.running) < lane.device.slots:
            return Wait(p50=0.0, p90=0.0)  # nobody is there to go first
        job = Demand(new_id("job"), device.name, organisation, name, principal, now, max(value, 1e-3), high)
        found = self._wait(device, forecast.if_submitted(lane, job, now))
        free = found.reason == "wait.device" and found.p50 == 0
        # Of a job that is not there the place would be the length of the queue.
        nothing = {"reason": None, "words": None} if free else {}
        return found.model_copy(update={"place": None, **nothing})

    def _wait(self, device: Device, found: forecast.Forecast) -> Wait:
        p50, p90 = _coarse(found.p50), _coarse(found.p90)
        return Wait(p50=p50, p90=p90, place=found.place, reason=found.reason, words=self._words(device, found))

    def _words(self, device: Device, found: forecast.Forecast) -> str:
        zone, now = self._context.settings.time_zone, self._context.clock()
        match found.reason:
            case "wait.paused" if device.row.state == "isolated":
                return sentences.isolated(device.row)
            case "wait.paused":
                return sentences.paused(device.row, zone, now)
            case "wait.drained":
                return sentences.drained(device.row, zone, now)
            case "wait.offline":
                return sentences.waiting_for_runner(device.name)
            case "wait.share":
                whose = _WHOSE.get(found.level or "", "your project")
                its = "your" if whose == "you" else "its"
                return f"Waiting because {whose} used more than {its} share today; others go first for a while."
            case "wait.turn":
                return f"Waiting because others asked for {device.name} earlier."
            case _:
                return f"Waiting because {device.name} is busy; this is next."

    def _now(self) -> float:
        return self._context.clock().timestamp()


def _coarse(seconds: float | None) -> float | None:
    """An estimate with two digits, in whole seconds: enough to plan with, too coarse to count others' runs by."""
    if seconds is None or seconds <= 0.0:
        return None if seconds is None else 0.0
    step = 10.0 ** max(0, math.floor(math.log10(seconds)) - 1)
    return max(1.0, round(seconds / step) * step)
