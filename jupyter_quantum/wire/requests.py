"""Requests that a person decides: to join a project, a role for a while, more quota, an export."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jupyter_quantum.wire.base import Answer, ErrorBody, Request, Time

__all__ = ["Ask", "Decided", "DecidedList", "Decision", "Decisions", "RequestList", "RequestState", "RequestView"]

RequestState = Literal["open", "approved", "rejected", "expired", "withdrawn"]
Note = Annotated[str | None, Field(max_length=1000)]


class Ask(Request):
    """Ask for something; ``body`` is of the kind's own shape."""

    kind: Annotated[str, Field(max_length=40, description="onboarding, elevation, quota, export …")]
    project: Annotated[str | None, Field(max_length=200)] = None
    reason: Annotated[str, Field(max_length=1000, description="shown to who decides")] = ""
    body: dict[str, Any] = Field(default_factory=dict)


class RequestView(Answer):
    """A request, as who asked and who decides see it."""

    id: str
    kind: str
    project: str | None
    role: str = Field(description="who decides: lead, operator, auditor, admin")
    asked_by: str
    reason: str
    words: str = Field(description="what approving does, in a sentence")
    body: dict[str, Any] = Field(default_factory=dict)
    created: Time
    expires: Time
    state: RequestState
    decided_by: str | None = None
    decided: Time | None = None
    note: str | None = None
    outcome: dict[str, Any] = Field(default_factory=dict, description="ids of what approving made")
    mine: bool = False
    may_decide: bool = False


class RequestList(Answer):
    requests: list[RequestView]
    next: str | None = Field(default=None, description="cursor of the next page")


class Decision(Request):
    """A person's answer; a rejection needs a note."""

    verdict: Literal["approve", "reject"]
    note: Note = None


class Decisions(Decision):
    """The same answer to several requests; each is decided on its own."""

    ids: Annotated[list[str], Field(min_length=1, max_length=100)]


class Decided(Answer):
    """What came of one of several: the request as it is now, or why it was not decided."""

    id: str
    request: RequestView | None = None
    error: ErrorBody | None = None


class DecidedList(Answer):
    decided: list[Decided]
