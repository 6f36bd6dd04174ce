"""What an author should know before policies go into force: errors that loading finds, and rules that never apply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jupyter_quantum.pipeline.policy.cases import Case, read_cases, run_cases
from jupyter_quantum.pipeline.policy.files import Loaded, Policy, PolicyBroken, load, read
from jupyter_quantum.pipeline.policy.witness import witness

__all__ = ["Finding", "check"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong (error), or that may be (warning)."""

    level: Literal["error", "warning"]
    policy: str | None
    words: str


def check(directory: Path) -> tuple[Loaded | None, list[Finding]]:
    """Everything that is to be said about a directory; the set where it can be loaded."""
    try:
        loaded = load(read(directory))
    except PolicyBroken as error:
        return None, [Finding("error", None, str(error))]
    try:
        cases = read_cases(directory)
    except PolicyBroken as error:
        return loaded, [Finding("error", None, f"tests: {error}"), *_unreachable(loaded)]
    return loaded, [*_unreachable(loaded), *_closed(loaded), *_untested(loaded, cases)]


def _unreachable(loaded: Loaded) -> Iterator[Finding]:
    """Rules for whose condition no facts are found."""
    for policy in loaded.policies.values():
        if not policy.actions:
            yield Finding("error", policy.id, "speaks of no action that the schema declares")
        elif not any(_may_apply(loaded, policy, action) for action in sorted(policy.actions)):
            yield Finding("error", policy.id, f"this {policy.effect} can never apply: no facts meet its condition")


def _may_apply(loaded: Loaded, policy: Policy, action: str) -> bool:
    return witness(loaded, policy, action) is not None


def _closed(loaded: Loaded) -> Iterator[Finding]:
    """Actions that nothing permits."""
    for action in sorted(loaded.facts):
        if not any(policy.effect == "permit" and action in policy.actions for policy in loaded.policies.values()):
            yield Finding("warning", None, f"nothing permits the action {action}, so that it is always refused")


def _untested(loaded: Loaded, cases: Sequence[Case]) -> Iterator[Finding]:
    """Policies that no test has seen decide."""
    decided = {i for outcome in run_cases(loaded, cases) if outcome.decision for i in outcome.decision.policies}
    for name in sorted(loaded.policies.keys() - decided):
        yield Finding("warning", name, "no test has this policy decide")
