"""More of a quota for a while: asked for by who needs it, approved by somebody else, booked as an entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from jupyter_quantum.core import words
from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.ledger import Kind as Entry
from jupyter_quantum.core.tenancy import Principal, ProjectSpec, QuotaSpec
from jupyter_quantum.exceptions import Conflict
from jupyter_quantum.pipeline.accounts import Accounts
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.requests import Kind
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import RaiseRow, RequestRow
from jupyter_quantum.wire.ledger import QuotaBody

__all__ = ["QuotaRaise"]


class QuotaRaise(Kind):
    """The kind ``quota``. A lead raises what their project lets a member use; all else is an administrator's."""

    name = "quota"
    body = QuotaBody

    def __init__(self, context: Context, accounts: Accounts, refresh: Callable[[], Awaitable[None]]) -> None:
        self._context = context
        self._accounts = accounts
        self._refresh = refresh

    def decided_by(self, project: str | None, body: QuotaBody) -> str:
        """Nobody raises their own project's limits, nor what was declared above the project."""
        spec = self._context.tenants.projects.get(project or "")
        own = spec is not None and self._accounts.own(spec, _meant(body))
        return "lead" if own and body.scope == "user" else "admin"

    def words(self, row: RequestRow) -> str:
        """How much more, of what, for how long."""
        asked: QuotaBody = self.read(row)
        whose = row.asked_by if asked.scope == "user" else str(row.project)
        where = f" on devices of kind {asked.device_kind.value}" if asked.device_kind is not None else ""
        return f"{whose} may use {_amount(asked)} more{where} in each {asked.window} for {asked.days} days."

    def may_ask(self, who: Principal, project: str | None, body: QuotaBody) -> None:
        """Members, for a quota that there is."""
        if project is None or project not in self._context.people.roles(who):
            raise absent("project")

    def check(self, view: View, row: RequestRow) -> None:
        """The quota is there."""
        self._key(view.pseudonym(row.principal) or "nobody", row)

    def approve(self, tx: Tx, row: RequestRow, by: Principal) -> Mapping[str, Any]:
        """Larger from now on: this turn of the window at once, by an entry of its own, and those that follow."""
        asked: QuotaBody = self.read(row)
        who = tx.named(row.principal)
        project, key = self._key(who, row)
        now = self._context.clock()
        until = now + timedelta(days=asked.days)
        more = RaiseRow(new_id("rse"), key, asked.amount, now, until, row.id, project.name)
        tx.add_raise(more, actor=by.id)
        for spec, *_ in self._accounts.binding(who, project, now):
            if spec.id.startswith(f"{key}/"):
                tx.declare(spec)
                tx.declare(replace(spec, limit=spec.limit + asked.amount), Entry.RAISE, actor=by.id, ref=row.id)
        return {"raise": more.id, "until": until.isoformat()}

    async def done(self, row: RequestRow) -> None:
        """In force in this process at once; other replicas follow within seconds."""
        await self._refresh()

    def _key(self, who: str, row: RequestRow) -> tuple[ProjectSpec, str]:
        project = self._context.tenants.projects.get(row.project or "")
        if project is None:
            raise Conflict(f"The project {row.project} is no longer there.", code="project.gone")
        asked: QuotaBody = self.read(row)
        key = self._accounts.key(who, project, _meant(asked))
        if key is None:
            raise Conflict(
                f"{project.name} has no such quota, so there is nothing to raise.",
                code="quota.none",
                hint="GET quota shows those that bind you.",
            )
        return project, key


def _meant(asked: QuotaBody) -> QuotaSpec:
    return QuotaSpec(asked.scope, 0, asked.unit, asked.window, device_kind=asked.device_kind)


def _amount(asked: QuotaBody) -> str:
    match asked.unit:
        case "credits":
            return f"{words.spent(asked.amount)} credits"
        case "shots":
            return words.shots(asked.amount)
        case "jobs":
            return words.plural(asked.amount, "job")
        case _:
            return words.seconds(asked.amount / 1000)
