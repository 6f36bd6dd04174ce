"""Approvals bind envelopes: several people, standing approvals, budgets, and who is asked again."""

from __future__ import annotations

import json
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, InputError, NotFound, Refused
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.testing.runner import MemoryRunner, announcement
from jupyter_quantum.wire.approvals import ApprovalsDecision, Revoke
from jupyter_quantum.wire.devices import DeviceAction
from jupyter_quantum.wire.jobs import ApprovalDecision, ApprovalView, JobView, Pub, Standing
from jupyter_quantum.wire.reports import ReportRequest
from jupyter_quantum.wire.requests import Ask, Decision

from .conftest import ADA, BEN, COURSE, EVE, GRACE, HEDY, LISE, OTTO, House, person, request, running, until

APPROVE = ApprovalDecision(verdict="approve")
TOMORROW = datetime.now(UTC) + timedelta(days=1)
OPERATORS_TOO = (
    '@id("operators-too") @approval("operator") @words("it is Friday") '
    'forbid (principal, action == Action::"submit", resource) when { context.device_kind == "qpu" } '
    'unless { context.approvals.contains("operator") };'
)
FORMER_LEAD = replace(GRACE, groups=frozenset({"qcourse"}))


async def submit(house: House, who: Principal = ADA, shots: int = 1000, **fields: Any) -> JobView:
    """A job on the QPU."""
    return await house.pipeline.submit(who, request("campus_qpu", shots, **fields), key=None, wait_s=0)


async def requests(house: House, who: Principal = GRACE) -> list[ApprovalView]:
    """What is open for somebody."""
    return (await house.pipeline.approvals(who)).approvals


async def in_state(house: House, job: str, state: JobState, who: Principal = ADA) -> JobView:
    """The job, once it is there."""

    async def there() -> JobView | None:
        found = await house.pipeline.job(who, job)
        return found if found.state is state else None

    found: JobView = await until(there)
    await house.ledger()
    return found


@pytest.fixture
async def policies(settings: Settings, tmp_path: Path) -> Path:
    """A copy of the shipped policies, which a test may change."""
    return Path(shutil.copytree(settings.policies, tmp_path / "policies"))


@pytest.fixture
async def strict(settings: Settings, policies: Path) -> AsyncIterator[House]:
    """A service whose policies ask an operator, too."""
    (policies / "90-more.cedar").write_text(OPERATORS_TOO)
    async with running(settings, policies=policies) as house, house.runner():
        yield house


async def changed(house: House, policies: Path, text: str) -> None:
    """Add a policy, and wait until it is in force."""
    before = (await house.pipeline.report(ADA, ReportRequest(circuits=request().circuits, devices=["aer"]))).policy
    (policies / "91-new.cedar").write_text(text)

    async def other() -> bool:
        report = await house.pipeline.report(ADA, ReportRequest(circuits=request().circuits, devices=["aer"]))
        return report.policy != before

    await until(other)


# Several people


async def test_each_role_is_decided_by_another_person(strict: House) -> None:
    """Two requests; whoever holds both roles decides one of them only; the second approval starts the job."""
    job = await submit(strict)
    assert job.decision is not None
    assert job.decision.roles == ["lead", "operator"]
    both = person("both", "qcourse", "qcourse-leads", "quantum-operators", interactive=True)
    mine, theirs = sorted(await requests(strict, both), key=lambda row: row.role)
    assert (mine.role, theirs.role, mine.may_decide, theirs.may_decide) == ("lead", "operator", True, True)
    assert [row.role for row in await requests(strict, OTTO)] == ["operator"]
    await strict.pipeline.decide(both, mine.id, APPROVE)
    assert (await strict.pipeline.job(ADA, job.id)).state is JobState.AWAITING_APPROVAL
    with pytest.raises(Refused) as caught:
        await strict.pipeline.decide(both, theirs.id, APPROVE)
    assert caught.value.code == "approval.same"
    with pytest.raises(Refused) as caught:
        await strict.pipeline.decide(GRACE, theirs.id, APPROVE)
    assert caught.value.code == "approval.role"
    await strict.pipeline.decide(OTTO, theirs.id, APPROVE)
    done = await in_state(strict, job.id, JobState.COMPLETED)
    assert done.approval in (mine.id, theirs.id)
    assert (await strict.pipeline.provenance(ADA, job.id)).approver == "both, otto"


