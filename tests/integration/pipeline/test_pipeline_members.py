"""Joining, roles for a while, breaking the glass, leaving: over a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jupyter_quantum.core.tenancy import Principal, Role, Scope
from jupyter_quantum.exceptions import NotFound, QuantumError
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.testing.runner import MemoryRunner
from jupyter_quantum.wire.members import AddMember, BreakGlass, Review
from jupyter_quantum.wire.requests import Ask, Decision
from tests.integration.pipeline.conftest import (
    ADA,
    BEN,
    COURSE,
    EVE,
    GRACE,
    LISE,
    OTHER,
    OTTO,
    House,
    person,
    request,
    running,
    until,
)

YES = Decision(verdict="approve")
ROOT = person("root", "quantum-admins", interactive=True)
AUDITOR = person("audie", "quantum-auditors", interactive=True)
KAY = person("kay", "qcourse", "emergency", interactive=True)


@pytest.fixture
async def open_house(settings: Settings) -> AsyncIterator[House]:
    """A service whose course takes people in, and where some may break the glass."""
    projects = {"qcourse": replace(COURSE, onboarding=True, owner="grace"), "lab": OTHER}
    async with running(settings, projects=projects, breakglass_groups=frozenset({"emergency"}), sweep_s=3600) as house:
        house.directory.now |= {who.id: who.groups for who in (ROOT, AUDITOR, KAY)}
        yield house


def later(house: House, **span: float) -> None:
    """The service's clock goes on."""
    clock = house.pipeline._context.clock
    house.pipeline._context.clock = lambda: clock() + timedelta(**span)


def join(project: str = "qcourse", **body: Any) -> Ask:
    return Ask(kind="onboarding", project=project, reason="for the course", body=body)


def elevate(role: str = "lead", project: str | None = "qcourse", reason: str = "grace is away", **body: Any) -> Ask:
    return Ask(kind="elevation", project=project, reason=reason, body={"role": role, **body})


def roles(house: House, who: Principal) -> dict[str, str]:
    return {name: role.value for name, role in house.pipeline._context.people.roles(who).items()}


async def refused(act: Any) -> str:
    with pytest.raises(QuantumError) as error:
        await act
    return error.value.code


# Onboarding


async def test_from_stranger_to_job(open_house: House) -> None:
    """Somebody in no project sees what takes people in, asks, is let in by a lead, is welcomed, and runs a job."""
    pipeline = open_house.pipeline
    seen = (await pipeline.members.open_projects(EVE)).projects
    assert [(one.name, one.tier, one.owner, one.asked) for one in seen] == [("qcourse", "sandbox", "grace", None)]
    asked = await pipeline.requests.ask(EVE, join(days=30))
    assert asked.words == "eve joins qcourse as user, for 30 days."
    assert (await pipeline.members.open_projects(EVE)).projects[0].asked == asked.id
    assert await refused(pipeline.requests.ask(EVE, join())) == "onboarding.asked"
    assert await refused(pipeline.submit(EVE, request(), key=None, wait_s=0)) == "project.none"
    after = await pipeline.requests.decide(GRACE, asked.id, YES)
    me = await pipeline.me(EVE)
    assert (me.projects, me.tiers) == ({"qcourse": "user"}, {"qcourse": "sandbox"})
    assert me.memberships[0].id == after.outcome["membership"]
    assert me.memberships[0].end is not None
    welcome = await pipeline.members.welcome(EVE)
    assert (welcome.project, welcome.role, welcome.until) == ("qcourse", "user", me.memberships[0].end)
    assert welcome.meters
    async with open_house.runner():
        assert (await pipeline.submit(EVE, request(), key=None, wait_s=5)).state == "completed"
    assert (await pipeline.members.open_projects(EVE)).projects == []


async def test_a_timed_membership_ends(open_house: House) -> None:
    """After its end the role is gone, and what waits is taken back with the hold."""
    pipeline = open_house.pipeline
    asked = await pipeline.requests.ask(EVE, join(days=1))
    await pipeline.requests.decide(GRACE, asked.id, YES)
    async with open_house.runner() as runner:
        runner.hold()
        first = await pipeline.submit(EVE, request("fake_torino"), key=None, wait_s=0)
        waiting = await pipeline.submit(EVE, request("fake_torino"), key=None, wait_s=0)
        await until(lambda: first.id in "".join(runner.executed))
        later(open_house, days=1.1)
        assert roles(open_house, EVE) == {}
        await pipeline._sweeping.once()
        row = await open_house.store.read(lambda view: view.job(waiting.id))
        assert (row.state, row.on_hold) == ("cancelled", 0)
        assert "owner.left" in (row.error or "")
        runner.go()


