"""The facade: everything that the hub's handlers ask for, each a few lines over the stages."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import AsyncGenerator, AsyncIterator, Collection
from datetime import timedelta
from typing import Any

from jupyter_quantum.core.jobs import ACTIVE, FINAL, JobState
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, NotFound, QuantumError, Refused
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.admissions import Admitting
from jupyter_quantum.pipeline.again import DecidingAgain
from jupyter_quantum.pipeline.approve import Approving
from jupyter_quantum.pipeline.approvers import Approvers, deciders
from jupyter_quantum.pipeline.audit import Audit
from jupyter_quantum.pipeline.board import Board
from jupyter_quantum.pipeline.budgets import Budgets
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.data import Data
from jupyter_quantum.pipeline.decide import Deciding
from jupyter_quantum.pipeline.deliver import Delivering
from jupyter_quantum.pipeline.door import Door
from jupyter_quantum.pipeline.elevation import BreakingGlass, Elevation
from jupyter_quantum.pipeline.envelopes import BudgetKind, Enveloping
from jupyter_quantum.pipeline.execute import Executing
from jupyter_quantum.pipeline.fallback import Falling
from jupyter_quantum.pipeline.forgetting import Forgetting
from jupyter_quantum.pipeline.ledger import Ledgers
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.members import Members
from jupyter_quantum.pipeline.onboarding import Onboarding
from jupyter_quantum.pipeline.origins import owner_of, runner_id
from jupyter_quantum.pipeline.people import Directory, People, absent
from jupyter_quantum.pipeline.policing import Policing
from jupyter_quantum.pipeline.policy import Policies
from jupyter_quantum.pipeline.queues import Queues
from jupyter_quantum.pipeline.raising import QuotaRaise
from jupyter_quantum.pipeline.reconcile import Reconciling
from jupyter_quantum.pipeline.recover import Recovering
from jupyter_quantum.pipeline.registry import Device, Registry
from jupyter_quantum.pipeline.replays import check_replayable, replay_request
from jupyter_quantum.pipeline.reports import Reports
from jupyter_quantum.pipeline.requests import Requests
from jupyter_quantum.pipeline.resolve import Resolving
from jupyter_quantum.pipeline.retire import Retiring
from jupyter_quantum.pipeline.runners import Runners
from jupyter_quantum.pipeline.schedule import Scheduling
from jupyter_quantum.pipeline.scoring import Scores
from jupyter_quantum.pipeline.sending import Sender
from jupyter_quantum.pipeline.series import Measuring
from jupyter_quantum.pipeline.sessions import Sessions
from jupyter_quantum.pipeline.settings import Settings
from jupyter_quantum.pipeline.standings import Standings
from jupyter_quantum.pipeline.submit import Submitting
from jupyter_quantum.pipeline.sweep import Sweeping
from jupyter_quantum.pipeline.tenancy import Tenancy
from jupyter_quantum.pipeline.tenants import Tenants
from jupyter_quantum.pipeline.validate import PUBS, Validating, bundle_of
from jupyter_quantum.pipeline.views import error_of, job_view
from jupyter_quantum.pipeline.webhooks import Webhooks
from jupyter_quantum.pipeline.workloads import Workloads
from jupyter_quantum.store import Store, View
from jupyter_quantum.store.crypt import SERVICE
from jupyter_quantum.store.rows import JobRow
from jupyter_quantum.wire.approvals import ApprovalsDecided, ApprovalsDecision
from jupyter_quantum.wire.base import CircuitBundle, ErrorBody
from jupyter_quantum.wire.data import DataClass
from jupyter_quantum.wire.devices import CalibrationRef, DeviceAction, Devices, DeviceView, Wait
from jupyter_quantum.wire.jobs import (
    ApprovalDecision,
    Approvals,
    ApprovalView,
    EventView,
    JobRequest,
    Jobs,
    JobView,
    Me,
    Provenance,
    Pub,
    QuotaView,
    ReplayRequest,
)
from jupyter_quantum.wire.reports import ReportLine, ReportRequest, ReportView
from jupyter_quantum.wire.results import ResultView
from jupyter_quantum.wire.runner import Announce, Leased, LeaseRequest, Reported, TaskReport, Welcome

__all__ = ["Pipeline"]

log = logging.getLogger(__name__)

_TICK_S = 1.0
_SPREAD_S = 0.05
"""Moves that others' runs bring about are told this much later at most, seconds."""


