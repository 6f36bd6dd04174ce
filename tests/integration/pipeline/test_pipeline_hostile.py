"""What somebody tries who wants more than they may have: over a real store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.core.tenancy import SERVICE, ExportSpec, OrganisationSpec, Principal, QuotaSpec, Role, Scope
from jupyter_quantum.exceptions import Conflict, NotFound, QuantumError, Refused
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.store.rows import EnvelopeRow
from jupyter_quantum.testing.runner import MemoryRunner
from jupyter_quantum.wire.members import AddMember, BreakGlass, Review
from jupyter_quantum.wire.reports import ReportRequest
from jupyter_quantum.wire.requests import Ask, Decision
from tests.integration.pipeline.conftest import ADA, BEN, COURSE, GRACE, OTHER, House, person, request, running, until

YES = Decision(verdict="approve")
ROOT = person("root", "quantum-admins", interactive=True)
RITA = person("rita", "quantum-admins", "emergency", interactive=True)
KAY = person("kay", "qcourse", "emergency", interactive=True)
JAN = person("jan", "qcourse", "emergency", interactive=True)
BOT = Principal("bot", SERVICE)


@pytest.fixture
async def tense(settings: Settings) -> AsyncIterator[House]:
    """A service where some may break the glass, a service account leads, and the organisation has a quota."""
    course = replace(COURSE, service_accounts={"bot": Role.LEAD}, export=ExportSpec())
    campus = OrganisationSpec("campus", quotas=(QuotaSpec("user", 5000, "shots", "day"),))
    changes: dict[str, Any] = {
        "projects": {"qcourse": course, "lab": OTHER},
        "organisations": {"campus": campus},
        "breakglass_groups": frozenset({"emergency"}),
        "sweep_s": 3600,
    }
    async with running(settings, **changes) as house:
        house.directory.now |= {who.id: who.groups for who in (ROOT, RITA, KAY, JAN)}
        yield house


async def refused(act: Any) -> str:
    with pytest.raises(QuantumError) as error:
        await act
    return error.value.code


# Two people


async def test_nobody_forgets_themselves_to_be_somebody_else(tense: House) -> None:
    """Whose pseudonym is gone could decide their own request, or review the glass that they broke."""
    pipeline = tense.pipeline
    body = {"unit": "credits", "amount": 10 * CREDIT, "scope": "user", "window": "month", "days": 7}
    whole = replace(RITA, groups=RITA.groups | {"qcourse"})
    tense.directory.now[RITA.id] = whole.groups
    own = await pipeline.requests.ask(whole, Ask(kind="quota", project="qcourse", reason="more", body=body))
    glass = await pipeline.breakglass.take(whole, BreakGlass(role="operator", hours=1, reason="the queue is stuck"))
    assert await refused(pipeline.forgetting.forget(whole, "rita")) == "person.own"
    assert await refused(pipeline.forgetting.forget(whole, whole.id)) == "person.own"
    assert await refused(pipeline.requests.decide(whole, own.id, YES)) == "request.own"
    assert await refused(pipeline.breakglass.review(whole, glass.id, Review(note="all well"))) == "breakglass.own"


async def test_a_broken_glass_is_not_reviewed_from_behind_another(tense: House) -> None:
    """Two who may break the glass do not look at each other's: a role that was taken does not review."""
    glass, taken = tense.pipeline.breakglass, BreakGlass(role="admin", hours=1, reason="the queue is stuck")
    first = await glass.take(KAY, taken)
    await glass.take(JAN, taken)
    assert await refused(glass.review(JAN, first.id, Review(note="all well"))) in {"absent", "breakglass.role"}
    assert (await glass.review(ROOT, first.id, Review(note="it was stuck indeed"))).reviewed_by == "root"


async def test_a_lead_does_not_raise_what_others_declared(tense: House) -> None:
    """A member's quota of the project is its leads' to raise; one that the organisation declared is administrators'."""
    requests = tense.pipeline.requests
    body = {"amount": 1000, "scope": "user", "days": 7}
    own = await requests.ask(
        ADA, Ask(kind="quota", project="qcourse", reason="more", body=body | {"unit": "credits", "window": "month"})
    )
    campus = await requests.ask(
        ADA, Ask(kind="quota", project="qcourse", reason="more", body=body | {"unit": "shots", "window": "day"})
    )
    assert (own.role, campus.role) == ("lead", "admin")
    with pytest.raises(NotFound):
        await requests.decide(GRACE, campus.id, YES)
    assert (await requests.decide(GRACE, own.id, YES)).state == "approved"
    assert (await requests.decide(ROOT, campus.id, YES)).state == "approved"


