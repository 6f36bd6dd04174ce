"""Validation reports: where circuits could run, at what price, and whether policy allows it. Nothing runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.tenancy import Principal, ProjectSpec
from jupyter_quantum.exceptions import Conflict, InputError, QuantumError, Unavailable
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.decide import Asker, Deciding
from jupyter_quantum.pipeline.envelopes import Enveloping
from jupyter_quantum.pipeline.evidence import Evidence
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.queues import Queues
from jupyter_quantum.pipeline.regions import out_of_bounds
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.validate import PUBS, Parcel, Validating, parcel_of
from jupyter_quantum.pipeline.views import decision_view
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import ReportRow as StoredReport
from jupyter_quantum.wire.jobs import JobRequest, QuotaView, ReportRequest, ReportRow, ReportView
from jupyter_quantum.wire.runner import Prepared, TaskReport

__all__ = ["Reports", "promise"]


class Reports:
    """Makes reports, and binds jobs to them."""

    def __init__(
        self, context: Context, deciding: Deciding, validating: Validating, queues: Queues, enveloping: Enveloping
    ) -> None:
        self._context = context
        self._deciding = deciding
        self._validating = validating
        self._queues = queues
        self._enveloping = enveloping
        self.evidence = Evidence()
        """Set its ``ask`` to have measurements shown beside the estimates."""

    async def make(self, who: Principal, request: ReportRequest) -> ReportView:
        """Validate on each device asked for. Raises what makes the circuits unusable anywhere."""
        project = self._context.people.project(who, request.project)
        if request.circuits is None:
            raise InputError("The request has no circuits.", code="circuit.missing")
        parcel = Parcel(request.kind, request.circuits, request.pubs, request.options, request.transpile)
        self._validating.check_size(parcel)
        devices = self._devices(request.devices)
        rows, usable = self._usable(devices, parcel, project)
        reports = await self._ask(who, parcel, usable, request.dry_run)
        found = {prepared.device: prepared for report in reports for prepared in report.prepared}
        quota = await self._context.store.read(
            lambda view: self._deciding.budgets.quota_of(view, who.id, who.name, project)
        )
        asker = self._deciding.asker(who, project)
        for device in usable:
            prepared = found.get(device.name)
            if prepared is not None:
                rows[device.name] = await self._row(device, parcel, prepared, asker, project, quota)
        view = self._view(request, parcel, project, [rows[d.name] for d in devices], list(found.values()), reports)
        await self._keep(who, request, parcel, view)
        return view

    async def get(self, who: Principal, report_id: str, check: Callable[[str], None]) -> ReportView:
        """A report of one's own, or of a project that one leads; ``check`` raises where a reader may not have others'.

        It shows the circuits, and counts where a dry run was asked for.
        """
        row = await self._stored(who, report_id)
        if row.principal != who.id:
            check(row.project)
        return ReportView.model_validate_json(row.body or "{}")

    async def bound(self, who: Principal, request: JobRequest, project: ProjectSpec) -> tuple[Parcel, ReportRow]:
        """What a report validated, for a job that is made from it, and what it said of the device.

        Raises Conflict ``report.changed`` where the request brings other circuits, PUBs or options.
        """
        row = await self._stored(who, request.report or "")
        if row.principal != who.id or row.project != project.name:
            raise absent("report")
        source = await self._context.store.artefacts.get(row.project, row.source)
        parcel = parcel_of(row, source)
        _check_same(request, parcel)
        return parcel, promise(row, request.device)

    # Inside

    async def _stored(self, who: Principal, report_id: str) -> StoredReport:
        row = await self._context.store.read(lambda view: view.report(report_id))
        people = self._context.people
        if not people.owns(who, row.principal, row.project) and row.project not in people.leads(who):
            raise absent("report")
        return row

    def _devices(self, names: Sequence[str] | None) -> list[Device]:
        registry = self._context.registry
        if names is None:
            return list(registry)
        found = [registry.get(name) for name in dict.fromkeys(names)]
        if None in found:
            raise absent("device")
        return [device for device in found if device is not None]

    def _usable(
        self, devices: Sequence[Device], parcel: Parcel, project: ProjectSpec
    ) -> tuple[dict[str, ReportRow], list[Device]]:
        """Rows of devices that cannot even be asked, and the devices that can."""
        rows: dict[str, ReportRow] = {}
        usable: list[Device] = []
        for device in devices:
            problem = self._problem(device, parcel, project)
            if problem is None:
                usable.append(device)
                problem = Unavailable("No answer from the worker.", code="runner.answer")
            rows[device.name] = self._blank(device, problem)
        return rows, usable

    def _problem(self, device: Device, parcel: Parcel, project: ProjectSpec) -> QuantumError | None:
        context = self._context
        if (refusal := out_of_bounds(context, project, device)) is not None:
            return refusal
        state = context.registry.state(device)
        if state == "offline":
            return Unavailable(sentences.waiting_for_runner(device.name), code="device.offline")
        if state == "drained":
            said = sentences.drained(device.row, context.settings.time_zone, context.clock())
            return Conflict(said, code="device.drained")
        try:
            device.check_options(parcel.kind, parcel.options)
            device.check_shots(parcel.shots(), context.settings.limits.shots)
        except QuantumError as error:
            return error
        return None

    def _blank(self, device: Device, problem: QuantumError) -> ReportRow:
        said = f"{problem.message} {problem.hint}" if problem.hint else problem.message
        return ReportRow(
            device=device.name,
            kind=device.words.kind,
            label=device.label,
            state=self._context.registry.state(device),
            calibration=device.words.calibration,
            problem=said,
            code=problem.code,
        )

    async def _ask(
        self, who: Principal, parcel: Parcel, devices: Sequence[Device], dry_run: str | None
    ) -> list[TaskReport]:
        """One task for each runner that serves some of the devices."""
        by_runner: dict[str, list[str]] = {}
        for device in devices:
            runner = self._context.board.serving(device.name)
            if runner is not None:
                by_runner.setdefault(runner.words.runner, []).append(device.name)
        tickets = [
            self._validating.offer_report(parcel, names, who.id, dry_run if dry_run in names else None)
            for names in by_runner.values()
        ]
        answers = await asyncio.gather(*(self._validating.found(ticket) for ticket in tickets))
        for ticket, _ in answers:
            self._validating.close(ticket)
        return [report for _, report in answers]

    async def _row(
        self,
        device: Device,
        parcel: Parcel,
        prepared: Prepared,
        asker: Asker,
        project: ProjectSpec,
        quota: QuotaView,
    ) -> ReportRow:
        if prepared.error is not None:
            said = prepared.error
            text = f"{said.message} {said.hint}" if said.hint else said.message
            return self._blank(device, InputError(text, code=said.code))
        try:
            self._validating.check_found(device, parcel, prepared)
        except QuantumError as error:
            return self._blank(device, error)
        cost = self._deciding.budgets.cost(device, prepared)
        facts = self._deciding.facts(asker, project, device, prepared, cost)
        decision = self._context.policies.decide(facts)
        if decision.effect == "needs_approval":
            covered = await self._enveloping.covering(asker.principal, parcel, prepared, facts)
            decision = decision if covered is None else covered.decision
        known = await self.evidence.ask(device.name, prepared.num_qubits, prepared.depth)
        return ReportRow(
            device=device.name,
            kind=device.words.kind,
            label=device.label,
            state=self._context.registry.state(device),
            mirror=known.mirror if device.words.kind is DeviceKind.QPU else None,
            scores=list(known.scores),
            depth=prepared.depth,
            two_qubit_gates=prepared.two_qubit_gates,
            success=prepared.success,
            noise_free=prepared.noise_free,
            seconds=prepared.seconds,
            wait=self._queues.outlook(device, project, asker.principal, prepared),
            price=cost.estimate,
            price_at_most=cost.at_most,
            quota_after=quota.left - cost.at_most,
            decision=decision_view(decision),
            calibration=prepared.calibration or device.words.calibration,
            executable=prepared.digest,
        )

    def _view(
        self,
        request: ReportRequest,
        parcel: Parcel,
        project: ProjectSpec,
        rows: list[ReportRow],
        found: Sequence[Prepared],
        reports: Sequence[TaskReport],
    ) -> ReportView:
        good = [prepared for prepared in found if prepared.error is None]
        first = good[0] if good else Prepared(device="")
        return ReportView(
            id=new_id("rep"),
            created=self._context.clock(),
            project=project.name,
            name=request.name or request.kind.value,
            kind=request.kind,
            source=parcel.source,
            num_circuits=first.num_circuits,
            num_qubits=first.num_qubits,
            executions=first.executions,
            shots=first.shots,
            policy=self._context.policies.version,
            rows=rows,
            dry_run=next((report.dry_run for report in reports if report.dry_run is not None), None),
            text=next((report.drawing for report in reports if report.drawing), ""),
        )

    async def _keep(self, who: Principal, request: ReportRequest, parcel: Parcel, view: ReportView) -> None:
        await self._context.keep(view.project, parcel.circuits.data)
        row = StoredReport(
            id=view.id,
            principal=who.id,
            owner=who.name,
            project=view.project,
            created=view.created,
            kind=request.kind,
            name=view.name,
            source=parcel.source,
            source_format=parcel.circuits.format,
            num_circuits=view.num_circuits,
            transpile=parcel.transpile,
            pubs=PUBS.dump_json(list(parcel.pubs)).decode(),
            options=json.dumps(dict(parcel.options)),
            policy=view.policy,
            body=view.model_dump_json(),
        )

        def write(tx: Tx) -> None:
            self._context.refer(tx, view.project, parcel.circuits.data, parcel.source)
            tx.add_report(row, actor=who.id)

        await self._context.store.write(write)


def promise(row: StoredReport, device: str) -> ReportRow:
    """What a stored report said of a device. Raises Conflict ``report.device`` where it does not cover it."""
    body = ReportView.model_validate_json(row.body or "{}")
    said = next((one for one in body.rows if one.device == device), None)
    if said is None:
        raise Conflict(f"The report does not cover {device}.", code="report.device", hint="Validate for this device.")
    return said


def _check_same(request: JobRequest, parcel: Parcel) -> None:
    """A job from a report brings nothing new; what it repeats must be equal."""
    changed: list[str] = []
    fields: list[tuple[str, Any, Any]] = [
        ("circuits", request.circuits and request.circuits.data, parcel.circuits.data),
        ("pubs", request.pubs, list(parcel.pubs)),
        ("options", request.options, dict(parcel.options)),
    ]
    changed = [name for name, sent, stored in fields if sent and sent != stored]
    if "kind" in request.model_fields_set and request.kind is not parcel.kind:
        changed.append("kind")
    if changed:
        raise Conflict(
            f"This is not what the report validated: {', '.join(changed)} changed.",
            code="report.changed",
            hint="Validate the new version, or leave these fields out.",
            details={"changed": changed},
        )
