"""Roles for a while: who has one, joining, breaking the glass and its review."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Query, Route
from jupyter_quantum.wire.members import (
    AddMember,
    BreakGlass,
    MemberList,
    MemberView,
    OpenProjects,
    Review,
    WelcomeView,
)

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_PROJECT = Query("project", {"type": "string"}, "Only of this project.")
_FLAG = {"type": "string", "enum": ["0", "1"]}
_LIST = (
    _PROJECT,
    Query("past", _FLAG, "1: ended ones too."),
    Query("unreviewed", _FLAG, "1: only broken glasses that nobody has looked at."),
)


def _flag(api: Api, name: str) -> bool:
    return api.get_query_argument(name, "0") in {"1", "true"}


async def members(api: Api) -> MemberList:
    """Memberships that the caller may see."""
    return await api.pipeline.members.list(
        api.who,
        project=api.get_query_argument("project", None),
        past=_flag(api, "past"),
        unreviewed=_flag(api, "unreviewed"),
    )


async def add_member(api: Api) -> MemberView:
    """Make somebody a member."""
    return await api.pipeline.members.add(api.who, api.body(AddMember))


async def end_member(api: Api, id: str) -> MemberView:  # noqa: A002
    """Take a membership back."""
    return await api.pipeline.members.end(api.who, id)


async def review_member(api: Api, id: str) -> MemberView:  # noqa: A002
    """Note what came of a look at a broken glass."""
    return await api.pipeline.breakglass.review(api.who, id, api.body(Review))


async def break_glass(api: Api) -> MemberView:
    """Take a role at once."""
    return await api.pipeline.breakglass.take(api.who, api.body(BreakGlass))


async def open_projects(api: Api) -> OpenProjects:
    """Projects that one may ask to join."""
    return await api.pipeline.members.open_projects(api.who)


async def welcome(api: Api) -> WelcomeView:
    """What a member has."""
    return await api.pipeline.members.welcome(api.who, api.get_query_argument("project", None))


ROUTES: Final = (
    Route("GET", "api/v1/members", Scope.READ, "Memberships that the service gave", MemberList, members, query=_LIST),
    Route(
        "POST",
        "api/v1/members",
        Scope.ADMIN,
        "Make a user of the hub a member",
        MemberView,
        add_member,
        body=AddMember,
        status=201,
        errors=(404,),
    ),
    Route(
        "POST",
        "api/v1/members/{id}/end",
        Scope.APPROVE,
        "Take a membership back",
        MemberView,
        end_member,
        errors=(404, 409),
    ),
    Route(
        "POST",
        "api/v1/members/{id}/review",
        Scope.READ,
        "Note what came of a look at a broken glass; leads, auditors and administrators, never who broke it",
        MemberView,
        review_member,
        body=Review,
        cookie_only=True,
        errors=(404, 409),
    ),
    Route(
        "POST",
        "api/v1/breakglass",
        Scope.SUBMIT,
        "Take a role at once; it is told to all who must know, ends soon, and is reviewed",
        MemberView,
        break_glass,
        body=BreakGlass,
        cookie_only=True,
        status=201,
        errors=(404,),
    ),
    Route("GET", "api/v1/onboarding", Scope.READ, "Projects that one may ask to join", OpenProjects, open_projects),
    Route(
        "GET",
        "api/v1/welcome",
        Scope.READ,
        "What a member of a project has, and the first steps",
        WelcomeView,
        welcome,
        query=(_PROJECT,),
        errors=(404,),
    ),
)
"""Routes about members."""
