"""Delivery of events to webhooks: in order, at least once, for about a day, then given up and listed.

Each webhook has a task that reads numbered events after its cursor, so nothing is lost over a restart: a message whose
delivery was not written down comes again, with the same ``webhook-id``. A receiver that fails holds back the messages
behind, so that they keep their order; each has its own day before it is given up.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from standardwebhooks import Webhook

from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import NotFound, QuantumError, Unavailable
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import known_now
from jupyter_quantum.pipeline.sending import Sender, Sent
from jupyter_quantum.store import View, claims
from jupyter_quantum.store.crypt import SERVICE
from jupyter_quantum.store.rows import EventRow, WebhookRow
from jupyter_quantum.wire.jobs import EventView
from jupyter_quantum.wire.webhooks import Message

__all__ = ["Delivering", "Pace", "tenant_of"]

log = logging.getLogger(__name__)

_IDLE_S: Final = 5.0
_REFRESH_S: Final = 10.0
_ASK_S: Final = 240.0
"""So long after the identity provider was asked about an owner it is not asked again."""
_SKIPPED: Final = 500
"""Events of no concern after which the cursor is written all the same."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How long is tried, in seconds."""

    first: float = 5.0
    factor: float = 3.0
    longest: float = 4 * 3600.0
    give_up: float = 24 * 3600.0
    """After so much time since its event a message is given up."""
    disable: float = 72 * 3600.0
    """After so much time of nothing but failure the webhook is disabled."""

    def pause(self, attempts: int, spread: float) -> float:
        """Seconds before the next try, after so many failed ones."""
        return min(self.longest, self.first * self.factor ** min(attempts - 1, 30)) * spread


def tenant_of(row: WebhookRow) -> str:
    """Whose key seals the secrets: the project's, or the service's for people's own."""
    return row.project or SERVICE