async def test_a_project_that_takes_nobody_in_is_absent(open_house: House) -> None:
    """A stranger cannot tell it from one that does not exist; a member who is one already is told so."""
    requests = open_house.pipeline.requests
    said = set()
    for name in ("lab", "nowhere"):
        with pytest.raises(NotFound) as error:
            await requests.ask(EVE, join(name))
        said.add(str(error.value))
    assert len(said) == 1
    assert await refused(requests.ask(ADA, join())) == "onboarding.member"
    assert await refused(requests.ask(replace(EVE, created="service"), join())) == "onboarding.person"


async def test_a_new_lead_is_an_administrators_matter(open_house: House) -> None:
    """A lead cannot make leads by letting people in."""
    requests = open_house.pipeline.requests
    asked = await requests.ask(EVE, join(role="lead"))
    assert asked.role == "admin"
    assert await refused(requests.decide(GRACE, asked.id, YES)) == "absent"
    await requests.decide(ROOT, asked.id, YES)
    assert roles(open_house, EVE) == {"qcourse": "lead"}


async def test_whoever_is_gone_is_not_let_in(open_house: House) -> None:
    """The hub is asked once more when a request is approved."""
    requests = open_house.pipeline.requests
    asked = await requests.ask(EVE, join())
    del open_house.directory.now[EVE.id]
    assert await refused(requests.decide(GRACE, asked.id, YES)) == "owner.gone"
    assert (await requests.get(GRACE, asked.id)).state == "open"


async def test_a_name_used_again_has_nothing(open_house: House) -> None:
    """A later user of the same name is not the one who was let in."""
    asked = await open_house.pipeline.requests.ask(EVE, join())
    await open_house.pipeline.requests.decide(GRACE, asked.id, YES)
    assert roles(open_house, replace(EVE, created="2027-01-01T00:00:00Z")) == {}


# Members


async def test_members_are_added_listed_ended(open_house: House) -> None:
    """By administrators; leads see and end those of their project; foreign and absent ids answer alike."""
    members = open_house.pipeline.members
    made = await members.add(ROOT, AddMember(name="eve", project="lab", days=10))
    assert roles(open_house, EVE) == {"lab": "user"}
    assert [one.id for one in (await members.list(EVE)).members] == [made.id]
    assert [one.id for one in (await members.list(AUDITOR)).members] == [made.id]
    assert (await members.list(GRACE)).members == []
    assert await refused(members.add(GRACE, AddMember(name="eve", project="qcourse"))) == "admin.role"
    assert await refused(members.add(ROOT, AddMember(name="root", project="lab"))) == "member.own"
    assert await refused(members.add(ROOT, AddMember(name="nobody", project="lab"))) == "absent"
    assert await refused(members.add(ROOT, AddMember(name="eve", project="nowhere"))) == "absent"
    said = set()
    for key in (made.id, "mem_" + "0" * 32):
        with pytest.raises(NotFound) as error:
            await members.end(GRACE, key)
        said.add(str(error.value))
    assert len(said) == 1
    ended = await members.end(ROOT, made.id)
    assert (ended.in_force, ended.ended_by) == (False, "root")
    assert roles(open_house, EVE) == {}
    assert await refused(members.end(ROOT, made.id)) == "membership.over"
    assert (await members.list(ROOT)).members == []
    assert len((await members.list(ROOT, past=True)).members) == 1


# Elevation


async def test_a_lead_for_a_while(open_house: House) -> None:
    """Asked with a reason, approved by somebody else, in force with its scope on the page, and over at its end."""
    pipeline = open_house.pipeline
    asked = await pipeline.requests.ask(ADA, elevate(hours=2))
    assert (asked.words, asked.role) == ("ada is lead of qcourse for 2 hours from the approval.", "lead")
    await pipeline.requests.decide(GRACE, asked.id, YES)
    assert roles(open_house, ADA) == {"qcourse": "lead"}
    assert pipeline.signed_in(ADA).scopes == frozenset()
    assert pipeline.signed_in(replace(ADA, interactive=True)).scopes == {Scope.APPROVE}
    page = replace(ADA, interactive=True)
    other = await pipeline.requests.ask(EVE, join())
    assert (await pipeline.requests.decide(page, other.id, YES)).state == "approved"
    again = await pipeline.requests.ask(BEN, elevate())  # leads for a while do not make others leads for a while
    assert await refused(pipeline.requests.decide(page, again.id, YES)) == "absent"
    later(open_house, hours=2.1)
    assert roles(open_house, ADA) == {"qcourse": "user"}
    assert pipeline.signed_in(replace(ADA, interactive=True)).scopes == frozenset()


