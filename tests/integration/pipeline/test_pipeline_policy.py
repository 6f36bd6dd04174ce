"""Policy for people on a real store: what is in force, a job explained, a month of decisions under other files."""

from __future__ import annotations

import pytest

from jupyter_quantum.exceptions import InputError, NotFound, PolicyRefused, Refused
from jupyter_quantum.testing.runner import MemoryRunner
from jupyter_quantum.wire.jobs import ApprovalDecision
from jupyter_quantum.wire.policy import PolicyFiles

from .conftest import ADA, BEN, EVE, GRACE, OTTO, POLICIES, House, request

SPACE = "\u202f"


def files(**changed: str) -> dict[str, str]:
    """The shipped files, with some texts replaced: ``limits="…"`` for ``20-limits.cedar``."""
    found = {path.name: path.read_text() for path in (POLICIES / "schema.cedarschema", *POLICIES.glob("*.cedar"))}
    return found | {name: text for key, text in changed.items() for name in found if key in name}


async def test_the_rules_in_force_are_shown(house: House) -> None:
    """Everybody of a project sees the rules, staff their files; a stranger neither."""
    seen = await house.pipeline.policy.show(ADA)
    assert {rule.id for rule in seen.rules} >= {"sandbox-shots", "qpu-over-5"}
    assert (seen.files, seen.facts["submit"]["shots"]) == (None, "Long")
    assert (await house.pipeline.policy.show(OTTO)).files == files()
    with pytest.raises(Refused):
        await house.pipeline.policy.show(EVE)


async def test_a_job_is_explained(house: House, runner: MemoryRunner) -> None:
    """Which policies, on which facts, and what would have to change; for its owner and leads alone."""
    job = await house.pipeline.submit(ADA, request("campus_qpu"), key=None, wait_s=0)
    found = await house.pipeline.policy.explain(ADA, job.id)
    assert [(made.effect, made.policies, made.roles) for made in found.made] == [
        ("needs_approval", ["qpu-over-5"], ["lead"])
    ]
    assert (found.facts["user"], found.facts["shots"], found.changed) == ("ada", 1000, False)
    assert found.now is not None
    assert found.now.effect == "needs_approval"
    rules = {rule.policy: rule for rule in found.rules}
    assert rules["qpu-over-5"].applies
    assert "the estimate at most 5.00 credits" in rules["qpu-over-5"].change
    assert not rules["sandbox-shots"].applies
    assert rules["emulators-within-quota"].words.startswith("the device kind is qpu, not emulator")
    assert (await house.pipeline.policy.explain(GRACE, job.id)).job == job.id
    for stranger in (BEN, EVE, OTTO):
        with pytest.raises(NotFound):
            await house.pipeline.policy.explain(stranger, job.id)


async def test_other_files_are_tried_on_what_was_decided(house: House, runner: MemoryRunner) -> None:
    """Who would win, who would lose, how many, with examples in the users' names; nothing is changed by it."""
    submit = house.pipeline.submit
    await submit(ADA, request("fake_torino", 600), key=None, wait_s=5)
    with pytest.raises(PolicyRefused):
        await submit(BEN, request("fake_torino", 20_000), key=None, wait_s=0)
    await submit(BEN, request("campus_qpu"), key=None, wait_s=0)
    (asked,) = (await house.pipeline.approvals(GRACE)).approvals
    await house.pipeline.decide(GRACE, asked.id, ApprovalDecision(verdict="approve"))
    same = await house.pipeline.policy.replay(OTTO, PolicyFiles(files=files()))
    assert (same.total, same.same, same.moves) == (4, 4, {})
    limits = files()["20-limits.cedar"]
    stricter = files(limits=limits.replace("10000", "500").replace("10 000", "500"))
    found = await house.pipeline.policy.replay(OTTO, PolicyFiles(files=stricter))
    assert found.moves == {"allow → refuse": 2, "needs_approval → refuse": 1}
    assert [(one.person, one.wins, one.loses) for one in found.people] == [("ben", 0, 2), ("ada", 0, 1)]
    assert {(one.person, one.before, one.after) for one in found.loses} == {
        ("ada", "allow", "refuse"),
        ("ben", "allow", "refuse"),
        ("ben", "needs_approval", "refuse"),
    }
    assert found.loses[0].words == f"1{SPACE}000 shots is over 500 in the sandbox tier."
    looser = files(limits=limits.replace("10000", "50000").replace("10 000", "50 000"))
    wins = (await house.pipeline.policy.replay(OTTO, PolicyFiles(files=looser))).wins
    assert [(one.person, one.before, one.after, one.policies) for one in wins] == [
        ("ben", "refuse", "allow", ["emulators-within-quota"])
    ]
    assert house.pipeline.policy is not None
    assert (await house.pipeline.policy.replay(OTTO, PolicyFiles(files=files(), days=1e-9))).total == 0


async def test_files_that_cannot_be_used_are_refused_in_words(house: House) -> None:
    """Broken ones, ones without a schema; and whoever does not operate."""
    with pytest.raises(InputError, match="policies"):
        await house.pipeline.policy.replay(OTTO, PolicyFiles(files=files(limits="permit (")))
    with pytest.raises(InputError, match="schema"):
        await house.pipeline.policy.replay(OTTO, PolicyFiles(files={"10.cedar": "permit ("}))
    for who in (ADA, GRACE):
        with pytest.raises(Refused):
            await house.pipeline.policy.replay(who, PolicyFiles(files=files()))


async def test_a_new_fact_in_the_schema_loses_everything_and_says_so(house: House, runner: MemoryRunner) -> None:
    """Old decisions lack the fact: under such files they could not be decided, which is a refusal."""
    await house.pipeline.submit(ADA, request("aer"), key=None, wait_s=5)
    more = files()
    more["schema.cedarschema"] = more["schema.cedarschema"].replace('"user": String,', '"user": String, "extra": Bool,')
    more["schema.cedarschema"] = more["schema.cedarschema"].replace(', "extra"', ',\n  "extra"')
    found = await house.pipeline.policy.replay(OTTO, PolicyFiles(files=more))
    assert found.moves == {"allow → refuse": 1}
    assert found.loses[0].words.startswith("Policy could not decide")
