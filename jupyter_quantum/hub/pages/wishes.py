"""Requests beside those for a job (to join, a role for a while, more quota, an export) as the page shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.hub.pages.items import Clock, Moment
from jupyter_quantum.pipeline.approvers import who_decides
from jupyter_quantum.wire.requests import RequestView

if TYPE_CHECKING:
    from jupyter_quantum.pipeline import Pipeline

__all__ = ["Wish", "wishes"]


@dataclass(frozen=True, slots=True)
class Wish:
    """One request that waits for a person."""

    id: str
    title: str
    """What approving does, in a sentence."""
    project: str
    reason: str
    expires: str
    expires_at: Moment
    may_decide: bool
    mine: bool
    decides: str
    """Who decides, where the reader does not."""


async def wishes(pipeline: Pipeline, who: Principal, clock: Clock) -> list[Wish]:
    """Open ones that ``who`` may decide or made, oldest first."""
    found = (await pipeline.requests.list(who, state="open")).requests
    return [_wish(view, clock) for view in reversed(found) if view.may_decide or view.mine]


def _wish(view: RequestView, clock: Clock) -> Wish:
    return Wish(
        id=view.id,
        title=view.words,
        project=view.project or "the whole hub",
        reason=view.reason,
        expires=clock.until(view.expires),
        expires_at=clock.moment(view.expires),
        may_decide=view.may_decide,
        mine=view.mine,
        decides="" if view.may_decide else f"{who_decides(view.role, view.project or 'the hub')}.",
    )
