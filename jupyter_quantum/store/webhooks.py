"""Webhooks: registered, changed, and how far each has been told."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import delete

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.store import codec as c
from jupyter_quantum.store import tables as t
from jupyter_quantum.store.rows import DeadRow, EventRow, WebhookRow
from jupyter_quantum.store.unit import Unit

__all__ = ["WebhookWrites"]


class WebhookWrites(Unit):
    """The webhooks' part of a writing request.

    What people do with them is an event (``webhook.added``, ``.changed``, ``.removed``), and so is the end of one that
    failed for long; deliveries are none, since they would be delivered again.
    """

    def add_webhook(self, row: WebhookRow, *, actor: str) -> WebhookRow:
        """Register."""
        self._tell_webhook("webhook.added", row, actor)
        return self._shelf(c.WEBHOOKS).add(row)

    def change_webhook(self, webhook_id: str, *, actor: str, **values: Any) -> WebhookRow:
        """Change what a person, or the service for them, decides of it."""
        after = self._shelf(c.WEBHOOKS).change(self.webhook(webhook_id), **values)
        self._tell_webhook("webhook.changed", after, actor)
        return after

    def remove_webhook(self, webhook_id: str, *, actor: str) -> None:
        """Remove it, with the messages that it could not deliver."""
        self._tell_webhook("webhook.removed", self.webhook(webhook_id), actor)
        self.flush()
        self._conn.execute(delete(t.dead_letters).where(t.dead_letters.c.webhook == webhook_id))
        self._conn.execute(delete(t.webhooks).where(t.webhooks.c.id == webhook_id))

    def forget_webhooks(self, principal: str) -> int:
        """Remove a person's webhooks; how many they were."""
        found = self.webhooks(principal=principal)
        for row in found:
            self.remove_webhook(row.id, actor="service")
        return len(found)

    def webhook_passed(self, webhook_id: str, seq: int, *, delivered: bool) -> None:
        """Everything up to this event is delivered or of no concern to it."""
        values: dict[str, Any] = {"cursor": seq}
        if delivered:
            fresh = {"attempts": 0, "next_at": None, "head_since": None, "failing_since": None, "error": None}
            values |= fresh | {"delivered": self.now}
        self._shelf(c.WEBHOOKS).change(self.webhook(webhook_id), **values)

    def webhook_failed(self, webhook_id: str, *, error: str, next_at: datetime) -> WebhookRow:
        """A try of the next message failed; there is another one at ``next_at``."""
        row = self.webhook(webhook_id)
        return self._shelf(c.WEBHOOKS).change(
            row,
            attempts=row.attempts + 1,
            next_at=next_at,
            head_since=row.head_since or self.now,
            failing_since=row.failing_since or self.now,
            error=error,
        )

    def bury(self, webhook_id: str, event: EventRow, *, error: str) -> DeadRow:
        """Give the next message up; the ones behind it come to their turn."""
        row = self.webhook(webhook_id)
        letter = DeadRow(new_id("dlv"), webhook_id, event.seq or 0, event.id, event.type, row.attempts, error, self.now)
        self._shelf(c.WEBHOOKS).change(row, cursor=event.seq or row.cursor, head_since=None)
        return self._shelf(c.DEAD).add(letter)

    def dead_letter_failed(self, letter_id: str, error: str) -> DeadRow:
        """It was sent again, in vain."""
        row = self.dead_letter(letter_id)
        return self._shelf(c.DEAD).change(row, attempts=row.attempts + 1, error=error, time=self.now)

    def raise_dead(self, letter_id: str) -> None:
        """It was sent again, and taken."""
        self.flush()
        self._conn.execute(delete(t.dead_letters).where(t.dead_letters.c.id == letter_id))

    def _tell_webhook(self, type_: str, row: WebhookRow, actor: str) -> None:
        # Of the address only the host: paths of webhooks are often secrets of the receiver's.
        data = {"webhook": row.id, "host": urlsplit(row.url).hostname, "state": row.state, "reason": row.reason}
        self._tell(type_, actor=actor, principal=row.principal, project=row.project, data=data)
