"""Exports, one or several."""

from __future__ import annotations

from collections.abc import Collection

from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import EXPORTS
from jupyter_quantum.store.reading import Reading, where
from jupyter_quantum.store.rows import ExportRow, ExportState

__all__ = ["ExportReads"]


class ExportReads(Reading):
    """Reading exports."""

    def export(self, export_id: str) -> ExportRow:
        """The export."""
        return self._need(EXPORTS, export_id, "export")

    def export_of(self, request_id: str) -> ExportRow | None:
        """The export that a request is about."""
        found = self._all(EXPORTS, EXPORTS.select.where(t.exports.c.request == request_id))
        return found[0] if found else None

    def exports(
        self,
        *,
        principal: str | None = None,
        projects: Collection[str] | None = None,
        states: Collection[ExportState] | None = None,
        job: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> list[ExportRow]:
        """Exports that match all that is given, newest first; ``before`` is the id of the last one already seen."""
        e = t.exports.c
        query = where(EXPORTS.select, e, principal=principal, job=job)
        if projects is not None:
            query = query.where(e.project.in_(sorted(projects)))
        if states is not None:
            query = query.where(e.state.in_(sorted(states)))
        if before is not None:
            query = query.where(e.id < before)
        return self._all(EXPORTS, query.order_by(e.id.desc()).limit(limit))
