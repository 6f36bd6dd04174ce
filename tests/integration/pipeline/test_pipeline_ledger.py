"""Quotas, grants, loans, price lists and figures, through the whole pipeline."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.core.money import CREDIT
from jupyter_quantum.core.tenancy import GrantSpec, OrganisationSpec, Principal, QuotaSpec
from jupyter_quantum.exceptions import Conflict, InputError, NotFound, QuotaExceeded, Refused
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.pipeline.showback import Asked
from jupyter_quantum.testing.runner import MemoryRunner
from jupyter_quantum.wire.jobs import JobView, QuotaView
from jupyter_quantum.wire.ledger import Lend, SetPrices
from jupyter_quantum.wire.requests import Ask, Decision

from .conftest import ADA, BEN, COURSE, GRACE, LISE, OTHER, POLICIES, PRICES, House, person, request, running, until

ROOT = person("root", "quantum-admins", interactive=True)
PRICE = 420_500
"""What 1000 shots on fake_torino cost; at most 450 000."""


@dataclass
class Clock:
    """The pipeline's time, where a test moves it."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now


async def submit(house: House, who: Principal = ADA, **fields: Any) -> JobView:
    """A run on fake_torino to its end."""
    wanted: dict[str, Any] = {"device": "fake_torino", **fields}
    wait = wanted.pop("wait_s", 5)
    return await house.pipeline.submit(who, request(**wanted), key=None, wait_s=wait)


def with_quotas(settings: Settings, *quotas: QuotaSpec, **changes: Any) -> Settings:
    """The course with these quotas."""
    course = replace(COURSE, quotas=quotas, **changes)
    return replace(settings, projects={"qcourse": course, "lab": OTHER})


def meters(view: QuotaView, unit: str) -> list[tuple[int, int, int]]:
    """Limit, used and on hold of the budgets of a unit."""
    return [(m.limit, m.used, m.held) for m in (*view.meters, *view.others) if m.unit == unit]


async def test_every_unit_is_held_and_settled_with_what_was_used(settings: Settings) -> None:
    """Shots and time on simulators count what ran; jobs count while they are open; another kind of device does not."""
    quotas = [QuotaSpec("user", 5000, unit) for unit in ("shots", "jobs")]  # type: ignore[arg-type]
    quotas += [QuotaSpec("project", 10**9, "simulator_seconds", "day"), QuotaSpec("user", 9, "qpu_seconds", "week")]
    quotas += [QuotaSpec("user", 1, "shots", "day", device_kind=DeviceKind.QPU)]
    async with running(with_quotas(settings, *quotas)) as house, house.runner() as runner:
        runner.hold()
        job = await submit(house, wait_s=0)
        during = await house.pipeline.quota(ADA)
        assert meters(during, "jobs") == [(5000, 0, 1)]
        assert sorted(meters(during, "shots")) == [(1, 0, 0), (5000, 0, 1000)]
        assert meters(during, "simulator_seconds") == [(10**9, 0, 60_000)]
        runner.go()
        await until(lambda: ended(house, job.id))
        after = await house.pipeline.quota(ADA)
        assert (meters(after, "jobs"), meters(after, "qpu_seconds")) == ([(5000, 0, 0)], [(9, 0, 0)])
        assert sorted(meters(after, "shots")) == [(1, 0, 0), (5000, 1000, 0)]
        ((_, used, held),) = meters(after, "simulator_seconds")
        assert 0 < used < 60_000
        assert held == 0
        await house.ledger()


async def ended(house: House, job_id: str) -> bool:
    """Whether the job is done."""
    return (await house.pipeline.job(ADA, job_id)).state is JobState.COMPLETED


@pytest.mark.parametrize(
    ("quota", "words"),
    [
        (QuotaSpec("user", 1500, "shots"), "This run takes 1 000 shots; 500 are left until 1 "),
        (QuotaSpec("project", 1500, "shots", "ever"), "This run takes 1 000 shots; 500 are left to qcourse. Use fewer"),
        (QuotaSpec("organisation", 900, "shots", "ever"), "900 are left to campus. Use fewer shots or ask for more."),
        (QuotaSpec("user", 1, "simulator_seconds"), "may take 1 min on a simulator; <1 s are left until"),
        (QuotaSpec("user", 800_000), "This run may cost 0.45 credits; 0.37 are left until 1 "),
    ],
)
async def test_the_binding_quota_is_named_with_the_way_out(settings: Settings, quota: QuotaSpec, words: str) -> None:
    """Several bind at once; the one that fits least speaks, in UX.md's words."""
    of_org = quota.scope == "organisation"
    told = with_quotas(settings, *(() if of_org else (quota,)))
    told = replace(told, organisations={"campus": OrganisationSpec("campus", quotas=(quota,) if of_org else ())})
    async with running(told) as house, house.runner():
        if not of_org and quota.unit != "simulator_seconds":
            await submit(house)
        with pytest.raises(QuotaExceeded) as caught:
            await submit(house)
        assert words in caught.value.message.replace("\u202f", " ")
        assert caught.value.details["unit"] == quota.unit
        await house.ledger()


