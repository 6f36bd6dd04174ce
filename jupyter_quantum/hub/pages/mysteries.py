"""Attempts that nobody can tell about, as the page shows them to operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jupyter_quantum.core import words
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.wire.operations import UnknownAttempt

if TYPE_CHECKING:
    from jupyter_quantum.hub.pages.items import Clock
    from jupyter_quantum.pipeline import Pipeline

__all__ = ["Mystery", "mysteries"]


@dataclass(frozen=True, slots=True)
class Mystery:
    """One attempt that waits for an operator."""

    tag: str
    title: str
    facts: str
    at_most: str
    """Credits that can be charged."""
    can_look: bool


async def mysteries(pipeline: Pipeline, who: Principal, clock: Clock) -> list[Mystery]:
    """Those that wait; only operators may ask."""
    return [_mystery(view, clock) for view in (await pipeline.resolving.unknown(who)).attempts]


def _mystery(view: UnknownAttempt, clock: Clock) -> Mystery:
    facts = [
        f"{view.owner}, {view.project}",
        f"since {clock.moment(view.since).words}",
        f"look for {view.tag} there",
        f"the vendor's id: {', '.join(view.handles) or 'not known'}",
    ]
    if view.cancel_asked is not None:
        facts.append("its owner has cancelled it")
    return Mystery(
        tag=view.tag,
        title=f"Did {view.device} run this?",
        facts=" · ".join(facts),
        at_most=words.spent(view.on_hold),
        can_look=view.can_look,
    )
