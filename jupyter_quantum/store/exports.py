"""Exports: asked for, decided, gone."""

from __future__ import annotations

from typing import Any

from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store.rows import ExportRow, ExportState
from jupyter_quantum.store.unit import Unit

__all__ = ["ExportWrites"]


class ExportWrites(Unit):
    """The exports' part of a writing request. Every step is an event (``export.changed``)."""

    def add_export(self, row: ExportRow) -> ExportRow:
        """Ask."""
        self._tell_export(row, row.principal)
        return self._shelf(c.EXPORTS).add(row)

    def move_export(self, row: ExportRow, state: ExportState, *, actor: str, **changes: Any) -> ExportRow:
        """One step. Raises Conflict where somebody else was quicker: its state must still be ``row``'s."""
        now = self.export(row.id)
        if now.state != row.state:
            raise Conflict(f"This export is {now.state} already.", code="export.state")
        after = self._shelf(c.EXPORTS).change(now, state=state, changed=self.now, **changes)
        self._tell_export(after, actor)
        return after

    def _tell_export(self, row: ExportRow, actor: str) -> None:
        data: dict[str, Any] = {
            "export": row.id,
            "job": row.job,
            "state": row.state,
            "target": row.target,
            "classes": row.classes,
        }
        data |= {"request": row.request, "digest": row.digest, "size": row.size}
        self._tell("export.changed", actor=actor, principal=row.principal, project=row.project, job=None, data=data)