async def test_only_so_many_jobs_at_once(settings: Settings) -> None:
    """The third waits for nothing: it is refused, and passes once one of the two has ended."""
    async with running(with_quotas(settings, QuotaSpec("user", 2, "jobs"))) as house, house.runner() as runner:
        runner.hold()
        first = [await submit(house, device="aer", wait_s=0) for _ in range(2)]
        with pytest.raises(QuotaExceeded, match="No more jobs may be under way at once"):
            await submit(house, device="aer", wait_s=0)
        await house.pipeline.cancel(ADA, first[0].id)
        assert (await submit(house, device="aer", wait_s=0)).state is not JobState.REJECTED
        runner.go()


async def test_a_part_spends_its_parents_and_the_organisations_money(settings: Settings) -> None:
    """Nested projects: each level with money of its own binds, and the tightest one refuses."""
    part = replace(COURSE, name="part", parent="qcourse", grant=0, user_quota=10 * CREDIT, members=frozenset({"part"}))
    above = OrganisationSpec("campus", grants=(GrantSpec("g1", CREDIT),))
    projects = {"qcourse": COURSE, "part": part}
    pia = person("pia", "part")
    async with running(settings, projects=projects, organisations={"campus": above}) as house, house.runner():
        house.directory.now[pia.id] = pia.groups
        assert (await submit(house, pia)).cost == PRICE
        accounts = {row.id: row for row in await house.store.read(lambda view: view.accounts())}
        used = {key: row.used for key, row in accounts.items() if row.used}
        assert {key for key in used if key.startswith("credits/funds")} == {
            "credits/funds/project:qcourse/always",
            "credits/funds/organisation:campus/g1",
        }
        assert set(used.values()) == {PRICE}
        await submit(house, pia)
        with pytest.raises(QuotaExceeded, match="are left to campus"):
            await submit(house, pia)
        await house.ledger()


async def test_ids_of_accounts_name_nobody(settings: Settings) -> None:
    """A user's account is under their pseudonym, so that they can be forgotten."""
    async with running(settings) as house, house.runner():
        await submit(house)
        accounts = await house.store.read(lambda view: view.accounts())
        assert not [row for row in accounts if "ada" in row.id or "ada" in row.name]
        assert (await house.pipeline.quota(ADA)).meters[0].name == "ada"


async def test_a_soft_limit_warns_once(settings: Settings) -> None:
    """At four fifths: one event for the user, and words in the meter."""
    async with running(with_quotas(settings, user_quota=1_080_000)) as house, house.runner():
        assert (await submit(house)).cost == PRICE
        assert not (await house.pipeline.quota(ADA)).meters[0].near
        await submit(house)
        (mine, _) = (await house.pipeline.quota(ADA)).meters
        assert (mine.near, mine.soft) == (False, 864_000)  # the hold was over it, the cost is not
        assert await until(lambda: soft_events(house)) == 1


async def soft_events(house: House) -> int:
    """How many warnings are in the record."""
    return await house.store.read(lambda view: sum(e.type == "quota.soft" for e in view.events(0)))


async def test_words_of_a_soft_limit(settings: Settings) -> None:
    """As UX.md says it."""
    async with running(with_quotas(settings, user_quota=500_000)) as house, house.runner():
        await submit(house)
        (mine, _) = (await house.pipeline.quota(ADA)).meters
        assert (mine.near, mine.words) == (True, "84 % of this month's credits are used; 0.07 are left.")


WAIT = """
@id("emulators-wait")
permit (principal, action == Action::"wait", resource) when { context.device_kind == "emulator" };
"""


