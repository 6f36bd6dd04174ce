"""One report in the making: every device in one go over all runners that serve them, rows as they come.

A runner that fails or is slow costs its own rows, each with the reason, and nobody else's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Sequence
from dataclasses import dataclass

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.tenancy import Principal, ProjectSpec
from jupyter_quantum.core.words import moment
from jupyter_quantum.exceptions import Conflict, InputError, QuantumError, Unavailable
from jupyter_quantum.pipeline import duration, sentences
from jupyter_quantum.pipeline.board import Ticket
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.decide import Deciding
from jupyter_quantum.pipeline.envelopes import Enveloping
from jupyter_quantum.pipeline.evidence import Evidence
from jupyter_quantum.pipeline.queues import Queues
from jupyter_quantum.pipeline.recall import Recall, Recalled, Said, key_of
from jupyter_quantum.pipeline.regions import out_of_bounds
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.validate import Parcel, Validating
from jupyter_quantum.pipeline.views import decision_view
from jupyter_quantum.wire.jobs import QuotaView
from jupyter_quantum.wire.reports import DryRun, Mitigation, ReportRow, Resources
from jupyter_quantum.wire.runner import Announce, Prepared, TaskReport

__all__ = ["Comparison", "Parts"]


@dataclass(frozen=True, slots=True)
class Parts:
    """What a comparison needs of the pipeline."""

    context: Context
    deciding: Deciding
    validating: Validating
    queues: Queues
    enveloping: Enveloping
    evidence: Evidence
    recalled: Recall


@dataclass(frozen=True, slots=True)
class _Failed:
    """A runner's part of the report came to nothing."""

    devices: Sequence[str]
    error: QuantumError


_News = list[Prepared] | TaskReport | _Failed | None
"""Rows on their way, a runner's last word, or why there is none; None: a runner has said everything."""


