"""What a request may read (:class:`View`) and write (:class:`Tx`) in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.store.rows import (
    AccountRow,
    AccountSpec,
    ApprovalRow,
    ApprovalState,
    AttemptRow,
    AttemptState,
    DeviceRow,
    DeviceState,
    EntryRow,
    EventRow,
    JobRow,
    Json,
    ReportRow,
)

__all__ = ["Tx", "View"]


class View:
    """Everything that can be read, as of one moment. Methods named for one thing raise NotFound where it is absent."""

    def job(self, job_id: str) -> JobRow: ...
    def jobs(
        self,
        *,
        principal: str | None = None,
        project: str | None = None,
        device: str | None = None,
        states: Collection[JobState] | None = None,
        before: str | None = None,
        limit: int = 50,
    ) -> list[JobRow]:
        """Newest first; ``before`` is the id of the last one already seen."""
        ...

    def attempts(self, job_id: str) -> list[AttemptRow]: ...
    def attempt(self, tag: str) -> AttemptRow: ...
    def open_attempts(self, *, expired_by: datetime | None = None) -> list[AttemptRow]:
        """Attempts that are scheduled or running (whose lease ended before ``expired_by``)."""
        ...

    def report(self, report_id: str) -> ReportRow: ...
    def approval(self, approval_id: str) -> ApprovalRow: ...
    def approvals(
        self,
        *,
        state: ApprovalState | None = "open",
        projects: Collection[str] | None = None,
        principal: str | None = None,
        expired_by: datetime | None = None,
        limit: int = 200,
    ) -> list[ApprovalRow]: ...
    def device(self, name: str) -> DeviceRow: ...
    def devices(self) -> list[DeviceRow]: ...
    def account(self, account_id: str) -> AccountRow | None:
        """None where nothing was ever put on hold there."""
        ...

    def accounts(self, *, project: str | None = None) -> list[AccountRow]: ...
    def entries(self, *, account: str | None = None, job: str | None = None) -> list[EntryRow]: ...
    def events(self, after: int, *, limit: int = 500) -> list[EventRow]:
        """Numbered events with ``seq > after``, in order."""
        ...

    def job_events(self, job_id: str) -> list[EventRow]:
        """Every event of a job, numbered or not, oldest first."""
        ...

    def last_seq(self) -> int: ...
    def idempotent(self, principal: str, key: str, body: str) -> str | None:
        """Id of the job that this principal made with this key; None for a new key.

        Raises Conflict ``idempotency.mismatch`` where the key came with another body (digest).
        """
        ...

    def blob(self, digest: str) -> bytes: ...


class Tx(View):
    """One request's writes: all of them or none."""

    now: datetime
    """The moment that everything written here carries."""

    def add_job(self, job: JobRow, *, actor: str, event: Mapping[str, Any] = {}) -> JobRow: ...  # noqa: B006
    def move(
        self,
        job_id: str,
        to: JobState,
        *,
        actor: str,
        event: Mapping[str, Any] = {},  # noqa: B006
        expect_version: int | None = None,
        **changes: Any,
    ) -> JobRow:
        """Bump version, release what remains when final, write ONE event row. ``changes``: columns of JobRow.

        Raises Conflict: ``job.move`` (not in the table), ``job.version`` (not the version expected).
        """
        ...

    def amend(
        self,
        job_id: str,
        *,
        actor: str,
        type: str = "job.changed",
        event: Mapping[str, Any] = {},
        **changes: Any,  # noqa: A002, B006
    ) -> JobRow:
        """Change columns (not the state), e.g. ``cancel_asked``; bumps version and writes one event."""
        ...

    def set_waits(self, waits: Mapping[str, Json | None]) -> None:
        """Write the scheduler's place, estimate and reason of waiting jobs; no event, no version."""
        ...

    def hold(self, job_id: str, accounts: Sequence[AccountSpec], amount: int) -> JobRow:
        """Once per job. Raises QuotaExceeded with details left, needed, account, resets."""
        ...

    def settle(self, job_id: str, attempt: int, amount: int) -> JobRow:
        """Once per attempt; charges at most what is on hold."""
        ...

    def release(self, job_id: str) -> JobRow: ...
    def add_attempt(self, attempt: AttemptRow) -> AttemptRow:
        """Number must be job.attempts + 1."""
        ...

    def update_attempt(self, tag: str, *, fence: int, **changes: Any) -> AttemptRow:
        """Start or renew. Raises Conflict ``fence`` where the fence is old or the attempt has ended."""
        ...

    def finish_attempt(self, tag: str, state: AttemptState, *, fence: int | None, **changes: Any) -> AttemptRow:
        """``fence=None``: the service itself ends it (lease ran out, operator)."""
        ...

    def add_report(self, report: ReportRow, *, actor: str) -> ReportRow: ...
    def set_report(self, report_id: str, **changes: Any) -> ReportRow: ...
    def add_approval(self, approval: ApprovalRow, *, actor: str) -> ApprovalRow: ...
    def decide_approval(
        self, approval_id: str, state: ApprovalState, *, actor: str, note: str | None = None
    ) -> ApprovalRow:
        """Raises Conflict ``approval.decided`` where it is not open any more."""
        ...

    def put_device(self, device: DeviceRow, *, actor: str) -> DeviceRow:
        """Insert, or update what a runner says; the operator's state, reason, until and admitted stay."""
        ...

    def set_device_state(
        self, name: str, state: DeviceState, *, actor: str, reason: str | None = None, until: datetime | None = None
    ) -> DeviceRow: ...
    def add_event(
        self,
        type: str,  # noqa: A002
        *,
        actor: str,
        principal: str | None = None,
        project: str | None = None,
        job: str | None = None,
        data: Mapping[str, Any] = {},  # noqa: B006
    ) -> EventRow: ...
    def put_blob(self, raw: bytes) -> str:
        """Digest. Small ones are written with the transaction; for larger ones call ``store.artefacts.put`` before."""
        ...

    def claim_leader(self, holder: str, ttl_s: float) -> int | None:
        """Fencing token while ``holder`` leads; None where another holds the lease."""
        ...

    def number_events(self, fence: int, *, limit: int = 1000) -> list[EventRow]:
        """Number what is committed. Raises Conflict ``fence`` where another leads."""
        ...
