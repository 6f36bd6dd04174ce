"""Roles for a while: onboarding, elevation, break-glass; and what a newcomer is told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from jupyter_quantum.core.tenancy import Role
from jupyter_quantum.wire.base import Answer, Request, Time
from jupyter_quantum.wire.jobs import Membership, Meter

__all__ = [
    "AddMember",
    "BreakGlass",
    "ElevationBody",
    "MemberList",
    "MemberView",
    "OnboardingBody",
    "OpenProject",
    "OpenProjects",
    "Review",
    "WelcomeView",
]

AnyRole = Literal["user", "lead", "operator", "auditor", "admin"]
Reason = Annotated[str, Field(min_length=3, max_length=1000)]


class OnboardingBody(Request):
    """To join a project: for so many days, or until somebody ends it."""

    role: Role = Role.USER
    days: Annotated[int | None, Field(ge=1, le=3650)] = None


class ElevationBody(Request):
    """A role for a while: ``user`` or ``lead`` of the project, the others on the whole hub."""

    role: AnyRole = "lead"
    hours: Annotated[float, Field(gt=0, le=24 * 31)] = 1.0


class BreakGlass(Request):
    """A role at once; everybody who must know hears of it, and somebody else looks at it after."""

    role: AnyRole = "lead"
    project: Annotated[str | None, Field(max_length=200)] = None
    hours: Annotated[float, Field(gt=0, le=24)] = 1.0
    reason: Reason


class AddMember(Request):
    """Make somebody a member without a request; for administrators."""

    name: Annotated[str, Field(min_length=1, max_length=255, description="of a user of the hub")]
    project: Annotated[str, Field(max_length=200)]
    role: Role = Role.USER
    days: Annotated[int | None, Field(ge=1, le=3650)] = None
    reason: Annotated[str, Field(max_length=1000)] = ""


class Review(Request):
    """What somebody else found when they looked at a break-glass."""

    note: Reason


class MemberView(Membership):
    """A membership as leads, auditors and administrators see it."""

    name: str
    granted_by: str
    reason: str
    request: str | None = None
    ended: Time | None = None
    ended_by: str | None = None
    reviewed: Time | None = None
    reviewed_by: str | None = None
    review: str | None = None
    in_force: bool
    needs_review: bool = False


class MemberList(Answer):
    members: list[MemberView]


class OpenProject(Answer):
    """A project that one may ask to join: nothing more is told to strangers."""

    name: str
    tier: str
    owner: str | None
    asked: str | None = Field(default=None, description="id of the caller's open request")


class OpenProjects(Answer):
    projects: list[OpenProject]


class WelcomeView(Answer):
    """What a member has, and the first steps."""

    project: str
    tier: str
    owner: str | None
    role: str
    until: Time | None = None
    meters: list[Meter]
    devices: list[str]
    steps: list[str]