@pytest.fixture
def waiting(settings: Settings, tmp_path: Path) -> Settings:
    """Policies that let emulators wait for the next window, and a day that fits two runs."""
    folder = tmp_path / "policies"
    folder.mkdir()
    for file in POLICIES.glob("*.cedar*"):
        (folder / file.name).write_text(file.read_text())
    (folder / "90-wait.cedar").write_text(WAIT)
    return replace(with_quotas(settings, QuotaSpec("user", 900_000, "credits", "day")), policies=folder)


async def test_policy_may_let_a_job_wait_for_the_next_window(waiting: Settings) -> None:
    """It holds tomorrow's budget, says so, does not start before, and starts by itself then."""
    async with running(waiting) as house, house.runner():
        clock = Clock(datetime.now(UTC).replace(hour=12, minute=0))
        house.pipeline._context.clock = clock
        for _ in range(2):
            assert (await submit(house)).state is JobState.COMPLETED
        late = await submit(house, wait_s=0)
        assert (late.state, late.on_hold, late.wait and late.wait.reason) == (JobState.QUEUED, 450_000, "wait.quota")
        tomorrow = clock.now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        assert late.wait is not None
        assert (late.wait.words or "").startswith("Waiting because the budget is used up until ")
        row = await house.store.read(lambda view: view.job(late.id))
        assert row.not_before == tomorrow
        assert f"/{tomorrow:%Y-%m-%d}" in row.accounts
        house.pipeline._scheduling.kick_all()
        assert (await house.pipeline.job(ADA, late.id)).state is JobState.QUEUED
        clock.now = tomorrow + timedelta(seconds=1)
        house.pipeline._scheduling.kick_all()
        await until(lambda: ended(house, late.id))
        await house.ledger()


async def test_by_default_nothing_waits(waiting: Settings) -> None:
    """Without such a policy the request is refused."""
    async with running(replace(waiting, policies=POLICIES)) as house, house.runner():
        for _ in range(2):
            await submit(house)
        with pytest.raises(QuotaExceeded):
            await submit(house)


# -- grants ------------------------------------------------------------------------------------------------------------

NOW = datetime.now(UTC)


@dataclass
class Granted:
    """A house whose course lives on a grant that can be lent, with a clock."""

    house: House
    clock: Clock
    runner: MemoryRunner

    async def turn(self, **later: float) -> None:
        """Move the clock and let the ledger's turn do what is due."""
        self.clock.now += timedelta(**later)
        self.house.pipeline.ledger._fresh = None
        await self.house.pipeline.ledger.turn()

    async def account(self, key: str) -> tuple[int, int, int]:
        """Limit, used, on hold."""
        row = await self.house.store.read(lambda view: view.account(key))
        assert row is not None
        return row.limit, row.used, row.held


@pytest.fixture
async def granted(settings: Settings) -> AsyncIterator[Granted]:
    """Two credits from yesterday until the day after tomorrow."""
    grant = GrantSpec("eu", 2 * CREDIT, NOW - timedelta(days=1), NOW + timedelta(days=2), lendable=True)
    course = replace(COURSE, grant=0, grants=(grant,))
    projects = {"qcourse": course, "lab": replace(OTHER, grant=0, tier="sandbox")}
    async with running(settings, projects=projects) as house, house.runner() as runner:
        clock = Clock(datetime.now(UTC))
        house.pipeline._context.clock = clock
        yield Granted(house, clock, runner)


EU = "credits/funds/project:qcourse/eu"


async def test_a_grant_is_booked_at_its_start_and_expires_at_its_end(granted: Granted) -> None:
    """What is unused goes back to the source; afterwards there is nothing to spend."""
    await granted.turn()
    assert await granted.account(EU) == (2 * CREDIT, 0, 0)
    await submit(granted.house)
    await granted.turn(days=3)
    assert await granted.account(EU) == (PRICE, PRICE, 0)
    kinds = await granted.house.store.read(lambda view: [str(e.kind) for e in view.entries(account=EU)])
    assert kinds == ["grant", "hold", "settle", "release", "expire"]
    with pytest.raises(QuotaExceeded, match=r"0.00 are left to qcourse"):
        await submit(granted.house)
    await granted.house.ledger()


