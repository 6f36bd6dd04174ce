"""The quick version of ``make prove WHAT=policy-facts``, and what facts are found for a policy."""

from __future__ import annotations

import pytest

from jupyter_quantum.pipeline.policy.files import load, read
from jupyter_quantum.pipeline.policy.witness import applies, witness
from tests.prove.policy_facts import SHIPPED, prove

LOADED = load(read(SHIPPED))


def test_a_missing_or_mistyped_fact_is_a_refusal_for_every_policy() -> None:
    """The shipped policies and a few generated sets; each fact missing, and of each wrong type."""
    count, violations = prove(3, 2026)
    assert violations == []
    assert count > 2000


@pytest.mark.parametrize("name", LOADED.policies)
def test_facts_are_found_for_each_shipped_policy(name: str) -> None:
    """A witness is one: the policy applies to it, as Cedar says."""
    policy = LOADED.policies[name]
    for action in policy.actions:
        found = witness(LOADED, policy, action)
        assert found is not None
        assert applies(LOADED, policy, action, found)
