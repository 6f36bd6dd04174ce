"""Requests that a person decides: one frame, and a kind for each thing that can be asked for.

Two different people, always: nobody decides their own request, nor one of somebody with their name. What approving does
is written in the transaction that approves, after the kind has looked once more whether it may.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, Final, TypeVar

from pydantic import BaseModel, ValidationError

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.tenancy import Principal, name_of
from jupyter_quantum.exceptions import Conflict, InputError, QuantumError, Refused
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.views import error_body
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import RequestRow, RequestState
from jupyter_quantum.wire.requests import Ask, Decided, DecidedList, Decision, Decisions, RequestList, RequestView

__all__ = ["Kind", "Requests", "check_room"]

Body = TypeVar("Body", bound=BaseModel)

_MOST: Final = 50
"""Requests that one person may have open."""
_STATES = frozenset({"open", "approved", "rejected", "expired", "withdrawn"})
_SERVICE = "service"


def check_room(view: View, principal: str) -> None:
    """Raise Conflict ``request.many`` where somebody has as many requests open as one may have."""
    if len(view.requests(state="open", principal=principal, limit=_MOST)) >= _MOST:
        raise Conflict(
            f"You have {_MOST} open requests already.", code="request.many", hint="Wait for answers, or withdraw some."
        )


class Kind:
    """One thing that can be asked for. A subclass says its name, its body's shape, who may ask and what approving does.

    Methods raise :mod:`jupyter_quantum.exceptions` for what is refused; they must not block on anything but the store.
    """

    name: ClassVar[str]
    body: ClassVar[type[BaseModel]]
    role: ClassVar[str] = "lead"
    """Who decides; :meth:`decided_by` may say otherwise for one request."""
    standing: ClassVar[bool] = False
    """Whether only those decide who have their role for good, not for a while by a grant."""
    expires_s: ClassVar[float | None] = None
    """Seconds until nobody may decide it any more; the service's ``approval_expiry_s`` where None."""

    def read(self, row: RequestRow) -> Any:
        """The body of a request, as :attr:`body`."""
        return self.body.model_validate_json(row.body)

    def decided_by(self, project: str | None, body: Any) -> str:
        """The role that decides this request."""
        return self.role

    def words(self, row: RequestRow) -> str:
        """What approving it does, in a sentence for people."""
        raise NotImplementedError

    def may_ask(self, who: Principal, project: str | None, body: Any) -> None:
        """Raise where ``who`` may not ask for this. A project that must stay unseen is absent, not refused."""
        raise NotImplementedError

    def check(self, view: View, row: RequestRow) -> None:
        """Raise where it cannot be granted as things are; asked before it is stored, and again when it is approved."""

    async def before(self, row: RequestRow) -> None:
        """Raise where it cannot be granted for a reason that the store does not know: asked before it is approved."""

    def approve(self, tx: Tx, row: RequestRow, by: Principal) -> Mapping[str, Any]:
        """Do what was asked for, in the transaction that approves; ids of what was made (no names of people)."""
        raise NotImplementedError

    def ended(self, tx: Tx, row: RequestRow) -> None:
        """It was rejected, withdrawn or has expired: undo what asking did, in the same transaction."""

    async def done(self, row: RequestRow) -> None:
        """It was approved, and the transaction is on disk."""