@pytest.mark.parametrize(
    ("who", "ask", "code"),
    [
        (ADA, elevate(reason=" "), "elevation.reason"),
        (ADA, elevate(hours=9), "elevation.duration"),
        (ADA, elevate("operator"), "elevation.role"),
        (ADA, elevate("lead", None), "elevation.role"),
        (ADA, elevate("user"), "elevation.has"),
        (GRACE, elevate("lead"), "elevation.has"),
        (LISE, elevate(), "absent"),
        (EVE, elevate("operator", None), "elevation.stranger"),
        (OTTO, elevate("operator", None), "elevation.has"),
        (replace(ADA, created="service"), elevate(), "elevation.person"),
    ],
)
async def test_who_may_not_ask_for_what(open_house: House, who: Principal, ask: Ask, code: str) -> None:
    """Each refusal has its code."""
    assert await refused(open_house.pipeline.requests.ask(who, ask)) == code


async def test_a_role_on_the_whole_hub(open_house: House) -> None:
    """An administrator approves it; it brings its scope on the page, and ends."""
    pipeline = open_house.pipeline
    asked = await pipeline.requests.ask(ADA, elevate("operator", None))
    assert await refused(pipeline.requests.decide(GRACE, asked.id, YES)) == "absent"
    await pipeline.requests.decide(ROOT, asked.id, YES)
    assert "operator" in (await pipeline.me(ADA)).roles
    assert Scope.OPERATE in pipeline.signed_in(replace(ADA, interactive=True)).scopes
    assert Scope.OPERATE not in pipeline.signed_in(ADA).scopes
    later(open_house, hours=1.1)
    assert (await pipeline.me(ADA)).roles == []


async def test_an_elevation_is_nothing_without_its_membership(open_house: House) -> None:
    """Whoever leaves the project loses the role that was put on top at the same moment."""
    asked = await open_house.pipeline.requests.ask(ADA, elevate())
    await open_house.pipeline.requests.decide(GRACE, asked.id, YES)
    assert roles(open_house, ADA) == {"qcourse": "lead"}
    assert roles(open_house, replace(ADA, groups=frozenset())) == {}


async def test_whoever_left_is_not_elevated(open_house: House) -> None:
    """The hub is asked at the approval."""
    asked = await open_house.pipeline.requests.ask(ADA, elevate())
    open_house.directory.now[ADA.id] = frozenset()
    assert await refused(open_house.pipeline.requests.decide(GRACE, asked.id, YES)) == "owner.left"


# Break-glass

NOW = BreakGlass(role="lead", project="qcourse", hours=0.5, reason="the device burns")


async def test_the_glass_is_broken_and_reviewed(open_house: House) -> None:
    """At once, told to leads and auditors, bounded, listed until somebody else has looked at it."""
    pipeline = open_house.pipeline
    streams = [pipeline.events(who, after=0) for who in (GRACE, AUDITOR)]
    taken = await pipeline.breakglass.take(KAY, NOW)
    assert roles(open_house, KAY) == {"qcourse": "lead"}
    for stream in streams:
        async with asyncio.timeout(5):
            event = await anext(stream)
        assert (event.type, event.data["kind"], event.data["membership"]) == (
            "membership.changed",
            "breakglass",
            taken.id,
        )
    waiting = (await pipeline.members.list(AUDITOR, unreviewed=True)).members
    assert [(one.id, one.needs_review) for one in waiting] == [(taken.id, True)]
    said = Review(note="It was needed.")
    namesake = replace(KAY, created="2027-01-01T00:00:00Z", groups=frozenset({"qcourse-leads"}))
    for who in (KAY, namesake):
        assert await refused(pipeline.breakglass.review(who, taken.id, said)) == "breakglass.own"
    assert await refused(pipeline.breakglass.review(BEN, taken.id, said)) == "absent"
    token = replace(AUDITOR, interactive=False)
    assert await refused(pipeline.breakglass.review(token, taken.id, said)) == "breakglass.interactive"
    seen = await pipeline.breakglass.review(AUDITOR, taken.id, said)
    assert (seen.reviewed_by, seen.review) == ("audie", "It was needed.")
    assert await refused(pipeline.breakglass.review(GRACE, taken.id, said)) == "membership.reviewed"
    assert (await pipeline.members.list(AUDITOR, unreviewed=True)).members == []
    later(open_house, hours=0.6)
    assert roles(open_house, KAY) == {"qcourse": "user"}


