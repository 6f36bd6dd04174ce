"""Requests that a person decides, over a real store: two people, one transaction, an end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, InputError, NotFound, QuantumError, Refused
from jupyter_quantum.pipeline.people import absent
from jupyter_quantum.pipeline.requests import Kind
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import RequestRow
from jupyter_quantum.wire.base import Request
from jupyter_quantum.wire.requests import Ask, Decision, Decisions
from tests.integration.pipeline.conftest import ADA, BEN, EVE, GRACE, HEDY, LISE, House, person, until

YES = Decision(verdict="approve")
ROOT = person("root", "quantum-admins", interactive=True)


class Tea(Request):
    """How many cups."""

    cups: int = 1


class Cups(Kind):
    """A kind for these tests: cups of tea from the project's kitchen."""

    name = "tea"
    body = Tea

    def __init__(self) -> None:
        self.left = 3
        self.undone: list[str] = []
        self.done_for: list[str] = []

    def words(self, row: RequestRow) -> str:
        return f"{self.read(row).cups} cups"

    def may_ask(self, who: Principal, project: str | None, body: Tea) -> None:
        if project not in who.groups:
            raise absent("project")

    def check(self, view: View, row: RequestRow) -> None:
        if self.read(row).cups > self.left:
            raise Conflict("There is not enough tea.", code="tea.out")

    def approve(self, tx: Tx, row: RequestRow, by: Principal) -> Mapping[str, Any]:
        tx.add_event("tea.poured", actor=by.id, project=row.project)
        if self.read(row).cups == 2:
            raise Conflict("The cup broke.", code="tea.broke")
        return {"kettle": "k1"}

    def ended(self, tx: Tx, row: RequestRow) -> None:
        self.undone.append(row.state)

    async def done(self, row: RequestRow) -> None:
        self.done_for.append(row.id)


@pytest.fixture
def tea(house: House) -> Cups:
    kind = Cups()
    house.pipeline.requests.register(kind)
    return kind


def ask(project: str | None = "qcourse", cups: Any = 1, **fields: Any) -> Ask:
    return Ask(kind="tea", project=project, reason="thirsty", body={"cups": cups}, **fields)


async def test_asked_seen_approved(house: House, tea: Cups) -> None:
    """Who asked and the leads see it; a lead approves, and what that does is in the same transaction."""
    requests = house.pipeline.requests
    mine = await requests.ask(ADA, ask())
    assert (mine.state, mine.mine, mine.may_decide, mine.words) == ("open", True, False, "1 cups")
    assert [one.id for one in (await requests.list(GRACE)).requests] == [mine.id]
    assert [one.id for one in (await requests.list(ROOT)).requests] == [mine.id]
    assert (await requests.list(BEN)).requests == []
    seen = await requests.get(GRACE, mine.id)
    assert (seen.may_decide, seen.mine) == (True, False)
    after = await requests.decide(GRACE, mine.id, YES)
    assert (after.state, after.decided_by, after.outcome) == ("approved", "grace", {"kettle": "k1"})
    assert tea.done_for == [mine.id]
    with pytest.raises(Conflict) as again:
        await requests.decide(HEDY, mine.id, YES)
    assert again.value.code == "request.decided"


async def test_nobody_decides_their_own(house: House, tea: Cups) -> None:
    """Neither who asked nor another principal of the same name, and no token."""
    requests = house.pipeline.requests
    own = await requests.ask(GRACE, ask())
    namesake = replace(GRACE, created="2026-02-02T00:00:00Z")
    for who in (GRACE, namesake):
        with pytest.raises(Refused) as refused:
            await requests.decide(who, own.id, YES)
        assert refused.value.code == "request.own"
    with pytest.raises(Refused) as refused:
        await requests.decide(replace(HEDY, interactive=False), own.id, YES)
    assert refused.value.code == "request.interactive"
    assert (await requests.decide(HEDY, own.id, YES)).state == "approved"


async def test_absent_and_foreign_answer_alike(house: House, tea: Cups) -> None:
    """A request of another project is not there: reading, deciding, withdrawing."""
    requests = house.pipeline.requests
    mine = await requests.ask(ADA, ask())
    said = []
    for key in (mine.id, "req_" + "0" * 32):
        for act in (requests.get, requests.withdraw):
            with pytest.raises(NotFound) as error:
                await act(LISE, key)
            said.append(str(error.value))
        with pytest.raises(NotFound) as error:
            await requests.decide(LISE, key, YES)
        said.append(str(error.value))
    assert len(set(said)) == 1
    with pytest.raises(NotFound):
        await requests.ask(EVE, ask())


