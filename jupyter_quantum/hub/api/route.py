"""What the table of the API is made of."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.auth import ADMINISTER, READ, SUBMIT
from jupyter_quantum.wire.jobs import JobRequest, ReportRequest

__all__ = ["CIRCUITS", "SMALL", "Query", "Route", "pattern"]

SMALL: Final = 64 * 1024
"""Bytes that a body without circuits may have."""
CIRCUITS: Final = 12 * 1024 * 1024
"""Bytes that a body with circuits may have: 8 MiB of them as base64, and their bindings."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter: its JSON schema and what it means."""

    name: str
    schema: dict[str, Any]
    words: str


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path."""

    method: str
    path: str
    """Below the service's prefix, with ``{name}`` for its parts."""
    scope: Scope
    summary: str
    answer: type[BaseModel]
    call: Callable[..., Awaitable[BaseModel | None]] | None
    body: type[BaseModel] | None = None
    cookie_only: bool = False
    status: int = 200
    query: tuple[Query, ...] = ()
    headers: tuple[Query, ...] = ()
    errors: tuple[int, ...] = ()
    """Statuses beyond those that every route may answer."""

    @property
    def body_limit(self) -> int:
        """Bytes that the request may carry."""
        return CIRCUITS if self.body in {JobRequest, ReportRequest} else SMALL

    @property
    def max_age(self) -> float:
        """Seconds that the hub's answer about the caller may be old."""
        if self.cookie_only:
            return ADMINISTER
        return READ if self.method == "GET" else SUBMIT


def pattern(path: str) -> str:
    """The regular expression of a route's path: a part is anything without a slash."""
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
