"""Policies without words of their own: what decided, what nearly did, and whose approvals are needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.pipeline.policy import Policies, PolicyBroken, context_of
from jupyter_quantum.pipeline.policy.engine import evaluate
from jupyter_quantum.pipeline.policy.files import Loaded, load, read
from jupyter_quantum.pipeline.policy.witness import witness

from .test_pipeline_policy import FACTS, SHIPPED, SPACE

SCHEMA = (SHIPPED / "schema.cedarschema").read_bytes()
ALL = '@id("all") permit (principal, action == Action::"submit", resource);\n'


def policies(text: str, schema: bytes = SCHEMA) -> Loaded:
    """A set of one file."""
    return load([("schema.cedarschema", schema), ("10.cedar", text.encode())])


def ask(text: str, **facts: Any) -> Any:
    """What this set says to ada's circuit on the QPU, with these facts changed."""
    return evaluate(policies(text), "submit", context_of(replace(FACTS, **facts)))


def permit(condition: str) -> str:
    """One permit with this condition."""
    return f'@id("one") permit (principal, action == Action::"submit", resource) when {{ {condition} }};'


NEAR: Mapping[str, tuple[str, dict[str, Any], str, str]] = {
    "limit": (
        'context.tier == "sandbox" && context.shots <= 10000',
        {"shots": 20_000},
        f"shots 20{SPACE}000 is over 10{SPACE}000 in the sandbox tier",
        f"shots at most 10{SPACE}000",
    ),
    "mirrored": ("2 > context.num_qubits", {}, "qubits 2 is exactly 2", "qubits under 2"),
    "text": (
        'context.device_kind == "simulator"',
        {},
        "the device kind is qpu, not simulator",
        "the device kind simulator",
    ),
    "one of": (
        '["lead", "operator"].contains(context.role)',
        {},
        "the role is user, not lead or operator",
        "the role lead or operator",
    ),
    "flag": (
        "context.validated",
        {"validated": False},
        "the circuits are not validated for this device",
        "the circuits are validated",
    ),
    "not": ('!(context.tier == "sandbox")', {}, "the tier is sandbox", "the tier other than sandbox"),
    "either": (
        "context.mfa || context.price < 1000000",
        {},
        "not signed in with a second factor and the estimate 6.10 credits is over 1.00 credits",
        "signed in with a second factor or the estimate under 1.00 credits",
    ),
    "group": (
        'context.groups.contains("staff")',
        {},
        "not a member of the group staff",
        "staff among groups",
    ),
    "region": (
        "context.regions.contains(context.region)",
        {"regions": frozenset({"eu", "us"})},
        "the device's region local is not among the project's regions (eu, us)",
        "the device's region among the project's regions",
    ),
    "two facts": (
        "context.price_at_most <= context.price",
        {},
        "the most that it may cost 6.58 credits is over the estimate 6.10 credits",
        "the most that it may cost at most the estimate",
    ),
    "day": ("context.weekday == 7", {}, "the day Tuesday is under Sunday", "the day Sunday"),
    "other": (
        'if context.mfa then true else context.vendor like "aws*"',
        {},
        "its condition does not hold (mfa is False, the vendor is ibm)",
        "another value of mfa and the vendor",
    ),
}


@pytest.mark.parametrize("case", NEAR)
def test_a_near_miss_says_what_is_missing_and_what_would_help(case: str) -> None:
    """The condition that fails is put into words from the policy's own expression, and so is what would mend it."""
    condition, facts, words, change = NEAR[case]
    made = ask(permit(condition), **facts)
    assert (made.effect, made.code) == ("refuse", "policy.default")
    assert [(near.policy, near.words, near.change) for near in made.near] == [("one", words, change)]
    assert f": {words}. " in made.words


def test_only_the_closest_are_named() -> None:
    """A permit that fails in one condition is named, one that fails in two is not, one for another action is not."""
    text = permit("context.validated && context.mfa") + (
        '@id("far") permit (principal, action == Action::"submit", resource) when { context.mfa && context.shots < 9 };'
        '@id("export") permit (principal, action == Action::"export", resource) when { context.mfa };'
        '@id("bob") permit (principal == User::"bob", action, resource) when { context.mfa };'
    )
    assert [near.policy for near in ask(text).near] == ["one"]


