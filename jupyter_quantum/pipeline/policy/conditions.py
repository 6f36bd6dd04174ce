"""A policy's condition, taken apart; Cedar itself says which parts hold.

Cedar names no reason where nothing permits. So each part of each condition (what ``&&``, ``||`` and ``!`` join) becomes
a policy of its own, *permit when part*, and one evaluation of these probes names every part that holds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final, Literal

import cedarpy

__all__ = ["SCOPE", "Condition", "Part", "condition_of", "fact_of", "facts_in", "holding"]

SCOPE: Final = -1
"""The probe of a policy's scope: principal, action and resource alone."""
_NO_ENTITIES: Final = cedarpy.Entities.from_json_str("[]")
_ANY: Final[Mapping[str, Any]] = {"op": "All"}


@dataclass(frozen=True)
class Part:
    """A part of a condition: joined (``and``, ``or``, ``not``) or simple (``is``)."""

    number: int
    op: Literal["and", "or", "not", "is"]
    body: Any = field(repr=False)
    """Cedar's JSON of it."""
    parts: tuple[Part, ...] = ()

    def walk(self) -> Iterator[Part]:
        """This part and all below."""
        yield self
        for part in self.parts:
            yield from part.walk()


@dataclass(frozen=True)
class Condition:
    """What must hold for a policy to apply: its scope, and all of ``parts``."""

    scope: Mapping[str, Any] = field(repr=False)
    parts: tuple[Part, ...]

    @cached_property
    def probes(self) -> Any:
        """The policy set of the probes; made when it is needed."""
        whole = {f"p{SCOPE}": _probe(SCOPE, [], self.scope)}
        for top in self.parts:
            for part in top.walk():
                whole[f"p{part.number}"] = _probe(part.number, [{"kind": "when", "body": part.body}])
        return cedarpy.PolicySet.from_json_str(
            json.dumps({"templates": {}, "staticPolicies": whole, "templateLinks": []})
        )


def _probe(number: int, conditions: list[Any], scope: Mapping[str, Any] | None = None) -> dict[str, Any]:
    where = scope or {"principal": _ANY, "action": _ANY, "resource": _ANY}
    return {"effect": "permit", **where, "conditions": conditions, "annotations": {"id": str(number)}}


def condition_of(policy: Mapping[str, Any]) -> Condition:
    """The condition of a policy as Cedar's JSON has it."""
    numbers = iter(range(10_000))
    parts: list[Part] = []
    for clause in policy["conditions"]:
        body = clause["body"] if clause["kind"] == "when" else {"!": {"arg": clause["body"]}}
        parts += _conjuncts(_part(body, numbers))
    return Condition({name: policy[name] for name in ("principal", "action", "resource")}, tuple(parts))


def _conjuncts(part: Part) -> list[Part]:
    return [one for below in part.parts for one in _conjuncts(below)] if part.op == "and" else [part]


def _part(body: Any, numbers: Iterator[int]) -> Part:
    number = next(numbers)
    if isinstance(body, dict):
        for sign, op in (("&&", "and"), ("||", "or")):
            if sign in body:
                sides = (_part(body[sign]["left"], numbers), _part(body[sign]["right"], numbers))
                return Part(number, op, body, sides)  # type: ignore[arg-type]
        if "!" in body:
            return Part(number, "not", body, (_part(body["!"]["arg"], numbers),))
    return Part(number, "is", body)


def holding(condition: Condition, request: Mapping[str, Any], schema: Any) -> frozenset[int]:
    """Numbers of the parts that hold. One that cannot be evaluated alone does not."""
    result = cedarpy.is_authorized(dict(request), condition.probes, _NO_ENTITIES, schema)
    names = result.diagnostics.id_annotations_by_reason
    return frozenset(int(names.get(reason) or reason.removeprefix("p")) for reason in result.diagnostics.reasons)


def fact_of(body: Any) -> str | None:
    """The fact that an expression is; None for anything else."""
    access = body.get(".") if isinstance(body, dict) else None
    return access["attr"] if isinstance(access, dict) and access.get("left") == {"Var": "context"} else None


def facts_in(node: Any) -> Iterator[str]:
    """Facts that an expression reads, as often as it does."""
    if isinstance(node, list):
        for part in node:
            yield from facts_in(part)
    elif (fact := fact_of(node)) is not None:
        yield fact
    elif isinstance(node, dict):
        for part in node.values():
            yield from facts_in(part)
