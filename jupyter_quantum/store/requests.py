"""Requests that a person decides: asked, and decided once."""

from __future__ import annotations

from typing import Any

from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.store import codec as c
from jupyter_quantum.store.rows import Json, RequestRow, RequestState
from jupyter_quantum.store.unit import Unit

__all__ = ["RequestWrites"]


class RequestWrites(Unit):
    """The requests' part of a writing request. Every change is an event (``request.changed``)."""

    def add_request(self, row: RequestRow) -> RequestRow:
        """Ask."""
        self._tell_request(row, row.principal)
        return self._shelf(c.REQUESTS).add(row)

    def decide_request(
        self, request_id: str, state: RequestState, *, actor: str, note: str | None = None, outcome: Json = "{}"
    ) -> RequestRow:
        """Approve, reject, expire or withdraw; ``actor`` is who did it. What follows from it is the caller's.

        Raises Conflict ``request.decided`` where it is not open any more.
        """
        row = self.request(request_id)
        if row.state != "open":
            raise Conflict(f"This request is {row.state} already.", code="request.decided")
        changes: dict[str, Any] = {"state": state, "decided_by": actor, "decided": self.now, "note": note}
        after = self._shelf(c.REQUESTS).change(row, **changes, outcome=outcome)
        self._tell_request(after, actor)
        return after

    def _tell_request(self, row: RequestRow, actor: str) -> None:
        data = {"request": row.id, "kind": row.kind, "state": row.state, "role": row.role, "outcome": row.outcome}
        self._tell("request.changed", actor=actor, principal=row.principal, project=row.project, data=data)
