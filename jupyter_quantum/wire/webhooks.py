"""Webhooks: signed messages about events, as the Standard Webhooks specification has them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from jupyter_quantum.wire.base import Answer, Request, Time

__all__ = [
    "ChangeWebhook",
    "DeadLetter",
    "DeadLetters",
    "Message",
    "NewWebhook",
    "Tried",
    "WebhookSecret",
    "WebhookView",
    "Webhooks",
]

Address = Annotated[str, Field(min_length=8, max_length=2000, description="https, and on the public internet")]
Kind = Annotated[str, Field(pattern=r"^[a-z]+(\.[a-z_]+)*(\.\*)?$", max_length=60)]
Kinds = Annotated[list[Kind], Field(max_length=40, description="job.moved, job.*, approval.changed …; none: all")]
Label = Annotated[str, Field(max_length=120)]


class NewWebhook(Request):
    """Register an address. Of a project for its leads; without one for the caller's own jobs."""

    url: Address
    events: Kinds = Field(default_factory=list)
    project: Annotated[str | None, Field(max_length=200)] = None
    label: Label = ""


class ChangeWebhook(Request):
    """What is to be otherwise. ``active`` goes on with the event after the last one that was delivered."""

    events: Kinds | None = None
    label: Label | None = None
    state: Literal["active", "disabled"] | None = None


class WebhookView(Answer):
    """A webhook, and how it fares."""

    id: str
    url: str
    label: str
    events: list[str]
    project: str | None
    owner: str
    state: Literal["active", "disabled"]
    reason: str | None = Field(
        default=None, description="why it is disabled: webhook.failing, .gone, .rights, .secret, or webhook.person"
    )
    created: Time
    delivered: Time | None = Field(default=None, description="when a message was last taken")
    failing_since: Time | None = None
    next_try: Time | None = None
    error: str | None = Field(default=None, description="what the last try came to")
    dead: int = Field(default=0, description="messages that were given up")
    two_secrets_until: Time | None = Field(default=None, description="until then the secret before signs as well")


class WebhookSecret(Answer):
    """A webhook with the secret that its messages are signed with, shown this once."""

    webhook: WebhookView
    secret: str = Field(description="whsec_…; a library of Standard Webhooks takes it as it is")


class Webhooks(Answer):
    """Webhooks that the caller may administrate, oldest first."""

    webhooks: list[WebhookView]


class DeadLetter(Answer):
    """A message that was given up after a day of tries."""

    id: str
    event: str
    type: str
    attempts: int
    error: str
    time: Time


class DeadLetters(Answer):
    """They, newest first."""

    dead: list[DeadLetter]
    next: str | None = None


class Tried(Answer):
    """What sending one message came to."""

    ok: bool
    status: int | None
    words: str
    seconds: float


class Message(Answer):
    """The body of a message; its id, the event's, is in the header ``webhook-id`` and the same however often it comes.

    ``data`` is what the owner of the webhook may see of the event, as in the event stream; ``id``, ``job`` and
    ``project`` are the event's.
    """

    type: str
    timestamp: Time
    version: Literal[1] = 1
    id: str
    job: str | None = None
    project: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)
