"""The policy engine on the policies that are shipped: what it says, in which words, and that it fails closed."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from jupyter_quantum.core.facts import Facts
from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.pipeline.policy import Policies, PolicyBroken, context_of

SHIPPED = Path(__file__).parents[3] / "hub_config" / "policies"
SPACE = "\u202f"
FACTS = Facts(
    user="ada",
    groups=frozenset({"qcourse"}),
    role="user",
    organisation="campus",
    project="qcourse",
    tier="sandbox",
    action="submit",
    device="campus_qpu",
    device_kind=DeviceKind.QPU,
    vendor="ibm",
    region="local",
    regions=frozenset(),
    data_class="internal",
    num_qubits=2,
    depth=11,
    shots=1000,
    executions=1000,
    price=6_100_000,
    price_at_most=6_580_000,
    validated=True,
    mfa=False,
    approvals=frozenset(),
    now=datetime(2026, 5, 12, 14, 30, tzinfo=ZoneInfo("Europe/Berlin")),
)
# For each policy, facts that it decides alone.
DECIDED_BY = {
    "simulators-for-members": replace(FACTS, device_kind=DeviceKind.SIMULATOR, price=0),
    "emulators-within-quota": replace(FACTS, device_kind=DeviceKind.EMULATOR, price=420_000),
    "hardware-when-validated": replace(FACTS, approvals=frozenset({"lead"})),
    "sandbox-shots": replace(FACTS, shots=20_000, device_kind=DeviceKind.EMULATOR),
    "qpu-over-5": FACTS,
}
MISTYPED: dict[type, Any] = {str: 7, int: "many", bool: "yes", list: "lead"}


@pytest.fixture(scope="module")
def shipped() -> Policies:
    """The engine with the shipped files."""
    return Policies(SHIPPED)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """A copy of the shipped files that a test may spoil."""
    return Path(shutil.copytree(SHIPPED, tmp_path / "policies"))


@pytest.mark.parametrize("policy", DECIDED_BY)
def test_each_policy_is_named_where_it_decides(shipped: Policies, policy: str) -> None:
    """A decision names the policy that made it, and the facts that it looked at."""
    made = shipped.decide(DECIDED_BY[policy])
    assert made.policies == (policy,)
    assert "device_kind" in made.deciding or "tier" in made.deciding
    assert made.version == shipped.version


@pytest.mark.parametrize("policy", DECIDED_BY)
@pytest.mark.parametrize("fact", context_of(FACTS))
def test_a_missing_or_mistyped_fact_is_a_refusal(shipped: Policies, policy: str, fact: str) -> None:
    """For every policy and every fact: without it, or with another type, the answer is a refusal with a code."""
    context = context_of(DECIDED_BY[policy])
    missing = {name: value for name, value in context.items() if name != fact}
    mistyped = context | {fact: MISTYPED[type(context[fact])]}
    for spoiled in (missing, mistyped, context | {fact: None}):
        made = shipped.evaluate("submit", spoiled)
        assert made.effect == "refuse"
        assert made.code == "policy.error"
        assert made.roles == ()


def test_an_unknown_fact_or_action_is_a_refusal(shipped: Policies) -> None:
    """More than the schema knows is not ignored."""
    context = context_of(DECIDED_BY["simulators-for-members"])
    assert shipped.evaluate("submit", context | {"extra": 1}).code == "policy.error"
    assert shipped.evaluate("launch", context).code == "policy.error"
    assert shipped.evaluate("export", context).code == "policy.error"


def test_facts_that_cannot_be_read_are_a_refusal(shipped: Policies) -> None:
    """A defect before Cedar refuses as well."""
    assert shipped.decide(replace(FACTS, now=None)).code == "policy.error"  # type: ignore[arg-type]


def test_words_name_cause_and_limit(shipped: Policies) -> None:
    """The sentences are those of the UX guide, numbers as people read them."""
    over = shipped.decide(DECIDED_BY["sandbox-shots"])
    assert over.words == f"20{SPACE}000 shots is over 10{SPACE}000 in the sandbox tier."
    assert over.code == "policy.sandbox-shots"
    asks = shipped.decide(FACTS)
    assert asks.words == "Needs a lead's approval because the estimate, 6.10 credits, is over 5."
    assert (asks.effect, asks.roles, asks.role) == ("needs_approval", ("lead",), "lead")
    assert asks.deciding["price"] == 6_100_000


def test_an_approval_lifts_only_what_it_may_lift(shipped: Policies) -> None:
    """A gate opens with its approval; a limit beside it stays, and then nobody is asked."""
    assert shipped.decide(replace(FACTS, approvals=frozenset({"lead"}))).effect == "allow"
    assert shipped.decide(replace(FACTS, approvals=frozenset({"user"}))).effect == "needs_approval"
    both = shipped.decide(replace(FACTS, shots=20_000))
    assert (both.effect, both.code) == ("refuse", "policy.sandbox-shots")
    stranger = shipped.decide(replace(FACTS, role="guest"))
    assert (stranger.effect, stranger.code) == ("refuse", "policy.default")
    unchecked = shipped.decide(replace(FACTS, validated=False))
    assert (unchecked.effect, unchecked.code) == ("refuse", "policy.default")


BROKEN = {
    "duplicate": ('@id("sandbox-shots") permit (principal, action, resource);', "sandbox-shots"),
    "no id": ("permit (principal, action, resource);", "no @id"),
    "misspelt": ('@id("x") forbid (principal, action, resource) when { context.shot > 1 };', "shot"),
    "mistyped": ('@id("x") forbid (principal, action, resource) when { context.shots > "1" };', "x"),
    "annotation": ('@id("x") @aproval("lead") forbid (principal, action, resource);', "aproval"),
    "approval": ('@id("x") @approval("lead") permit (principal, action, resource);', "@approval"),
    "role": ('@id("x") @approval("dean") forbid (principal, action, resource);', "nobody can hold"),
    "words": ('@id("x") @words("{shot}") forbid (principal, action, resource);', "shot"),
    "template": ('@id("x") permit (principal == ?principal, action, resource);', "template"),
    "syntax": ("permit (", "policies"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_file_is_refused_and_the_last_good_set_stays(directory: Path, case: str) -> None:
    """At a reload the old set stays in force and the problem is said; at a start it is an error."""
    text, said = BROKEN[case]
    engine = Policies(directory)
    before = engine.version
    (directory / "99-broken.cedar").write_text(text)
    assert engine.refresh() is False
    assert engine.version == before
    assert said in (engine.problem or "")
    assert engine.decide(FACTS).effect == "needs_approval"
    with pytest.raises(PolicyBroken, match=said):
        Policies(directory)


def test_a_changed_file_is_in_force_without_a_restart(directory: Path) -> None:
    """A new limit is a new version; an unchanged directory is not read again."""
    engine = Policies(directory)
    before = engine.version
    assert engine.refresh() is False
    limits = directory / "20-limits.cedar"
    limits.write_text(limits.read_text().replace("> 10000", "> 500").replace("10 000", "500"))
    os.utime(limits, ns=(1, 1))
    assert engine.refresh() is True
    assert engine.version != before
    assert engine.decide(FACTS).words == f"1{SPACE}000 shots is over 500 in the sandbox tier."


def test_no_policy_at_all_is_an_error(directory: Path) -> None:
    """An empty directory is not an open door."""
    for path in directory.glob("*.cedar"):
        path.unlink()
    with pytest.raises(PolicyBroken, match="no policy"):
        Policies(directory)
