"""Who is in which project for how long, joining, and tokens of CI jobs: ``hub.members``."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import quote, urlencode

import urllib3

from jupyter_quantum.client import cards, html
from jupyter_quantum.client.http import Connection
from jupyter_quantum.client.requests import RequestCard
from jupyter_quantum.core.tenancy import Role
from jupyter_quantum.exceptions import Unavailable, error_from
from jupyter_quantum.wire.base import ErrorBody
from jupyter_quantum.wire.members import AddMember, MemberList, MemberView, OpenProjects, WelcomeView
from jupyter_quantum.wire.requests import Ask
from jupyter_quantum.wire.tokens import EXCHANGE, JWT, TokenAnswer, WorkloadList, WorkloadView

__all__ = ["MemberCard", "MemberTable", "Members", "OpenTable", "TokenTable", "WelcomeCard", "exchange"]

_HEAD = ("membership", "who", "project", "role", "how", "until", "state")


def _row(one: MemberView) -> tuple[str, ...]:
    state = "in force" if one.in_force else "over"
    if one.needs_review:
        state += ", to be reviewed"
    until = html.when(one.end) if one.end is not None else "–"
    return tuple(map(html.clean, (one.id, one.name, one.project or "the hub", one.role, one.kind, until, state)))


class MemberCard(MemberView):
    """One membership."""

    def __repr__(self) -> str:
        return html.columns([_HEAD, _row(self)])


class MemberTable(MemberList):
    """Memberships as a table."""

    def __repr__(self) -> str:
        if not self.members:
            return "No memberships beside the hub's groups."
        return html.columns([_HEAD, *map(_row, self.members)])

    def _repr_html_(self) -> str:
        return html.table(_HEAD, list(map(_row, self.members)))


class OpenTable(OpenProjects):
    """Projects that one may ask to join."""

    def __repr__(self) -> str:
        if not self.projects:
            return "No project takes people in now."
        rows = [(one.name, one.tier, one.owner or "–", one.asked or "–") for one in self.projects]
        return html.columns([("project", "tier", "owner", "you asked"), *(tuple(map(html.clean, row)) for row in rows)])


class WelcomeCard(WelcomeView):
    """What a newcomer has, and the first steps."""

    def __repr__(self) -> str:
        until = "" if self.until is None else f", until {html.when(self.until)}"
        lines = [f"Welcome to {html.clean(self.project)} ({self.tier}). You are {self.role}{until}."]
        if self.owner is not None:
            lines.append(f"{html.clean(self.owner)} answers for it.")
        if self.meters:
            lines.append(repr(cards.QuotaCard(project=self.project, meters=self.meters, binding=0)))
        lines.append(f"Devices: {', '.join(map(html.clean, self.devices)) or 'none yet'}.")
        return "\n".join([*lines, *(f"{number}. {step}" for number, step in enumerate(self.steps, start=1))])


class TokenTable(WorkloadList):
    """Tokens of a project's workloads."""

    def __repr__(self) -> str:
        rows = [(one.id, one.subject, one.issuer, html.when(one.expires)) for one in self.tokens]
        if not rows:
            return "No workload holds a token now."
        return html.columns([("token", "subject", "issuer", "until"), *(tuple(map(html.clean, row)) for row in rows)])


class TokenCard(WorkloadView):
    """One token of a workload."""

    def __repr__(self) -> str:
        state = "revoked" if self.revoked is not None else f"valid until {html.when(self.expires)}"
        return html.clean(f"{self.id} ({self.subject}): {state}")


class Members:
    """Lists, joins, adds, ends. Deciding and reviewing take a person who is signed in on the hub's page."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, project: str | None = None, *, past: bool = False, unreviewed: bool = False) -> MemberTable:
        """Your own memberships; of projects that you lead, all; of every project, for administrators and auditors."""
        return self._connection.get(
            "members",
            MemberTable,
            project=project,
            past=1 if past else None,
            unreviewed=1 if unreviewed else None,
        )

    def open_projects(self) -> OpenTable:
        """Projects that take people in."""
        return self._connection.get("onboarding", OpenTable)

    def join(
        self, project: str, *, reason: str = "", role: Literal["user", "lead"] = "user", days: int | None = None
    ) -> RequestCard:
        """Ask to be let into a project; for so many days, or until somebody ends it."""
        body: dict[str, Any] = {"role": role} | ({} if days is None else {"days": days})
        asked = Ask(kind="onboarding", project=project, reason=reason, body=body)
        return self._connection.post("requests", RequestCard, asked)

    def elevate(self, role: str, reason: str, *, project: str | None = None, hours: float = 1.0) -> RequestCard:
        """Ask for a role for a while: ``lead`` of a project, or ``operator``, ``auditor``, ``admin`` on the hub."""
        asked = Ask(kind="elevation", project=project, reason=reason, body={"role": role, "hours": hours})
        return self._connection.post("requests", RequestCard, asked)

    def welcome(self, project: str | None = None) -> WelcomeCard:
        """What you have in a project, and the first steps."""
        return self._connection.get("welcome", WelcomeCard, project=project)

    def add(
        self, name: str, project: str, *, role: Role | str = Role.USER, days: int | None = None, reason: str = ""
    ) -> MemberCard:
        """Make a user of the hub a member without a request; for administrators."""
        asked = AddMember(name=name, project=project, role=Role(role), days=days, reason=reason)
        return self._connection.post("members", MemberCard, asked)

    def end(self, id: str) -> MemberCard:  # noqa: A002
        """Take a membership back, before its end."""
        return self._connection.post(f"members/{quote(id, safe='')}/end", MemberCard)

    def tokens(self, project: str) -> TokenTable:
        """Tokens that CI jobs of a project hold now; for its leads."""
        return self._connection.get("tokens", TokenTable, project=project)

    def revoke(self, id: str) -> TokenCard:  # noqa: A002
        """End a token of a CI job now."""
        return self._connection.post(f"tokens/{quote(id, safe='')}/revoke", TokenCard)


def exchange(url: str, subject_token: str, project: str) -> TokenAnswer:
    """Exchange the OIDC token of a CI job for a short-lived one of a project (RFC 8693).

    ``Hub(url, token=exchange(url, os.environ["ID_TOKEN"], "vqe").access_token)``. Raises what the service refuses with:
    codes ``token.…``. It is sent once: a token is taken once.
    """
    form = {"grant_type": EXCHANGE, "subject_token": subject_token, "subject_token_type": JWT, "project": project}
    kind = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    try:
        answer = urllib3.request(
            "POST",
            f"{url.rstrip('/')}/api/v1/token",
            body=urlencode(form),
            headers=kind,
            timeout=30.0,
            retries=False,
            redirect=False,
        )
    except urllib3.exceptions.HTTPError:
        raise Unavailable(f"The quantum service at {url} does not answer.", hint="Try again in a minute.") from None
    try:
        if answer.status == 200:
            return TokenAnswer.model_validate_json(answer.data)
        said = ErrorBody.model_validate_json(answer.data)
    except ValueError:
        raise Unavailable(f"{url} answered with status {answer.status}.", code="hub.answer") from None
    raise error_from(said.error, said.message, code=said.code, hint=said.hint, details=said.details)
