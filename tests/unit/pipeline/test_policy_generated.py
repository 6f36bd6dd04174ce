"""Policies that nobody would write: the engine says what Cedar says, in words, and never gives up on sound facts."""

from __future__ import annotations

import random
from typing import Any

import cedarpy
import pytest

from jupyter_quantum.pipeline.policy.engine import evaluate
from jupyter_quantum.pipeline.policy.explain import explain
from jupyter_quantum.pipeline.policy.facts import request_of
from jupyter_quantum.pipeline.policy.files import Loaded, load, read
from jupyter_quantum.pipeline.policy.witness import applies, contexts
from tests.prove.policy_facts import SHIPPED, _policies

FILES = read(SHIPPED)
PLAIN = load(FILES)
ROUNDS = 12


def generated(seed: int, *, closed: bool) -> Loaded:
    """A set by chance; ``closed``: without the permit for everything, so that most is refused for want of one."""
    lines = list(_policies(random.Random(seed), PLAIN))
    text = "\n".join(lines[1:] if closed else lines)
    return load([FILES[0], ("10-generated.cedar", text.encode())])


def some_contexts(loaded: Loaded, seed: int) -> list[tuple[str, dict[str, Any]]]:
    """Facts near the limits that the policies name."""
    chance = random.Random(seed)
    found = [
        (action, context)
        for policy in loaded.policies.values()
        for action in policy.actions
        for context in list(contexts(loaded, policy, action))[:200]
    ]
    return chance.sample(found, min(40, len(found)))


def raw(loaded: Loaded, action: str, context: dict[str, Any]) -> bool:
    """Cedar's own answer."""
    asked = cedarpy.is_authorized(request_of(action, context), loaded.handle, [], loaded.schema)
    return bool(asked.decision is cedarpy.Decision.Allow)


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("seed", range(ROUNDS))
def test_the_engine_agrees_with_cedar_and_finds_words(seed: int, closed: bool) -> None:
    """Allowed exactly where Cedar allows; approvals that are asked for would help; refusals have words."""
    loaded = generated(seed, closed=closed)
    for action, context in some_contexts(loaded, seed):
        made = evaluate(loaded, action, context)
        assert made.code != "policy.error"
        assert (made.effect == "allow") is raw(loaded, action, context)
        assert made.words.endswith(".")
        assert "{" not in made.words
        if made.effect == "needs_approval":
            lifted = context | {"approvals": sorted({*context["approvals"], *made.roles})}
            assert evaluate(loaded, action, lifted).effect == "allow"
        for near in made.near:
            assert near.words
            assert not applies(loaded, loaded.policies[near.policy], action, context)


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_an_explanation_tells_what_applies(seed: int) -> None:
    """Rule by rule as Cedar sees it; what does not apply says why."""
    loaded = generated(seed, closed=False)
    for action, context in some_contexts(loaded, seed)[:10]:
        for rule in explain(loaded, action, context):
            assert rule.applies is applies(loaded, loaded.policies[rule.policy], action, context)
            assert rule.words