async def test_one_no_ends_it_for_all(strict: House) -> None:
    """A rejection withdraws what the others were asked; cancelling does, too."""
    job = await submit(strict)
    (row,) = await requests(strict, OTTO)
    await strict.pipeline.decide(OTTO, row.id, ApprovalDecision(verdict="reject", note="Maintenance."))
    assert (await in_state(strict, job.id, JobState.REJECTED)).on_hold == 0
    states = {row.role: row.state for row in (await strict.pipeline.approvals(ADA, state="all")).approvals}
    assert states == {"lead": "withdrawn", "operator": "rejected"}
    await strict.pipeline.cancel(ADA, (await submit(strict)).id)
    assert await requests(strict, ADA) == []


async def test_several_are_decided_at_once_and_each_for_itself(house: House, runner: MemoryRunner) -> None:
    """Two go on; an id of nobody's and one's own request are answered as they would be alone."""
    jobs = [await submit(house, who) for who in (ADA, BEN, FORMER_LEAD)]
    ids = [row.id for row in await requests(house)]
    answer = ApprovalsDecision(ids=[*ids, "apr_none"], verdict="approve")
    decided = (await house.pipeline.decide_several(GRACE, answer)).decided
    assert [one.approval.state if one.approval else one.error and one.error.code for one in decided] == [
        "approved",
        "approved",
        "approval.own",
        "absent",
    ]
    for job, who in zip(jobs[:2], (ADA, BEN), strict=True):
        await in_state(house, job.id, JobState.COMPLETED, who)
    with pytest.raises(NotFound):
        await house.pipeline.decide(EVE, ids[2], APPROVE)


async def test_the_owner_of_a_project_may_be_asked(settings: Settings, policies: Path) -> None:
    """The declared owner decides, whoever else leads."""
    (policies / "30-approval.cedar").write_text(OPERATORS_TOO.replace("operator", "owner"))
    project = replace(COURSE, owner="hedy")
    async with running(settings, policies=policies, projects={"qcourse": project}) as house, house.runner():
        job = await submit(house)
        (row,) = await requests(house, HEDY)
        assert (row.role, (await requests(house, GRACE))[0].may_decide) == ("owner", False)
        await house.pipeline.decide(HEDY, row.id, APPROVE)
        await in_state(house, job.id, JobState.COMPLETED)
        with pytest.raises(Refused, match="has no other owner than you") as caught:
            await submit(house, HEDY)
        assert caught.value.code == "approval.nobody"
    async with running(settings, policies=policies, projects={"qcourse": COURSE}) as house, house.runner():
        with pytest.raises(Refused, match="has no owner"):
            await submit(house)


# Envelopes


def pub(value: float) -> Pub:
    """A PUB with one parameter."""
    return Pub(circuit=0, parameters=[value], shots=1000)


async def test_a_standing_approval_spares_later_requests(house: House, runner: MemoryRunner) -> None:
    """The same template with other parameters goes on, up to the amount; other circuits, options, people ask."""
    job = await submit(house, kind="sampler", pubs=[pub(0.1)])
    (row,) = await requests(house)
    standing = Standing(until=TOMORROW, amount=14 * CREDIT, free_parameters=True)
    await house.pipeline.decide(GRACE, row.id, ApprovalDecision(verdict="approve", standing=standing))
    assert (await in_state(house, job.id, JobState.COMPLETED)).envelope is None
    (env,) = (await house.pipeline.envelopes.list(ADA)).envelopes
    assert (env.kind, env.source, env.price_cap, env.origin) == ("circuit", job.source, job.price_at_most, row.id)
    again = await submit(house, kind="sampler", pubs=[pub(0.2)])
    assert (again.approval, again.envelope) == (None, env.id)
    assert again.decision is not None
    assert (again.decision.effect, again.decision.policies) == ("allow", ["hardware-when-validated"])
    assert (await house.pipeline.provenance(ADA, again.id)).approver == "grace"
    done = await in_state(house, again.id, JobState.COMPLETED)
    seen = await house.pipeline.envelopes.get(GRACE, env.id)
    assert (seen.held, seen.used, seen.jobs) == (0, done.cost, [again.id])
    waiting = [
        await submit(house, kind="sampler", pubs=[pub(0.2)], data=b"n=3"),
        await submit(house, kind="sampler", pubs=[pub(0.2)], options={"shots": 1000, "memory": True}),
        await submit(house, BEN, kind="sampler", pubs=[pub(0.2)]),
    ]
    assert {one.state for one in waiting} == {JobState.AWAITING_APPROVAL}
    runner.hold()
    second = await submit(house, kind="sampler", pubs=[pub(0.3)])
    third = await submit(house, kind="sampler", pubs=[pub(0.4)])
    assert (second.envelope, third.envelope, third.state) == (env.id, None, JobState.AWAITING_APPROVAL)
    runner.go()


