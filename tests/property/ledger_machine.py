"""The ledger as a machine: any order of holds, runs, failures, retries, windows, loans, raises and ends of grants.

It works on a real store with the accounts that the pipeline itself would choose: three projects of one organisation,
one a part of another, quotas in every unit and over several windows, grants that start, end and can be lent. A little
is kept beside it to judge the answers; at the end, the whole database is proved.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import FINAL, HOLDING, MOVES, DeviceKind, JobState
from jupyter_quantum.core.ledger import Kind, unit_of
from jupyter_quantum.core.tenancy import GrantSpec, OrganisationSpec, ProjectSpec, QuotaSpec
from jupyter_quantum.exceptions import Conflict, QuotaExceeded
from jupyter_quantum.pipeline.accounts import Accounts, grant_spec
from jupyter_quantum.pipeline.settings import Settings
from jupyter_quantum.pipeline.tenants import Tenants
from jupyter_quantum.store import Store, Tx, verify
from jupyter_quantum.store.rows import AttemptState, JobRow, RaiseRow
from jupyter_quantum.testing.rows import a_job, an_attempt

START = datetime(2026, 5, 29, 12, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")
USERS = ("ada@1", "ben@1", "eve@1")
PROJECTS = ("course", "part", "lab")
ADMIN = "root@1"
_NOBODY: frozenset[str] = frozenset()
_DAY = timedelta(days=1)


def projects() -> dict[str, ProjectSpec]:
    """A course with a part of it, and a lab; small limits, so that everything binds now and then."""
    course = ProjectSpec(
        "course",
        "campus",
        "sandbox",
        _NOBODY,
        _NOBODY,
        grant=60,
        user_quota=50,
        grants=(GrantSpec("spring", 40, START - _DAY, START + 4 * _DAY, lendable=True),),
        quotas=(
            QuotaSpec("user", 70, "shots", "day"),
            QuotaSpec("project", 3, "jobs"),
            QuotaSpec("project", 90, "credits", "week"),
            QuotaSpec("user", 30, "simulator_seconds", "month", device_kind=DeviceKind.EMULATOR),
        ),
    )
    part = replace(course, name="part", parent="course", grant=30, user_quota=20, grants=(), quotas=())
    lab = replace(
        course, name="lab", grant=0, grants=(GrantSpec("eu", 50, START, START + 9 * _DAY, lendable=True),), quotas=()
    )
    return {spec.name: spec for spec in (course, part, lab)}


CAMPUS = OrganisationSpec(
    "campus",
    grants=(GrantSpec("all", 140, START - _DAY, START + 20 * _DAY),),
    quotas=(QuotaSpec("organisation", 6, "jobs"), QuotaSpec("user", 60, "credits", "term")),
    terms=(("summer", START - 30 * _DAY, START + 3 * _DAY), ("autumn", START + 6 * _DAY, START + 60 * _DAY)),
)


class LedgerMachine(RuleBasedStateMachine):
    """Requests against one store."""

    url: ClassVar[Callable[[Path], str]] = staticmethod(lambda folder: f"sqlite:///{folder}/store.sqlite")
    """Where a new, empty database is."""
    jobs: Bundle[str] = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.store = Store(type(self).url(self.folder), artefacts=f"file://{self.folder}/artefacts")
        self.store.migrate()
        settings = Settings(self.folder, "", self.folder, projects(), organisations={"campus": CAMPUS}, time_zone=ZONE)
        self.tenants = Tenants(settings)
        self.accounts = Accounts(settings, self.tenants)
        self.now = START
        self.settled: set[tuple[str, int]] = set()

    def teardown(self) -> None:
        """The whole database is proved at the end."""
        self.number()
        violations = self.loop.run_until_complete(self.store.read(verify))
        self.store.close()
        self.loop.close()
        shutil.rmtree(self.folder)
        assert violations == []

    def write(self, work: Callable[[Tx], Any]) -> Any:
        """One request; None where it was refused, as users are."""
        try:
            return self.loop.run_until_complete(self.store.write(work))
        except (Conflict, QuotaExceeded):
            return None

    def read(self, work: Callable[[Any], Any]) -> Any:
        """One look."""
        return self.loop.run_until_complete(self.store.read(work))

    def job(self, job_id: str) -> JobRow:
        """The job as others see it."""
        found: JobRow = self.read(lambda view: view.job(job_id))
        return found

    def learn(self) -> None:
        """What the pipeline's turn does: loans and raises as they are now."""
        self.accounts.learn(*self.read(lambda view: (view.loans(), view.raises())))

    # Jobs

    @initialize(target=jobs)
    def first(self) -> str:
        """There is always a job."""
        return self.draft("ada@1", "course", DeviceKind.EMULATOR)

    @rule(target=jobs, who=st.sampled_from(USERS), project=st.sampled_from(PROJECTS), kind=st.sampled_from(DeviceKind))
    def draft(self, who: str, project: str, kind: DeviceKind) -> str:
        """A new job, without a hold."""
        job = a_job(principal=who, owner=who.partition("@")[0], project=project, device_kind=kind)
        stored: JobRow = self.write(lambda tx: tx.add_job(job, actor=who))
        return stored.id

    @rule(
        target=jobs,
        who=st.sampled_from(USERS),
        project=st.sampled_from(PROJECTS),
        kind=st.sampled_from(DeviceKind),
        price=st.integers(0, 30),
        shots=st.integers(1, 40),
    )
    def submit(self, who: str, project: str, kind: DeviceKind, price: int, shots: int) -> str:
        """The usual way to *running*, in one request; where the budgets refuse, the same request rejects it."""
        job = self.draft(who, project, kind)

        def work(tx: Tx) -> str:
            tx.move(job, JobState.VALIDATED, actor=who)
            try:
                self.take(tx, job, price, shots)
            except QuotaExceeded:
                tx.move(job, JobState.REJECTED, actor=who)
                return job
            tx.add_attempt(an_attempt(tx.job(job)))
            for state in (JobState.QUEUED, JobState.SCHEDULED, JobState.RUNNING):
                tx.move(job, state, actor=who)
            return job

        self.write(work)
        return job

    def take(self, tx: Tx, job_id: str, price: int, shots: int, later: int = 0) -> JobRow:
        """The hold, in the accounts that bind the job."""
        job = tx.job(job_id)
        time_used = "qpu_seconds" if job.device_kind is DeviceKind.QPU else "simulator_seconds"
        needs = {"credits": price, "shots": shots, "jobs": 1, time_used: shots // 4}
        spec = self.tenants.projects[job.project]
        at = self.now + later * _DAY
        return tx.hold(job_id, self.accounts.claims(tx.named(job.principal), spec, job.device_kind, needs, at))

    @rule(job_id=jobs, price=st.integers(0, 30), shots=st.integers(1, 40), later=st.integers(0, 3))
    def hold(self, job_id: str, price: int, shots: int, later: int) -> None:
        """A hold (in a later window's budgets, now and then): once, and only while there is enough."""
        before = self.job(job_id)
        after = self.write(lambda tx: self.take(tx, job_id, price, shots, later))
        if after is None:
            assert self.job(job_id) == before
        else:
            assert before.held is None
            assert after.on_hold == price

    @rule(job_id=jobs, to=st.sampled_from(sorted(JobState)))
    def move(self, job_id: str, to: JobState) -> None:
        """Any move: done if and only if the table has it and something is on hold where it must be."""
        before = self.job(job_id)
        legal = to in MOVES[before.state] and (to not in HOLDING or before.held is not None)
        after = self.write(lambda tx: tx.move(job_id, to, actor=ADMIN))
        assert (after is not None) == legal
        if to in FINAL and after is not None:
            assert not any(json.loads(after.accounts).values())

    @rule(job_id=jobs)
    def attempt(self, job_id: str) -> None:
        """The next attempt, refused while one is open."""
        self.write(lambda tx: tx.add_attempt(an_attempt(tx.job(job_id))))

    @rule(job_id=jobs, number=st.integers(1, 3), state=st.sampled_from(AttemptState))
    def finish(self, job_id: str, number: int, state: AttemptState) -> None:
        """An attempt ends, or becomes unknown."""
        if number <= self.job(job_id).attempts:
            self.write(lambda tx: tx.finish_attempt(f"{job_id}-{number}", state, fence=None))

    @rule(job_id=jobs, number=st.integers(1, 3), price=st.integers(0, 40), shots=st.integers(0, 50))
    def settle(self, job_id: str, number: int, price: int, shots: int) -> None:
        """A settlement takes at most what is on hold, in each unit, and happens once."""
        before = self.job(job_id)
        usage = {"shots": shots, "simulator_seconds": shots, "qpu_seconds": shots}
        after = self.write(lambda tx: tx.settle(job_id, number, price, usage))
        if after is None:
            return
        assert (job_id, number) not in self.settled
        self.settled.add((job_id, number))
        assert after.on_hold == before.on_hold - min(price, before.on_hold)
        there, left = json.loads(before.accounts), json.loads(after.accounts)
        wanted = {"credits": price, "jobs": 0, **usage}
        for account, amount in there.items():
            assert amount - left[account] <= wanted[unit_of(account)]

    @rule(job_id=jobs, price=st.integers(0, 30), shots=st.integers(1, 40))
    def raise_hold(self, job_id: str, price: int, shots: int) -> None:
        """A dearer run takes the difference everywhere, or nothing."""

        def work(tx: Tx) -> JobRow:
            job = tx.job(job_id)
            needs = {"credits": price, "shots": shots, "jobs": 1}
            spec = self.tenants.projects[job.project]
            claims = self.accounts.claims(tx.named(job.principal), spec, job.device_kind, needs, self.now)
            tx.raise_hold(job_id, claims)
            return tx.move(job_id, JobState.VALIDATED, actor=ADMIN)

        before = self.job(job_id)
        after = self.write(work)
        if after is not None:
            assert after.on_hold == max(price, before.on_hold)

    # Budgets

    @rule(hours=st.integers(1, 60))
    def time(self, hours: int) -> None:
        """It gets later: windows turn, grants start and end. What has ended goes back."""
        self.now += timedelta(hours=hours)
        ended, loans = self.read(lambda view: (view.accounts(purpose="funds", ended_by=self.now), view.loans()))
        over = [loan for loan in loans if loan.closed or (loan.ends is not None and loan.ends <= self.now)]
        borrowed = {loan.borrower for loan in over}

        def work(tx: Tx) -> None:
            for loan in over:
                tx.recall(loan.id, end=True)
            for row in ended:
                if row.id not in borrowed:
                    tx.close_account(row)

        self.write(work)
        self.learn()

    @rule(project=st.sampled_from(("course", "lab")), to=st.sampled_from(PROJECTS), amount=st.integers(1, 30))
    def lend(self, project: str, to: str, amount: int) -> None:
        """Unused share of a running grant, to another project."""
        spec = self.tenants.projects[project]
        (grant,) = spec.grants
        runs = (grant.start or self.now) <= self.now < (grant.end or self.now)
        if to != project and runs:
            lender = grant_spec(spec, grant, grant.amount)
            self.write(lambda tx: tx.lend(lender, to, amount, actor=ADMIN))
            self.learn()

    @rule(end=st.booleans(), most=st.none() | st.integers(1, 20))
    def recall(self, end: bool, most: int | None) -> None:
        """Take back what is unspent and not on hold of every loan."""
        for loan in self.read(lambda view: view.loans()):
            before = self.read(lambda view, loan=loan: view.account(loan.borrower))
            after = self.write(lambda tx, loan=loan: tx.recall(loan.id, most=most, actor=ADMIN, end=end))
            back = after.recalled - loan.recalled
            assert back == min(before.available, before.available if most is None else most)
        self.learn()

    @rule(who=st.sampled_from(USERS), amount=st.integers(1, 30), days=st.integers(1, 10))
    def more(self, who: str, amount: int, days: int) -> None:
        """A user's month in the course is larger for a while."""
        course = self.tenants.projects["course"]

        def work(tx: Tx) -> None:
            name = tx.named(who)
            key = self.accounts.key(name, course, QuotaSpec("user", 0))
            assert key is not None
            until = self.now + timedelta(days=days)
            tx.add_raise(RaiseRow(new_id("rse"), key, amount, self.now, until, "req_1", "course"), actor=ADMIN)
            for spec, *_ in self.accounts.binding(name, course, self.now):
                if spec.id.startswith(f"{key}/"):
                    tx.declare(spec)
                    tx.declare(replace(spec, limit=spec.limit + amount), Kind.RAISE, actor=ADMIN, ref="req_1")

        self.write(work)
        self.learn()

    @rule()
    def number(self) -> None:
        """The leader numbers what is there."""

        def work(tx: Tx) -> None:
            fence = tx.claim_leader("me", 60)
            assert fence is not None
            tx.number_events(fence)

        self.write(work)

    @invariant()
    def nothing_is_lost(self) -> None:
        """What accounts hold is what open jobs hold in them; no part is below zero, and none over its limit."""
        jobs, accounts = self.read(lambda view: (view.jobs(limit=None), view.accounts()))
        held: Counter[str] = Counter()
        for job in jobs:
            held.update(json.loads(job.accounts))
        for account in accounts:
            assert account.held == held[account.id]
            assert min(account.used, account.held, account.limit) >= 0
            if "/month/" not in account.id:  # a raise that has ended may leave its month over the limit
                assert account.used + account.held <= account.limit