def test_a_forbid_without_words_explains_itself() -> None:
    """Its condition is the reason; what speaks of approvals is left out."""
    text = ALL + '@id("few") forbid (principal, action == Action::"submit", resource) when { context.tier == "sandbox" '
    assert ask(text + "&& context.shots > 500 };").words == (
        f"The rule few does not allow this: shots 1{SPACE}000 is over 500 in the sandbox tier."
    )
    gate = text.replace('@id("few")', '@id("few") @approval("operator")')
    made = ask(gate + '&& context.depth > 9 } unless { context.approvals.contains("operator") };')
    assert made.words == "Needs an operator's approval because depth 11 is over 9 in the sandbox tier."
    assert made.roles == ("operator",)


GATES = ALL + "".join(
    f'@id("ask-{role}") @approval("{role}") @words("{role} reasons") forbid (principal, action, resource) '
    f'unless {{ context.approvals.contains("{role}") }};\n'
    for role in ("lead", "operator")
)


def test_several_roles_may_be_needed_at_once() -> None:
    """Each gate is named with its words; one approval leaves the other, both allow."""
    made = ask(GATES)
    assert (made.effect, made.roles) == ("needs_approval", ("lead", "operator"))
    assert made.policies == ("ask-lead", "ask-operator")
    assert made.words == (
        "Needs a lead's approval because lead reasons. Needs an operator's approval because operator reasons."
    )
    assert ask(GATES, approvals=frozenset({"lead"})).roles == ("operator",)
    assert ask(GATES, approvals=frozenset({"lead", "operator"})).effect == "allow"


def test_a_gate_behind_a_gate_is_found() -> None:
    """Where a lead's approval brings up the operator's gate, both are asked at once."""
    gate = 'unless { context.approvals.contains("operator")'
    text = GATES.replace(gate, f'when {{ context.approvals.contains("lead") }} {gate}')
    assert ask(text).roles == ("lead", "operator")


def test_nobody_is_asked_for_what_nobody_permits() -> None:
    """Gates without a permit behind them: a refusal, not a request that could not help."""
    text = GATES.replace(ALL, permit("context.mfa"))
    assert (ask(text).effect, ask(text).code) == ("refuse", "policy.default")


BROKEN = {
    "never lifted": (
        '@id("x") @approval("lead") forbid (principal, action, resource) '
        'unless { context.approvals.contains("admin") };',
        "no approval lifts it",
    ),
    "personal": (
        '@id("x") @words("{user}") forbid (principal, action, resource);',
        "do not name user",
    ),
    "other action's fact": (
        '@id("x") @words("{shots}") forbid (principal, action == Action::"export", resource);',
        "shots, which is no fact",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_could_never_be_right_is_refused_at_loading(case: str) -> None:
    """A gate that nothing opens, words with a person in them or with another action's fact."""
    text, said = BROKEN[case]
    with pytest.raises(PolicyBroken, match=said):
        policies(ALL + text)


def test_an_optional_fact_is_refused() -> None:
    """A fact that may be absent could be skipped in silence."""
    with pytest.raises(PolicyBroken, match="mfa must not be optional"):
        policies(ALL, SCHEMA.replace(b'"mfa": Bool', b'"mfa"?: Bool'))


def test_the_shipped_policies_say_why_hardware_is_not_for_a_guest() -> None:
    """On the shipped files: the closest permit is the one for hardware."""
    made = Policies(SHIPPED).decide(replace(FACTS, role="guest"))
    assert made.words == (
        "No policy allows qcourse to submit on campus_qpu (qpu): the role is guest, not user or lead. "
        "Choose another device, or ask the operators."
    )
    assert Policies(SHIPPED).decide(replace(FACTS, device_kind=DeviceKind.QPU, validated=False)).near[0].words == (
        "the circuits are not validated for this device"
    )


def test_the_examples_in_the_comments_are_policies() -> None:
    """What an operator takes out of its comment loads beside the rest, and may apply."""
    files = [SHIPPED / "20-limits.cedar", SHIPPED / "25-at-the-limit.cedar"]
    lines = [line for file in files for line in file.read_text().partition("// Examples")[2].splitlines()]
    code = [line.removeprefix("//")[1:] for line in lines]
    text = "\n".join(line for line in code if line.startswith(("@", "forbid", "permit", "when", "  ", "}")))
    loaded = load([*read(SHIPPED), ("50-examples.cedar", text.encode())])
    for name, action in (("mfa-over-50", "submit"), ("teaching-hours", "submit"), ("emulators-wait", "wait")):
        assert witness(loaded, loaded.policies[name], action) is not None