async def test_without_free_parameters_only_the_same_goes_on(house: House, runner: MemoryRunner) -> None:
    """An approval of these values is none of others; one that was revoked covers nothing."""
    await submit(house, kind="sampler", pubs=[pub(0.1)])
    (row,) = await requests(house)
    past = Standing(until=TOMORROW - timedelta(days=9))
    with pytest.raises(InputError):
        await house.pipeline.decide(GRACE, row.id, ApprovalDecision(verdict="approve", standing=past))
    standing = Standing(until=TOMORROW)
    await house.pipeline.decide(GRACE, row.id, ApprovalDecision(verdict="approve", standing=standing))
    same = await submit(house, kind="sampler", pubs=[pub(0.1)])
    assert same.envelope is not None
    assert (await submit(house, kind="sampler", pubs=[pub(0.2)])).state is JobState.AWAITING_APPROVAL
    with pytest.raises(Refused):
        await house.pipeline.envelopes.revoke(BEN, same.envelope, Revoke())
    with pytest.raises(NotFound):
        await house.pipeline.envelopes.revoke(LISE, same.envelope, Revoke())
    assert (await house.pipeline.envelopes.revoke(GRACE, same.envelope, Revoke(note="Enough."))).state == "revoked"
    assert (await submit(house, kind="sampler", pubs=[pub(0.1)])).state is JobState.AWAITING_APPROVAL
    assert (await house.pipeline.envelopes.list(ADA)).envelopes == []
    assert len((await house.pipeline.envelopes.list(ADA, ended=True)).envelopes) == 1


async def budget(house: House, amount: int = 14 * CREDIT, **body: Any) -> str:
    """A budget for qcourse on the QPU that ada asked for and grace approved; the envelope's id."""
    asked = Ask(
        kind="budget",
        project="qcourse",
        reason="the workshop",
        body={"device": "campus_qpu", "amount": amount, "until": TOMORROW.isoformat(), **body},
    )
    view = await house.pipeline.requests.ask(ADA, asked)
    assert "Members of qcourse may spend 14.00 credits on campus_qpu until" in view.words
    decided = await house.pipeline.requests.decide(GRACE, view.id, Decision(verdict="approve"))
    return str(decided.outcome["envelope"])


async def test_a_projects_budget_lets_its_members_go_on(house: House, runner: MemoryRunner) -> None:
    """Any member, any circuit, until it is used up; what a cancelled job held comes back; other devices ask."""
    env = await budget(house)
    asked = ReportRequest(circuits=request().circuits, options={"shots": 1000}, devices=["campus_qpu"])
    (row,) = (await house.pipeline.report(BEN, asked)).rows
    assert row.decision is not None
    assert (row.decision.effect, row.decision.words) == ("allow", "Allowed, as it was approved ahead.")
    runner.hold()
    first, second, third = [await submit(house, who) for who in (ADA, BEN, ADA)]
    assert (first.envelope, second.envelope, third.state) == (env, env, JobState.AWAITING_APPROVAL)
    await house.pipeline.cancel(BEN, second.id)
    assert (await submit(house, BEN)).envelope == env
    runner.go()
    done = await in_state(house, first.id, JobState.COMPLETED)
    await until(lambda: len(runner.executed) == 2)
    view = await house.pipeline.envelopes.get(ADA, env)
    assert view.used >= (done.cost or 0) > 0
    with pytest.raises(NotFound):
        await house.pipeline.envelopes.get(LISE, env)


async def test_a_budget_asks_with_care(house: House, runner: MemoryRunner) -> None:
    """For members only, of a device that exists, with an end ahead; a cap for each job binds."""
    for who, body, error in (
        (LISE, {}, NotFound),
        (ADA, {"device": "nothing"}, NotFound),
        (ADA, {"until": (TOMORROW - timedelta(days=9)).isoformat()}, InputError),
        (ADA, {"role": "dean"}, InputError),
        (ADA, {"amount": 0}, InputError),
    ):
        whole = {"device": "campus_qpu", "amount": CREDIT, "until": TOMORROW.isoformat(), **body}
        with pytest.raises(error):
            await house.pipeline.requests.ask(who, Ask(kind="budget", project="qcourse", body=whole))
    await budget(house, price_cap=CREDIT)
    assert (await submit(house)).state is JobState.AWAITING_APPROVAL