async def test_lent_share_is_spent_and_comes_back_by_itself(granted: Granted) -> None:
    """Lab borrows, spends a part; when the course needs more, what is unspent is recalled within its own request."""
    house = granted.house
    with pytest.raises(QuotaExceeded):
        await submit(house, LISE)
    loan = await house.pipeline.ledger.lend(
        GRACE, Lend(grant="eu", from_project="qcourse", to_project="lab", amount=1_500_000)
    )
    assert (await submit(house, LISE)).cost == PRICE
    assert await granted.account(EU) == (500_000, 0, 0)
    assert (await submit(house)).cost == PRICE
    assert (await submit(house)).cost == PRICE
    shown = {one.id: one for one in (await house.pipeline.ledger.grants(ROOT)).grants}
    missing = PRICE + 450_000 - 500_000
    assert shown["eu"].lent == 1_500_000 - missing
    assert shown[loan.id].loan is not None
    assert shown[loan.id].available == 1_500_000 - missing - PRICE
    back = await house.pipeline.ledger.recall(GRACE, loan.id)
    assert back.amount - back.recalled == PRICE
    assert back.closed is not None
    with pytest.raises(QuotaExceeded):
        await submit(house, LISE)
    await house.ledger()


async def test_what_is_on_hold_of_a_loan_is_not_recalled(granted: Granted) -> None:
    """It comes back when it is released, once the loan has ended."""
    house = granted.house
    loan = await house.pipeline.ledger.lend(
        GRACE, Lend(grant="eu", from_project="qcourse", to_project="lab", amount=CREDIT)
    )
    granted.runner.hold()
    job = await submit(house, LISE, wait_s=0)
    back = await house.pipeline.ledger.recall(GRACE, loan.id)
    assert back.recalled == CREDIT - 450_000
    await house.pipeline.cancel(LISE, job.id)
    await granted.turn()
    (row,) = await house.store.read(lambda view: view.loans())
    assert row.recalled == CREDIT
    assert await granted.account(EU) == (2 * CREDIT, 0, 0)
    await house.ledger()


@pytest.mark.parametrize(
    ("who", "asked", "error"),
    [
        (ADA, {}, Refused),
        (LISE, {}, NotFound),
        (GRACE, {"to_project": "nowhere"}, Conflict),
        (GRACE, {"to_project": "qcourse"}, Conflict),
        (GRACE, {"grant": "none"}, Conflict),
        (GRACE, {"amount": 3 * CREDIT}, Conflict),
    ],
)
async def test_who_may_lend_what(granted: Granted, who: Principal, asked: dict[str, Any], error: type) -> None:
    """Leads of the lender, what is unused, to another project of the organisation."""
    body = {"grant": "eu", "from_project": "qcourse", "to_project": "lab", "amount": CREDIT} | asked
    with pytest.raises(error):
        await granted.house.pipeline.ledger.lend(who, Lend(**body))
    await granted.house.ledger()


# -- raises, prices, figures -------------------------------------------------------------------------------------------


async def test_a_raise_is_asked_for_and_approved_by_somebody_else(settings: Settings) -> None:
    """More of a quota until a date, as an entry; afterwards the limit is what was declared."""
    async with running(with_quotas(settings, user_quota=500_000)) as house, house.runner():
        clock = Clock(datetime.now(UTC))
        house.pipeline._context.clock = clock
        await submit(house)
        with pytest.raises(QuotaExceeded):
            await submit(house)
        body = {"scope": "user", "unit": "credits", "window": "month", "amount": CREDIT, "days": 40}
        asked = await house.pipeline.requests.ask(
            ADA, Ask(kind="quota", project="qcourse", reason="for the thesis", body=body)
        )
        assert asked.words == "ada may use 1.00 credits more in each month for 40 days."
        with pytest.raises((Refused, NotFound)):
            await house.pipeline.requests.decide(ADA, asked.id, Decision(verdict="approve"))
        await house.pipeline.requests.decide(GRACE, asked.id, Decision(verdict="approve"))
        assert (await submit(house)).cost == PRICE
        mine = (await house.pipeline.quota(ADA)).meters[0]
        assert mine.limit == 1_500_000
        raised = await house.store.read(lambda view: view.entries(ref=asked.id))
        assert [(str(e.kind), e.amount) for e in raised] == [("raise", CREDIT)]
        assert (await house.pipeline.quota(BEN)).meters[0].limit == 500_000
        clock.now += timedelta(days=70)
        assert (await house.pipeline.quota(ADA)).meters[0].limit == 500_000
        await house.ledger()


