"""A decision taken apart: every policy of the action, whether it applies, why, and what would change that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from jupyter_quantum.pipeline.policy.conditions import SCOPE, holding
from jupyter_quantum.pipeline.policy.facts import request_of
from jupyter_quantum.pipeline.policy.files import Loaded, Policy
from jupyter_quantum.pipeline.policy.phrases import because, said, wanted

__all__ = ["Rule", "explain"]


@dataclass(frozen=True, slots=True)
class Rule:
    """One policy and these facts."""

    policy: str
    effect: Literal["permit", "forbid"]
    approval: str | None
    applies: bool
    words: str
    """Why it applies or not, in words."""
    change: str
    """What would have to be otherwise: for a permit to apply, for a forbid not to. Empty where nothing need be."""


def explain(loaded: Loaded, action: str, context: Mapping[str, Any]) -> list[Rule]:
    """Every policy that speaks of the action: those that apply first, forbids before permits."""
    rules = [_rule(loaded, policy, action, context) for policy in loaded.policies.values() if action in policy.actions]
    return sorted(rules, key=lambda rule: (not rule.applies, rule.effect == "permit", rule.policy))


def _rule(loaded: Loaded, policy: Policy, action: str, context: Mapping[str, Any]) -> Rule:
    holds = holding(policy.condition, request_of(action, context), loaded.schema)
    parts = policy.condition.parts
    missing = [part for part in parts if part.number not in holds]
    applies = SCOPE in holds and not missing
    if SCOPE not in holds:
        return Rule(policy.id, policy.effect, policy.approval, False, "It speaks of somebody or something else.", "")
    if applies and policy.effect == "forbid":
        return Rule(
            policy.id, "forbid", policy.approval, True, because(policy, context, holds), wanted(parts, holds, False)
        )
    words = said(parts if applies else missing, parts, context, holds) or "always"
    change = wanted(missing, holds, True) if policy.effect == "permit" and missing else ""
    return Rule(policy.id, policy.effect, policy.approval, applies, words, change)
