"""The board: tasks that wait for a runner, tasks that a runner holds, and the runners themselves.

It lives in memory only. What must survive a crash is in rows (an attempt's tag is written before its task is put
here); after a restart every task of before is unknown, its reports are refused, and its job is reconciled.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.pipeline.bus import Bell
from jupyter_quantum.wire.runner import (
    Announce,
    EndSessionTask,
    ExecuteTask,
    Leased,
    LeaseRequest,
    Prepared,
    PrepareTask,
    ReportTask,
    Task,
    TaskReport,
)

__all__ = ["Board", "LeaseLost", "Runner", "Ticket"]

_REPEAT_S = 1.0
_GRACE_S = 30.0
"""A runner kills a task at its limit; one that still renews this long after it is not believed."""


_WARM_UP_S = 60.0
"""A runner needs some of this from its start to its announcement."""


class LeaseLost(Exception):
    """The runner that held a task is gone; whether the task ran is not known."""


@dataclass(eq=False, slots=True)
class Ticket:
    """One task on its way: put on the board, leased, reported."""

    do: PrepareTask | ReportTask | ExecuteTask | EndSessionTask
    affinity: str
    timeout_s: float
    memory_mb: int
    job: str | None = None
    tenant: str = ""
    """The job's project: whose key seals the result."""
    attempt: int = 0
    circuits: int = 0
    """Of a run: how many were prepared for it."""
    part: Callable[[list[Prepared]], None] | None = None
    """Of a report: called with rows as they come, before ``outcome`` has the rest."""
    id: str = field(default_factory=lambda: new_id("tsk"))
    fence: int = 0
    runner: str | None = None
    """Who holds it; before that, the only one who may take it, where that is decided."""
    lease_until: float = 0.0
    """Monotonic seconds; 0 while nobody holds it."""
    kill_after: float = 0.0
    stopping: bool = False
    """The runner is told to kill it, again and again until it reports: an answer may be lost on the way."""
    told: float = 0.0
    ended: bool = False
    """Its end was reported."""
    outcome: asyncio.Future[TaskReport] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """The report that ends it; LeaseLost where the runner is gone. Used by prepare and report tasks."""
    follow: asyncio.Future[Task | None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    """The task that the same worker goes on with; whoever awaits ``outcome`` sets it."""

    @property
    def leased(self) -> bool:
        """Whether a runner ever had it."""
        return self.lease_until > 0

    @property
    def devices(self) -> frozenset[str]:
        """What a runner must serve to take it."""
        return frozenset(self.do.devices if isinstance(self.do, ReportTask) else (self.do.device,))

    def task(self) -> Task:
        """As it is sent."""
        return Task.model_construct(
            id=self.id,
            fence=self.fence,
            affinity=self.affinity,
            timeout_s=self.timeout_s,
            memory_mb=self.memory_mb,
            job=self.job,
            do=self.do,
        )


@dataclass(eq=False, slots=True)
class Runner:
    """A runner as it announced itself."""

    words: Announce
    devices: frozenset[str]
    seen: float
    polls: int = 0
    """Long polls that are open now: who waits here is alive."""
    bell: Bell = field(default_factory=Bell)
    told: dict[str, float] = field(default_factory=dict)

    def due(self, lost: set[str]) -> set[str]:
        """Which of these lost tasks to tell of now: each once in a while, so that nobody spins."""
        now = time.monotonic()
        fresh = {task_id for task_id in lost if now - self.told.get(task_id, 0.0) > _REPEAT_S}
        self.told = {task_id: now if task_id in fresh else self.told[task_id] for task_id in lost}
        return fresh


class Board:
    """Tasks and runners.

    Args:
        lease_s: how long a lease lasts without renewal, seconds.
    """

    def __init__(self, lease_s: float) -> None:
        self.lease_s = lease_s
        self._changed = time.monotonic()
        """When the service started, or a runner was lost."""
        self.runners: dict[str, Runner] = {}
        self._waiting: dict[str, Ticket] = {}
        self._leased: dict[str, Ticket] = {}
        # Larger than any fence given before a restart, and exact in JSON.
        self._fences = itertools.count((time.time_ns() // 1_000_000) << 8)

    # Runners

    def announce(self, words: Announce, devices: Iterable[str]) -> Runner:
        """A runner says what it serves, for the first time or again."""
        known = self.runners.pop(words.runner, None) or Runner(words, frozenset(devices), time.monotonic())
        self.runners[words.runner] = known  # the last one now, which :meth:`serving` prefers
        known.words, known.devices, known.seen = words, frozenset(devices), time.monotonic()
        known.bell.ring()
        return known

    def counts(self, owner_of: Callable[[str], str]) -> dict[str, tuple[int, int, int]]:
        """By owner: live runners, devices, leases."""
        found: dict[str, tuple[int, int, int]] = {}
        for name, runner in self.runners.items():
            if self.alive(runner):
                before = found.get(owner_of(name), (0, 0, 0))
                leases = sum(ticket.runner == name for ticket in self._leased.values())
                found[owner_of(name)] = (before[0] + 1, before[1] + len(runner.devices), before[2] + leases)
        return found

    def knows(self, runner_id: str | None) -> bool:
        """Whether this runner announced itself and was not lost since."""
        return runner_id in self.runners

    def withdraw(self, device: str) -> None:
        """No runner serves this device any more, whoever announced it."""
        for runner in self.runners.values():
            runner.devices -= {device}

    def alive(self, runner: Runner) -> bool:
        """Whether it polls now, or did within a lease."""
        return runner.polls > 0 or time.monotonic() - runner.seen < self.lease_s

    def serving(self, device: str) -> Runner | None:
        """The live runner that serves this device; of several, the one that announced itself last."""
        for runner in reversed(self.runners.values()):  # asked for each row of each report: a loop is half the time
            if device in runner.devices and self.alive(runner):
                return runner
        return None

    @property
    def expects(self) -> bool:
        """Whether a runner may well be on its way: the service has just started, or has just lost one."""
        return time.monotonic() - self._changed < _WARM_UP_S

    def forget(self, runner_id: str) -> list[Ticket]:
        """The runner is gone: what it held is lost, and is returned."""
        if (gone := self.runners.pop(runner_id, None)) is not None:
            gone.bell.ring()  # what it still asks for is answered now, and gets nothing
        self._changed = time.monotonic()
        both = itertools.chain(self._waiting.values(), self._leased.values())
        return self._lose([ticket for ticket in both if ticket.runner == runner_id])

    # Tasks

    def put(self, ticket: Ticket) -> None:
        """Offer a task to whoever serves its devices."""
        self._waiting[ticket.id] = ticket
        for runner in self.runners.values():
            if ticket.devices <= runner.devices:
                runner.bell.ring()

    def hand_over(self, ticket: Ticket, runner_id: str) -> Task:
        """Give a task to this runner at once, as what follows the one that it reports."""
        self._grant(ticket, runner_id)
        return ticket.task()

    def next_fence(self) -> int:
        """A fencing token larger than any before."""
        return next(self._fences)

    async def lease(self, asked: LeaseRequest) -> Leased:
        """Work for this runner: at once where there is some, else at the latest after ``asked.wait_s`` seconds."""
        runner = self._known(asked.runner)
        lost = runner.due(self._renew(asked))
        until = time.monotonic() + min(asked.wait_s, self.lease_s / 2)
        runner.polls += 1
        try:
            while True:
                stops = self._stops(runner)
                found = Leased(tasks=self._take(runner, asked), stop=sorted(lost | stops), cancel=sorted(stops))
                left = until - time.monotonic()
                if found.tasks or found.stop or left <= 0:
                    return found
                await runner.bell.wait(left)
                if self._known(asked.runner) is not runner:
                    return Leased()  # it was lost meanwhile: who asked is gone, and would take a task along
        finally:
            runner.polls -= 1
            runner.seen = time.monotonic()

    def _known(self, runner_id: str) -> Runner:
        runner = self.runners.get(runner_id)
        if runner is None:
            raise Conflict("Announce first: this runner is not known here.", code="runner.unknown")
        return runner

    def held(self, task_id: str, report: TaskReport) -> Ticket:
        """The ticket that this report is about. Raises Conflict ``fence`` where the lease is not this runner's."""
        ticket = self._leased.get(task_id)
        if ticket is None or ticket.fence != report.fence or ticket.runner != report.runner:
            raise Conflict("This lease has ended; the report changes nothing.", code="fence")
        return ticket

    def done(self, ticket: Ticket) -> None:
        """The lease ends."""
        self._leased.pop(ticket.id, None)
        self._waiting.pop(ticket.id, None)

    def stop(self, ticket: Ticket) -> None:
        """Take a task back: from the board, or by telling its runner to kill it."""
        self._waiting.pop(ticket.id, None)
        if ticket.ended or ticket.outcome.done():
            return
        ticket.stopping = True
        holder = self.runners.get(ticket.runner or "")
        if ticket.id in self._leased and holder is not None:
            holder.bell.ring()

    def close(self, ticket: Ticket) -> None:
        """Nothing follows: let the runner's report be answered, or take the task back."""
        self.stop(ticket)
        if not ticket.follow.done():
            ticket.follow.set_result(None)

    def of_job(self, job_id: str) -> list[Ticket]:
        """Tickets of a job, waiting or leased."""
        both = itertools.chain(self._waiting.values(), self._leased.values())
        return [ticket for ticket in both if ticket.job == job_id]

    def expired(self) -> list[Ticket]:
        """Tickets whose lease ran out, or that wait for a runner that is gone or serves them no more; lost now."""
        now = time.monotonic()
        dead = [name for name, runner in self.runners.items() if not self.alive(runner)]
        lost = [ticket for name in dead for ticket in self.forget(name)]
        gone = [one for one in self._waiting.values() if one.runner is not None and not self._may(one.runner, one)]
        gone += [
            ticket
            for ticket in self._leased.values()
            if not ticket.ended and (now > ticket.kill_after or now > ticket.lease_until + self._patience(ticket))
        ]
        return lost + self._lose(gone)

    # Inside

    def _patience(self, ticket: Ticket) -> float:
        """Seconds beyond a lease: another one for a runner that polls, since a busy machine may be late to hear it.

        One that polls and names the task no more does not have it: the answer that leased it was lost, or the report.
        """
        runner = self.runners.get(ticket.runner or "")
        return self.lease_s if runner is not None and runner.polls > 0 else 0.0

    def _may(self, runner_id: str, ticket: Ticket) -> bool:
        """Whether the one runner that may take it could."""
        runner = self.runners.get(runner_id)
        return runner is not None and ticket.devices <= runner.devices

    def _grant(self, ticket: Ticket, runner_id: str) -> None:
        now = time.monotonic()
        self._waiting.pop(ticket.id, None)
        ticket.runner = runner_id
        ticket.fence = ticket.fence or self.next_fence()
        ticket.lease_until = now + self.lease_s
        ticket.kill_after = now + ticket.timeout_s + _GRACE_S
        self._leased[ticket.id] = ticket

    def _renew(self, asked: LeaseRequest) -> set[str]:
        """Renew what the runner names and holds; what it names and does not hold is to be stopped."""
        lost: set[str] = set()
        for task_id, fence in asked.running.items():
            ticket = self._leased.get(task_id)
            if ticket is None or ticket.fence != fence or ticket.runner != asked.runner:
                lost.add(task_id)
            else:
                ticket.lease_until = time.monotonic() + self.lease_s
        return lost

    def _take(self, runner: Runner, asked: LeaseRequest) -> list[Task]:
        fitting = [
            ticket
            for ticket in self._waiting.values()
            if ticket.devices <= runner.devices and ticket.runner in (None, asked.runner)
        ]
        taken = (self._in_turns(fitting) if len(fitting) > asked.slots else fitting)[: max(0, asked.slots)]
        for ticket in taken:
            self._grant(ticket, asked.runner)
        return [ticket.task() for ticket in taken]

    def _in_turns(self, waiting: Iterable[Ticket]) -> list[Ticket]:
        """Runs first, since they have a device's slot; then users take turns, whoever holds least first.

        One who sends a thousand validations delays nobody else's.
        """
        turns = Counter(ticket.affinity for ticket in self._leased.values())

        def turn(ticket: Ticket) -> tuple[bool, int]:
            turns[ticket.affinity] += 1
            return not ticket.attempt, turns[ticket.affinity]

        return sorted(waiting, key=turn)

    def _stops(self, runner: Runner) -> set[str]:
        """What this runner is to kill, each at most once in a while."""
        now = time.monotonic()
        name = runner.words.runner
        stops = [
            t
            for t in self._leased.values()
            if t.stopping and not t.ended and not t.outcome.done() and t.runner == name and now - t.told > _REPEAT_S
        ]
        for ticket in stops:
            ticket.told = now
        return {ticket.id for ticket in stops}

    def _lose(self, gone: Collection[Ticket]) -> list[Ticket]:
        for ticket in gone:
            self.done(ticket)
            if not ticket.outcome.done():
                ticket.outcome.set_exception(LeaseLost(ticket.id))
                ticket.outcome.exception()  # seen: an execute task has nobody who awaits it
        return list(gone)
