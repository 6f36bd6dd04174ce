"""What an attempt at a run costs: one rule, for every way in which an attempt can end.

==================  =============================================  ============================================
it ended            in a worker of ours (a simulator, an emulator)  on a machine that others count (a vendor's)
==================  =============================================  ============================================
with a result       what came                                      what came
at a limit of time  no credits; its seconds count in budgets        what was used
short of memory     no credits; its seconds count in budgets        nothing
taken back          no credits; its seconds count in budgets        what was used
in any other way    nothing                                        nothing
==================  =============================================  ============================================

So nobody pays for a result that was not delivered, unless a machine was used up on their word; and a simulator cannot
be had for nothing by circuits that never end. *What came* are the circuits and PUBs that the device answered. What it
did not answer costs nothing, even where its vendor counts seconds for it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["NOTHING", "Charge", "End", "Part", "Use", "came", "charge", "end_of", "seconds_of"]


class End(StrEnum):
    """How an attempt ended."""

    ANSWERED = "answered"
    """With a result, or a part of one."""
    TIME = "time"
    """It reached the time that a run may take, and was stopped."""
    MEMORY = "memory"
    """It needed more memory than a run may have."""
    TAKEN_BACK = "taken_back"
    """By its owner."""
    FAULT = "fault"
    """The device's, its vendor's, the runner's or ours."""


_CODES: Final = {"job.time": End.TIME, "job.memory": End.MEMORY, "task.stopped": End.TAKEN_BACK}


def end_of(code: str) -> End:
    """How an attempt without a result ended, by the code of its error. What is not known is nobody's to pay for."""
    return _CODES.get(code, End.FAULT)


@dataclass(frozen=True, slots=True)
class Use:
    """Circuits that ran, how often they ran in all, and seconds on the device."""

    tasks: int = 0
    executions: int = 0
    seconds: float = 0.0


NOTHING: Final = Use()


@dataclass(frozen=True, slots=True)
class Charge:
    """What of a use is charged in credits, and what counts in budgets of shots and seconds."""

    priced: Use = NOTHING
    counted: Use = NOTHING


def charge(end: End, used: Use, *, ours: bool) -> Charge:
    """What is charged of what an attempt used (with a result: of what came).

    Args:
        end: how it ended.
        used: what it used.
        ours: whether it ran in a worker of ours, where running it again costs nothing.
    """
    if end is End.ANSWERED or (not ours and end in (End.TIME, End.TAKEN_BACK)):
        return Charge(used, used)
    if ours and end is not End.FAULT:
        return Charge(counted=Use(seconds=used.seconds))
    return Charge()


@dataclass(frozen=True, slots=True)
class Part:
    """One submission to a vendor: what became of it, and which circuits or PUBs it carried (none: not known)."""

    answered: bool
    seconds: float | None = None
    """By our clock; None where it was not seen running."""
    vendor_s: float | None = None
    """As the vendor counts; None where it does not tell."""
    owners: tuple[int, ...] = ()


def came(shares: Sequence[Use], whole: Use, missing: Collection[int], *, rest: bool) -> Use:
    """Of the circuits and executions of a job, those of the circuits or PUBs that are not missing.

    Args:
        shares: of each circuit or PUB; together at most ``whole``.
        whole: of the job.
        missing: indices of those that did not come.
        rest: whether what belongs to none of them (circuits of a method of mitigation) came as well.
    """
    gone = [shares[at] for at in set(missing)]
    left = whole if rest else Use(sum(one.tasks for one in shares), sum(one.executions for one in shares))
    tasks = left.tasks - sum(one.tasks for one in gone)
    return Use(tasks, left.executions - sum(one.executions for one in gone))


def seconds_of(parts: Sequence[Part], shares: Sequence[Use], missing: Collection[int], told: float) -> float:
    """Seconds of what was answered: as the vendor counts where it tells, else by our clock.

    What the vendor counts for a submission is charged whole; by our clock a submission counts as far as its circuits
    came. ``told``: seconds of the run in all, where nobody has seen one of the submissions running.
    """
    answered = [part for part in parts if part.answered]
    if any(part.vendor_s is None and part.seconds is None for part in answered):
        return told
    return sum(
        part.vendor_s if part.vendor_s is not None else (part.seconds or 0.0) * _share(part, shares, missing)
        for part in answered
    )


def _share(part: Part, shares: Sequence[Use], missing: Collection[int]) -> float:
    """How much of a submission came, from 0 to 1, by executions."""
    whole = sum(shares[at].executions for at in part.owners)
    gone = sum(shares[at].executions for at in part.owners if at in missing)
    return 1.0 - gone / whole if whole else 1.0
