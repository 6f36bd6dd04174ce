"""Facts as Cedar's context, and the request that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jupyter_quantum.core.facts import ExportFacts, Facts

__all__ = ["context_of", "request_of"]

_TARGETED: Final = {"export": ("Target", "target")}
"""Action → type of its resource, and the fact that names it; a device for every other action."""


def context_of(facts: Facts | ExportFacts) -> dict[str, Any]:
    """The facts as Cedar's context. Types are checked by the schema, not here."""
    now = facts.now
    found: dict[str, Any] = {}
    for name in facts.__slots__:
        if name not in ("action", "now"):
            value = getattr(facts, name)
            found[name] = sorted(value) if isinstance(value, frozenset) else value
    if "device_kind" in found:
        found["device_kind"] = str(found["device_kind"])
    return found | {
        "hour": now.hour,
        "minute": now.minute,
        "weekday": now.isoweekday(),
        "date": now.year * 10_000 + now.month * 100 + now.day,
        "timezone": str(now.tzinfo),
    }


def request_of(action: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """What Cedar is asked."""
    kind, fact = _TARGETED.get(action, ("Device", "device"))
    return {
        "principal": {"type": "User", "id": context.get("user")},
        "action": {"type": "Action", "id": action},
        "resource": {"type": kind, "id": context.get(fact)},
        "context": context,
    }
