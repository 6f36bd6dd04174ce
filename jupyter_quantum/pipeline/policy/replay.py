"""Stored decisions under other files: who would win, who would lose."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from jupyter_quantum.core.facts import Decision
from jupyter_quantum.pipeline.policy.engine import evaluate
from jupyter_quantum.pipeline.policy.files import Loaded

__all__ = ["Changed", "Made", "Replayed", "replay"]

_RANK: Final = {"refuse": 0, "needs_approval": 1, "allow": 2}
_REMEMBERED: Final = 20_000


@dataclass(frozen=True, slots=True)
class Made:
    """A decision as it was made."""

    id: str
    time: datetime
    action: str
    person: str
    """The user's name, or a pseudonym where the person was forgotten."""
    project: str
    job: str | None
    effect: str
    words: str
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Changed:
    """One that would be another."""

    made: Made
    now: Decision


@dataclass(slots=True)
class Replayed:
    """What came of all of them."""

    version: str
    total: int = 0
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Effect before and after → how many, where they differ."""
    people: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    """Person and project → how many ``wins`` and ``loses``."""
    examples: dict[str, list[Changed]] = field(default_factory=lambda: {"wins": [], "loses": []})


def replay(loaded: Loaded, decisions: Iterable[Made], *, examples: int = 20) -> Replayed:
    """Evaluate each decision's facts under these policies; the same facts are evaluated once."""
    found = Replayed(loaded.version)
    known: dict[str, Decision] = {}
    for made in decisions:
        found.total += 1
        key = made.action + json.dumps(made.context, sort_keys=True)
        now = known.get(key) or evaluate(loaded, made.action, made.context)
        if len(known) < _REMEMBERED:
            known[key] = now
        if now.effect == made.effect:
            continue
        side = "wins" if _RANK[now.effect] > _RANK.get(made.effect, 0) else "loses"
        found.moves[made.effect, now.effect] += 1
        found.people.setdefault((made.person, made.project), Counter())[side] += 1
        if len(found.examples[side]) < examples:
            found.examples[side].append(Changed(made, now))
    return found
