"""Webhooks as people see them: registered, changed, tried, and what they lost."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.tenancy import Principal, name_of
from jupyter_quantum.exceptions import Conflict, Refused
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.deliver import Delivering, tenant_of
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.crypt import SERVICE
from jupyter_quantum.store.rows import DeadRow, WebhookRow
from jupyter_quantum.wire.webhooks import (
    ChangeWebhook,
    DeadLetter,
    DeadLetters,
    Message,
    NewWebhook,
    Tried,
    WebhookSecret,
    WebhookView,
)
from jupyter_quantum.wire.webhooks import Webhooks as WebhookList

__all__ = ["Webhooks"]

T = TypeVar("T")

_MOST: Final = 20
"""Webhooks of one person, and of one project."""
_OVERLAP: Final = timedelta(hours=24)
_PAGE: Final = 100


class Webhooks:
    """What the routes ask for. A webhook is its owner's, and of a project also its leads'; to others it is absent."""

    def __init__(self, context: Context, delivering: Delivering) -> None:
        self._context = context
        self._delivering = delivering

    async def list(self, who: Principal, project: str | None = None) -> WebhookList:
        """One's own, and those of projects that one leads (of one of them)."""

        def read(view: View) -> list[WebhookView]:
            rows = [row for row in view.webhooks(project=project) if self._may(who, row)]
            return [_view(view, row) for row in rows]

        return WebhookList(webhooks=await self._context.store.read(read))

    async def get(self, who: Principal, webhook_id: str) -> WebhookView:
        """One of them."""
        return await self._context.store.read(lambda view: _view(view, self._mine(view, who, webhook_id)))

    async def add(self, who: Principal, asked: NewWebhook) -> WebhookSecret:
        """Register an address; it is told of what happens from now on.

        Raises InputError ``webhook.url``, Refused ``webhook.target``, ``webhook.role``, Conflict ``webhook.many``.
        """
        if who.kind == "workload":
            raise Refused("A workload's token ends in minutes; a person or a service registers.", code="webhook.role")
        if asked.project is not None:
            self._check_project(who, asked.project)
        self._delivering.sender.egress.target(asked.url)
        secret, raw = _fresh()
        tenant = asked.project or SERVICE
        await self._context.store.ready(tenant)
        webhook_id = new_id("whk")

        def write(tx: Tx) -> WebhookView:
            mine = tx.webhooks(project=asked.project) if asked.project else tx.webhooks(principal=who.id)
            if len(mine) >= _MOST:
                raise Conflict(f"There are {_MOST} webhooks already.", code="webhook.many", hint="Remove one first.")
            row = WebhookRow(
                id=webhook_id,
                principal=who.id,
                project=asked.project,
                url=asked.url,
                label=asked.label,
                events=json.dumps(sorted(set(asked.events))),
                secret=tx.seal(tenant, "webhooks", webhook_id, raw),
                cursor=tx.last_seq(),
                created=tx.now,
            )
            return _view(tx, tx.add_webhook(row, actor=who.id))

        made = await self._context.store.write(write)
        self._delivering.changed(webhook_id)
        return WebhookSecret(webhook=made, secret=secret)

    async def change(self, who: Principal, webhook_id: str, asked: ChangeWebhook) -> WebhookView:
        """Change what it wants to be told, disable it, or enable it again where it went on."""
        values: dict[str, Any] = {}
        if asked.events is not None:
            values["events"] = json.dumps(sorted(set(asked.events)))
        if asked.label is not None:
            values["label"] = asked.label
        if asked.state is not None:
            off = asked.state == "disabled"
            values |= {"state": asked.state, "reason": "webhook.person" if off else None}
            values |= {} if off else {"failing_since": None, "next_at": None, "attempts": 0}

        def write(tx: Tx) -> WebhookView:
            self._mine(tx, who, webhook_id)
            return _view(tx, tx.change_webhook(webhook_id, actor=who.id, **values))

        return await self._changed(webhook_id, write)

    async def rotate(self, who: Principal, webhook_id: str) -> WebhookSecret:
        """A new secret; for a day messages carry signatures of both."""
        row = await self._context.store.read(lambda view: self._mine(view, who, webhook_id))
        secret, raw = _fresh()
        await self._context.store.ready(tenant_of(row))

        def write(tx: Tx) -> WebhookView:
            now = self._mine(tx, who, webhook_id)
            sealed = tx.seal(tenant_of(now), "webhooks", webhook_id, raw)
            values = {"secret": sealed, "previous": now.secret, "previous_until": tx.now + _OVERLAP}
            return _view(tx, tx.change_webhook(webhook_id, actor=who.id, **values))

        return WebhookSecret(webhook=await self._changed(webhook_id, write), secret=secret)

    async def remove(self, who: Principal, webhook_id: str) -> None:
        """Remove it, with what it could not deliver."""

        def write(tx: Tx) -> None:
            self._mine(tx, who, webhook_id)
            tx.remove_webhook(webhook_id, actor=who.id)

        await self._changed(webhook_id, write)

    async def test(self, who: Principal, webhook_id: str) -> Tried:
        """Send a message of type ``webhook.test`` now; nothing of it is kept."""
        row = await self._context.store.read(lambda view: self._mine(view, who, webhook_id))
        message = Message(
            type="webhook.test",
            timestamp=self._context.clock(),
            id=new_id("evt"),
            project=row.project,
            data={"webhook": row.id},
        )
        return await self._try(row, message)

    async def dead(self, who: Principal, webhook_id: str, before: str | None = None) -> DeadLetters:
        """Messages that were given up, newest first."""

        def read(view: View) -> list[DeadRow]:
            self._mine(view, who, webhook_id)
            return view.dead_letters(webhook_id, before=before, limit=_PAGE + 1)

        rows = await self._context.store.read(read)
        following = rows[_PAGE - 1].id if len(rows) > _PAGE else None
        return DeadLetters(dead=[_letter(row) for row in rows[:_PAGE]], next=following)

    async def redeliver(self, who: Principal, webhook_id: str, letter_id: str) -> Tried:
        """Send a message that was given up once more, now; it leaves the list where it is taken."""

        def read(view: View) -> tuple[WebhookRow, DeadRow]:
            row, letter = self._mine(view, who, webhook_id), view.dead_letter(letter_id)
            if letter.webhook != webhook_id:
                raise absent("message")
            return row, letter

        row, letter = await self._context.store.read(read)
        message = await self._delivering.message_of(row, letter.seq)
        if message is None:
            raise Conflict(
                "What this message is about may not be told to the webhook's owner any more.", code="webhook.rights"
            )
        tried = await self._try(row, message)
        if tried.ok:
            await self._context.store.write(lambda tx: tx.raise_dead(letter_id))
        else:
            await self._context.store.write(lambda tx: tx.dead_letter_failed(letter_id, tried.words))
        return tried

    async def _try(self, row: WebhookRow, message: Message) -> Tried:
        began = asyncio.get_running_loop().time()
        sent = await self._delivering.send(row, message)
        seconds = asyncio.get_running_loop().time() - began
        return Tried(ok=sent.ok, status=sent.status, words=sent.words, seconds=round(seconds, 3))

    async def _changed(self, webhook_id: str, write: Callable[[Tx], T]) -> T:
        found = await self._context.store.write(write)
        self._delivering.changed(webhook_id)
        return found

    def _mine(self, view: View, who: Principal, webhook_id: str) -> WebhookRow:
        row = view.webhook(webhook_id)
        if not self._may(who, row):
            raise absent("webhook")
        return row

    def _may(self, who: Principal, row: WebhookRow) -> bool:
        if row.project is None:
            return row.principal == who.id
        return row.project in self._context.people.leads(who) or "admin" in self._context.people.staff(who)

    def _check_project(self, who: Principal, project: str) -> None:
        people = self._context.people
        if "admin" in people.staff(who) and project in people.projects:
            return
        if project not in people.roles(who):
            raise absent("project")
        if project not in people.leads(who):
            raise Refused(
                "Leads of the project register its webhooks.",
                code="webhook.role",
                hint="Leave the project out for a webhook about your own jobs.",
            )


def _fresh() -> tuple[str, bytes]:
    raw = secrets.token_bytes(32)
    return "whsec_" + base64.b64encode(raw).decode(), raw


def _letter(row: DeadRow) -> DeadLetter:
    return DeadLetter(id=row.id, event=row.event, type=row.type, attempts=row.attempts, error=row.error, time=row.time)


def _view(view: View, row: WebhookRow) -> WebhookView:
    return WebhookView(
        id=row.id,
        url=row.url,
        label=row.label,
        events=json.loads(row.events),
        project=row.project,
        owner=name_of(row.principal),
        state=row.state,
        reason=row.reason,
        created=row.created,
        delivered=row.delivered,
        failing_since=row.failing_since,
        next_try=row.next_at,
        error=row.error,
        dead=view.count_dead(row.id),
        two_secrets_until=row.previous_until,
    )
