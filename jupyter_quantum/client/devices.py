"""Devices for operators: what runners announced, and whether it takes jobs: ``hub.admissions``."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from jupyter_quantum.client import html
from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.ledger import micro
from jupyter_quantum.core import words
from jupyter_quantum.wire.devices import AdmissionDecision, Admissions, AdmissionView

__all__ = ["AdmissionCard", "AdmissionTable", "AdmissionTools"]

_HEAD = ("device", "state", "kind", "vendor", "qubits", "region", "runner", "why")


class AdmissionCard(AdmissionView):
    """One device as it was announced, in words."""

    def __repr__(self) -> str:
        there = "a runner is there" if self.serving else "no runner is there now"
        said = [
            f"{self.device} · {self.state}" + (f" ({self.why})" if self.state == "pending" else ""),
            f"{self.label}, {self.kind.value} of {self.vendor}, {words.plural(self.num_qubits, 'qubit')}, "
            f"region {self.region}",
            f"runner {self.runner or 'on the service’s machine'} · {there} · jobs: {', '.join(self.jobs) or 'none'}",
        ]
        if self.price is not None:
            parts = [f"{words.price(value)} {name.replace('_', ' ')}" for name, value in self._prices()]
            said.append("price: " + (", ".join(parts) or "free"))
        if self.decided_by is not None:
            said.append(f"decided by {self.decided_by}" + (f": {self.note}" if self.note else ""))
        return "\n".join(map(html.clean, said))

    def _prices(self) -> list[tuple[str, int]]:
        found = {} if self.price is None else self.price.model_dump(exclude={"queue_minutes"})
        return [(name, value) for name, value in found.items() if value]


class AdmissionTable(Admissions):
    """Devices that operators admit; those that wait first."""

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (
                one.device,
                one.state,
                one.kind.value,
                one.vendor,
                str(one.num_qubits),
                one.region,
                one.runner or "local",
                one.why if one.state == "pending" else "–",
            )
            for one in self.admissions
        ]

    def __repr__(self) -> str:
        if not self.admissions:
            return "No devices wait."
        return html.columns([_HEAD, *(tuple(map(html.clean, row)) for row in self._rows())])

    def _repr_html_(self) -> str:
        return html.table(_HEAD, self._rows())


class AdmissionTools:
    """For operators; needs a token with ``custom:quantum:operate``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, state: str | None = None) -> AdmissionTable:
        """Devices that no configuration admits; of one ``state`` only (pending, admitted, rejected)."""
        found = self._connection.get("admissions", AdmissionTable)
        return AdmissionTable(admissions=[one for one in found.admissions if state in (None, one.state)])

    def admit(
        self,
        device: str,
        *,
        per_task: Any = 0,
        per_shot: Any = 0,
        per_second: Any = 0,
        per_queue_minute: Any = 0,
        label: str | None = None,
        max_seconds: float | None = None,
        note: str | None = None,
        version: str | None = None,
    ) -> AdmissionCard:
        """Let it take jobs at these prices (credits).

        Args:
            device: its name.
            per_task, per_shot, per_second, per_queue_minute: credits.
            label: words for people, instead of the runner's.
            max_seconds: the longest that one run may take.
            note: kept with the decision.
            version: of the announcement that you looked at; then nothing else is admitted.

        Raises:
            Conflict: it is admitted already, was announced anew (``device.changed``), or the configuration prices it.
        """
        decision = AdmissionDecision(
            verdict="admit",
            version=version,
            per_task=micro(per_task),
            per_shot=micro(per_shot),
            per_second=micro(per_second),
            per_queue_minute=micro(per_queue_minute),
            label=label,
            max_seconds=max_seconds,
            note=note,
        )
        return self._decide(device, decision)

    def reject(self, device: str, note: str) -> AdmissionCard:
        """It takes no jobs, for this reason; what waits for an admitted one is cancelled. Until it is admitted."""
        return self._decide(device, AdmissionDecision(verdict="reject", note=note))

    def _decide(self, device: str, decision: AdmissionDecision) -> AdmissionCard:
        return self._connection.post(f"devices/{quote(device, safe='')}/admission", AdmissionCard, decision)