class Requests:
    """Asks, lists, decides, withdraws and expires requests of every kind."""

    def __init__(self, context: Context, live: Live) -> None:
        self._context = context
        self._live = live
        self._kinds: dict[str, Kind] = {}

    def register(self, kind: Kind) -> None:
        """Make a kind known, once, when the pipeline is wired."""
        if kind.name in self._kinds:
            raise ValueError(f"{kind.name} is registered already")
        self._kinds[kind.name] = kind

    async def ask(self, who: Principal, asked: Ask) -> RequestView:
        """Ask for something. Raises what the kind raises, InputError for a body that does not fit."""
        kind = self._kind(asked.kind)
        body = _fitting(kind.body, asked.body)
        kind.may_ask(who, asked.project, body)
        now = self._context.clock()
        lasts = kind.expires_s or self._context.settings.approval_expiry_s
        row = RequestRow(
            id=new_id("req"),
            kind=kind.name,
            principal=who.id,
            asked_by=who.name,
            role=kind.decided_by(asked.project, body),
            created=now,
            expires=now + timedelta(seconds=lasts),
            project=asked.project,
            reason=asked.reason.strip(),
            body=body.model_dump_json(),
        )
        return await self.add(who, row)

    async def add(self, who: Principal, row: RequestRow) -> RequestView:
        """Store a request that another part of the service has put together; the kind checks it all the same."""
        kind = self._kind(row.kind)

        def write(tx: Tx) -> RequestRow:
            check_room(tx, row.principal)
            kind.check(tx, row)
            return tx.add_request(row)

        stored = await self._context.store.write(write)
        self._live.committed()
        return self.view(who, stored)

    async def list(
        self,
        who: Principal,
        *,
        state: str = "open",
        kind: str | None = None,
        project: str | None = None,
        before: str | None = None,
        limit: int = 100,
    ) -> RequestList:
        """One's own, and those that one may decide, newest first; ``state`` may be ``all``."""
        if state != "all" and state not in _STATES:
            raise InputError(f"There is no state {state!r}.", code="request.state", hint="Use open, or all.")
        wanted: RequestState | None = None if state == "all" else state  # type: ignore[assignment]
        limit = max(1, min(limit, 200))
        same: dict[str, Any] = {"state": wanted, "kind": kind, "project": project, "before": before, "limit": limit + 1}
        staff, leads = self._context.people.staff(who), self._context.people.leads(who)

        def read(view: View) -> list[RequestRow]:
            found = view.requests(principal=who.id, **same)
            if "admin" in staff:
                found += view.requests(**same)
            elif staff:
                found += view.requests(roles=staff, **same)
            if leads and "admin" not in staff:
                found += view.requests(projects=leads, roles=("lead",), **same)
            return found

        rows = {row.id: row for row in await self._context.store.read(read)}
        newest = [rows[key] for key in sorted(rows, reverse=True)]
        following = newest[limit - 1].id if len(newest) > limit else None
        return RequestList(requests=[self.view(who, row) for row in newest[:limit]], next=following)

    async def get(self, who: Principal, request_id: str) -> RequestView:
        """One request. Raises NotFound for one that does not exist or is not this person's to see."""
        return self.view(who, await self._row(who, request_id))

    async def decide(self, who: Principal, request_id: str, answer: Decision) -> RequestView:
        """Approve or reject. Raises NotFound, Refused (not this person), Conflict (decided already), or why not now."""
        row = await self._row(who, request_id)
        if (obstacle := self._obstacle(who, row)) is not None:
            raise obstacle
        if answer.verdict == "reject" and not (answer.note and answer.note.strip()):
            raise InputError("A rejection needs a reason.", code="request.note", hint="Say why, in a sentence.")
        kind = self._kind(row.kind)
        if answer.verdict == "approve" and row.state == "open":
            await kind.before(row)

        def write(tx: Tx) -> RequestRow:
            now = tx.request(request_id)
            if now.state == "open" and now.expires <= tx.now:
                raise Conflict("This request has expired.", code="request.decided")
            if answer.verdict == "reject":
                after = tx.decide_request(request_id, "rejected", actor=who.id, note=answer.note)
                kind.ended(tx, after)
                return after
            if now.state == "open":  # otherwise deciding says so
                kind.check(tx, now)
            outcome = kind.approve(tx, now, who) if now.state == "open" else {}
            return tx.decide_request(
                request_id, "approved", actor=who.id, note=answer.note, outcome=json.dumps(dict(outcome))
            )

        after = await self._context.store.write(write)
        self._live.committed()
        if after.state == "approved":
            await kind.done(after)
        return self.view(who, after)

    async def decide_several(self, who: Principal, answer: Decisions) -> DecidedList:
        """The same answer to each; one that cannot be decided does not disturb the others."""
        decided = []
        for request_id in dict.fromkeys(answer.ids):
            try:
                view = await self.decide(who, request_id, Decision(verdict=answer.verdict, note=answer.note))
                decided.append(Decided(id=request_id, request=view))
            except QuantumError as error:
                decided.append(Decided(id=request_id, error=error_body(error, None)))
        return DecidedList(decided=decided)

    async def withdraw(self, who: Principal, request_id: str) -> RequestView:
        """Take one's own request back."""
        row = await self._row(who, request_id)
        if row.principal != who.id:
            raise Refused("Only who asked may withdraw a request.", code="request.foreign")
        after = await self._end(row, "withdrawn", who.id)
        return self.view(who, after)

    async def expire(self) -> None:
        """End what nobody decided in time."""
        now = self._context.clock()
        for row in await self._context.store.read(lambda view: view.requests(state="open", expired_by=now)):
            try:
                await self._end(row, "expired", _SERVICE)
            except Conflict:  # decided at this very moment
                continue

    async def withdraw_all(self, principal: str, *, actor: str = _SERVICE) -> int:
        """Withdraw what somebody who has left asked for; how many."""
        rows = await self._context.store.read(lambda view: view.requests(state="open", principal=principal))
        for row in rows:
            await self._end(row, "withdrawn", actor)
        return len(rows)

    def view(self, who: Principal, row: RequestRow) -> RequestView:
        """A request as ``who`` sees it."""
        kind = self._kinds.get(row.kind)
        return RequestView(
            id=row.id,
            kind=row.kind,
            project=row.project,
            role=row.role,
            asked_by=row.asked_by,
            reason=row.reason,
            words=kind.words(row) if kind is not None else row.kind,
            body=json.loads(row.body),
            created=row.created,
            expires=row.expires,
            state=row.state,
            decided_by=None if row.decided_by is None else name_of(row.decided_by),
            decided=row.decided,
            note=row.note,
            outcome=json.loads(row.outcome),
            mine=row.principal == who.id,
            may_decide=row.state == "open" and self._obstacle(who, row) is None,
        )

    # Who may

    def decides(self, who: Principal, row: RequestRow) -> bool:
        """Whether ``who`` has the role that decides it; an admin stands in for every other."""
        people, kind = self._context.people, self._kinds.get(row.kind)
        standing = kind is not None and kind.standing
        staff = people.staff(who, standing=standing)
        if "admin" in staff or row.role in staff:
            return True
        return row.role == "lead" and row.project in people.leads(who, standing=standing)

    def _obstacle(self, who: Principal, row: RequestRow) -> Refused | None:
        """Why this person may not decide this request."""
        if row.principal == who.id or row.asked_by == who.name:
            return Refused("You asked for this, so somebody else must decide.", code="request.own")
        if not self.decides(who, row):
            return Refused("You do not have the role that decides this.", code="request.role")
        if not who.interactive:
            return Refused(
                "A person decides this, signed in on the hub's page; a token cannot.",
                code="request.interactive",
                hint="Open the hub's quantum page.",
            )
        return None

    async def _row(self, who: Principal, request_id: str) -> RequestRow:
        row = await self._context.store.read(lambda view: view.request(request_id))
        if row.principal != who.id and not self.decides(who, row):
            raise absent("request")
        return row

    async def _end(self, row: RequestRow, state: RequestState, actor: str) -> RequestRow:
        kind = self._kind(row.kind)

        def write(tx: Tx) -> RequestRow:
            after = tx.decide_request(row.id, state, actor=actor)
            kind.ended(tx, after)
            return after

        after = await self._context.store.write(write)
        self._live.committed()
        return after

    def _kind(self, name: str) -> Kind:
        kind = self._kinds.get(name)
        if kind is None:
            raise InputError(
                f"Nobody can be asked for {name!r}.",
                code="request.kind",
                hint=f"Use one of {', '.join(sorted(self._kinds))}.",
            )
        return kind


def _fitting(shape: type[Body], given: Mapping[str, Any]) -> Body:
    try:
        return shape.model_validate(dict(given), strict=False)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, ("body", *first["loc"])))
        raise InputError(f"The request cannot be used: {where}: {first['msg']}.", code="request.malformed") from error