class Comparison:
    """Devices side by side: a row for each, at any time; those to be checked are *pending* at first."""

    def __init__(
        self, parts: Parts, who: Principal, project: ProjectSpec, parcel: Parcel, devices: Sequence[Device]
    ) -> None:
        self._parts = parts
        self.who = who
        self.project = project
        self.parcel = parcel
        self.found: dict[str, Prepared] = {}
        """What the workers said, by device."""
        self.dry_run: DryRun | None = None
        self.resources: Resources | None = None
        self.drawing = ""
        self.recalled = False
        """Whether everything was known, and no worker was asked."""
        self._asker = parts.deciding.asker(who, project)
        self._key = key_of(parcel, parts.context.settings.limits.caps())
        self._devices = {device.name: device for device in devices}
        self._news: asyncio.Queue[_News] = asyncio.Queue()
        problems = {device.name: self._problem(device) for device in devices}
        self._open = {name for name, problem in problems.items() if problem is None}
        """Devices that are still to be checked."""
        self._rows = {name: self._blank(self._devices[name], why) for name, why in problems.items() if why is not None}

    def rows(self) -> list[ReportRow]:
        """Of every device, in the order in which they were asked for."""
        return [self._rows.get(name) or self._blank(device, None) for name, device in self._devices.items()]

    async def changes(self, dry_run: str | None, *, resources: bool = False) -> AsyncGenerator[list[ReportRow], None]:
        """Ask every runner, and yield rows as they are known; before the first of them, all as they stand.

        Where nobody has to be asked, nothing is yielded: everything is there when this ends.

        Raises the error of a runner where no device of any runner could be checked.
        """
        known = self._known({dry_run} if not resources else set(self._devices))
        tickets = self._tickets(dry_run, resources, known)
        asking = [asyncio.create_task(self._ask(ticket)) for ticket in tickets]
        try:
            self.recalled = not asking
            if asking:
                yield self.rows()
            quota = await self._parts.deciding.budgets.quota(self.who, self.project)
            if (rows := await self._take(known, quota)) and asking:
                yield rows
            open_, failures = len(asking), list[_Failed]()
            while open_:
                rows = []
                for news in await self._heard():
                    if news is None:
                        open_ -= 1
                    elif isinstance(news, _Failed):
                        failures.append(news)
                    else:
                        rows += await self._take(news, quota)
                if rows and open_:  # the last ones come with the whole report
                    yield rows
            if failures and not self.found:
                raise failures[0].error
            self._fail(failures)
            self._remember()
        finally:
            for task, ticket in zip(asking, tickets, strict=True):
                task.cancel()
                self._parts.validating.close(ticket)  # a task that never began closes nothing

    # Asking

    def _known(self, asked: Collection[str | None]) -> list[Prepared]:
        """What workers said when they were last asked this, of devices that are as they were then.

        Left out are devices that are ``asked`` for more than a row.
        """
        recalled = self._parts.recalled.recall(self.who.id, self._key)
        self.drawing = recalled.drawing
        return [
            one.prepared if one.source == self.parcel.source else one.prepared.model_copy(update={"digest": None})
            for name, one in recalled.rows.items()
            if name not in asked
            and name in self._open
            and self._serving(name) is one.runner
            and one.prepared.calibration == self._devices[name].words.calibration
        ]

    def _remember(self) -> None:
        """Keep what was found out for the same person's next report on this circuit; refusals are not kept."""
        if self.recalled:
            return
        rows = {
            name: Said(runner, self.parcel.source, prepared)
            for name, prepared in self.found.items()
            if prepared.digest is not None and (runner := self._serving(name)) is not None
        }
        self._parts.recalled.keep(self.who.id, self._key, Recalled(rows, self.drawing))

    def _serving(self, device: str) -> Announce | None:
        """The announcement of the runner that serves a device; a runner that came back has another one."""
        runner = self._parts.context.board.serving(device)
        return None if runner is None else runner.words

    def _tickets(self, dry_run: str | None, resources: bool, known: Sequence[Prepared]) -> list[Ticket]:
        """One task for each runner that serves some of the devices that are not known."""
        by_runner: dict[str, list[str]] = {}
        done = {prepared.device for prepared in known}
        for name in self._devices:
            runner = self._parts.context.board.serving(name) if name in self._open and name not in done else None
            if runner is not None:
                by_runner.setdefault(runner.words.runner, []).append(name)
        offer = self._parts.validating.offer_report
        return [
            offer(
                self.parcel,
                names,
                self.who.id,
                dry_run if dry_run in names else None,
                self._news.put_nowait,
                resources,
            )
            for names in by_runner.values()
        ]

    async def _ask(self, ticket: Ticket) -> None:
        """Wait for one runner's last word, and close its task whatever becomes of the report."""
        validating = self._parts.validating
        try:
            ticket, report = await validating.found(ticket)
            self._news.put_nowait(report)
        except QuantumError as error:
            self._news.put_nowait(_Failed(sorted(ticket.devices), error))
        finally:
            validating.close(ticket)
            self._news.put_nowait(None)

    async def _heard(self) -> list[_News]:
        """Everything that is known by now; waits where there is nothing new."""
        heard = [await self._news.get()]
        while not self._news.empty():
            heard.append(self._news.get_nowait())
        return heard

    async def _take(self, news: list[Prepared] | TaskReport, quota: QuotaView) -> list[ReportRow]:
        """Rows of devices that were asked about and are still open; a row that comes twice counts once."""
        if isinstance(news, TaskReport):
            self.dry_run = self.dry_run or news.dry_run
            self.resources = _better(self.resources, news.resources)
            self.drawing = self.drawing or news.drawing
            news = news.prepared
        fresh = [one for one in news if one.device in self._open]
        for prepared in fresh:
            self.found[prepared.device] = prepared
            self._rows[prepared.device] = await self._row(self._devices[prepared.device], prepared, quota)
            self._open.discard(prepared.device)
        return [self._rows[prepared.device] for prepared in fresh]

    def _fail(self, failures: Sequence[_Failed]) -> None:
        """Give devices that nobody answered for a row with the reason."""
        reasons = {name: failed.error for failed in failures for name in failed.devices}
        silent = Unavailable("No answer from the worker.", code="runner.answer")
        for name in self._open:
            self._rows[name] = self._blank(self._devices[name], reasons.get(name, silent))

    # Rows

    def _problem(self, device: Device) -> QuantumError | None:
        """Why the device cannot even be asked."""
        context, parcel = self._parts.context, self.parcel
        if (refusal := out_of_bounds(context, self.project, device)) is not None:
            return refusal
        state = context.registry.state(device)
        if state == "offline":
            return Unavailable(sentences.waiting_for_runner(device.name), code="device.offline")
        if state == "drained":
            said = sentences.drained(device.row, context.settings.time_zone, context.clock())
            return Conflict(said, code="device.drained")
        try:
            device.check_options(parcel.kind, parcel.options, context.registry)
            self._parts.validating.check_reads(device, parcel)
            device.check_shots(parcel.shots(), context.settings.limits.shots)
        except QuantumError as error:
            return error
        return None

    def _blank(self, device: Device, problem: QuantumError | None) -> ReportRow:
        """A row without numbers: where it cannot run, or (without a problem) where that is not known yet."""
        said = None if problem is None else f"{problem.message} {problem.hint}" if problem.hint else problem.message
        return ReportRow(
            device=device.name,
            kind=device.words.kind,
            label=device.label,
            state=self._parts.context.registry.state(device),
            pending=problem is None,
            calibration=device.words.calibration,
            problem=said,
            code=problem and problem.code,
        )

    async def _row(self, device: Device, prepared: Prepared, quota: QuotaView) -> ReportRow:
        if prepared.error is not None:
            said = prepared.error
            text = f"{said.message} {said.hint}" if said.hint else said.message
            return self._blank(device, InputError(text, code=said.code))
        parts = self._parts
        try:
            parts.validating.check_found(device, self.parcel, prepared)
        except QuantumError as error:
            return self._blank(device, error)
        cost = parts.deciding.budgets.cost(device, prepared)
        facts = parts.deciding.facts(self._asker, self.project, device, prepared, cost)
        decision = parts.context.policies.decide(facts)
        if decision.effect == "needs_approval":
            covered = await parts.enveloping.covering(self._asker.principal, self.parcel, prepared, facts)
            decision = decision if covered is None else covered.decision
        known = await parts.evidence.ask(device.name, prepared.num_qubits, prepared.depth)
        return ReportRow(
            device=device.name,
            kind=device.words.kind,
            label=device.label,
            state=parts.context.registry.state(device),
            depth=prepared.depth,
            two_qubit_gates=prepared.two_qubit_gates,
            success=prepared.success,
            noise_free=prepared.noise_free,
            rests_on=self._rests_on(prepared),
            mirror=known.mirror if device.words.kind is DeviceKind.QPU else None,
            scores=list(known.scores),
            mitigation=self._mitigation(device, prepared),
            seconds=prepared.seconds,
            seconds_rest_on=duration.rests_on(prepared),
            warning=duration.warning(device, prepared),
            wait=parts.queues.outlook(device, self.project, self._asker.principal, prepared),
            price=cost.estimate,
            price_at_most=cost.at_most,
            quota_after=quota.left - cost.at_most,
            decision=decision_view(decision),
            calibration=prepared.calibration or device.words.calibration,
            executable=prepared.digest,
        )

    def _rests_on(self, prepared: Prepared) -> str | None:
        """``calibration of 14:02 CEST, gates and readout``; None where there is no estimate."""
        if prepared.success is None or not prepared.basis:
            return None
        when = "calibration"
        if prepared.calibration is not None and prepared.calibration.at is not None:
            zone, clock = self._parts.context.settings.time_zone, self._parts.context.clock
            at, now = prepared.calibration.at.astimezone(zone), clock().astimezone(zone)
            when = f"calibration of {moment(at, now)}"
        return f"{when}, {' and '.join(prepared.basis)}"

    def _mitigation(self, device: Device, prepared: Prepared) -> list[Mitigation]:
        """What the device's options offer; nothing where there is no choice."""
        options = device.words.options.get(self.parcel.kind.value, {}).get("properties", {})
        found = {"none": 1.0, "readout": prepared.mitigation_overhead}
        return [
            *(
                Mitigation(name=name, words=_MITIGATION.get(name, "an installed method"), overhead=found.get(name))
                for name in options.get("mitigation", {}).get("enum", [])
            ),
            *(Mitigation(name=name, words=words) for name, words in _VENDOR.items() if name in options),
        ]


def _better(one: Resources | None, other: Resources | None) -> Resources | None:
    """Of two runners' estimates the one of an estimator; not every environment has one."""
    return other if one is None or (other is not None and other.models and not one.models) else one


_MITIGATION = {"none": "counts as they are", "readout": "readout errors taken out (mthree), raw counts beside"}
_VENDOR = {
    "resilience_level": "the vendor's own levels",
    "dynamical_decoupling.enable": "the vendor's dynamical decoupling",
    "twirling.enable_gates": "the vendor's twirling of gates",
    "twirling.enable_measure": "the vendor's twirling of readout",
    "debiasing": "the vendor's debiasing",
}
"""Options by which adapters offer a vendor's own mitigation."""