async def test_prices_of_the_submission_hold(settings: Settings) -> None:
    """A list of the API holds from its moment on; a job keeps the one that it was submitted under."""
    async with running(settings) as house, house.runner() as runner:
        clock = Clock(datetime.now(UTC))
        house.pipeline._context.clock = clock
        ledger = house.pipeline.ledger
        since = clock.now + timedelta(hours=1)
        await ledger.set_prices(ROOT, SetPrices(device="fake_torino", since=since, per_task=2 * CREDIT))
        with pytest.raises(InputError):
            await ledger.set_prices(ROOT, SetPrices(device="fake_torino", since=clock.now - timedelta(hours=1)))
        runner.hold()
        job = await submit(house, wait_s=0)
        clock.now = since
        runner.go()
        await until(lambda: ended(house, job.id))
        assert (await house.pipeline.job(ADA, job.id)).cost == PRICE
        assert (await submit(house)).cost == 2 * CREDIT
        shown = [(p.device, p.in_force) for p in (await ledger.prices(ROOT)).prices if p.device == "fake_torino"]
        assert shown == [("fake_torino", False), ("fake_torino", True)]


async def test_the_queue_is_charged_by_the_minute_never_beyond_the_hold(settings: Settings) -> None:
    """At most the minutes of the list are held; what is charged is the time in the queue."""
    per_minute = replace(PRICES["fake_torino"], per_queue_minute=60_000, queue_minutes=2)
    async with running(settings, prices=PRICES | {"fake_torino": per_minute}) as house, house.runner() as runner:
        runner.hold()
        first = await submit(house, wait_s=0)
        waiting = await submit(house, wait_s=0)
        assert waiting.price_at_most == 450_000 + 120_000
        runner.go()
        await until(lambda: ended(house, waiting.id))
        await until(lambda: ended(house, first.id))
        cost = (await house.pipeline.job(ADA, waiting.id)).cost or 0
        assert PRICE < cost < PRICE + 60_000
        await house.ledger()


async def test_figures_are_sums_of_their_entries(settings: Settings) -> None:
    """By any dimension; each for those who may see it; the drill-down adds up to the figure."""
    async with running(settings) as house, house.runner():
        for who in (ADA, ADA, BEN):
            await submit(house, who)
        await submit(house, device="aer")
        ledger = house.pipeline.ledger
        mine = await ledger.usage(ADA, Asked(), ["project", "user"])
        assert [(row.group["user"], row.cost, row.jobs) for row in mine.rows] == [("ada", 2 * PRICE, 3)]
        led = await ledger.usage(GRACE, Asked(project="qcourse"), ["user", "device", "month"])
        assert [(row.group["user"], row.group["device"], row.cost) for row in led.rows] == [
            ("ada", "aer", 0),
            ("ada", "fake_torino", 2 * PRICE),
            ("ben", "fake_torino", PRICE),
        ]
        assert led.total.cost_per_completed == round(3 * PRICE / 4)
        for row in led.rows:
            only = Asked(project="qcourse", user=row.group["user"], device=row.group["device"])
            drilled = await ledger.charges(GRACE, only, after=0, limit=100)
            assert (drilled.amount, drilled.count) == (row.cost, row.entries)
            assert sum(entry.amount for entry in drilled.entries) == row.cost
        assert (await ledger.usage(LISE, Asked(), ["project"])).rows == []
        with pytest.raises(NotFound):
            await ledger.usage(LISE, Asked(project="qcourse"), ["project"])
        assert (await ledger.usage(ROOT, Asked(), ["organisation"])).total.cost == 3 * PRICE
        lines = (await ledger.usage_csv(ROOT, Asked(), ["user"])).decode().splitlines()
        assert lines[0].startswith("user,cost,entries,jobs")
        assert lines[1].startswith("ada,0.841000,2,3")
        with pytest.raises(InputError):
            await ledger.usage(ADA, Asked(), ["shoe"])


async def test_the_books_are_proved_through_the_pipeline(settings: Settings) -> None:
    """All well; and a changed balance is found."""
    async with running(settings) as house, house.runner():
        await submit(house)
        found = await house.pipeline.ledger.verify(ROOT)
        assert (found.ok, found.violations) == (True, [])
        assert sum(found.units["credits"].values()) == 0
        with house.store.engine.begin() as conn:
            conn.exec_driver_sql("UPDATE accounts SET used = used + 1")
        assert not (await house.pipeline.ledger.verify(ROOT)).ok
