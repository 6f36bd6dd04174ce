"""Facts under which a policy applies, found from the values that its own condition names.

A condition compares facts with values that are written out, so that it is enough to try these values, their neighbours
and one other. Facts with few possible values (roles, tiers, hours …) are tried only with those: a policy that asks for
another value never applies.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from itertools import islice, product
from math import prod
from typing import Any, Final

from jupyter_quantum.core.facts import Approver
from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.tenancy import Role, Tier
from jupyter_quantum.pipeline.policy.conditions import SCOPE, fact_of, facts_in, holding
from jupyter_quantum.pipeline.policy.facts import request_of
from jupyter_quantum.pipeline.policy.files import Loaded, Policy

__all__ = ["MANY", "applies", "candidates", "contexts", "defaults", "witness"]

MANY: Final = 4_000
"""Contexts that are tried at most."""
_CLOSED: Final[Mapping[str, frozenset[Any]]] = {
    "approvals": frozenset(Approver),
    "device_kind": frozenset(DeviceKind),
    "hour": frozenset(range(24)),
    "minute": frozenset(range(60)),
    "role": frozenset(Role),
    "tier": frozenset(Tier),
    "weekday": frozenset(range(1, 8)),
}
_USUAL: Final[Mapping[str, Any]] = {
    "user": "ada",
    "groups": ["qcourse"],
    "role": "user",
    "organisation": "campus",
    "project": "qcourse",
    "tier": "sandbox",
    "data_class": "internal",
    "device": "campus_qpu",
    "device_kind": "qpu",
    "vendor": "ibm",
    "region": "local",
    "num_qubits": 2,
    "depth": 10,
    "shots": 1000,
    "executions": 1000,
    "price": 1_000_000,
    "price_at_most": 1_100_000,
    "validated": True,
    "target": "archive",
    "target_region": "local",
    "targets": ["archive"],
    "classes": ["results"],
    "num_bytes": 1000,
    "hour": 14,
    "minute": 30,
    "weekday": 2,
    "date": 20260512,
    "timezone": "UTC",
}
_EMPTY: Final[Mapping[str, Any]] = {"String": "", "Long": 0, "Bool": False, "Set<String>": []}


def defaults(loaded: Loaded, action: str) -> dict[str, Any]:
    """A usual request: ada's two qubits on the QPU, or her results to the archive; on a Tuesday afternoon."""
    return {fact: _USUAL.get(fact, _EMPTY[kind]) for fact, kind in loaded.facts[action].items()}


def applies(loaded: Loaded, policy: Policy, action: str, context: Mapping[str, Any]) -> bool:
    """Whether a policy's scope and condition hold."""
    holds = holding(policy.condition, request_of(action, context), loaded.schema)
    return SCOPE in holds and all(part.number in holds for part in policy.condition.parts)


def witness(loaded: Loaded, policy: Policy, action: str, *, seed: int = 0) -> dict[str, Any] | None:
    """Facts under which the policy applies; None where none of those that were tried are."""
    tried = contexts(loaded, policy, action, seed=seed)
    return next((context for context in tried if applies(loaded, policy, action, context)), None)


def contexts(loaded: Loaded, policy: Policy, action: str, *, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Contexts that differ in what the policy looks at: all of them, or :data:`MANY` by chance."""
    usual = defaults(loaded, action)
    choices = candidates(loaded, policy, action)
    names = sorted(choices)
    if prod(len(choices[name]) for name in names) <= MANY:
        for values in islice(product(*(choices[name] for name in names)), MANY):
            yield usual | dict(zip(names, values, strict=True))
        return
    chance = random.Random(seed)  # noqa: S311 (spreads the tries; guards nothing)
    for _ in range(MANY):
        yield usual | {name: chance.choice(choices[name]) for name in names}


def candidates(loaded: Loaded, policy: Policy, action: str) -> dict[str, list[Any]]:
    """Fact → values to try, the usual one first, for every fact that the policy looks at."""
    kinds, usual = loaded.facts[action], defaults(loaded, action)
    named: dict[str, list[Any]] = {fact: [] for fact in policy.looks_at if fact in kinds}
    for part in policy.condition.parts:
        for fact, value in _named(part.body):
            named.setdefault(fact, []).append(value)
    for clause, fact in (("principal", "user"), ("resource", "target" if "target" in kinds else "device")):
        entity = policy.condition.scope[clause].get("entity")
        if isinstance(entity, dict):
            named.setdefault(fact, []).append(entity["id"])
    others = [usual[fact] for fact in named if kinds.get(fact) == "String"]  # what a set may be asked for
    return {
        fact: _values(fact, kinds[fact], usual[fact], values + (others if kinds[fact].startswith("Set") else []))
        for fact, values in named.items()
        if fact in kinds
    }


def _values(fact: str, kind: str, usual: Any, named: list[Any]) -> list[Any]:
    closed = _CLOSED.get(fact)
    if kind == "Bool":
        return [usual, not usual]
    if kind == "Long":
        found = [usual, *(value + step for value in named if isinstance(value, int) for step in (0, -1, 1))]
        found = [value for value in found if value >= 0]
    elif kind == "String":
        found = [usual, *(value for value in named if isinstance(value, str)), "something-else"]
    else:
        texts = sorted({value for value in named if isinstance(value, str) and (closed is None or value in closed)})
        strange = ["something-else"] if closed is None else []
        return _distinct([usual, [], strange, *([text] for text in texts), texts, [*usual, *texts]])
    if closed is not None:
        found = [value for value in found if value in closed] + sorted(closed)[: 8 if kind == "Long" else None]
    return _distinct(found)


def _distinct(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found


def _named(node: Any) -> Iterator[tuple[str, Any]]:
    """Each fact with each literal that stands in one expression with it."""
    if isinstance(node, list):
        for part in node:
            yield from _named(part)
    elif isinstance(node, dict):
        for sign, body in node.items():
            if sign in ("&&", "||", "!", "if-then-else"):
                yield from _named(body)
            elif isinstance(body, dict):
                yield from ((fact, value) for fact in set(facts_in(body)) for value in _literals(body))
                if sign in ("left", "right", "arg", "if", "then", "else") and fact_of(body) is None:
                    yield from _named(body)


def _literals(node: Any) -> Iterator[Any]:
    if isinstance(node, list):
        for part in node:
            yield from _literals(part)
    elif isinstance(node, dict):
        if "Value" in node:
            yield node["Value"]
        elif "pattern" in node:
            yield "".join(piece["Literal"] if isinstance(piece, dict) else "x" for piece in node["pattern"])
        else:
            for part in node.values():
                yield from _literals(part)