class Delivering:
    """The tasks, one a webhook that is active."""

    def __init__(self, context: Context, live: Live, sender: Sender, pace: Pace | None = None) -> None:
        self._context = context
        self._live = live
        self.sender = sender
        self._pace = pace or Pace()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._looked = -_REFRESH_S
        self._stale = False
        self._asked: dict[str, float] = {}
        """Owner → when the identity provider was last asked about them."""

    # Which are served

    def changed(self, webhook_id: str) -> None:
        """Somebody changed it: its task starts anew from what is stored."""
        task = self._tasks.pop(webhook_id, None)
        if task is not None:
            task.cancel()
        self._stale = True
        self._live.committed()
        with claims.apart():  # delivering is no part of the act that asked for it
            self._context.background.start(self.turn(), "webhooks")

    async def turn(self) -> None:
        """Have a task for each webhook that is active; another replica may have added one."""
        now = asyncio.get_running_loop().time()
        if not self._stale and now - self._looked < _REFRESH_S:
            return
        self._stale, self._looked = False, now
        rows = await self._context.store.read(lambda view: view.webhooks(state="active"))
        active = {row.id for row in rows}
        for webhook_id in list(self._tasks):
            if webhook_id not in active or self._tasks[webhook_id].done():
                self._tasks.pop(webhook_id).cancel()
        for row in rows:
            if row.id not in self._tasks:
                self._tasks[row.id] = self._context.background.start(self._serve(row.id), f"webhook {row.id}")

    # One webhook

    async def _serve(self, webhook_id: str) -> None:
        """Deliver until it is disabled or removed."""
        try:
            row = await self._row(webhook_id)
            while row.state == "active":
                try:
                    row = await self._round(row)
                except Unavailable as error:  # the hub or the database is away for a moment
                    log.warning("webhook %s waits: %s", webhook_id, error)
                    await asyncio.sleep(_IDLE_S)
        except NotFound:
            return

    async def _round(self, row: WebhookRow) -> WebhookRow:
        """Deliver what has been numbered since, or wait for more; the row as it is afterwards."""
        who = await self._owner(row)
        if who is None:
            return await self._disable(row, "webhook.rights")
        events = await self._live.numbered_after(row.cursor)
        if not events:
            await self._context.numbered.wait(_IDLE_S)
            return row
        named = await self._context.store.pseudonym(who.id)
        for event in (event for event in events if _concerns(row, named, event)):
            await self._until(row.next_at)
            who = await self._owner(row, sure=True)  # as of now: a slow receiver makes hours of this loop
            if who is None:
                return await self._disable(row, "webhook.rights")
            if await self._may_hear(row, named, event):
                passed = await self._deliver(row, who, event)
                row = await self._row(row.id)
                if not passed:
                    return row
        return await self._pass(row, events[-1].seq or row.cursor)

    async def _pass(self, row: WebhookRow, seq: int) -> WebhookRow:
        """Events of no concern are behind it; that is written down now and then only."""
        stored = await self._row(row.id)
        if seq - stored.cursor >= _SKIPPED:
            await self._context.store.write(lambda tx: tx.webhook_passed(row.id, seq, delivered=False))
        return _at(stored, seq)

    async def _deliver(self, row: WebhookRow, who: Principal, event: EventRow) -> bool:
        """Try once; whether the next event may follow."""
        message = await self._message(row, who, event)
        if message is None:
            return True
        try:
            sent = await self.send(row, message)
        except QuantumError as error:  # the secret cannot be read any more
            log.warning("webhook %s: %s", row.id, error)
            await self._disable(row, "webhook.secret")
            return False
        if sent.ok:
            seq = event.seq or row.cursor
            await self._context.store.write(lambda tx: tx.webhook_passed(row.id, seq, delivered=True))
            return True
        if sent.status == 410:
            await self._disable(row, "webhook.gone")
            return False
        return await self._failed(row, event, sent)

    async def _failed(self, row: WebhookRow, event: EventRow, sent: Sent) -> bool:
        """Plan another try, give the message up, or disable the webhook; whether the next event may follow."""
        pause = self._pace.pause(row.attempts + 1, random.uniform(0.8, 1.2))  # noqa: S311 (spreads retries)
        now = self._context.clock()
        next_at = now + timedelta(seconds=max(pause, min(sent.retry_after or 0.0, self._pace.longest)))
        after = await self._context.store.write(lambda tx: tx.webhook_failed(row.id, error=sent.words, next_at=next_at))
        if after.failing_since is not None and _passed(after.failing_since, now, self._pace.disable):
            await self._disable(after, "webhook.failing")
            return False
        if _passed(event.time, now, self._pace.give_up):
            await self._context.store.write(lambda tx: tx.bury(row.id, event, error=sent.words))
            return True
        return False

    async def _disable(self, row: WebhookRow, reason: str) -> WebhookRow:
        changes = {"state": "disabled", "reason": reason, "next_at": None}
        after = await self._context.store.write(lambda tx: tx.change_webhook(row.id, actor="service", **changes))
        self._live.committed()
        return after

    async def _until(self, moment: datetime | None) -> None:
        if moment is not None:
            await asyncio.sleep(max(0.0, (moment - self._context.clock()).total_seconds()))

    async def _row(self, webhook_id: str) -> WebhookRow:
        return await self._context.store.read(lambda view: view.webhook(webhook_id))

    # What it may be told

    async def _owner(self, row: WebhookRow, *, sure: bool = False) -> Principal | None:
        """The owner with the groups of now; None where they are gone, or may not have this webhook any more.

        ``sure``: as the identity provider has them, which the hub does not ask by itself about somebody who is absent.
        """
        groups = await self._groups(row.principal, sure)
        if groups is None:
            return None
        who, people = Principal.known(row.principal, groups), self._context.people
        if row.project is None:
            return who
        may = row.project in people.leads(who) or ("admin" in people.staff(who) and row.project in people.projects)
        return who if may else None

    async def _groups(self, principal: str, sure: bool) -> frozenset[str] | None:
        directory, now = self._context.directory, asyncio.get_running_loop().time()
        if not sure or now - self._asked.get(principal, -_ASK_S) < _ASK_S:
            return await directory.groups_of(principal)
        groups = await directory.refreshed(principal)
        self._asked[principal] = now
        return groups

    async def message_of(self, row: WebhookRow, seq: int) -> Message | None:
        """The message about the event with this number; None where the owner may not see it."""
        who = await self._owner(row)
        found = await self._context.store.read(lambda view: view.events(seq - 1, limit=1))
        if who is None or not found or found[0].seq != seq:
            return None
        named = await self._context.store.pseudonym(who.id)
        heard = _concerns(row, named, found[0], every=True) and await self._may_hear(row, named, found[0])
        return await self._message(row, who, found[0]) if heard else None

    async def _may_hear(self, row: WebhookRow, named: str, event: EventRow) -> bool:
        """A person's own webhook tells no more than they see: nothing of a project that they have left."""
        if row.project is not None:
            return True

        def sees(who: Principal) -> bool:
            return self._context.people.sees_event(who, named, event)

        who = await known_now(self._context.directory, row.principal, sees)
        return who is not None and sees(who)

    async def _message(self, row: WebhookRow, who: Principal, event: EventRow) -> Message | None:
        try:
            shown: Sequence[EventView] = await self._live.shown(who, [event])
        except NotFound:  # what it is about has been deleted since
            return None
        one = shown[0]
        return Message(type=one.type, timestamp=one.time, id=one.id, job=one.job, project=one.project, data=one.data)

    # Sending

    async def send(self, row: WebhookRow, message: Message) -> Sent:
        """Sign and send. Raises what is wrong with the secret."""
        try:
            target = self.sender.egress.target(row.url)
        except QuantumError as error:  # the operator's rules have changed
            return Sent(None, error.message)
        body = message.model_dump_json()
        now = self._context.clock()
        keys = await self._context.store.read(lambda view: _secrets(view, row, now))
        signatures = [Webhook(base64.b64encode(key).decode()).sign(message.id, now, body) for key in keys]
        headers = {
            "webhook-id": message.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        return await self.sender.post(target, body.encode(), headers)

    def close(self) -> None:
        """Close open connections; the tasks end with the pipeline's others."""
        self.sender.close()


def _secrets(view: View, row: WebhookRow, now: datetime) -> list[bytes]:
    sealed = [row.secret]
    if row.previous is not None and row.previous_until is not None and row.previous_until > now:
        sealed.append(row.previous)
    return [view.open(tenant_of(row), "webhooks", row.id, one) for one in sealed]


def _concerns(row: WebhookRow, named: str, event: EventRow, *, every: bool = False) -> bool:
    """Whether the webhook is about this event, and (unless ``every``) wants its type."""
    about = event.principal == named if row.project is None else event.project == row.project
    wanted: list[str] = json.loads(row.events)
    return about and (every or not wanted or any(_matches(kind, event.type) for kind in wanted))


def _matches(kind: str, type_: str) -> bool:
    return type_ == kind or (kind.endswith(".*") and type_.startswith(kind[:-1]))


def _passed(since: datetime, now: datetime, seconds: float) -> bool:
    return (now - since).total_seconds() >= seconds


def _at(row: WebhookRow, seq: int) -> WebhookRow:
    return replace(row, cursor=max(seq, row.cursor))