async def test_who_may_not_break_it(open_house: House) -> None:
    """Only those of the group, signed in, for a short while, where the place is there."""
    glass = open_house.pipeline.breakglass
    assert await refused(glass.take(GRACE, NOW)) == "breakglass.group"
    assert await refused(glass.take(replace(KAY, interactive=False), NOW)) == "breakglass.interactive"
    assert await refused(glass.take(KAY, NOW.model_copy(update={"hours": 2}))) == "elevation.duration"
    assert await refused(glass.take(KAY, NOW.model_copy(update={"project": "nowhere"}))) == "absent"
    taken = await glass.take(KAY, NOW)
    assert taken.needs_review
    without = replace(KAY, groups=frozenset({"qcourse"}))
    assert roles(open_house, without) == {"qcourse": "user"}


async def test_what_nobody_looked_at_is_told_again(open_house: House) -> None:
    """Once a day, until somebody has."""
    pipeline = open_house.pipeline
    taken = await pipeline.breakglass.take(KAY, NOW)
    await pipeline.breakglass.remind()

    async def reminders() -> int:
        events = await open_house.store.read(lambda view: view.events(0))
        return sum(one.type == "membership.changed" and one.data["act"] == "unreviewed" for one in events)

    assert await reminders() == 0
    later(open_house, hours=25)
    await pipeline.breakglass.remind()
    await until(reminders)
    await pipeline.breakglass.review(GRACE, taken.id, Review(note="fine"))
    later(open_house, hours=50)
    await pipeline.breakglass.remind()
    await asyncio.sleep(0.3)
    assert await reminders() == 1


# Leaving


async def queued(house: House, who: Principal, count: int = 2) -> list[str]:
    """Jobs of ``who`` that wait behind each other on a runner that holds."""
    return [(await house.pipeline.submit(who, request("fake_torino"), key=None, wait_s=0)).id for _ in range(count)]


async def states(house: House, ids: list[str]) -> list[str]:
    return [str((await house.store.read(lambda view, key=key: view.job(key))).state) for key in ids]  # type: ignore[misc]


@pytest.fixture
async def busy(open_house: House) -> AsyncIterator[MemoryRunner]:
    """A runner on which nothing ends by itself."""
    async with open_house.runner() as runner:
        runner.hold()
        yield runner
        runner.go()


@pytest.mark.parametrize(("groups", "code"), [(frozenset(), "owner.left"), (None, "owner.gone")])
async def test_an_absent_users_jobs_are_taken_back(
    open_house: House, busy: MemoryRunner, groups: frozenset[str] | None, code: str
) -> None:
    """Out of the group, or off the hub: waiting jobs end with the reason and no hold, requests are withdrawn."""
    ids = await queued(open_house, ADA, 3)
    asked = await open_house.pipeline.requests.ask(ADA, elevate())
    others = await queued(open_house, BEN, 1)
    await until(lambda: busy.executed)
    if groups is None:
        del open_house.directory.now[ADA.id]
    else:
        open_house.directory.now[ADA.id] = groups
    await open_house.pipeline._sweeping.once()
    assert (await states(open_house, ids))[1:] == ["cancelled", "cancelled"]
    rows = await open_house.store.read(lambda view: [view.job(key) for key in ids[1:]])
    assert all(code in (row.error or "") and row.on_hold == 0 for row in rows)
    assert (await states(open_house, others)) != ["cancelled"]
    state = (await open_house.pipeline.requests.get(GRACE, asked.id)).state
    assert state == ("withdrawn" if groups is None else "open")
    await open_house.ledger()


async def test_a_silent_hub_takes_nothing(open_house: House, busy: MemoryRunner) -> None:
    """A hub that does not answer is not a hub that says that people are gone."""
    ids = await queued(open_house, ADA, 2)
    open_house.directory.silent = True
    await open_house.pipeline._sweeping.once()
    assert "cancelled" not in await states(open_house, ids)
    open_house.directory.silent = False


async def test_the_look_comes_by_itself(settings: Settings) -> None:
    """Nobody has to ask: the leader looks again and again."""
    async with running(settings, sweep_s=0.2) as house, house.runner() as runner:
        runner.hold()
        ids = await queued(house, ADA, 2)
        house.directory.now[ADA.id] = frozenset()

        async def taken() -> bool:
            return "cancelled" in await states(house, ids)

        await until(taken)
        runner.go()


async def test_grants_of_somebody_who_is_gone_end(open_house: House) -> None:
    """All of them, in the record too."""
    made = await open_house.pipeline.members.add(ROOT, AddMember(name="eve", project="lab", role=Role.LEAD))
    del open_house.directory.now[EVE.id]
    await open_house.pipeline._sweeping.once()
    (row,) = (await open_house.pipeline.members.list(ROOT, past=True)).members
    assert (row.id, row.in_force) == (made.id, False)
