"""Add to a hub's configuration without losing what is there: lists, dictionaries, lazy values, hooks."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["add_entries", "add_handlers", "add_scopes", "set_default", "update"]


def _value(section: Any, name: str, empty: Any) -> Any:
    """What is configured now. ``c.X.y.append(…)`` on something unset leaves a lazy value: it is worked out here."""
    found = section.get(name)
    if found is None:
        return empty
    return found.get_value(empty) if hasattr(found, "get_value") else found


def set_default(section: Any, name: str, value: Any) -> None:
    """Set ``name`` unless the administrator has."""
    if name not in section:
        setattr(section, name, value)


def update(section: Any, name: str, ours: Mapping[str, Any], *, ours_win: bool = False) -> None:
    """Merge a dictionary; what the administrator wrote stays unless ``ours_win``."""
    there = dict(_value(section, name, {}))
    setattr(section, name, {**there, **ours} if ours_win else {**ours, **there})


def add_entries(section: Any, name: str, ours: Iterable[Mapping[str, Any]]) -> None:
    """Append entries that have a ``name`` (services, roles); an entry of ours from an earlier call is replaced."""
    fresh = [dict(entry) for entry in ours]
    names = {entry["name"] for entry in fresh}
    there = [entry for entry in _value(section, name, []) if entry.get("name") not in names]
    setattr(section, name, [*there, *fresh])


def add_handlers(section: Any, name: str, ours: Iterable[tuple[str, Any]]) -> None:
    """Append handlers of addresses; one of ours from an earlier call stays."""
    there = list(_value(section, name, []))
    known = {entry[0] for entry in there}
    setattr(section, name, [*there, *(entry for entry in ours if entry[0] not in known)])


def _with(scopes: Iterable[str], ours: Iterable[str]) -> list[str]:
    return list(dict.fromkeys([*scopes, *ours]))


def add_scopes(section: Any, name: str, ours: list[str]) -> None:
    """Append to a list of scopes, which may also be a function of the spawner."""
    there = _value(section, name, [])
    setattr(section, name, _chained(there, ours) if callable(there) else _with(there, ours))


def _chained(first: Callable[[Any], Any], ours: list[str]) -> Callable[[Any], Any]:
    if getattr(first, "_jupyter_quantum", False):
        return first

    if inspect.iscoroutinefunction(first):

        async def later(spawner: Any) -> list[str]:
            return _with(await first(spawner), ours)

        later._jupyter_quantum = True  # type: ignore[attr-defined]
        return later

    def both(spawner: Any) -> list[str]:
        return _with(first(spawner), ours)

    both._jupyter_quantum = True  # type: ignore[attr-defined]
    return both
