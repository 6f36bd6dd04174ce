"""For every policy file and every fact: the fact missing or mistyped ends in refusal.

Cedar skips a ``forbid`` whose condition errors, and then allows. So for each policy (the shipped ones, and generated
ones that may do anything the schema allows) facts are found under which it applies; then each fact of the schema is
taken away, and replaced by values of every wrong type. Whatever the policy would have said, the answer must be a
refusal with the code ``policy.error``, asking nobody.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jupyter_quantum.pipeline.policy.engine import evaluate
from jupyter_quantum.pipeline.policy.files import Loaded, PolicyBroken, load, read
from jupyter_quantum.pipeline.policy.witness import defaults, witness

SHIPPED = Path(__file__).parents[2] / "hub_config" / "policies"
ENTITY = {"__entity": {"type": "User", "id": "ada"}}
DECIMAL = {"__extn": {"fn": "decimal", "arg": "1.0"}}
WRONG: Mapping[str, tuple[Any, ...]] = {
    "String": (None, 7, True, 1.5, ["lead"], {}, {"a": "b"}, ENTITY, DECIMAL),
    "Long": (None, "7", True, 1.5, [7], {}, 2**63, -(2**63) - 1, ENTITY, DECIMAL),
    "Bool": (None, "true", 1, 0, [True], {}, ENTITY),
    "Set<String>": (None, "lead", 7, True, [7], [None], [["lead"]], {"lead": True}, ["lead", 7], [ENTITY]),
}


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """The shipped policies, then ``cases`` generated sets; how many spoiled requests were put, and what was wrong."""
    engine = logging.getLogger("jupyter_quantum.pipeline.policy.engine")
    level = engine.level
    engine.setLevel(logging.CRITICAL)  # it says of each that it could not decide
    try:
        return _proven(cases, seed)
    finally:
        engine.setLevel(level)


def _proven(cases: int, seed: int) -> tuple[int, list[str]]:
    chance = random.Random(seed)
    files = read(SHIPPED)
    count, violations = _set("shipped", load(files))
    for number in range(cases):
        text = "\n".join(_policies(chance, load(files)))
        try:
            loaded = load([files[0], ("10-generated.cedar", text.encode())])
        except PolicyBroken as error:
            return count, [*violations, f"generated {number} cannot be loaded: {error}: {text}"]
        more, found = _set(f"generated {number}", loaded)
        count, violations = count + more, violations + found
    return count, violations


def _set(name: str, loaded: Loaded) -> tuple[int, list[str]]:
    """Every policy of a set with every fact spoiled."""
    count, violations = 0, []
    for policy in loaded.policies.values():
        for action in sorted(policy.actions):
            context = witness(loaded, policy, action) or defaults(loaded, action)
            for spoiled, what in _spoiled(context, loaded.facts[action]):
                made = evaluate(loaded, action, spoiled)
                count += 1
                if (made.effect, made.code, made.roles) != ("refuse", "policy.error", ()):
                    violations.append(f"{name}: {policy.id}, {action}, {what}: {made.effect} {made.code}")
    return count, violations


def _spoiled(context: Mapping[str, Any], facts: Mapping[str, str]) -> Iterator[tuple[dict[str, Any], str]]:
    for fact, kind in facts.items():
        yield {name: value for name, value in context.items() if name != fact}, f"{fact} missing"
        for wrong in WRONG[kind]:
            yield {**context, fact: wrong}, f"{fact} = {wrong!r}"
    yield {**context, "one_more": True}, "a fact that nobody knows"


# Generated policies


def _policies(chance: random.Random, shipped: Loaded) -> Iterator[str]:
    """A few policies: what nobody would write, but could."""
    yield '@id("all") permit (principal, action, resource);'
    for number in range(chance.randint(3, 6)):
        action = chance.choice(sorted(shipped.facts))
        facts = shipped.facts[action]
        scope = f'principal, action == Action::"{action}", resource'
        effect = chance.choice(("permit", "forbid", "forbid"))
        gate = chance.choice(("lead", "operator")) if effect == "forbid" and chance.random() < 0.4 else None
        notes = f'@id("p{number}")' + (f' @approval("{gate}")' if gate else "")
        when = f"when {{ {_condition(chance, facts, 3)} }}"
        unless = f' unless {{ context.approvals.contains("{gate}") }}' if gate else ""
        yield f"{notes} {effect} ({scope}) {when}{unless};"


def _condition(chance: random.Random, facts: Mapping[str, str], depth: int) -> str:
    if depth == 0 or chance.random() < 0.3:
        return _simple(chance, facts)
    form = chance.choice(("({} && {})", "({} || {})", "!({})", "(if {} then {} else {})"))
    return form.format(*(_condition(chance, facts, depth - 1) for _ in range(form.count("{}"))))


def _simple(chance: random.Random, facts: Mapping[str, str]) -> str:
    fact = chance.choice(sorted(facts))
    name = f"context.{fact}"
    if facts[fact] == "Bool":
        return name
    if facts[fact] == "Long":
        return f"{name} {chance.choice(('==', '!=', '<', '<=', '>', '>='))} {chance.choice((0, 1, 10, 1000, 10**6))}"
    text = chance.choice(("lead", "user", "sandbox", "qpu", "eu", "ada"))
    if facts[fact] == "String":
        return chance.choice((f'{name} == "{text}"', f'["{text}", "x"].contains({name})', f'{name} like "{text}*"'))
    return chance.choice((f'{name}.contains("{text}")', f"{name}.isEmpty()", f'{name}.containsAny(["{text}"])'))
