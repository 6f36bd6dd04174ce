"""Validation reports: where circuits could run, at what price, and whether policy allows it. Nothing runs."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.tenancy import Principal, ProjectSpec
from jupyter_quantum.exceptions import Conflict, InputError
from jupyter_quantum.pipeline.comparison import Comparison, Parts
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.decide import Deciding
from jupyter_quantum.pipeline.envelopes import Enveloping
from jupyter_quantum.pipeline.evidence import Evidence
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.queues import Queues
from jupyter_quantum.pipeline.recall import Recall
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.validate import PUBS, Parcel, Validating, parcel_of
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import ReportRow as StoredReport
from jupyter_quantum.wire.jobs import JobRequest
from jupyter_quantum.wire.reports import ReportLine, ReportRequest, ReportRow, ReportView
from jupyter_quantum.wire.runner import Prepared

__all__ = ["Reports", "promise"]

log = logging.getLogger(__name__)


class Reports:
    """Makes reports, and binds jobs to them."""

    def __init__(
        self, context: Context, deciding: Deciding, validating: Validating, queues: Queues, enveloping: Enveloping
    ) -> None:
        self._context = context
        self._validating = validating
        self.evidence = Evidence()
        """Set its ``ask`` to have measurements shown beside the estimates."""
        self._parts = Parts(context, deciding, validating, queues, enveloping, self.evidence, Recall())
        self._coming: dict[str, asyncio.Task[None]] = {}
        """Reports that were given out and are being stored."""

    async def make(self, who: Principal, request: ReportRequest) -> ReportView:
        """Validate on each device asked for. Raises what makes the circuits unusable anywhere."""
        view: ReportView | None = None
        async with contextlib.aclosing(self.stream(who, request)) as lines:
            async for line in lines:
                view = line.report
        assert view is not None  # the last line has it, or an error was raised
        await self._settled(view.id)
        return view

    def stream(self, who: Principal, request: ReportRequest) -> AsyncGenerator[ReportLine, None]:
        """The same, with rows as they come. What can be refused beforehand is raised here, before the first line.

        A report for which no worker was asked is given out while it is being stored: a crash at this moment costs
        nothing but asking again. Whoever uses it waits until it is stored.
        """
        project = self._context.people.project(who, request.project)
        if request.circuits is None:
            raise InputError("The request has no circuits.", code="circuit.missing")
        parcel = Parcel(request.kind, request.circuits, request.pubs, request.options, request.transpile)
        self._validating.check_size(parcel)
        if request.dry_run is not None:
            self._devices([request.dry_run])
        comparison = Comparison(self._parts, who, project, parcel, self._devices(request.devices))
        return self._lines(comparison, request)

    async def _lines(self, comparison: Comparison, request: ReportRequest) -> AsyncGenerator[ReportLine, None]:
        name = _name(request)
        async with contextlib.aclosing(comparison.changes(request.dry_run, resources=request.resources)) as changes:
            async for rows in changes:
                yield ReportLine(name=name, rows=rows)
                name = ""
        view = self._view(request, comparison)
        await self._keep(comparison.who, request, comparison.parcel, view)
        if not comparison.recalled or self._context.store.shared:  # another process may be asked for it at once
            await self._settled(view.id)
        yield ReportLine(report=view)

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
        with contextlib.suppress(Exception):  # said where it was given out, or in the log
            await self._settled(report_id)
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

    def _view(self, request: ReportRequest, comparison: Comparison) -> ReportView:
        good = [prepared for prepared in comparison.found.values() if prepared.error is None]
        first = good[0] if good else Prepared(device="")
        return ReportView(
            id=new_id("rep"),
            created=self._context.clock(),
            project=comparison.project.name,
            name=_name(request),
            kind=request.kind,
            source=comparison.parcel.source,
            num_circuits=first.num_circuits,
            num_qubits=first.num_qubits,
            executions=first.executions,
            shots=first.shots,
            policy=self._context.policies.version,
            rows=comparison.rows(),
            dry_run=comparison.dry_run,
            resources=comparison.resources,
            text=comparison.drawing,
        )

    async def _keep(self, who: Principal, request: ReportRequest, parcel: Parcel, view: ReportView) -> None:
        await self._context.keep(view.project, parcel.circuits.data)

        def write(tx: Tx) -> None:
            row = _row(who, request, parcel, view)
            self._context.refer(tx, view.project, parcel.circuits.data, parcel.source)
            tx.add_report(row, actor=who.id)

        storing = self._coming[view.id] = asyncio.create_task(self._context.store.write(write))
        storing.add_done_callback(lambda done: self._ended(view.id, done))

    async def _settled(self, report_id: str) -> None:
        """Wait until a report is stored; raises why it could not be."""
        if (storing := self._coming.get(report_id)) is not None:
            await asyncio.shield(storing)

    def _ended(self, report_id: str, storing: asyncio.Task[None]) -> None:
        del self._coming[report_id]
        if not storing.cancelled() and (error := storing.exception()) is not None:
            log.error("report %s could not be stored: %s", report_id, error)


def _row(who: Principal, request: ReportRequest, parcel: Parcel, view: ReportView) -> StoredReport:
    return StoredReport(
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


def _name(request: ReportRequest) -> str:
    return request.name or request.kind.value


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
