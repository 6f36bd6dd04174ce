"""Rows for tests: a Bell job of ada's in qcourse, the accounts that pay for it, and a way through its life."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import DeviceKind, JobKind, JobState
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import AccountSpec, AttemptRow, AttemptState, Claim, JobRow

__all__ = ["ADA", "ADA_NAME", "FUNDS", "MONTH", "a_job", "an_attempt", "budgets", "claims", "queue", "run"]

ADA: Final = "ada@2026-05-12T09:00:00Z"
ADA_NAME: Final = "ppl_" + 32 * "0"
"""What the ledger calls her in tests that bring their own accounts."""
MONTH: Final = f"credits/user/{ADA_NAME}/project:qcourse/any/month/2026-05"
FUNDS: Final = "credits/funds/project:qcourse/always"
_RESETS: Final = datetime(2026, 6, 1, tzinfo=UTC)
_WHEN: Final = datetime(2026, 5, 12, 9, tzinfo=UTC)


def a_job(**changes: Any) -> JobRow:
    """A draft: two qubits on fake_torino."""
    job = JobRow(
        id=new_id("job"),
        principal=ADA,
        owner="ada",
        organisation="campus",
        project="qcourse",
        device="fake_torino",
        device_kind=DeviceKind.EMULATOR,
        device_label="emulator",
        kind=JobKind.SAMPLER,
        name="bell",
        created=_WHEN,
        changed=_WHEN,
        source="sha256:" + 64 * "0",
    )
    return replace(job, **changes)


def budgets(user: int = 50 * CREDIT, project: int = 100 * CREDIT) -> list[AccountSpec]:
    """Ada's month and the project's grant, with these limits."""
    return [
        AccountSpec(MONTH, "user", ADA_NAME, "qcourse", user, "2026-05", _RESETS),
        AccountSpec(FUNDS, "project", "qcourse", "qcourse", project, purpose="funds"),
    ]


def claims(amount: int, accounts: Sequence[AccountSpec] | None = None) -> list[Claim]:
    """The same amount in each account."""
    return [Claim(amount, (spec,)) for spec in (budgets() if accounts is None else accounts)]


def an_attempt(job: JobRow, **changes: Any) -> AttemptRow:
    """The job's next attempt, leased for a minute."""
    number = job.attempts + 1
    attempt = AttemptRow(
        job=job.id,
        number=number,
        tag=f"{job.id}-{number}",
        state=AttemptState.SCHEDULED,
        runner="run_test",
        fence=number,
        created=_WHEN,
        lease_until=_WHEN + timedelta(minutes=1),
    )
    return replace(attempt, **changes)


def queue(tx: Tx, amount: int, accounts: Sequence[AccountSpec] | None = None, **changes: Any) -> JobRow:
    """A new job with a hold, in the queue."""
    job = tx.add_job(a_job(**changes), actor=ADA)
    tx.move(job.id, JobState.VALIDATED, actor="service", price=amount, price_at_most=amount)
    tx.hold(job.id, claims(amount, accounts))
    return tx.move(job.id, JobState.QUEUED, actor=ADA)


def run(tx: Tx, job_id: str) -> JobRow:
    """A queued job gets an attempt and runs."""
    attempt = tx.add_attempt(an_attempt(tx.job(job_id)))
    tx.move(job_id, JobState.SCHEDULED, actor="scheduler")
    tx.update_attempt(attempt.tag, fence=attempt.fence, state=AttemptState.RUNNING, started=tx.now)
    return tx.move(job_id, JobState.RUNNING, actor="runner")
