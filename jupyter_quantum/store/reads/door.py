"""What the door remembers."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select

from jupyter_quantum.store import tables as t
from jupyter_quantum.store.codec import ANSWERS, DEAD, WEBHOOKS, Statement
from jupyter_quantum.store.reading import Reading, where
from jupyter_quantum.store.rows import AnswerRow, DeadRow, WebhookRow

__all__ = ["DoorReads"]

_ANSWER = Statement(
    ANSWERS.select.where(t.answers.c.principal == bindparam("owner"), t.answers.c.key == bindparam("given"))
)


class DoorReads(Reading):
    """Answers, webhooks and dead letters."""

    def answer(self, principal: str, key: str) -> AnswerRow | None:
        """What this principal's request with this key came to; None for a new key."""
        found = _ANSWER.run(self._reading(), {"owner": principal, "given": key}).first()
        return None if found is None else ANSWERS.decode(found)

    def webhook(self, webhook_id: str) -> WebhookRow:
        """The webhook."""
        return self._need(WEBHOOKS, webhook_id, "webhook")

    def webhooks(
        self, *, principal: str | None = None, project: str | None = None, state: str | None = None
    ) -> list[WebhookRow]:
        """Webhooks that match all that is given, oldest first."""
        w = t.webhooks.c
        query = where(WEBHOOKS.select, w, principal=principal, project=project, state=state)
        return self._all(WEBHOOKS, query.order_by(w.id))

    def dead_letter(self, letter_id: str) -> DeadRow:
        """The message that was given up."""
        return self._need(DEAD, letter_id, "message")

    def dead_letters(self, webhook: str, *, before: str | None = None, limit: int = 100) -> list[DeadRow]:
        """Messages of a webhook that were given up, newest first; ``before`` is the id of the last one seen."""
        d = t.dead_letters.c
        query = DEAD.select.where(d.webhook == webhook)
        if before is not None:
            query = query.where(d.id < before)
        return self._all(DEAD, query.order_by(d.id.desc()).limit(limit))

    def count_dead(self, webhook: str) -> int:
        """How many messages of a webhook were given up."""
        query = select(func.count()).select_from(t.dead_letters).where(t.dead_letters.c.webhook == webhook)
        return int(self._reading().execute(query).scalar_one())