async def test_an_approval_that_fails_leaves_nothing(house: House, tea: Cups) -> None:
    """What approving wrote before it failed is rolled back, and the request stays open."""
    requests = house.pipeline.requests
    mine = await requests.ask(ADA, ask(cups=2))
    with pytest.raises(Conflict) as broke:
        await requests.decide(GRACE, mine.id, YES)
    assert broke.value.code == "tea.broke"
    assert (await requests.get(ADA, mine.id)).state == "open"
    poured = await house.store.read(lambda view: [one for one in view.events(0) if one.type == "tea.poured"])
    assert poured == []
    tea.left = 1
    with pytest.raises(Conflict) as out:
        await requests.decide(GRACE, mine.id, YES)
    assert out.value.code == "tea.out"


async def test_rejected_withdrawn_expired(house: House, tea: Cups) -> None:
    """A rejection needs words; only who asked withdraws; time ends what nobody decides. Each tells the kind."""
    requests = house.pipeline.requests
    ids = [(await requests.ask(ADA, ask())).id for _ in range(3)]
    with pytest.raises(InputError):
        await requests.decide(GRACE, ids[0], Decision(verdict="reject"))
    assert (await requests.decide(GRACE, ids[0], Decision(verdict="reject", note="no"))).note == "no"
    with pytest.raises(Refused):
        await requests.withdraw(GRACE, ids[1])
    assert (await requests.withdraw(ADA, ids[1])).state == "withdrawn"
    now = house.pipeline._context.clock
    house.pipeline._context.clock = lambda: now() + timedelta(days=30)

    async def expired() -> bool:
        return (await requests.get(ADA, ids[2])).state == "expired"

    await until(expired)
    assert tea.undone == ["rejected", "withdrawn", "expired"]
    every = (await requests.list(ADA, state="all")).requests
    assert [one.id for one in every] == ids[::-1]


async def test_several_at_once(house: House, tea: Cups) -> None:
    """Each is decided on its own: one that cannot be says why, the others pass."""
    requests = house.pipeline.requests
    good, own = (await requests.ask(ADA, ask())).id, (await requests.ask(GRACE, ask())).id
    answer = await requests.decide_several(GRACE, Decisions(verdict="approve", ids=[good, own, "req_x", good]))
    found = {one.id: one.request.state if one.request else one.error and one.error.code for one in answer.decided}
    assert found == {good: "approved", own: "request.own", "req_x": "absent"}


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (Ask(kind="coffee"), "request.kind"),
        (Ask(kind="tea", project="qcourse", body={"cups": "many"}), "request.malformed"),
        (Ask(kind="tea", project="qcourse", body={"milk": True}), "request.malformed"),
        (ask(cups=9), "tea.out"),
    ],
)
async def test_what_cannot_be_asked(house: House, tea: Cups, wrong: Ask, code: str) -> None:
    """An unknown kind, a body that does not fit, something that cannot be granted."""
    with pytest.raises(QuantumError) as error:
        await house.pipeline.requests.ask(ADA, wrong)
    assert error.value.code == code


async def test_leads_hear_of_it(house: House, tea: Cups) -> None:
    """The event stream of a lead brings the request as they see it; a stranger's brings nothing."""
    requests = house.pipeline.requests
    lead, stranger = (house.pipeline.events(who, after=0) for who in (GRACE, LISE))
    waiting = asyncio.ensure_future(anext(stranger))
    mine = await requests.ask(ADA, ask())
    async with asyncio.timeout(5):
        event = await anext(lead)
    assert (event.type, event.data["id"], event.data["may_decide"]) == ("request.changed", mine.id, True)
    assert not waiting.done()
    waiting.cancel()


async def test_two_leads_at_once(house: House, tea: Cups) -> None:
    """Of two decisions at the same moment one counts."""
    requests = house.pipeline.requests
    mine = await requests.ask(ADA, ask())
    both = await asyncio.gather(
        requests.decide(GRACE, mine.id, YES), requests.decide(HEDY, mine.id, YES), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in both) == ["Conflict", "RequestView"]
    assert tea.done_for == [mine.id]