async def test_an_envelope_is_not_for_who_approved_it_under_another_time(tense: House) -> None:
    """Names are used again: whoever has the approver's name is not spared by their approval either."""
    async with tense.runner():
        now = tense.pipeline._context.clock()
        later = Principal("grace", "2026-06-01T00:00:00Z", frozenset({"qcourse"}))
        tense.directory.now[later.id] = later.groups
        made = EnvelopeRow(
            id="env_1",
            kind="budget",
            project="qcourse",
            device="campus_qpu",
            principal=ADA.id,
            asked_by="ada",
            decided_by=GRACE.id,
            origin="req_1",
            created=now,
            until=now + timedelta(days=1),
            roles='["lead"]',
            reason="",
            amount=10**12,
        )
        await tense.store.write(lambda tx: tx.add_envelope(made))
        fits = await tense.pipeline.submit(BEN, request("campus_qpu", reason="r"), key=None, wait_s=0)
        asks = await tense.pipeline.submit(later, request("campus_qpu", reason="r"), key=None, wait_s=0)
        assert (fits.envelope, asks.envelope) == ("env_1", None)
        assert asks.state == "awaiting_approval"


# Floods


async def test_a_person_has_so_many_requests_open(tense: House) -> None:
    """Whoever asks without end fills neither the database nor the deciders' list."""
    asked = Ask(
        kind="quota",
        project="qcourse",
        reason="more",
        body={"unit": "credits", "amount": 1, "scope": "user", "window": "month", "days": 7},
    )
    codes = []
    for _ in range(60):
        try:
            await tense.pipeline.requests.ask(ADA, asked)
        except Conflict as error:
            codes.append(error.code)
    assert set(codes) == {"request.many"}
    assert len(codes) < 60
    first = (await tense.pipeline.requests.list(ADA)).requests[0]
    await tense.pipeline.requests.withdraw(ADA, first.id)
    assert (await tense.pipeline.requests.ask(ADA, asked)).state == "open"


# Tokens


async def test_a_service_account_reads_nobodys_report(tense: House) -> None:
    """It shows circuits and, after a dry run, counts: they leave with such a token only where that is declared."""
    async with tense.runner():
        asked = ReportRequest(circuits=request().circuits, options={"shots": 100}, devices=["aer"])
        of_ada = await tense.pipeline.report(ADA, asked)
        assert (await tense.pipeline.get_report(GRACE, of_ada.id)).id == of_ada.id
        with pytest.raises(Refused) as error:
            await tense.pipeline.get_report(BOT, of_ada.id)
        assert error.value.code == "export.token"


# Forgotten


async def test_what_errors_say_of_a_person_is_forgotten_with_them(tense: House, runner_of: MemoryRunner) -> None:
    """A run that was taken back since its owner left names nobody afterwards."""
    job = await tense.pipeline.submit(BEN, request("campus_qpu", reason="r"), key=None, wait_s=0)
    tense.directory.now[BEN.id] = frozenset()
    await tense.pipeline._sweeping.once()
    row = await until(lambda: ended(tense, job.id))
    assert "ben" in row.error
    await tense.pipeline.forgetting.forget(ROOT, "ben")
    row = await tense.store.read(lambda view: view.job(job.id))
    assert "ben" not in row.error
    assert "owner.left" in row.error


@pytest.fixture
async def runner_of(tense: House) -> AsyncIterator[MemoryRunner]:
    async with tense.runner() as made:
        yield made


async def ended(house: House, job: str) -> Any:
    row = await house.store.read(lambda view: view.job(job))
    return row if row.ended is not None else None


# Events


async def test_a_stream_misses_nothing_that_another_process_numbered(tense: House) -> None:
    """What this process remembers has a gap where another one led meanwhile: then the database is asked."""
    live = tense.pipeline._live
    await tense.pipeline.members.add(ROOT, AddMember(project="lab", name="eve", reason="guest"))
    await until(lambda: live._last > 0)
    before = live._last
    fence = live.fence
    assert fence is not None
    await tense.store.write(lambda tx: tx.add_event("tea.poured", actor="service"))
    await tense.store.write(lambda tx: tx.number_events(fence))  # as another process would
    await tense.pipeline.members.add(ROOT, AddMember(project="lab", name="ada", reason="guest"))
    await until(lambda: live._last > before + 1)
    await asyncio.sleep(0)
    found = [row.seq for row in await live.numbered_after(before)]
    assert found[:2] == [before + 1, before + 2]


async def test_no_entry_has_a_number_that_no_database_holds(tense: House) -> None:
    """A number too large for a column is absent like every other that is not there."""
    auditor = replace(person("audie", "quantum-auditors"), scopes=frozenset({Scope.AUDIT}))
    for event in ("9" * 18, "9" * 30):
        with pytest.raises(NotFound):
            await tense.pipeline.audit.inclusion(auditor, event)
