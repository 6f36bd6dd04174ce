"""The runners' side: announcements, reports, losses, and what the operators make of the devices."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, InputError, QuantumError
from jupyter_quantum.pipeline.board import Ticket
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.execute import Executing
from jupyter_quantum.pipeline.health import Health, two_qubit_error
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.origins import check_announced, owner_of
from jupyter_quantum.pipeline.reconcile import Reconciling
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.schedule import SERVICE, Scheduling
from jupyter_quantum.pipeline.seats import Seats
from jupyter_quantum.store import Tx
from jupyter_quantum.store.crypt import SERVICE as NOBODY
from jupyter_quantum.store.rows import AdmissionRow, DeviceRow, DeviceState
from jupyter_quantum.wire.base import canonical
from jupyter_quantum.wire.devices import DeviceAction
from jupyter_quantum.wire.runner import (
    PROTOCOLS,
    Announce,
    DeviceAnnouncement,
    ExecuteTask,
    Reported,
    ReportTask,
    TaskReport,
    Welcome,
    common_protocol,
)

__all__ = ["Runners"]

_PENDING_MOST: Final = 400
"""Devices of one owner that wait for an operator: each is a row, and a line that somebody has to read."""
_STATES: Mapping[str, DeviceState] = {"pause": "paused", "isolate": "isolated", "drain": "drained", "resume": "ready"}


class Runners:
    """What runners and operators say about devices."""

    def __init__(
        self,
        context: Context,
        scheduling: Scheduling,
        executing: Executing,
        reconciling: Reconciling,
        live: Live,
    ) -> None:
        self._context = context
        self._scheduling = scheduling
        self._executing = executing
        self._reconciling = reconciling
        self._live = live
        self._seats = Seats(context, live)
        self.health = Health(context, self._judged)
        executing.on_end.append(self.health.ended)
        self._states: dict[str, str] = {}
        self._waits: dict[str, str] = {}

    async def announce(self, words: Announce) -> Welcome:
        """Take note of a runner and its devices.

        Raises InputError where there is no common protocol, and what :func:`.origins.check_announced` does.
        """
        protocol = _agreed(words)
        check_announced(self._context.settings, self._context.board, words)
        owner, registry = owner_of(words.runner), self._context.registry
        admitted = [device for device in words.devices if registry.admits(device, owner)]
        waiting = [
            (device, why)
            for device in words.devices
            if device not in admitted and (why := registry.awaits(device, owner)) is not None
        ]
        if owner and waiting and registry.pending_of(owner, (device.name for device, _ in waiting)) > _PENDING_MOST:
            raise InputError(
                f"More than {_PENDING_MOST} devices of {owner} would wait for an operator.",
                code="runner.device",
                hint="Have those looked at that wait already.",
            )
        self._context.board.announce(words, [device.name for device in admitted])
        targets = {device.name: canonical(device.target) for device in admitted}
        for raw in targets.values():
            await self._context.keep(NOBODY, raw)
        now = self._context.clock()

        def write(tx: Tx) -> tuple[list[DeviceRow], list[AdmissionRow]]:
            rows = [self._put(tx, words.runner, device, targets[device.name], now) for device in admitted]
            return rows, [_wait(tx, words.runner, device, why, now) for device, why in waiting]

        before = {device.name: await self._error_before(device) for device in admitted}
        rows, waits = await self._context.store.write(write)
        for device, row in zip(admitted, rows, strict=True):
            registry.put(device, row)
        registry.learn(waits)
        for device in admitted:
            await self._calibrated(device, before[device.name])
        await self.watch()
        self._live.committed()
        return Welcome(protocol=protocol, lease_s=self._context.settings.lease_s, admitted=[d.name for d in admitted])

    def _put(self, tx: Tx, runner: str, device: DeviceAnnouncement, target: bytes, now: datetime) -> DeviceRow:
        digest = tx.put_blob(NOBODY, target)
        text = device.model_copy(update={"target": {}}).model_dump_json()
        row = DeviceRow(device.name, text, runner, now, target=digest)
        return tx.mark_admitted(tx.put_device(row, actor=f"runner:{runner}"), True)

    async def report(self, task_id: str, report: TaskReport) -> Reported:
        """A move of a task. Raises Conflict ``fence`` where the lease is not this runner's any more."""
        board = self._context.board
        ticket = board.held(task_id, report)
        if isinstance(ticket.do, ExecuteTask) and report.state == "session":
            return Reported(session=await self._seats.told(ticket, report))
        if isinstance(ticket.do, ExecuteTask):
            await self._executing.report(ticket, report)
            return Reported()
        report = _of_its_own(ticket, report)
        if report.state in ("started", "part"):
            if ticket.part is not None and report.prepared:
                ticket.part(report.prepared)
            return Reported()
        if not ticket.outcome.done():
            ticket.outcome.set_result(report)
        try:
            # Held until the answer: a lease request that crosses it still names the task, rightly.
            return Reported.model_construct(next=await asyncio.shield(ticket.follow))
        finally:
            board.done(ticket)

    async def lost(self, runner: str) -> None:
        """A runner has ended."""
        tickets: list[Ticket] = self._context.board.forget(runner)
        await self.watch()
        for ticket in tickets:
            await self._reconciling.lost(ticket)

    async def watch(self) -> None:
        """Note devices that came or went, and pauses that have ended."""
        for device in self._context.registry.due(self._context.clock()):
            await self._set(device, "ready", SERVICE, None, None)
        for device in self._context.registry:
            state = self._context.registry.state(device)
            if self._states.get(device.name) == state:
                continue
            known = device.name in self._states
            self._states[device.name] = state
            self._scheduling.device(device)
            self._scheduling.kick(device.name)
            if known:
                await self._tell(device, state)

    async def _tell(self, device: Device, state: str) -> None:
        data: dict[str, Any] = {"device": device.name, "state": state}
        await self._context.store.write(lambda tx: tx.add_event("device.changed", actor=SERVICE, data=data))
        self._live.committed()

    async def act(self, who: Principal, device: Device, act: DeviceAction) -> None:
        """Pause, isolate, drain, wait for a calibration, resume. Raises Conflict where it is in that state already."""
        if act.action == "recalibrate":
            await self._recalibrate(who, device, act)
            return
        state = _STATES[act.action]
        if device.row.state == state and state == "ready":
            raise Conflict(f"{device.name} is ready already.", code="device.state")
        until = None if state == "ready" else act.until
        await self._set(device, state, who.id, act.reason or None, until)

    async def _recalibrate(self, who: Principal, device: Device, act: DeviceAction) -> None:
        """It starts nothing until it has another calibration than now, and resumes by itself then."""
        if device.words.calibration.at is None and device.words.kind is DeviceKind.SIMULATOR:
            raise Conflict(f"{device.name} is never calibrated.", code="device.state")
        state: DeviceState = "isolated" if device.row.state == "ready" else device.row.state
        reason = act.reason or device.row.reason or "waiting for a new calibration"
        await self._set(device, state, who.id, reason, None, device.words.calibration.digest)

    async def _judged(self, device: Device, state: DeviceState, actor: str, reason: str | None) -> None:
        """A rule of isolation spoke; where it may, the device waits for its next calibration then."""
        waits = state != "ready" and (self._context.settings.isolation.resume or device.row.awaits is not None)
        awaits = device.words.calibration.digest if waits else None
        await self._set(device, state, actor, reason, device.row.until, awaits)

    async def _error_before(self, words: DeviceAnnouncement) -> float | None:
        """Median two-qubit error of the calibration before, where this one is another and a rule asks for it."""
        device = self._context.registry.get(words.name)
        if device is None or device.words.calibration.digest == words.calibration.digest or device.row.target is None:
            return None
        if not self._context.settings.isolation.drift:
            return None
        try:
            raw = await self._context.store.artefacts.get(NOBODY, device.row.target)
        except QuantumError:
            return None
        return two_qubit_error(json.loads(raw))

    async def _calibrated(self, words: DeviceAnnouncement, before: float | None) -> None:
        device = self._context.registry.get(words.name)
        if device is not None and (before is not None or device.row.awaits is not None):
            await self.health.calibrated(device, before, two_qubit_error(words.target))

    async def _set(
        self,
        device: Device,
        state: DeviceState,
        actor: str,
        reason: str | None,
        until: datetime | None,
        awaits: str | None = None,
    ) -> None:
        row = await self._context.store.write(
            lambda tx: tx.set_device_state(device.name, state, actor=actor, reason=reason, until=until, awaits=awaits)
        )
        self._context.registry.set_row(row)
        self._states[device.name] = self._context.registry.state(device)
        self._scheduling.device(device)
        self._scheduling.kick(device.name)
        self._live.committed()

    async def write_waits(self, texts: dict[str, str]) -> None:
        """Write place, estimate and reason of waiting jobs where they changed."""
        changed = {job: text for job, text in texts.items() if self._waits.get(job) != text}
        self._waits = texts
        if changed:
            await self._context.store.write(lambda tx: tx.set_waits(changed))


