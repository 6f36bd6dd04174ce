"""Webhooks from Python: ``hub.webhooks``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal
from urllib.parse import quote

from jupyter_quantum.client import html
from jupyter_quantum.client.http import Connection
from jupyter_quantum.wire.webhooks import (
    ChangeWebhook,
    DeadLetters,
    NewWebhook,
    Tried,
    Webhooks,
    WebhookSecret,
    WebhookView,
)

__all__ = ["DeadTable", "SecretCard", "TriedCard", "WebhookCard", "WebhookTable", "WebhookTools"]

_HEAD = ("webhook", "to", "project", "events", "state", "last try", "given up")


class WebhookCard(WebhookView):
    """One webhook, in words."""

    def __repr__(self) -> str:
        return html.columns([_HEAD, _row(self)])


class WebhookTable(Webhooks):
    """Webhooks as a table."""

    def __repr__(self) -> str:
        return html.columns([_HEAD, *map(_row, self.webhooks)]) if self.webhooks else "No webhooks."


class SecretCard(WebhookSecret):
    """A webhook with its secret. The representation shows it: this is the one time that it can be read."""

    def __repr__(self) -> str:
        return f"{self.webhook.id} · signed with {self.secret} (shown this once)"


class TriedCard(Tried):
    """What sending a message came to."""

    def __repr__(self) -> str:
        return f"{'✓' if self.ok else '✕'} {html.clean(self.words)} ({self.seconds:.2f} s)"


class DeadTable(DeadLetters):
    """Messages that were given up, newest first."""

    def __repr__(self) -> str:
        if not self.dead:
            return "Nothing was given up."
        head = ("message", "type", "tries", "error", "given up")
        rows = [(one.id, one.type, str(one.attempts), one.error, f"{one.time:%Y-%m-%d %H:%M}") for one in self.dead]
        return html.columns([head, *(tuple(map(html.clean, row)) for row in rows)])


def _row(view: WebhookView) -> tuple[str, ...]:
    state = view.state if view.reason is None else f"{view.state} ({view.reason})"
    events = ", ".join(view.events) or "all"
    parts = (view.id, view.url, view.project or "own jobs", events, state, view.error or "–", str(view.dead))
    return tuple(map(html.clean, parts))


class WebhookTools:
    """Registers addresses that are told of events, each message signed as Standard Webhooks says."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self, project: str | None = None) -> WebhookTable:
        """Your own, and those of projects that you lead."""
        return self._connection.get("webhooks", WebhookTable, project=project)

    def get(self, webhook: str) -> WebhookCard:
        """One of them."""
        return self._connection.get(_path(webhook), WebhookCard)

    def add(self, url: str, *, events: Iterable[str] = (), project: str | None = None, label: str = "") -> SecretCard:
        """Register an address, of a project that you lead, or for your own jobs. The answer holds the secret."""
        asked = NewWebhook(url=url, events=list(events), project=project, label=label)
        return self._connection.post("webhooks", SecretCard, asked)

    def change(
        self,
        webhook: str,
        *,
        events: Iterable[str] | None = None,
        label: str | None = None,
        state: Literal["active", "disabled"] | None = None,
    ) -> WebhookCard:
        """Change what it is told; ``state="active"`` goes on after the last message that was delivered."""
        asked = ChangeWebhook(events=None if events is None else [*events], label=label, state=state)
        return self._connection.send("PATCH", _path(webhook), WebhookCard, asked)

    def remove(self, webhook: str) -> None:
        """Remove it."""
        self._connection.delete(_path(webhook))

    def rotate(self, webhook: str) -> SecretCard:
        """A new secret; for 24 hours messages carry signatures of both."""
        return self._connection.post(f"{_path(webhook)}/rotate", SecretCard)

    def test(self, webhook: str) -> TriedCard:
        """Send a message of type ``webhook.test`` now."""
        return self._connection.post(f"{_path(webhook)}/test", TriedCard)

    def dead(self, webhook: str, *, before: str | None = None) -> DeadTable:
        """Messages that were given up, newest first."""
        return self._connection.get(f"{_path(webhook)}/dead", DeadTable, before=before)

    def redeliver(self, webhook: str, message: str) -> TriedCard:
        """Send one of them again."""
        return self._connection.post(f"{_path(webhook)}/dead/{quote(message, safe='')}/redeliver", TriedCard)


def _path(webhook: str) -> str:
    return f"webhooks/{quote(webhook, safe='')}"
