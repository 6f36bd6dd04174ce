"""Admissions: a device waits for an operator, and is admitted or rejected."""

from __future__ import annotations

import json
from typing import Any

from jupyter_quantum.store import codec as c
from jupyter_quantum.store.rows import AdmissionRow, AdmissionState, DeviceRow, Json
from jupyter_quantum.store.unit import Unit

__all__ = ["AdmissionWrites"]


class AdmissionWrites(Unit):
    """The admissions' part of a writing request. Every change is an event: ``device.pending``, ``device.admitted`` …"""

    def put_admission(self, row: AdmissionRow, *, actor: str) -> AdmissionRow:
        """A device waits for an operator, for the first time or again."""
        before = self.admission(row.device)
        self._tell_admission(row, actor)
        if before is None:
            return self._shelf(c.ADMISSIONS).add(row)
        changes = {name: getattr(row, name) for name in c.ADMISSIONS.names if name != "device"}
        return self._shelf(c.ADMISSIONS).change(before, **changes)

    def decide_admission(
        self,
        row: AdmissionRow,
        state: AdmissionState,
        *,
        actor: str,
        prices: Json | None = None,
        label: str | None = None,
        max_seconds: float | None = None,
        note: str | None = None,
    ) -> AdmissionRow:
        """An operator's word; raises Conflict where somebody else's came first."""
        said: dict[str, Any] = {"prices": prices, "label": label, "max_seconds": max_seconds, "note": note}
        said |= {"state": state, "decided_by": actor, "decided": self.now}
        after = self._shelf(c.ADMISSIONS).change(row, **said)
        self._tell_admission(after, actor)
        return after

    def mark_admitted(self, device: DeviceRow, admitted: bool) -> DeviceRow:
        """Note on the device itself whether it takes jobs."""
        return device if device.admitted is admitted else self._shelf(c.DEVICES).change(device, admitted=admitted)

    def _tell_admission(self, row: AdmissionRow, actor: str) -> None:
        words = json.loads(row.announcement)
        data = {name: words[name] for name in ("kind", "vendor", "region", "num_qubits")}
        data |= {"device": row.device, "runner": row.runner, "why": row.why, "prices": row.prices, "note": row.note}
        self._tell(f"device.{row.state}", actor=actor, data=data | {"max_seconds": row.max_seconds})
