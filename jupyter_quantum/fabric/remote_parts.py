"""What a run at a vendor's is made of: its submissions, what it needs of its runner, how it can end early."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Protocol

from jupyter_quantum.fabric.adapters.vendor import Answer, Status, Submission
from jupyter_quantum.fabric.frames import Order, Outcome
from jupyter_quantum.wire.runner import PartReport, SessionReport, TaskReport

__all__ = ["Cancelled", "Hands", "Left", "Over", "Part"]

_ENDED: Final = (Submission.DONE, Submission.FAILED, Submission.CANCELLED)


class Hands(Protocol):
    """What a run needs of its runner."""

    recovery: str
    """Of the device: ``idempotent``, ``searchable`` or ``opaque``."""
    poll_s: float

    async def work(self, order: Order) -> Outcome:
        """Have a locked worker do one end of the task."""

    async def started(self, handles: list[str]) -> None:
        """Tell the service that the vendor has it, under these handles."""

    async def session(self, told: SessionReport) -> str | None:
        """Tell the service what became of the vendor's session; the id of the one that counts, None: none does.

        Raises :class:`Left` where the service does not answer, or the lease is lost.
        """

    def lease_left(self) -> float:
        """Seconds for which the lease is certain."""

    def lease_s(self) -> float:
        """Seconds of a whole lease."""

    async def pause(self, seconds: float) -> None:
        """Wait, less where there is news."""

    def leave(self) -> bool:
        """Whether to leave the run as it is and say nothing: draining, or the lease is lost."""

    def cancelled(self) -> bool:
        """Whether its owner took it back."""

    async def drifted(self) -> bool:
        """Whether the device was calibrated anew since the job was prepared."""


class Left(Exception):
    """The run is left where it is: nothing is reported."""


class Cancelled(Exception):
    """Its owner took it back."""


class Over(Exception):
    """There is nothing more to do but to report this."""

    def __init__(self, report: TaskReport) -> None:
        super().__init__(report.state)
        self.report = report


@dataclass(slots=True)
class Part:
    """One submission."""

    tag: str
    payload: bytes
    owners: list[int] = field(default_factory=list)
    """Indices of the circuits or PUBs in it, as a worker says; empty where that is not known."""
    handle: str | None = None
    unsure: bool = False
    """Whether it was sent, or may have been, and nobody knows yet whether the vendor has it."""
    status: Status | None = None
    answer: Answer | None = None
    why: str = ""
    """Where it has no answer: what is known about it."""
    running_since: float | None = None
    ran_s: float | None = None
    """Seconds between the first answer that says that it runs and the first that says that it has ended."""

    @property
    def open(self) -> bool:
        """Whether the vendor still works on it."""
        return self.handle is not None and (self.status is None or self.status.state not in _ENDED)

    @property
    def usage_s(self) -> float | None:
        """Seconds that the vendor counts; None where it does not tell."""
        told = [one.usage_s for one in (self.answer, self.status) if one is not None and one.usage_s is not None]
        return told[0] if told else None

    def report(self) -> PartReport:
        """What became of it."""
        return PartReport(
            handle=self.handle or None,
            answered=self.answer is not None,
            owners=self.owners,
            usage_s=self.ran_s,
            vendor_s=self.usage_s,
            why=self.why,
        )
