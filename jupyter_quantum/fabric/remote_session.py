"""The vendor's session of a run: opened with the first run that belongs into it, and left where it cannot be used.

A run never fails for its session's sake: what the vendor refuses to take in it is handed over outside of it, and the
service is told. Its id is with the service before the first run is handed over, so that who comes next finds it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from jupyter_quantum.exceptions import JobFailed
from jupyter_quantum.fabric.adapters.vendor import (
    Submission,
    VendorError,
    VendorRefused,
    VendorUnavailable,
    VendorUnsure,
)
from jupyter_quantum.fabric.refusals import error_body
from jupyter_quantum.fabric.remote_parts import Hands, Part
from jupyter_quantum.fabric.vendors.process import VendorProcess
from jupyter_quantum.wire.runner import EndSessionTask, SessionReport, SessionTask, TaskReport

__all__ = ["Seat", "end_session"]

_TRIES: Final = 3
_PAUSE_S: Final = 0.5
_WORDS: Final = 500


@dataclass(slots=True)
class Seat:
    """A run's place in a session.

    Args:
        asked: what the service says of it; None: the run belongs into none.
        vendor: of the device.
        hands: of the run.
    """

    asked: SessionTask | None
    vendor: VendorProcess
    hands: Hands
    handle: str | None = None
    """The vendor's id of the session that the run goes into; None: into none."""

    def keep(self) -> None:
        """Take the one that is known, and open none: where a run of before is looked for."""
        self.handle = None if self.asked is None else self.asked.handle

    async def take(self) -> None:
        """Take the one that is open, or open it; the run goes without where that cannot be."""
        self.keep()
        if self.asked is None or self.handle is not None:
            return
        try:
            opened = await self._open(self.asked)
        except VendorError as error:
            await self._without(_why(error), str(error))
            return
        self.handle = await self.hands.session(SessionReport(handle=opened))
        if self.handle != opened:  # another runner was quicker, or it was closed meanwhile: this one is empty
            with contextlib.suppress(VendorError):
                await self.vendor.end_session(opened)

    async def _open(self, asked: SessionTask) -> str:
        """Asked for again where nothing was done, or where asking again is harmless."""
        for _ in range(_TRIES - 1):
            try:
                return await self.vendor.open_session(asked.name, asked.mode, asked.most_s)
            except VendorUnavailable:
                await self.hands.pause(_PAUSE_S)
        return await self.vendor.open_session(asked.name, asked.mode, asked.most_s)

    async def leave(self, words: str) -> None:
        """The vendor takes the run in it no more."""
        await self._without("ended", words)

    async def is_over(self) -> bool:
        """Whether the run is in a session that has ended; False where nobody can tell."""
        if self.handle is None:
            return False
        try:
            return not (await self.vendor.session(self.handle)).open
        except VendorError:
            return False

    async def took_along(self, parts: Sequence[Part]) -> SessionReport | None:
        """What to tell where the vendor ended the session, and what had not run in it too; None where it did not."""
        states = [part.status.state for part in parts if part.status is not None and not part.usage_s]
        unused = [state for state in states if state in (Submission.CANCELLED, Submission.FAILED)]
        if len(unused) < len(parts) or not await self.is_over():
            return None
        words = next((part.why for part in parts if part.why), "")
        return SessionReport(handle=self.handle, why="ended", words=words[:_WORDS])

    async def _without(self, why: Literal["refused", "unsure", "unavailable", "ended"], words: str) -> None:
        handle, self.handle = self.handle, None
        await self.hands.session(SessionReport(handle=handle, why=why, words=words[:_WORDS]))


def _why(error: VendorError) -> Literal["refused", "unsure", "unavailable"]:
    if isinstance(error, VendorRefused):
        return "refused"
    return "unsure" if isinstance(error, VendorUnsure) else "unavailable"


async def end_session(do: EndSessionTask, vendor: VendorProcess) -> TaskReport:
    """Have the vendor end it; what it counts for it is in the report, where it tells."""
    try:
        found = await vendor.end_session(do.handle)
    except VendorError as error:
        kind = _why(error)
        body = error_body(
            JobFailed(f"The vendor could not be told to end the session: {error}.", code=f"vendor.{kind}")
        )
        return TaskReport(runner="", fence=0, state="failed", error=body, retry=kind != "refused")
    return TaskReport(runner="", fence=0, state="done", vendor_s=found.usage_s, usage_s=found.usage_s or 0.0)