class Pipeline:
    """The governed way of a job, for callers who are authenticated already.

    Args:
        settings: what the operator decides.
        store: migrated and open; the caller closes it after :meth:`stop`.
        directory: who is in which group now.

    Every method raises only :mod:`jupyter_quantum.exceptions` at what a user does. An id that does not exist and one
    that belongs to somebody else give the same NotFound.
    """

    def __init__(self, settings: Settings, store: Store, directory: Directory) -> None:
        board = Board(settings.lease_s)
        registry = Registry(settings, board)
        tenants = Tenants(settings)
        people = People(settings, tenants)
        context = Context(settings, store, directory, Policies(settings.policies), board, registry, people, tenants)
        self._context = context
        registry.book.clock = lambda: context.clock()
        budgets = Budgets(context)
        self._deciding = Deciding(context, budgets)
        self._live = Live(context, self._deciding)
        self.audit = Audit(context, self._live)
        self.forgetting = Forgetting(context, self._live)
        self._validating = Validating(context)
        self._scheduling = Scheduling(context, self._deciding, self._live)
        self._queues = Queues(context, self._scheduling.scheduler, self._scheduling.later)
        budgets.expected_wait = self._queues.expected
        approvers = Approvers(context)
        self.policy = Policing(context)
        self.envelopes = Enveloping(context, self._live, approvers)
        self.scores = Scores(context)
        self._reports = Reports(context, self._deciding, self._validating, self._queues, self.envelopes)
        self._submitting = Submitting(
            context, self._deciding, self._validating, self._scheduling, self._reports, self.envelopes, self._live
        )
        self._measuring = Measuring(context, self._submitting, self._live)
        self.series = Standings(context, self._measuring, self.scores)
        self._reports.evidence.ask = self.series.evidence
        recovering = Recovering(context, self._scheduling, self._live)
        self._executing = Executing(context, budgets, self._scheduling, recovering, self._live)
        self._approving = Approving(context, self._deciding, self._scheduling, self._live, approvers)
        self._live.show_approval = self._approving.view
        self.tenancy = Tenancy(context, self._live)
        self.tenancy.listeners.append(self._scheduling.reweigh)
        self.requests = Requests(context, self._live)
        self._live.show_request = self.requests.view
        self.data = Data(context, self._live, self.requests, self.audit.checkpoints)
        self.requests.register(BudgetKind(context))
        self.resolving = Resolving(context, self._scheduling, recovering, self._live)
        self._retiring = Retiring(context, budgets, self._scheduling, recovering, self._live)
        self.workloads = Workloads(context, self._live)
        self.members = Members(context, self.tenancy, self._deciding.budgets, self._live)
        self.breakglass = BreakingGlass(context, self.tenancy, self._live)
        self.requests.register(Onboarding(context, self.tenancy))
        self.requests.register(Elevation(context, self.tenancy))
        self.ledger = Ledgers(context, budgets, self._live)
        self.requests.register(QuotaRaise(context, budgets.accounts, self.ledger.refresh))
        self._sweeping = Sweeping(context, self.tenancy, self._retiring, self.requests, self.breakglass, self._live)
        self._reconciling = Reconciling(
            context,
            self._deciding,
            self._validating,
            self._scheduling,
            self._submitting,
            DecidingAgain(context, self._deciding),
            recovering,
            self._live,
        )
        self._falling = Falling(
            context,
            self._deciding,
            self._validating,
            self.envelopes,
            self._scheduling,
            self._live,
            self._reconciling.run_on,
        )
        self.door = Door(context)
        """What every request passes: keys that act once, rate limits."""
        self._delivering = Delivering(context, self._live, Sender(settings.egress, settings.authorities))
        self.sessions = Sessions(context, self._live)
        self.webhooks = Webhooks(context, self._delivering)
        self._runners = Runners(context, self._scheduling, self._executing, self._reconciling, self._live)
        self.admissions = Admitting(context, self._runners, self._scheduling, self._live)

    # Life

    async def start(self) -> None:
        """Lead, restore what was under way, and keep going. Returns when requests may come."""
        start = self._context.background.start
        await self.audit.checkpoints.check()
        start(self._live.run(), "number events")
        await self._live.leads.wait()
        await self.tenancy.refresh()
        await self.ledger.refresh()
        await self.door.start()
        await self.admissions.restore()
        await self._reconciling.restore()
        start(self._reconciling.stale(), "validate again")
        start(self._tick(), "tick")
        start(self._sweeping.run(), "sweep")
        self.audit.start()
        self.data.start()

    async def stop(self) -> None:
        """End every task of this pipeline. Jobs go on after the next :meth:`start`."""
        await self._context.background.stop()
        self._delivering.close()
        await self.audit.close()
        await self._live.resign()

    async def _tick(self) -> None:
        """What time brings: changed policy files, ended leases, pauses and requests, new estimates."""
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                await self._turn()
            except Exception:  # one bad turn must not be the last
                log.exception("a turn of the pipeline failed")

    async def _turn(self) -> None:
        self._context.policies.refresh()
        await self.tenancy.refresh()
        for ticket in self._context.board.expired():
            await self._reconciling.lost(ticket)
        await self._runners.watch()
        await self._approving.expire()
        await self.audit.refusals.flush()
        await self.requests.expire()
        await self.ledger.turn()
        await self.door.turn()
        await self._delivering.turn()
        await self._measuring.turn()
        await self._falling.turn()
        await self.sessions.turn()
        self._scheduling.kick_all()
        await self._runners.write_waits(self._queues.texts())

    # About the caller

    def priced(self, device: str) -> bool:
        """Whether a run on this device may cost something; an unknown device counts as priced."""
        found = self._context.registry.get(device)
        return found is None or not found.prices.free

    def signed_in(self, who: Principal) -> Principal:
        """A person with the scopes that their roles bring on the hub's page."""
        return self._context.people.signed_in(who)

    async def me(self, who: Principal) -> Me:
        """Who the service takes the caller for."""
        return self._context.people.me(who)

    async def quota(self, who: Principal, project: str | None = None) -> QuotaView:
        """The budgets that bind the caller in a project."""
        spec = self._context.people.project(who, project)
        return await self._deciding.budgets.quota(who, spec)

    # Devices

    async def devices(self, who: Principal) -> Devices:
        """Every device, simulators first."""
        if not self._context.people.sees_devices(who):
            return Devices(devices=[])
        found = await self.scores.shown([device.name for device in self._context.registry])
        views = [self._device_view(who, device) for device in self._context.registry]
        return Devices(devices=[view.model_copy(update={"scores": found[view.name]}) for view in views])

    async def device(self, who: Principal, name: str) -> DeviceView:
        """One device."""
        view = self._device_view(who, self._device(who, name))
        return view.model_copy(update={"scores": (await self.scores.of([name]))[name]})

    async def target(self, who: Principal, name: str) -> tuple[CalibrationRef, dict[str, Any]]:
        """The device's Target as JSON, and the calibration that it is of."""
        device = self._device(who, name)
        target = device.words.target
        if not target and device.row.target is not None:  # not announced again since a restart
            target = json.loads(await self._context.store.artefacts.get(SERVICE, device.row.target))
        return device.words.calibration, target

    async def act_on_device(self, who: Principal, name: str, act: DeviceAction) -> DeviceView:
        """Pause, isolate, drain, wait for a calibration, resume: for operators.

        Servers of users never get a token for it; whoever makes one with the scope ``operate`` may use it.
        """
        device = self._device(who, name)
        if not self._context.people.operates(who):
            raise Refused("Operators do this.", code="device.role")
        await self._runners.act(who, device, act)
        return self._device_view(who, device)

    def _device(self, who: Principal, name: str) -> Device:
        device = self._context.registry.get(name)
        if device is None or not self._context.people.sees_devices(who):
            raise absent("device")
        return device

    def _device_view(self, who: Principal, device: Device) -> DeviceView:
        roles = self._context.people.roles(who)
        project = self._context.people.projects[next(iter(roles))] if roles else None
        return self._context.registry.view(device, self._queues.outlook(device, project, who.id, None))

    # Reports

    async def report(self, who: Principal, request: ReportRequest) -> ReportView:
        """Validate circuits on several devices; runs nothing."""
        await self.door.admit_to_project(who, request.project, "project.validate")
        return await self._reports.make(who, request)

    async def report_lines(self, who: Principal, request: ReportRequest) -> AsyncGenerator[ReportLine, None]:
        """The same, with rows as they come and the stored report as the last line."""
        await self.door.admit_to_project(who, request.project, "project.validate")
        return self._reports.stream(who, request)

    async def get_report(self, who: Principal, report_id: str) -> ReportView:
        """A report made before."""

        def check(project: str) -> None:
            for data in ("inputs", "results"):
                self.data.exports.check_reader(who, project, data)

        return await self._reports.get(who, report_id, check)

    # Jobs

    async def submit(self, who: Principal, request: JobRequest, *, key: str | None, wait_s: float) -> JobView:
        """Submit a job; answers when it is decided, or, with ``wait_s``, when it is final or after so many seconds.

        Args:
            key: the caller's idempotency key: the same key and body give the first job again.

        Raises what refuses it; a refused job is recorded, and ``details["job"]`` is its id.
        """
        return await self._submitted(who, request, key, wait_s)

    async def _submitted(
        self, who: Principal, request: JobRequest, key: str | None, wait_s: float, replay_of: str | None = None
    ) -> JobView:
        await self.door.admit_to_project(who, request.project, "project.submit")
        view = await self._submitting.submit(who, request, key, wait_s, replay_of=replay_of)
        if view.result is not None and not self.data.exports.reads(who, view.project, "results"):
            view = view.model_copy(update={"result": None})
        return self._with_wait(view)

    async def jobs(
        self,
        who: Principal,
        *,
        states: Collection[JobState] | None = None,
        active: bool = False,
        limit: int = 50,
        before: str | None = None,
        project: str | None = None,
    ) -> Jobs:
        """One's own jobs where one is a member, newest first; with ``project``, all of one that one leads."""
        limit = max(1, min(limit, 200))
        wanted = ACTIVE if active else states
        mine: str | None = who.id
        roles = self._context.people.roles(who)
        if project is not None:
            if project not in roles:
                raise absent("project")
            mine = None if project in self._context.people.leads(who) else who.id

        def read(view: View) -> list[JobRow]:
            projects = roles if project is None else [project]
            return view.jobs(principal=mine, projects=projects, states=wanted, before=before, limit=limit + 1)

        rows = await self._context.store.read(read)
        following = rows[limit - 1].id if len(rows) > limit else None
        return Jobs(jobs=[self._with_wait(job_view(row)) for row in rows[:limit]], next=following)

    async def job(self, who: Principal, job_id: str, *, wait_s: float = 0.0, version: int = -1) -> JobView:
        """One job; with ``wait_s``, once its version is over ``version``, or after so many seconds."""
        with self._context.bus.follow(job_id) as news:
            row = await self._row(who, job_id)
            if wait_s > 0 and row.version <= version and row.state not in FINAL:
                last = await news.newer(version, wait_s)
                if last is not None and last.row.state not in FINAL:
                    # When a device took the next job tells of the run before it, which may be somebody else's.
                    await asyncio.sleep(random.uniform(0.0, _SPREAD_S))  # noqa: S311
                row = last.row if last is not None else await self._row(who, job_id)
        return self._with_wait(job_view(row))

    async def result(self, who: Principal, job_id: str) -> ResultView:
        """The result of a job. Raises Conflict ``job.unfinished``; JobFailed and its kin where there is none."""
        row = await self._row(who, job_id, "results")
        return ResultView.model_validate_json(await self._result_bytes(row))

    async def _result_bytes(self, row: JobRow) -> bytes:
        if row.state not in FINAL:
            raise Conflict(f"{sentences.state_words(row)}; there is no result yet.", code="job.unfinished")
        if row.result is None:
            raise _ended(row)
        return await self.data.read(row, "results", row.result, "result of this job")

    async def executable(self, who: Principal, job_id: str) -> bytes:
        """The transpiled circuits, QPY."""
        row = await self._row(who, job_id, "inputs")
        if row.executable is None or row.state is JobState.REJECTED:
            raise Conflict("This job has no executable.", code="job.unprepared")
        return await self.data.read(row, "inputs", row.executable, "executable of this job")

    async def source(self, who: Principal, job_id: str) -> tuple[CircuitBundle, list[Pub]]:
        """The circuits and PUBs as they were sent. Raises Conflict ``job.source`` where they were not kept."""
        row = await self._row(who, job_id, "inputs")
        try:
            raw = await self.data.read(row, "inputs", row.source, "source of this job")
        except NotFound:
            raise Conflict("The circuits of this job were not kept.", code="job.source") from None
        return bundle_of(row.source_format, raw), PUBS.validate_json(row.pubs)

    async def provenance(self, who: Principal, job_id: str) -> Provenance:
        """The record of one run (R1)."""
        return await self.data.provenances.of(await self._row(who, job_id, "logs"))

    async def calibration(self, who: Principal, job_id: str) -> tuple[CalibrationRef, dict[str, Any]]:
        """The calibration that the job was laid out for, and its Target as JSON. Raises Conflict."""
        return await self.data.provenances.calibration(await self._row(who, job_id, "logs"))

    async def replay(
        self, who: Principal, job_id: str, asked: ReplayRequest, *, key: str | None, wait_s: float
    ) -> JobView:
        """Run a job once more, as a new job of the caller's; see :meth:`submit`.

        Raises Conflict ``replay.unfinished``, ``job.archived``, ``job.source``, and what refuses a job.
        """
        row = await self._row(who, job_id, "inputs")
        check_replayable(row)
        circuits, pubs = await self.source(who, job_id)
        request = replay_request(row, circuits, pubs, asked, self._context.registry)
        return await self._submitted(who, request, key, wait_s, row.id)

    async def cancel(self, who: Principal, job_id: str) -> JobView:
        """Take a job back, in any state that is not final."""
        return job_view(await self._retiring.cancel(who, job_id))

    async def _row(self, who: Principal, job_id: str, data: DataClass | None = None) -> JobRow:
        """The job, for those who may see it, and may read this class of its data."""
        row = self._context.people.check_job(who, await self._context.store.read(lambda view: view.job(job_id)))
        if data is not None:
            self.data.exports.check_reader(who, row.project, data)
        return row

    def _with_wait(self, view: JobView) -> JobView:
        """Why it waits, as of now: for its device, with an estimate, or for a person."""
        if view.state is JobState.AWAITING_APPROVAL and view.submitted is not None:
            settings, now = self._context.settings, self._context.clock()
            expires = view.submitted + timedelta(seconds=settings.approval_expiry_s)
            roles = (view.decision.roles if view.decision else []) or ["lead"]
            whom = " and ".join(deciders(role, view.project) for role in roles)
            said = sentences.asked(whom[0].lower() + whom[1:], expires, settings.time_zone, now)
            return view.model_copy(update={"wait": Wait(reason="wait.approval", words=said)})
        if view.state is not JobState.QUEUED:
            return view
        return view.model_copy(update={"wait": self._queues.wait(view.device, view.id) or view.wait})

    # Approvals

    async def approvals(self, who: Principal, *, state: str = "open") -> Approvals:
        """Requests that ``who`` may see: a lead's projects', everybody's own."""
        return await self._approving.list(who, state)

    async def decide(self, who: Principal, approval_id: str, answer: ApprovalDecision) -> ApprovalView:
        """Approve or reject a request."""
        return await self._approving.decide(who, approval_id, answer)

    async def decide_several(self, who: Principal, answer: ApprovalsDecision) -> ApprovalsDecided:
        """The same answer to several requests, each decided on its own."""
        return await self._approving.decide_several(who, answer)

    # Live

    def events(self, who: Principal, *, after: int | None) -> AsyncIterator[EventView]:
        """Numbered events that ``who`` may see: those after number ``after``, then live, for ever."""
        return self._live.stream(who, after)

    # Runners (authenticated by their token)

    def runner_id(self, who: Principal, instance: str) -> str:
        """Id of the runner that ``who``, a service that the configuration lists as one, calls ``instance``."""
        return runner_id(self._context.settings, who, instance)

    def runner_counts(self) -> tuple[dict[str, tuple[int, int, int]], int]:
        """By owner: live runners, the devices that they serve, the tasks that they hold; and how many devices wait."""
        return self._context.board.counts(owner_of), self._context.registry.pending

    async def announce(self, words: Announce) -> Welcome:
        """A runner says what it serves."""
        return await self._runners.announce(words)

    async def lease(self, asked: LeaseRequest) -> Leased:
        """Work for a runner: a long poll."""
        if asked.leaving:
            await self._runners.lost(asked.runner)
            return Leased()
        return await self._context.board.lease(asked)

    async def report_task(self, task_id: str, report: TaskReport) -> Reported:
        """A move of a task; answers with the task that the same worker goes on with."""
        return await self._runners.report(task_id, report)

    async def runner_lost(self, runner: str) -> None:
        """A runner's process has ended: what it held is reconciled at once, not when its leases run out."""
        await self._runners.lost(runner)


def _ended(row: JobRow) -> QuantumError:
    """Why a final job has no result."""
    names = {JobState.FAILED: "JobFailed", JobState.CANCELLED: "JobCancelled", JobState.REJECTED: "JobRejected"}
    name = names.get(row.state, "JobEnded")
    if row.error is None:
        body = ErrorBody(error=name, code=f"job.{row.state.value}", message=f"{sentences.state_words(row)}.")
    else:
        body = ErrorBody.model_validate(json.loads(row.error) | {"error": name})
    error = error_of(body)
    error.details["job"] = row.id
    return error
