"""What operators do from Python: ``hub.operations``. It takes a token with the scope ``custom:quantum:operate``."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from urllib.parse import quote

from jupyter_quantum.client import html
from jupyter_quantum.client.html import when
from jupyter_quantum.client.http import Connection
from jupyter_quantum.core import words
from jupyter_quantum.core.money import credits_to_micro
from jupyter_quantum.wire.devices import DeviceAction, DeviceView
from jupyter_quantum.wire.operations import Differences, Resolution, UnknownAttempt, UnknownAttempts

__all__ = ["AttemptCard", "DeviceCard", "DifferenceTable", "Operations", "UnknownTable"]

_UNKNOWN = ("attempt", "device", "owner", "project", "since", "on hold", "vendor's id")
_DIFFERS = ("attempt", "device", "ended", "what differs")


class DeviceCard(DeviceView):
    """A device's state in a line."""

    def __repr__(self) -> str:
        why = f": {self.state_reason}" if self.state_reason else ""
        then = "; resumes by itself with the next calibration" if self.awaits_calibration else ""
        return html.clean(f"{self.name} is {self.state}{why}{then}")


class AttemptCard(UnknownAttempt):
    """An attempt that nobody can tell about."""

    def __repr__(self) -> str:
        where = ", ".join(self.handles) or "none known"
        return html.clean(f"{self.tag} on {self.device} ({self.project}, {self.owner}); the vendor's id: {where}")


class UnknownTable(UnknownAttempts):
    """Attempts that wait for an operator."""

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                one.tag,
                one.device,
                one.owner,
                one.project,
                when(one.since),
                words.spent(one.on_hold),
                ", ".join(one.handles) or "–",
            )
            for one in self.attempts
        ]

    def __repr__(self) -> str:
        if not self.attempts:
            return "No attempt is unknown."
        return html.columns([_UNKNOWN, *(tuple(map(html.clean, row)) for row in self._rows())])

    def _repr_html_(self) -> str:
        return html.table(_UNKNOWN, self._rows())


class DifferenceTable(Differences):
    """Attempts of which the vendor counts other seconds."""

    def _rows(self) -> list[tuple[str, ...]]:
        return [(one.tag, one.device, when(one.ended), one.words) for one in self.differences]

    def __repr__(self) -> str:
        if not self.differences:
            return "The vendors count as we do."
        return html.columns([_DIFFERS, *(tuple(map(html.clean, row)) for row in self._rows())])

    def _repr_html_(self) -> str:
        return html.table(_DIFFERS, self._rows())


class Operations:
    """Devices in and out of order; attempts that somebody must look into."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def set_state(
        self,
        device: str,
        action: Literal["pause", "isolate", "drain", "recalibrate", "resume"],
        *,
        reason: str = "",
        until: datetime | None = None,
    ) -> DeviceCard:
        """Pause or isolate (no starts), drain (no intake), wait for a calibration, resume."""
        act = DeviceAction(action=action, reason=reason, until=until)
        return self._connection.post(f"devices/{quote(device, safe='')}/state", DeviceCard, act)

    def unknown(self) -> UnknownTable:
        """Attempts of which nobody can tell whether the device ran them."""
        return self._connection.get("attempts/unknown", UnknownTable)

    def resolve(
        self,
        attempt: str,
        verdict: Literal["ran", "not_run", "look"],
        *,
        charge: float | None = None,
        note: str = "",
    ) -> AttemptCard:
        """Say what became of one: it ran (``charge``: credits), it did not (queued again), or have it looked for."""
        micro = None if charge is None else credits_to_micro(charge)
        told = Resolution(verdict=verdict, charge=micro, note=note)
        return self._connection.post(f"attempts/{quote(attempt, safe='')}/resolution", AttemptCard, told)

    def differences(self) -> DifferenceTable:
        """Attempts of the last 30 days whose seconds the vendor counts otherwise."""
        return self._connection.get("attempts/differences", DifferenceTable)
