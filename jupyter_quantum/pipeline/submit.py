"""Stage *submit*: the door. A worker validates what was sent; then one transaction decides everything.

That transaction takes the hold and moves the job as far as it can go now: to *awaiting approval*, to *queued*, or,
where it is next and a slot is free, to *scheduled*, and then the worker that prepared it goes on with the run. It
writes the draft as well, unless validation takes longer than a moment: then that is written before. Nobody is told
of a job that is not written.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from dataclasses import replace
from datetime import datetime
from typing import Any

from jupyter_quantum.core import words
from jupyter_quantum.core.facts import Decision, Facts
from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import FINAL, JobClass, JobState
from jupyter_quantum.core.money import Cost
from jupyter_quantum.core.tenancy import Principal, ProjectSpec
from jupyter_quantum.exceptions import (
    Conflict,
    InputError,
    QuantumError,
    QuotaExceeded,
    Refused,
    TooBusy,
    Unavailable,
)
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.asking import ask_about, check_reachable, keep_decision
from jupyter_quantum.pipeline.board import Ticket
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.decide import Deciding
from jupyter_quantum.pipeline.envelopes import Enveloping
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.regions import check_region
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.reports import Reports
from jupyter_quantum.pipeline.runs import (
    Run,
    Verdict,
    ahead,
    check_promise,
    policy_error,
    refusal,
)
from jupyter_quantum.pipeline.schedule import SERVICE, Scheduling, Start
from jupyter_quantum.pipeline.validate import PUBS, Parcel, Validating, single
from jupyter_quantum.pipeline.views import decision_view, error_body, job_view
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.reads.sessions import SessionClosed
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.store.view import mismatch
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.jobs import JobRequest, JobView
from jupyter_quantum.wire.reports import ReportRow
from jupyter_quantum.wire.runner import Prepared

__all__ = ["Submitting"]

_SOON_S = 2
"""A client asks again so soon (seconds) while a runner is on its way."""


class Submitting:
    """From a request to a job that is decided."""

    def __init__(
        self,
        context: Context,
        deciding: Deciding,
        validating: Validating,
        scheduling: Scheduling,
        reports: Reports,
        enveloping: Enveloping,
        live: Live,
    ) -> None:
        self._context = context
        self._deciding = deciding
        self._validating = validating
        self._scheduling = scheduling
        self._reports = reports
        self._enveloping = enveloping
        self._live = live
        self._coming: dict[tuple[str, str], tuple[str | None, asyncio.Task[JobRow]]] = {}
        """By owner and Idempotency-Key: digest of the body, and the way through the door of what is not stored yet."""

    async def submit(
        self,
        who: Principal,
        request: JobRequest,
        key: str | None,
        wait_s: float,
        priority: JobClass = JobClass.INTERACTIVE,
        replay_of: str | None = None,
    ) -> JobView:
        """Take a request through the door; see ``Pipeline.submit``.

        No request brings its own ``priority``, or the job that it is a replay of.
        """
        project = self._context.people.project(who, request.project)
        device = self._chosen(request)
        named = request if device.name == request.device else request.model_copy(update={"device": device.name})
        parcel, promised = await self._parcel(who, named, project)
        run = self._draft(who, request, project, device, parcel, promised, key, replay_of)
        run = replace(run, row=replace(run.row, priority=priority))
        with self._context.bus.follow(run.row.id) as news:
            row = await (self._joined(run) or self._through(run))
            if row.id != run.row.id:
                return await self._first_answer(row.id, wait_s)
            if row.state is JobState.REJECTED:
                raise refusal(row)
            if wait_s > 0 and row.state not in FINAL:
                last = await news.final(wait_s)
                if last is not None:
                    return job_view(last.row, last.result)
                row = await self._context.store.read(lambda view: view.job(run.row.id))
        return job_view(row)

    def _chosen(self, request: JobRequest) -> Device:
        """The device that is asked for; where that takes nothing now, the first allowed one that does."""
        registry = self._context.registry
        found = [registry.get(name) for name in (request.device, *request.fallback)]
        if found[0] is None:
            raise absent("device")
        if None in found:
            raise absent("device to fall back to")
        devices = [device for device in found if device is not None]
        if len({device.name for device in devices}) < len(devices):
            raise InputError("A device is named twice.", code="fallback.twice", hint="Name each device once.")
        return next((one for one in devices if registry.state(one) not in ("offline", "drained")), devices[0])

    async def _parcel(
        self, who: Principal, request: JobRequest, project: ProjectSpec
    ) -> tuple[Parcel, ReportRow | None]:
        if request.report is not None:
            return await self._reports.bound(who, request, project)
        if request.circuits is None:
            raise InputError("The request has no circuits.", code="circuit.missing", hint="Send circuits, or a report.")
        return Parcel(request.kind, request.circuits, request.pubs, request.options, request.transpile), None

    def _draft(
        self,
        who: Principal,
        request: JobRequest,
        project: ProjectSpec,
        device: Device,
        parcel: Parcel,
        promised: ReportRow | None,
        key: str | None,
        replay_of: str | None,
    ) -> Run:
        now = self._context.clock()
        body = request.model_dump_json(exclude={"circuits", "origin"}) + parcel.source + (replay_of or "")
        row = JobRow(
            id=new_id("job"),
            principal=who.id,
            owner=who.name,
            organisation=project.organisation,
            project=project.name,
            device=device.name,
            device_kind=device.words.kind,
            device_label=device.label,
            kind=parcel.kind,
            name=request.name or parcel.name or parcel.kind.value,
            created=now,
            changed=now,
            source=parcel.source,
            source_format=parcel.circuits.format,
            transpile=parcel.transpile,
            pubs=PUBS.dump_json(list(parcel.pubs)).decode(),
            options=json.dumps(dict(parcel.options)),
            reason=request.reason,
            token=who.token or None,
            max_price=request.max_price,
            report=request.report,
            idempotency=key,
            body=digest_of(body.encode()) if key else None,
            replay_of=replay_of,
            origin=None if request.origin is None else request.origin.model_dump_json(),
            session=None if request.session is None else request.session.id,
            **_allowed(request, device.name, parcel),
        )
        return Run(row, parcel, self._deciding.asker(who, project), project, device, promised, request.session)

    # The door

    def _joined(self, run: Run) -> Awaitable[JobRow] | None:
        """The same request (by its key) that is on its way already; raises Conflict where the body is another."""
        body, first = self._coming.get((run.row.principal, run.row.idempotency or ""), (None, None))
        if first is None:
            return None
        if body != run.row.body:
            raise mismatch()
        return asyncio.shield(first)

    async def _through(self, run: Run) -> JobRow:
        """Validate, then decide; not ended by a client that goes away."""
        self._validating.check_size(run.parcel)  # what is too large to be kept is not recorded
        closed = None
        if run.row.session is not None:
            closed = await self._closed(run.row)
            if (same := self._joined(run)) is not None:  # it came meanwhile
                return await same
        try:
            if closed is not None:
                raise closed
            self._admit(run)
        except (Unavailable, TooBusy, SessionClosed):  # a repeated request has its first answer all the same
            first = await self._first(run.row)
            if first is None:
                raise
            return first
        except QuantumError as error:
            return await self._record(run, error, stored=False, keep=False)
        work = self._context.background.start(self._enter(run), f"submit {run.row.id}")
        work.add_done_callback(lambda done: self._counted(run, done))
        if run.row.idempotency is not None:
            key = (run.row.principal, run.row.idempotency)
            self._coming[key] = (run.row.body, work)
            work.add_done_callback(lambda _: self._coming.pop(key))
        return await asyncio.shield(work)

    async def _closed(self, row: JobRow) -> SessionClosed | None:
        """Why the job's session takes it no more; None where it does."""
        try:
            await self._context.store.read(lambda view: view.check_open(row))
        except SessionClosed as error:
            return error
        return None

    async def _first(self, row: JobRow) -> JobRow | None:
        """The job that this key made before; None where there is none. Raises Conflict where the body is another."""

        def read(view: View) -> JobRow | None:
            first = view.idempotent(row.principal, row.idempotency or "", row.body or "")
            return None if first is None else view.job(first)

        return None if row.idempotency is None else await self._context.store.read(read)

    def _counted(self, run: Run, done: asyncio.Task[JobRow]) -> None:
        """What was not written, or has an earlier job of its key in its place, is not under way."""
        if done.cancelled() or done.exception() is not None or done.result().id != run.row.id:
            self._context.intake.leave(run.row)

    async def _enter(self, run: Run) -> JobRow:
        await self._context.keep(run.row.project, run.parcel.circuits.data)
        ticket = self._validating.offer(run.parcel, run.device, run.row.principal, run.row.id)
        return await self.drive(run, ticket, stored=False)

    def _admit(self, run: Run) -> None:
        """What can be said without looking into the circuits. Raises what forbids it."""
        context, device = self._context, run.device
        check_region(context, run.project, device)
        state = context.registry.state(device)
        if state == "offline":
            raise Unavailable(
                f"{device.name} does not answer at the moment.",
                code="device.offline",
                hint="Try again later, or choose another device.",
                details={"retry_after": _SOON_S} if context.board.expects else None,
            )
        if state == "drained":
            said = sentences.drained(device.row, context.settings.time_zone, context.clock())
            raise Conflict(said, code="device.drained", hint="Choose another device.")
        device.check_options(run.parcel.kind, run.parcel.options, context.registry)
        self._validating.check_reads(device, run.parcel)
        device.check_shots(run.parcel.shots(), context.settings.limits.shots)
        context.intake.enter(run.row)

    def _store(self, tx: Tx, run: Run, *, keep: bool = True) -> str:
        """Write the draft, its circuits too with ``keep``.

        Returns the id of the job that this key made, which may be an earlier one.
        """
        row = run.row
        if row.idempotency is not None:
            first = tx.idempotent(row.principal, row.idempotency, row.body or "")
            if first is not None:
                return first
        if keep:
            self._context.refer(tx, row.project, run.parcel.circuits.data, row.source)
        if run.session is not None:
            tx.join_session(row, run.session.kind, run.session.max_s)
        tx.add_job(row, actor=row.principal)
        return row.id

    async def drive(self, run: Run, ticket: Ticket, *, stored: bool) -> JobRow:
        """From the validation's answer to the decision. ``stored``: drafts of before the service stopped."""
        try:
            if not stored and not await self._validating.soon(ticket, self._context.settings.held_back_s):
                first = await self._context.store.write(lambda tx: self._store(tx, run))
                if first != run.row.id:
                    return await self._context.store.read(lambda view: view.job(first))
                stored = True
            try:
                ticket, report = await self._validating.found(ticket)
                prepared = single(report)
                verdict = await self._enveloping.cover(run, self._judge(run, prepared))
                if not verdict.goes_on:
                    check_reachable(run.project, verdict.decision.roles, run.row.owner)
            except QuantumError as error:
                return await self._record(run, error, stored)
            return await self._commit(run, verdict, ticket, stored)
        finally:
            self._validating.close(ticket)

    def _judge(self, run: Run, prepared: Prepared) -> Verdict:
        """Bounds, price and policy. Raises what forbids it, except policy's own answer."""
        self._validating.check_found(run.device, run.parcel, prepared)
        cost = self._deciding.budgets.cost(run.device, prepared)
        check_promise(run, prepared, cost)
        cap = run.row.max_price
        if cap is not None and cost.at_most > cap:
            raise Refused(
                f"This run may cost {words.price(cost.at_most)} credits; you allowed {words.price(cap)}.",
                code="price.cap",
                hint="Raise max_price, or use fewer shots.",
                details={"price_at_most": cost.at_most, "max_price": cap},
            )
        facts = self._deciding.facts(run.asker, run.project, run.device, prepared, cost)
        return Verdict(prepared, cost, self._context.policies.decide(facts), facts)

    async def _commit(self, run: Run, verdict: Verdict, ticket: Ticket, stored: bool) -> JobRow:
        """One transaction: the draft where it is not stored, validated, the hold, and as far as it can go now."""
        await self._context.keep(run.row.project, verdict.prepared.executable or b"")
        columns = verdict.columns(run)
        others = (
            self._deciding.budgets.alternatives(run.device, verdict.prepared, run.project)
            if verdict.cost.at_most
            else []
        )
        start: Start | None = None
        if verdict.goes_on:
            start = self._scheduling.reserve(ahead(run.row, columns))

        def write(tx: Tx) -> JobRow:
            first = run.row.id if stored else self._store(tx, run)
            return self._decided(tx, run, verdict, columns, start, others) if first == run.row.id else tx.job(first)

        try:
            row = await self._context.store.write(write)
        except Conflict:  # cancelled while it was validated
            self._scheduling.unreserve(run.row.id)
            if not stored:
                raise
            return await self._context.store.read(lambda view: view.job(run.row.id))
        except BaseException:
            self._scheduling.unreserve(run.row.id)
            raise
        if row.id == run.row.id:
            self._goes_on(run, verdict, row, start, ticket)
        else:
            self._scheduling.unreserve(run.row.id)
            self._scheduling.kick(run.row.device)
        return row

    def _decided(
        self,
        tx: Tx,
        run: Run,
        verdict: Verdict,
        columns: dict[str, Any],
        start: Start | None,
        others: list[tuple[str, Cost]],
    ) -> JobRow:
        """The moves from the draft to where the job waits, starts or ends."""
        decision, job, who = verdict.decision, run.row.id, run.row.principal
        if decision.effect == "refuse":
            keep_decision(tx, who, verdict.facts, decision, job=job)
            return self._reject(tx, job, policy_error(decision), **columns)
        self._context.refer(tx, run.row.project, verdict.prepared.executable or b"", verdict.prepared.digest or "")
        tx.move(job, JobState.VALIDATED, actor=run.row.principal, **columns)
        try:
            later = self._hold(tx, run, verdict)
        except QuotaExceeded as error:
            keep_decision(tx, who, verdict.facts, decision, job=job)
            return self._reject(tx, job, self._deciding.budgets.say_quota(error, others))
        if decision.effect == "needs_approval":
            covered = verdict.covered
            if covered is None or not tx.use_envelope(covered.envelope, job, verdict.cost.at_most):
                keep_decision(tx, who, verdict.facts, decision, job=job)
                return ask_about(tx, run, verdict, self._context.settings.approval_expiry_s, later)
            return self._queue(tx, run, covered.facts, covered.decision, start, later, envelope=covered.envelope)
        return self._queue(tx, run, verdict.facts, decision, start, later)

    def _queue(
        self,
        tx: Tx,
        run: Run,
        facts: Facts,
        decision: Decision,
        start: Start | None,
        later: datetime | None,
        **event: str,
    ) -> JobRow:
        """Into the queue, or straight to the device."""
        keep_decision(tx, run.row.principal, facts, decision, job=run.row.id)
        text = decision_view(decision).model_dump_json()
        columns: dict[str, Any] = {"decision": text, "not_before": later}
        queued = tx.move(run.row.id, JobState.QUEUED, actor=run.row.principal, event=event, **columns)
        return queued if start is None or later is not None else self._scheduling.write(tx, start)

    def _hold(self, tx: Tx, run: Run, verdict: Verdict) -> datetime | None:
        """The hold. Where this window's budgets are used up and policy lets it wait, in those of the next one.

        By default policy does not: the action ``wait`` needs a permit of its own.

        Returns when that begins; None where the job need not wait for it. Raises QuotaExceeded.
        """
        budgets, row = self._deciding.budgets, run.row
        asked = (row.principal, run.project, run.device, verdict.prepared, verdict.cost)
        try:
            tx.hold(row.id, budgets.claims(tx, *asked))
        except QuotaExceeded as error:
            until = error.details.get("until")
            if until is None:
                raise
            facts = replace(verdict.facts, action="wait")
            decision = self._context.policies.decide(facts)
            keep_decision(tx, row.principal, facts, decision, job=row.id)
            if decision.effect != "allow":
                raise
            later = datetime.fromisoformat(until)
            tx.hold(row.id, budgets.claims(tx, *asked, at=later))
            return later
        return None

    def _goes_on(self, run: Run, verdict: Verdict, row: JobRow, start: Start | None, ticket: Ticket) -> None:
        """After the commit: hand the run to the worker that prepared it, or let the queue have it."""
        self._live.moved(row)
        if row.state is JobState.SCHEDULED and start is not None:
            same = (
                ticket.runner == start.runner and not ticket.follow.done() and self._context.board.knows(start.runner)
            )
            following = self._scheduling.ticket(
                row, verdict.prepared, start, None if same else verdict.prepared.executable
            )
            if same:
                ticket.follow.set_result(self._context.board.hand_over(following, start.runner))
            else:
                self._context.board.put(following)
        elif row.state is JobState.QUEUED:
            if start is not None:  # its budget begins later, so the slot is for others
                self._scheduling.unreserve(row.id)
            self._scheduling.queued(row)
        else:
            self._scheduling.unreserve(row.id)
            self._scheduling.kick(row.device)

    # Refusals

    async def _record(self, run: Run, error: QuantumError, stored: bool, *, keep: bool = True) -> JobRow:
        """Record a refusal, with the draft where that is not stored.

        ``keep``: with its circuits. Of what was refused unseen their digest is enough, so that refusals fill no disk.
        """
        try:
            row = await self._context.store.write(lambda tx: self._refused(tx, run, error, stored, keep))
        except Conflict:  # cancelled meanwhile
            if not stored:
                raise
            return await self._context.store.read(lambda view: view.job(run.row.id))
        if row.id == run.row.id:
            self._live.moved(row)
        return row

    def _refused(self, tx: Tx, run: Run, error: QuantumError, stored: bool, keep: bool) -> JobRow:
        first = run.row.id if stored else self._store(tx, run, keep=keep)
        return self._reject(tx, run.row.id, error) if first == run.row.id else tx.job(first)

    @staticmethod
    def _reject(tx: Tx, job_id: str, error: QuantumError, **columns: Any) -> JobRow:
        text = error_body(error, job_id).model_dump_json()
        return tx.move(job_id, JobState.REJECTED, actor=SERVICE, event={"code": error.code}, error=text, **columns)

    async def _first_answer(self, job_id: str, wait_s: float) -> JobView:
        """The job that this key made before: the same answer, once there is one."""
        with self._context.bus.follow(job_id) as news:
            row = await self._context.store.read(lambda view: view.job(job_id))
            limit = self._context.settings.intake_s
            while row.state is JobState.DRAFT and (latest := await news.newer(row.version, limit)) is not None:
                row = latest.row
            if row.state is JobState.REJECTED:
                raise refusal(row)
            if wait_s > 0 and row.state not in FINAL and (last := await news.final(wait_s)) is not None:
                return job_view(last.row, last.result)
        return job_view(row)


def _allowed(request: JobRequest, chosen: str, parcel: Parcel) -> dict[str, Any]:
    """The row's columns about other devices: those before the chosen one take nothing now."""
    if not request.fallback:
        return {}
    names = [request.device, *request.fallback]
    at = names.index(chosen)
    return {
        "fallback": json.dumps(names[at + 1 :]),
        "fallback_after": request.fallback_after,
        "moved_from": json.dumps(names[:at]),
        "sent": json.dumps(dict(parcel.options)),
    }
