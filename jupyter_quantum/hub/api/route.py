"""What the table of the API is made of."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.auth import ADMINISTER, READ, SUBMIT
from jupyter_quantum.wire.jobs import JobRequest
from jupyter_quantum.wire.reports import ReportRequest

__all__ = ["CIRCUITS", "JSON", "KEY", "NDJSON", "SMALL", "File", "Query", "Route", "pattern"]

SMALL: Final = 64 * 1024
"""Bytes that a body without circuits may have."""
CIRCUITS: Final = 12 * 1024 * 1024
"""Bytes that a body with circuits may have: 8 MiB of them as base64, and their bindings."""
JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"

_HIGH: Final = frozenset({Scope.APPROVE, Scope.OPERATE, Scope.AUDIT, Scope.ADMIN})


@dataclass(frozen=True, slots=True)
class Query:
    """A query parameter: its JSON schema and what it means."""

    name: str
    schema: dict[str, Any]
    words: str


KEY: Final = Query(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 200},
    "The same key with the same request gets the first answer; with another request 409 idempotency.mismatch.",
)
"""The header of every write."""


@dataclass(frozen=True, slots=True)
class File:
    """An answer that is no JSON object: what a route with another ``media`` returns."""

    content: bytes | AsyncIterator[bytes]
    """All of it, or its pieces; a stream is sent as it comes."""
    name: str | None = None
    """Under which a browser saves it."""
    media: str | None = None
    """What it is, where the route has several forms of its answer."""


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path."""

    method: str
    path: str
    """Below the service's prefix, with ``{name}`` for its parts."""
    scope: Scope | None
    """None: open to everybody, such as an exchange of tokens; the call has no ``api.who``."""
    summary: str
    answer: type[BaseModel] | None
    """None: nothing (``status=204``), or a file. Of JSON lines, the shape of a line."""
    call: Callable[..., Awaitable[BaseModel | File | None]] | None
    """Takes the ``Api`` and the path's parts by name."""
    body: type[BaseModel] | None = None
    cookie_only: bool = False
    """Only a person, signed in on the hub's page."""
    status: int = 200
    query: tuple[Query, ...] = ()
    headers: tuple[Query, ...] = ()
    errors: tuple[int, ...] = ()
    """Statuses beyond those that every route may answer."""
    fresh: bool = False
    """Ask the hub about the caller each time; acts beyond reading and submitting always do."""
    media: str = JSON
    """What the answer is: ``text/csv``, ``application/jsonl``, ``application/zip`` come as a :class:`File`."""
    lines: type[BaseModel] | None = None
    """Where the answer also comes as JSON lines (``Accept: application/x-ndjson``): the shape of a line."""
    size: int | None = None
    """Bytes that the body may have, where the usual limits do not fit."""
    secret: bool = False
    """The answer holds a secret that is shown once."""

    limit: str | None = None
    """Class of its rate limit, where it is not the usual one of its method and scope."""
    own_key: bool = False
    """The call keeps answers by ``Idempotency-Key`` itself, in the act's own transaction."""
    repeatable: bool | None = None
    """Doing it twice leaves things as doing it once; what PUT and DELETE do where nothing is said."""

    @property
    def keyed(self) -> bool:
        """Whether the door keeps its answers by ``Idempotency-Key``."""
        return self.writes and self.scope not in {None, Scope.RUNNER} and not self.own_key

    @property
    def repeats(self) -> bool:
        """Whether it may run again where a crash has left it half way."""
        return self.method in {"PUT", "DELETE"} if self.repeatable is None else self.repeatable

    @property
    def rate_limit(self) -> str:
        """Class of its rate limit: ``limits.KINDS``."""
        if self.limit is not None:
            return self.limit
        if self.scope is None:
            return "exchange"
        if self.scope is Scope.RUNNER:
            return "runner"
        if self.scope is Scope.APPROVE:
            return "decide" if self.writes else "read"
        if self.scope in _HIGH:
            return "administer"
        return "submit" if self.writes else "read"

    @property
    def writes(self) -> bool:
        """Whether the route changes something."""
        return self.method != "GET"

    @property
    def body_limit(self) -> int:
        """Bytes that the request may carry."""
        if self.size is not None:
            return self.size
        return CIRCUITS if self.body in {JobRequest, ReportRequest} else SMALL

    @property
    def max_age(self) -> float:
        """Seconds that the hub's answer about the caller may be old."""
        if self.cookie_only or self.fresh or (self.scope in _HIGH and self.writes):
            return ADMINISTER
        return SUBMIT if self.writes else READ


def pattern(path: str) -> str:
    """The regular expression of a route's path: a part is anything without a slash."""
    return re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
