"""Any order of moves, money, attempts, failures and retries, on a real database: what must always hold."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from jupyter_quantum.core.jobs import FINAL, HOLDING, MOVES, JobState
from jupyter_quantum.exceptions import Conflict, QuotaExceeded
from jupyter_quantum.store import Store, Tx, verify
from jupyter_quantum.store.rows import AttemptState, JobRow
from jupyter_quantum.testing.rows import ADA, a_job, an_attempt, budgets, claims

AMOUNTS = st.integers(0, 40)
STATES = st.sampled_from(sorted(JobState))


class Abandoned(Exception):
    """A request that fails after it has written."""


class Machine(RuleBasedStateMachine):
    """Requests against one store, and the little that must be known to judge their answers."""

    jobs: Bundle[str] = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.loop = asyncio.new_event_loop()
        self.store = Store(f"sqlite:///{self.folder}/store.sqlite", artefacts=f"file://{self.folder}/artefacts")
        self.store.migrate()
        self.limits = (100, 130)

    def teardown(self) -> None:
        """The whole database is proved at the end; numbers and chain too."""
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
        except (Conflict, QuotaExceeded, Abandoned):
            return None

    def job(self, job_id: str) -> JobRow:
        """The job as others see it."""
        return self.loop.run_until_complete(self.store.read(lambda view: view.job(job_id)))

    def add(self) -> str:
        """A new draft."""
        job: JobRow = self.write(lambda tx: tx.add_job(a_job(), actor=ADA))
        return job.id

    @initialize(target=jobs)
    def first(self) -> str:
        """There is always a job."""
        return self.add()

    @rule(target=jobs)
    def draft(self) -> str:
        """One more job."""
        return self.add()

    @rule(target=jobs, amount=AMOUNTS)
    def run(self, amount: int) -> Any:
        """The usual way to *running*, in one request; refused where the budgets do not allow it."""

        def work(tx: Tx) -> str:
            job = tx.add_job(a_job(), actor=ADA)
            tx.hold(job.id, claims(amount, budgets(*self.limits)))
            tx.add_attempt(an_attempt(job))
            for state in (JobState.VALIDATED, JobState.QUEUED, JobState.SCHEDULED, JobState.RUNNING):
                tx.move(job.id, state, actor=ADA)
            return job.id

        return self.write(work) or self.add()

    @rule(job_id=jobs, to=STATES)
    def move(self, job_id: str, to: JobState) -> None:
        """Any move: done if and only if the table has it and money is on hold where it must be."""
        before = self.job(job_id)
        legal = to in MOVES[before.state] and (to not in HOLDING or before.held is not None)
        after = self.write(lambda tx: tx.move(job_id, to, actor=ADA))
        assert (after is not None) == legal
        assert self.job(job_id) == (after or before)

    @rule(job_id=jobs, amount=AMOUNTS)
    def hold(self, job_id: str, amount: int) -> None:
        """A hold: once, and only while there is enough."""
        before = self.job(job_id)
        after = self.write(lambda tx: tx.hold(job_id, claims(amount, budgets(*self.limits))))
        if after is not None:
            assert before.held is None
            assert after.on_hold == amount

    @rule(job_id=jobs)
    def release(self, job_id: str) -> None:
        """Giving back early is harmless."""
        self.write(lambda tx: tx.release(job_id))

    @rule(job_id=jobs)
    def attempt(self, job_id: str) -> None:
        """The next attempt, refused while one is open."""
        self.write(lambda tx: tx.add_attempt(an_attempt(tx.job(job_id))))

    @rule(job_id=jobs, number=st.integers(1, 3), state=st.sampled_from(AttemptState))
    def finish(self, job_id: str, number: int, state: AttemptState) -> None:
        """An attempt ends, or becomes unknown."""
        if number <= self.job(job_id).attempts:
            self.write(lambda tx: tx.finish_attempt(f"{job_id}-{number}", state, fence=None))

    @rule(job_id=jobs, number=st.integers(1, 3), amount=AMOUNTS)
    def settle(self, job_id: str, number: int, amount: int) -> None:
        """A settlement takes at most what is on hold."""
        before = self.job(job_id)
        after = self.write(lambda tx: tx.settle(job_id, number, amount))
        if after is not None:
            assert after.on_hold == before.on_hold - min(amount, before.on_hold)

    @rule(job_id=jobs, amount=AMOUNTS)
    def abandon(self, job_id: str, amount: int) -> None:
        """A request that fails at its end leaves nothing behind."""
        before = self.job(job_id)

        def work(tx: Tx) -> None:
            job = tx.add_job(a_job(), actor=ADA)
            tx.hold(job.id, claims(amount, budgets(*self.limits)))
            tx.move(job_id, JobState.CANCELLED, actor=ADA)
            tx.flush()
            raise Abandoned

        self.write(work)
        assert self.job(job_id) == before

    @rule(user=st.integers(80, 120))
    def limit(self, user: int) -> None:
        """The operator changes the month's limit."""
        self.limits = (user, 130)

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
        """Balances are what open jobs hold and ended ones cost; a final job holds nothing; nothing is overdrawn."""

        def look(view: Any) -> tuple[list[JobRow], list[Any]]:
            return view.jobs(limit=None), view.accounts()

        jobs, accounts = self.loop.run_until_complete(self.store.read(look))
        for account in accounts:
            assert account.held == sum(job.on_hold for job in jobs)
            assert account.used == sum(job.cost or 0 for job in jobs)
            assert account.used + account.held <= 130
        assert all(job.on_hold == 0 for job in jobs if job.state in FINAL)


TestMachine = Machine.TestCase
TestMachine.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
