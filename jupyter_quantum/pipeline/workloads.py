"""Workloads: a CI job's token, once it is known to be true, is exchanged for a short-lived one of a project.

What a workload may do follows from what the project declares *now*: taking its identity out of the declaration ends its
tokens and what it has in the queue.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.match import matches
from jupyter_quantum.core.tenancy import CI, Principal, Scope, name_of, workload_of
from jupyter_quantum.exceptions import Conflict, Refused
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.store import Tx
from jupyter_quantum.store.rows import WorkloadRow
from jupyter_quantum.wire.tokens import TokenAnswer, WorkloadList, WorkloadView

__all__ = ["PREFIX", "Claims", "Workloads"]

PREFIX: Final = "jqw_"
"""What our tokens begin with, so that one in a log can be recognised, and the hub is not asked about it."""
_SCOPES: Final = (Scope.READ, Scope.SUBMIT)
_LEEWAY_S: Final = 60


@dataclass(frozen=True, slots=True)
class Claims:
    """What a foreign token says, with its signature, times and form checked."""

    issuer: str
    subject: str
    audiences: frozenset[str]
    id: str
    """Its ``jti``."""
    expires: float
    """Seconds since 1970."""


class Workloads:
    """Gives, knows and revokes tokens of workloads."""

    def __init__(self, context: Context, live: Live) -> None:
        self._context = context
        self._live = live

    def issuers(self) -> Collection[str]:
        """Every issuer that a project declares."""
        return {one.issuer for spec in self._context.tenants.projects.values() for one in spec.identities}

    async def exchange(self, claims: Claims, project: str) -> TokenAnswer:
        """A token for ``project``, shown once.

        Raises Refused ``token.refused`` where the project does not take this workload, with the same words where there
        is no such project; ``token.replayed`` where the token was exchanged before.
        """
        who = self._known(claims, project)
        token = PREFIX + secrets.token_urlsafe(32)
        life = timedelta(seconds=self._context.settings.workload_s)

        def write(tx: Tx) -> WorkloadRow:
            # A token that is refused costs nothing; one that is taken is taken once, whichever project it was for.
            until = datetime.fromtimestamp(claims.expires + _LEEWAY_S, UTC)
            try:
                tx.spend_token(_hash(f"{claims.issuer}\n{claims.id}"), until)
            except Conflict as error:
                raise Refused(error.message, code="token.replayed") from None
            row = WorkloadRow(
                hash=_hash(token),
                id=new_id("wlt"),
                principal=who.id,
                project=project,
                issuer=claims.issuer,
                created=tx.now,
                expires=tx.now + life,
            )
            return tx.add_workload(row)

        row = await self._context.store.write(write)
        self._live.committed()
        scope = " ".join(_SCOPES)
        return TokenAnswer(
            access_token=token, expires_in=int(life.total_seconds()), scope=scope, project=project, id=row.id
        )

    def _known(self, claims: Claims, project: str) -> Principal:
        """The workload as a principal of the project. Raises Refused where the project does not take it."""
        who = Principal(f"{CI}{claims.subject}", workload_of(claims.issuer, project), project=project)
        spec = self._context.tenants.projects.get(project)
        for one in spec.identities if spec is not None else ():
            fits = one.issuer == claims.issuer and one.audience in claims.audiences
            if fits and matches(one.subject, claims.subject):
                return who
        raise Refused(
            "No project of this name takes this workload.",
            code="token.refused",
            hint="Compare issuer, audience and subject with what the project declares.",
        )

    async def identify(self, token: str) -> Principal | None:
        """Whose a token of ours is; None where it has ended, was revoked, or the project takes its workload no more."""
        key = _hash(token)
        row = await self._context.store.read(lambda view: view.workload(key))
        if row is None or row.revoked is not None or row.expires <= self._context.clock():
            return None
        known = Principal.known(row.principal, frozenset())
        who = Principal(known.name, known.created, scopes=frozenset(_SCOPES), project=row.project, token=row.id)
        return who if self._context.tenants.role(who, row.project) is not None else None

    # For leads and administrators

    async def list(self, who: Principal, project: str) -> WorkloadList:
        """Tokens of a project that are valid now."""
        self._may(who, project)
        now = self._context.clock()
        rows = await self._context.store.read(lambda view: view.workloads(project, alive_at=now))
        return WorkloadList(tokens=[_view(row) for row in rows])

    async def revoke(self, who: Principal, token_id: str) -> WorkloadView:
        """End a token now."""

        def write(tx: Tx) -> WorkloadRow:
            row = tx.workload_of(token_id)
            if row is None or not self._leads(who, row.project):
                raise absent("token")
            return row if row.revoked is not None else tx.revoke_workload(row, actor=who.id)

        row = await self._context.store.write(write)
        self._live.committed()
        return _view(row)

    def _leads(self, who: Principal, project: str) -> bool:
        return project in self._context.people.leads(who) or "admin" in self._context.people.staff(who)

    def _may(self, who: Principal, project: str) -> None:
        if project not in self._context.tenants.projects or not self._leads(who, project):
            raise absent("project")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _view(row: WorkloadRow) -> WorkloadView:
    return WorkloadView(
        id=row.id,
        project=row.project,
        subject=name_of(row.principal).removeprefix(CI),
        issuer=row.issuer,
        created=row.created,
        expires=row.expires,
        revoked=row.revoked,
    )
