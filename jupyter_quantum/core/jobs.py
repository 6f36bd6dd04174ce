"""The life of a job: one enum, one table of moves.

::

    draft ─▶ validated ─┬─▶ awaiting_approval ─▶ queued ─▶ scheduled ─▶ running ─▶ completed
                        └──────────────────────▶   ▲           │           │  └──▶ failed
                                                   └───────────┴───────────┘
    cancelled and rejected are reached as MOVES says; every final state can be archived.

A move is one database transaction: state, ledger entries and one event row together (``jupyter_quantum.store``).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from jupyter_quantum.exceptions import Conflict

__all__ = ["ACTIVE", "FINAL", "HOLDING", "MOVES", "DeviceKind", "JobClass", "JobKind", "JobState", "check_move"]


class JobClass(StrEnum):
    """How much a job weighs against others in its device's queue. No class waits for ever for another."""

    INTERACTIVE = "interactive"
    """What a person or a program of theirs sent."""
    BENCHMARK = "benchmark"
    """What the service itself runs on a schedule, to see how its devices do."""


class JobKind(StrEnum):
    """What is asked of the device: Qiskit's ``backend.run``, ``SamplerV2`` or ``EstimatorV2``."""

    RUN = "run"
    SAMPLER = "sampler"
    ESTIMATOR = "estimator"


class DeviceKind(StrEnum):
    """What a device is in the eyes of policy."""

    SIMULATOR = "simulator"
    EMULATOR = "emulator"
    QPU = "qpu"


class JobState(StrEnum):
    """Where a job is."""

    DRAFT = "draft"
    """Stored, not validated."""
    VALIDATED = "validated"
    """Its report is accepted; not submitted yet, or being validated again with its hold kept."""
    AWAITING_APPROVAL = "awaiting_approval"
    """Hold taken; policy asks for a person. Expiry rejects it."""
    QUEUED = "queued"
    """Hold taken; waiting for a device."""
    SCHEDULED = "scheduled"
    """A device's slot is given and the tag written; the device has not confirmed yet."""
    RUNNING = "running"
    """The device has it."""
    COMPLETED = "completed"
    """Final: the result is stored and the cost settled."""
    FAILED = "failed"
    """Final: no result. What the user did not cause costs nothing."""
    CANCELLED = "cancelled"
    """Final: taken back by its owner or an operator."""
    REJECTED = "rejected"
    """Final: refused by validation, policy, quota or a person."""
    ARCHIVED = "archived"
    """Inputs and results are gone as retention says; provenance and ledger stay."""


_S = JobState

MOVES: Final[Mapping[JobState, frozenset[JobState]]] = {
    _S.DRAFT: frozenset({_S.VALIDATED, _S.REJECTED, _S.CANCELLED}),
    _S.VALIDATED: frozenset({_S.AWAITING_APPROVAL, _S.QUEUED, _S.REJECTED, _S.CANCELLED}),
    _S.AWAITING_APPROVAL: frozenset({_S.QUEUED, _S.VALIDATED, _S.REJECTED, _S.CANCELLED}),
    _S.QUEUED: frozenset({_S.SCHEDULED, _S.VALIDATED, _S.CANCELLED, _S.FAILED}),
    _S.SCHEDULED: frozenset({_S.RUNNING, _S.QUEUED, _S.FAILED, _S.CANCELLED}),
    _S.RUNNING: frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.QUEUED}),
    _S.COMPLETED: frozenset({_S.ARCHIVED}),
    _S.FAILED: frozenset({_S.ARCHIVED}),
    _S.CANCELLED: frozenset({_S.ARCHIVED}),
    _S.REJECTED: frozenset({_S.ARCHIVED}),
    _S.ARCHIVED: frozenset(),
}
"""From each state, the states a job may go to. Nothing else writes a job's state."""

FINAL: Final = frozenset({_S.COMPLETED, _S.FAILED, _S.CANCELLED, _S.REJECTED, _S.ARCHIVED})
"""States in which the hold is zero."""

HOLDING: Final = frozenset({_S.AWAITING_APPROVAL, _S.QUEUED, _S.SCHEDULED, _S.RUNNING})
"""States in which credits are on hold (a hold may also be kept in ``validated`` during re-validation)."""

ACTIVE: Final = frozenset(_S) - FINAL - {_S.DRAFT}
"""States that a person counts as *active* in a list of jobs."""


def check_move(before: JobState, after: JobState) -> None:
    """Raise :class:`Conflict` (``job.move``) unless the table allows the move."""
    if after not in MOVES[before]:
        raise Conflict(f"A job that is {before.value} cannot become {after.value}.", code="job.move")