# Asked again


async def held_back(house: House, runner: MemoryRunner) -> JobView:
    """An approved job that waits behind a pause of the QPU."""
    await house.pipeline.act_on_device(OTTO, "campus_qpu", DeviceAction(action="pause"))
    job = await submit(house)
    (row,) = await requests(house)
    await house.pipeline.decide(GRACE, row.id, APPROVE)
    return await in_state(house, job.id, JobState.QUEUED)


async def recalibrated(house: House, runner: MemoryRunner, success: float, epoch: int = 2) -> None:
    """A new calibration, with this chance of success; then the device goes on."""
    runner.success = success
    await runner.announce(announcement("campus_qpu", DeviceKind.QPU, epoch=epoch))
    await house.pipeline.act_on_device(OTTO, "campus_qpu", DeviceAction(action="resume"))


async def test_a_new_calibration_within_the_envelope_asks_nobody(house: House, runner: MemoryRunner) -> None:
    """A little worse, but above the floor that was approved: it is validated again and runs."""
    job = await held_back(house, runner)
    await recalibrated(house, runner, 0.94)
    done = await in_state(house, job.id, JobState.COMPLETED)
    assert done.executable != job.executable
    assert len((await house.pipeline.approvals(ADA, state="all")).approvals) == 1


async def test_below_the_floor_a_person_is_asked_again(house: House, runner: MemoryRunner) -> None:
    """A fresh request says what broke; the hold stays; once approved it runs on the new calibration."""
    job = await held_back(house, runner)
    await recalibrated(house, runner, 0.5)
    asked = await in_state(house, job.id, JobState.AWAITING_APPROVAL)
    assert asked.on_hold == job.on_hold
    (row,) = await requests(house)
    assert row.words.startswith("campus_qpu was recalibrated: success is now 0.50; at least 0.93 was approved. Needs a")
    assert row.id != job.approval
    assert asked.approval == row.id
    await house.pipeline.decide(HEDY, row.id, APPROVE)
    done = await in_state(house, job.id, JobState.COMPLETED)
    assert done.executable != job.executable
    assert (await house.pipeline.provenance(ADA, job.id)).approver == "hedy"


async def test_below_the_floor_an_envelope_covers_no_longer(house: House, runner: MemoryRunner) -> None:
    """A job that went on in an envelope with a floor is asked about, and its share goes back."""
    env = await budget(house, success_floor=0.9)
    await house.pipeline.act_on_device(OTTO, "campus_qpu", DeviceAction(action="pause"))
    job = await submit(house)
    assert job.envelope == env
    await recalibrated(house, runner, 0.5)
    asked = await in_state(house, job.id, JobState.AWAITING_APPROVAL)
    assert (asked.envelope, asked.on_hold) == (None, job.on_hold)
    assert (await house.pipeline.envelopes.get(ADA, env)).left == 14 * CREDIT
    (row,) = await requests(house)
    await house.pipeline.decide(GRACE, row.id, APPROVE)
    await in_state(house, job.id, JobState.COMPLETED)


LONGER_S = 60.0 + 125.0
"""Seconds on campus_qpu that may cost one credit more than the usual ones."""


async def test_over_the_cap_a_person_is_asked_again_and_the_hold_grows(settings: Settings) -> None:
    """A run may take longer than before: what was approved does not cover it, the budgets must."""
    house = House(settings)
    await house.open()
    async with house.runner() as runner:
        job = await held_back(house, runner)
    await house.close()
    house.settings = replace(settings, max_seconds={"campus_qpu": LONGER_S})
    await house.open()
    async with house.runner() as runner:
        await recalibrated(house, runner, 0.95)
        asked = await in_state(house, job.id, JobState.AWAITING_APPROVAL)
        assert asked.on_hold == job.on_hold + CREDIT == asked.price_at_most
        (row,) = await requests(house)
        assert row.words.startswith("campus_qpu may cost 7.58 credits now; 6.58 were approved. Needs a lead's")
        await house.pipeline.decide(GRACE, row.id, APPROVE)
        done = await in_state(house, job.id, JobState.COMPLETED)
        assert (done.cost, done.on_hold) == (6_108_000, 0)
    await house.close()


