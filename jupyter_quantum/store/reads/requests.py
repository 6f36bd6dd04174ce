"""Requests that a person decides."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import REQUESTS, micros
from jupyter_quantum.store.reading import Reading, where
from jupyter_quantum.store.rows import RequestRow, RequestState

__all__ = ["RequestReads"]


class RequestReads(Reading):
    """Requests, one or several."""

    def request(self, request_id: str) -> RequestRow:
        """The request."""
        return self._need(REQUESTS, request_id, "request")

    def requests(
        self,
        *,
        state: RequestState | None = None,
        kind: str | None = None,
        project: str | None = None,
        projects: Collection[str] | None = None,
        roles: Collection[str] | None = None,
        principal: str | None = None,
        expired_by: datetime | None = None,
        before: str | None = None,
        limit: int = 200,
    ) -> list[RequestRow]:
        """Requests that match all that is given, newest first; ``before`` is the id of the last one already seen."""
        r = t.requests.c
        query = where(REQUESTS.select, r, state=state, kind=kind, project=project, principal=principal)
        if projects is not None:
            query = query.where(r.project.in_(sorted(projects)))
        if roles is not None:
            query = query.where(r.role.in_(sorted(roles)))
        if expired_by is not None:
            query = query.where(r.expires < micros(expired_by))
        if before is not None:
            query = query.where(r.id < before)
        return self._all(REQUESTS, query.order_by(r.id.desc()).limit(limit))
