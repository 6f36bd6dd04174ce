"""Webhooks: who is told of what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.route import Query, Route
from jupyter_quantum.wire.webhooks import (
    ChangeWebhook,
    DeadLetters,
    NewWebhook,
    Tried,
    Webhooks,
    WebhookSecret,
    WebhookView,
)

if TYPE_CHECKING:
    from jupyter_quantum.hub.api.json import Api

__all__ = ["ROUTES"]

_PROJECT = Query("project", {"type": "string"}, "Only webhooks of this project.")
_BEFORE = Query("before", {"type": "string"}, "Cursor: `next` of the page before.")
_HOOK = "api/v1/webhooks/{id}"


async def webhooks(api: Api) -> Webhooks:
    """Webhooks that the caller may administrate."""
    return await api.pipeline.webhooks.list(api.who, api.get_query_argument("project", None))


async def add_webhook(api: Api) -> WebhookSecret:
    """Register an address."""
    return await api.pipeline.webhooks.add(api.who, api.body(NewWebhook))


async def webhook(api: Api, id: str) -> WebhookView:  # noqa: A002 (the path's own name)
    """One of them."""
    return await api.pipeline.webhooks.get(api.who, id)


async def change_webhook(api: Api, id: str) -> WebhookView:  # noqa: A002
    """Change, disable, enable again."""
    return await api.pipeline.webhooks.change(api.who, id, api.body(ChangeWebhook))


async def remove_webhook(api: Api, id: str) -> None:  # noqa: A002
    """Remove."""
    await api.pipeline.webhooks.remove(api.who, id)


async def rotate_webhook(api: Api, id: str) -> WebhookSecret:  # noqa: A002
    """A new secret."""
    return await api.pipeline.webhooks.rotate(api.who, id)


async def try_webhook(api: Api, id: str) -> Tried:  # noqa: A002
    """Send a test."""
    return await api.pipeline.webhooks.test(api.who, id)


async def dead_letters(api: Api, id: str) -> DeadLetters:  # noqa: A002
    """What was given up."""
    return await api.pipeline.webhooks.dead(api.who, id, api.get_query_argument("before", None))


async def redeliver(api: Api, id: str, letter: str) -> Tried:  # noqa: A002
    """Send it again."""
    return await api.pipeline.webhooks.redeliver(api.who, id, letter)


R, S = Scope.READ, Scope.SUBMIT

ROUTES: Final = (
    Route(
        "GET",
        "api/v1/webhooks",
        R,
        "Webhooks that the caller may see",
        Webhooks,
        webhooks,
        query=(_PROJECT,),
    ),
    Route(
        "POST",
        "api/v1/webhooks",
        S,
        "Register an address that is told of events",
        WebhookSecret,
        add_webhook,
        body=NewWebhook,
        status=201,
        secret=True,
        limit="decide",
        errors=(404,),
    ),
    Route("GET", _HOOK, R, "A webhook", WebhookView, webhook, errors=(404,)),
    Route(
        "PATCH",
        _HOOK,
        S,
        "Change a webhook",
        WebhookView,
        change_webhook,
        body=ChangeWebhook,
        limit="decide",  # each change is an entry of the record
        errors=(404,),
    ),
    Route("DELETE", _HOOK, S, "Remove a webhook", None, remove_webhook, status=204, errors=(404,)),
    Route(
        "POST",
        f"{_HOOK}/rotate",
        S,
        "A new secret",
        WebhookSecret,
        rotate_webhook,
        secret=True,
        limit="decide",
        errors=(404,),
    ),
    Route("POST", f"{_HOOK}/test", S, "Send a test message", Tried, try_webhook, limit="decide", errors=(404,)),
    Route("GET", f"{_HOOK}/dead", R, "Messages given up", DeadLetters, dead_letters, query=(_BEFORE,), errors=(404,)),
    Route(
        "POST",
        f"{_HOOK}/dead/{{letter}}/redeliver",
        S,
        "Send one again",
        Tried,
        redeliver,
        limit="decide",
        errors=(404,),
    ),
)
"""Routes about webhooks."""