async def test_the_owners_own_cap_binds_first(settings: Settings) -> None:
    """What the owner said to pay at most is not for a lead to raise."""
    house = House(settings)
    await house.open()
    async with house.runner() as runner:
        await house.pipeline.act_on_device(OTTO, "campus_qpu", DeviceAction(action="pause"))
        job = await submit(house, max_price=7 * CREDIT)
        (row,) = await requests(house)
        await house.pipeline.decide(GRACE, row.id, APPROVE)
    await house.close()
    house.settings = replace(settings, max_seconds={"campus_qpu": LONGER_S})
    await house.open()
    async with house.runner() as runner:
        await recalibrated(house, runner, 0.95)
        done = await in_state(house, job.id, JobState.REJECTED)
        assert (done.error or {})["code"] == "price.cap"
    await house.close()


async def test_a_changed_policy_asks_who_was_not_asked(settings: Settings, policies: Path) -> None:
    """The lead's approval stands; the operator whom the new rule names is asked besides, and only they."""
    async with running(settings, policies=policies) as house, house.runner() as runner:
        job = await held_back(house, runner)
        await changed(house, policies, OPERATORS_TOO)
        await house.pipeline.act_on_device(OTTO, "campus_qpu", DeviceAction(action="resume"))
        await in_state(house, job.id, JobState.AWAITING_APPROVAL)
        (row,) = await requests(house, OTTO)
        assert (row.role, row.words) == ("operator", "Needs an operator's approval because it is Friday.")
        assert await requests(house, GRACE) == [row.model_copy(update={"may_decide": False})]
        await house.pipeline.decide(OTTO, row.id, APPROVE)
        await in_state(house, job.id, JobState.COMPLETED)
        assert (await house.pipeline.provenance(ADA, job.id)).approver == "grace, otto"


async def test_a_changed_policy_asks_about_what_nobody_was_asked_about(settings: Settings, policies: Path) -> None:
    """A job that was allowed waits for a person under the new rules, with the hold that it has."""
    gate = OPERATORS_TOO.replace('context.device_kind == "qpu"', 'context.device == "fake_fez"')
    async with running(settings, policies=policies) as house, house.runner():
        await house.pipeline.act_on_device(OTTO, "fake_fez", DeviceAction(action="pause"))
        job = await house.pipeline.submit(ADA, request("fake_fez"), key=None, wait_s=0)
        await changed(house, policies, gate)
        await house.pipeline.act_on_device(OTTO, "fake_fez", DeviceAction(action="resume"))
        asked = await in_state(house, job.id, JobState.AWAITING_APPROVAL)
        assert asked.on_hold == job.on_hold
        (row,) = await requests(house, OTTO)
        await house.pipeline.decide(OTTO, row.id, APPROVE)
        await in_state(house, job.id, JobState.COMPLETED)


# What is kept


async def test_every_decision_is_kept_with_its_facts(house: House, runner: MemoryRunner) -> None:
    """Asked, then allowed: each with all facts, the person as a pseudonym, policies, version and words."""
    job = await submit(house)
    (row,) = await requests(house)
    await house.pipeline.decide(GRACE, row.id, APPROVE)
    await in_state(house, job.id, JobState.COMPLETED)
    asked, allowed = await house.store.read(lambda view: view.job_decisions(job.id))
    named = await house.store.pseudonym(ADA.id)
    assert (asked.effect, asked.roles, json.loads(asked.policies)) == ("needs_approval", '["lead"]', ["qpu-over-5"])
    assert (allowed.effect, json.loads(allowed.policies)) == ("allow", ["hardware-when-validated"])
    facts = json.loads(allowed.context)
    assert (facts["user"], facts["approvals"], facts["shots"], facts["tier"]) == (named, ["lead"], 1000, "sandbox")
    assert asked.words == "Needs a lead's approval because the estimate, 6.11 credits, is over 5."
    with pytest.raises(Conflict):
        await house.pipeline.decide(GRACE, row.id, APPROVE)
    with pytest.raises(Exception, match="over 10"):
        await submit(house, shots=20_000)
    refused = await house.store.read(lambda view: next(view.decisions(datetime.now(UTC) - timedelta(minutes=1))))
    assert (refused.effect, refused.code, json.loads(refused.context)["shots"]) == (
        "refuse",
        "policy.sandbox-shots",
        20_000,
    )