def _of_its_own(ticket: Ticket, report: TaskReport) -> TaskReport:
    """The report without rows and dry runs of devices that the runner was not asked about: others serve those."""
    dry = ticket.do.dry_run if isinstance(ticket.do, ReportTask) else None
    asked = [one for one in report.prepared if one.device in ticket.devices]
    tried = None if dry is None or report.dry_run is None or report.dry_run.device != dry else report.dry_run
    return report.model_copy(update={"prepared": asked, "dry_run": tried})


def _wait(tx: Tx, runner: str, device: DeviceAnnouncement, why: str, now: datetime) -> AdmissionRow:
    """A device that an operator has to look at."""
    text = device.model_copy(update={"target": {}}).model_dump_json()
    return tx.put_admission(AdmissionRow(device.name, owner_of(runner), text, now, why=why), actor=f"runner:{runner}")


def _agreed(words: Announce) -> int:
    theirs = words.protocols or (words.protocol, words.protocol)
    found = common_protocol(PROTOCOLS, theirs)
    if found is None:
        raise InputError(
            f"This service speaks the protocols {_range(PROTOCOLS)}, the runner {_range(theirs)} "
            f"(release {words.version}).",
            code="runner.protocol",
            hint="Install the same release on both sides.",
        )
    return found


def _range(ends: tuple[int, int]) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]} to {ends[1]}"
