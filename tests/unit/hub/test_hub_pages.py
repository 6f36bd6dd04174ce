"""The hub page: who sees what, forms, escaping, and that it needs no script and no inline style."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest

from jupyter_quantum.core.jobs import DeviceKind, JobState
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, InputError, NotFound
from jupyter_quantum.hub.pages.items import Clock, meter_item
from jupyter_quantum.wire.approvals import ApprovalsDecided, ApprovalsDecision, DecidedApproval
from jupyter_quantum.wire.base import ErrorBody, digest_of
from jupyter_quantum.wire.devices import (
    AdmissionDecision,
    Admissions,
    AdmissionView,
    CalibrationRef,
    DeviceAction,
    Devices,
    DeviceView,
    PriceView,
    Wait,
)
from jupyter_quantum.wire.jobs import (
    ApprovalDecision,
    Approvals,
    ApprovalView,
    DecisionView,
    Jobs,
    Me,
    Meter,
    QuotaView,
    Standing,
)
from jupyter_quantum.wire.operations import Resolution, UnknownAttempt, UnknownAttempts
from jupyter_quantum.wire.reports import DryRun, ReportView
from jupyter_quantum.wire.requests import Decision, RequestList, RequestView
from tests.unit.hub.support import ALL, READ, MemoryDoor, Service, cookies, job_view, signed_in

DIGEST = digest_of(b"")
HOSTILE = "<img src=x onerror=alert(1)>"
APPROVAL = "apr_" + "1" * 32
SECOND = "apr_" + "9" * 32
WISH = "req_" + "3" * 32
NOW = datetime.now(UTC)  # of the import: the tests may run minutes later


def a_device(name: str, state: str = "ready") -> DeviceView:
    return DeviceView(
        name=name,
        kind=DeviceKind.QPU,
        label="emulated QPU",
        vendor="ours",
        region="here",
        num_qubits=133,
        state=state,  # type: ignore[arg-type]
        max_shots=1,
        max_circuits=1,
        calibration=CalibrationRef(digest=DIGEST, at=NOW - timedelta(hours=26)),
        price=PriceView(),
        wait=Wait(p50=60, p90=90),
    )


@dataclass
class Wishes:
    """Ben asks to be let in."""

    there: bool = False
    done: list[Any] = field(default_factory=list)

    async def list(self, who: Principal, *, state: str = "open") -> RequestList:
        wish = RequestView(
            id=WISH,
            kind="onboarding",
            project="qcourse",
            role="lead",
            asked_by="ben",
            reason=HOSTILE,
            words="ben joins qcourse as user, for 30 days.",
            created=NOW,
            expires=datetime.now(UTC) + timedelta(hours=3, minutes=40, seconds=10),
            state="open",
            mine=who.name == "ben",
            may_decide=who.name == "grace",
        )
        return RequestList(requests=[wish] if self.there else [])

    async def decide(self, who: Principal, id: str, answer: Decision) -> None:  # noqa: A002
        if answer.verdict == "reject" and not answer.note:
            raise Conflict("A rejection needs a reason.")
        self.done.append((who.name, id, answer.verdict, answer.note))

    async def withdraw(self, who: Principal, id: str) -> None:  # noqa: A002
        self.done.append((who.name, id, "withdraw"))


@dataclass
class Pages:
    """A pipeline with one request, one project, a few jobs; remembers decisions and acts."""

    role: str = "lead"
    roles: tuple[str, ...] = ()
    name: str = "bell"
    two: bool = False
    looked: int = 0
    """How often it was asked for new devices."""
    done: list[Any] = field(default_factory=list)
    standing: Standing | None = None
    door: MemoryDoor = field(default_factory=MemoryDoor)
    requests: Wishes = field(default_factory=Wishes)

    async def me(self, who: Principal) -> Me:
        projects = {"qcourse": self.role} if self.role else {}
        return Me(name=who.name, roles=list(self.roles), scopes=[], projects=projects, tiers={"qcourse": "sandbox"})

    async def quota(self, who: Principal, project: str | None = None) -> QuotaView:
        meter = Meter(
            scope="user",
            name=who.name,
            project="qcourse",
            window="May",
            limit=50_000_000,
            used=31_000_000,
            held=6_600_000,
            available=12_400_000,
            resets=NOW + timedelta(days=9),
        )
        return QuotaView(project="qcourse", meters=[meter], binding=0)

    def _job(self, state: JobState = JobState.RUNNING, **changes: Any) -> Any:
        return job_view(id="job_" + "2" * 32, name=self.name, state=state, device="campus_qpu", **changes)

    async def jobs(self, who: Principal, **options: Any) -> Jobs:
        return Jobs(jobs=[self._job(on_hold=6_600_000), self._job(JobState.COMPLETED, cost=6_020_000)])

    async def approvals(self, who: Principal, state: str = "open") -> Approvals:
        decision = DecisionView(effect="needs_approval", policies=["qpu-over-5"], version=DIGEST, words="")
        job = self._job(
            JobState.AWAITING_APPROVAL, decision=decision, price=6_100_000, price_at_most=6_580_000, report="rep"
        )
        first = ApprovalView(
            id=APPROVAL,
            job=job,
            project="qcourse",
            role="lead",
            asked_by="ada",
            reason=HOSTILE,
            words="Needs a lead's approval because the estimate, 6.10 credits, is over 5.",
            created=NOW,
            expires=datetime.now(UTC) + timedelta(hours=3, minutes=40, seconds=10),
            state="open",
            project_left=5_800_000,
            may_decide=self.role == "lead" and who.name != "ada",
        )
        second = first.model_copy(update={"id": SECOND, "role": "operator", "may_decide": self.two})
        return Approvals(approvals=[first, second][: 1 + self.two] if self.role else [])

    async def get_report(self, who: Principal, id: str) -> ReportView:  # noqa: A002 (the pipeline's own name)
        run = DryRun(device="campus_qpu", shots=1000, ideal={"00": 0.5, "11": 0.5}, noisy={"00": 0.6, "11": 0.4})
        return ReportView(
            id=id,
            created=NOW,
            project="qcourse",
            name=self.name,
            kind="run",  # type: ignore[arg-type]
            source=DIGEST,
            num_circuits=1,
            num_qubits=2,
            executions=1000,
            shots=1000,
            policy=DIGEST,
            rows=[],
            dry_run=run,
            text="q_0: ─H─",
        )

    @property
    def admissions(self) -> Newcomers:
        return Newcomers(self)

    @property
    def resolving(self) -> Unknown:
        return Unknown(self)

    async def devices(self, who: Principal) -> Devices:
        return Devices(devices=[a_device("campus_qpu"), a_device("old_qpu", "offline")])

    async def decide(self, who: Principal, id: str, decision: ApprovalDecision) -> None:  # noqa: A002
        if decision.verdict == "reject" and not decision.note:
            raise Conflict("A rejection needs a reason.")
        self.done.append((who.name, id, decision.verdict, decision.note))
        self.standing = decision.standing

    async def decide_several(self, who: Principal, answer: ApprovalsDecision) -> ApprovalsDecided:
        self.done.append((who.name, *answer.ids, answer.verdict))
        wrong = ErrorBody(error="Refused", code="approval.same", message="A second person must.")
        return ApprovalsDecided(
            decided=[DecidedApproval(id=one, error=wrong if one == SECOND else None) for one in answer.ids]
        )

    async def act_on_device(self, who: Principal, name: str, action: DeviceAction) -> None:
        self.done.append((who.name, name, action.action))

    async def cancel(self, who: Principal, id: str) -> None:  # noqa: A002
        raise NotFound("No such job, or it is not visible to you.")


@dataclass
class Unknown:
    """An attempt that nobody can tell about."""

    pages: Pages

    async def unknown(self, who: Principal) -> UnknownAttempts:
        found = UnknownAttempt(
            tag="job_1-1",
            job="job_1",
            device="<img src=x>",
            project="qcourse",
            owner="ada",
            since=NOW,
            handles=[],
            on_hold=6_100_000,
            can_look=False,
        )
        return UnknownAttempts(attempts=[found])

    async def resolve(self, who: Principal, tag: str, told: Resolution) -> None:
        if told.charge is not None and told.charge > 6_100_000:
            raise InputError("At most 6.10 credits are on hold for it.", code="attempt.charge")
        self.pages.done.append((who.name, tag, told.verdict, told.charge))


@dataclass
class Newcomers:
    """A device that waits for an operator."""

    pages: Pages

    async def list(self, who: Principal) -> Admissions:
        self.pages.looked += 1
        facts = {"vendor": "IQM", "region": "eu", "description": "", "slots": 1, "max_shots": 1000}
        facts |= {"num_qubits": 20, "recovery": "opaque", "remote": True, "jobs": ["run"], "serving": True}
        new = AdmissionView(
            device="iqm_garnet",
            runner="quantum-iqm",
            state="pending",
            why="changed: region us → eu",
            version=DIGEST,
            announced=NOW,
            kind=DeviceKind.QPU,
            label="<img src=x>",
            **facts,
        )
        return Admissions(admissions=[new])

    async def decide(self, who: Principal, name: str, answer: AdmissionDecision) -> None:
        prices = (answer.per_shot, answer.max_seconds) if answer.verdict == "admit" else (answer.note,)
        self.pages.done.append((who.name, name, answer.verdict, *prices, answer.version))


@pytest.fixture
def pages(service: Service) -> Pages:
    found = Pages()
    service.context.started = found  # type: ignore[assignment]
    return found


async def page(service: Service, name: str = "grace", scopes: list[str] = ALL) -> str:
    token = service.hub.add("t", scopes, name=name)
    answer = await service.fetch("", headers=cookies(service, token))
    assert answer.code == 200, answer.body
    return answer.body.decode()


async def send(service: Service, path: str, name: str = "grace", scopes: list[str] = ALL, **form: str) -> Any:
    headers = await signed_in(service, service.hub.add("t", scopes, name=name))
    form["_xsrf"] = headers.pop("X-XSRFToken")
    headers["Content-Type"] = "application/x-www-form-urlencoded"
    return await service.fetch(path, method="POST", headers=headers, body=urlencode(form))


async def test_a_lead_sees_what_needs_them_first(service: Service, pages: Pages) -> None:
    """Price, bound, what is left, why, by which policy, the person's reason."""
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", await page(service)))
    for words in (
        "Needs you: 1 approval",
        "ada: bell on campus_qpu",
        "expires in 3 h 40 min",
        "6.10 credits, at most 6.58 · qcourse keeps 5.80",
        "(policy qpu-over-5)",
        "12.40 of 50 credits left",
        "used 31.00 · on hold 6.60",
    ):
        assert words in text
    assert text.index("Needs you") < text.index("Budgets") < text.index("Devices")


async def test_approving_takes_one_form_and_comes_back(service: Service, pages: Pages) -> None:
    """No script is needed; a reload repeats nothing."""
    answer = await send(service, f"approvals/{APPROVAL}", verdict="approve")
    assert (answer.code, answer.headers["Location"]) == (303, "/services/quantum/")
    assert pages.done == [("grace", APPROVAL, "approve", None)]


async def test_an_approval_may_stand_for_a_while(service: Service, pages: Pages) -> None:
    """The form says for how long, and whether parameters are free; another length is refused."""
    answer = await send(service, f"approvals/{APPROVAL}", verdict="approve", days="7", free="1")
    assert answer.code == 303
    assert pages.standing is not None
    assert pages.standing.free_parameters
    assert timedelta(days=6) < pages.standing.until - datetime.now(UTC) <= timedelta(days=7)
    assert (await send(service, f"approvals/{APPROVAL}", verdict="approve", days="9000")).code == 422


async def test_several_are_approved_with_one_form(service: Service, pages: Pages) -> None:
    """Boxes belong to the form by name, without a script; there are none for a single request."""
    assert "Approve the selected ones" not in await page(service)
    pages.two = True
    shown = await page(service)
    assert shown.count('name="approval"') == 2
    assert f'value="{APPROVAL}" form="several"' in shown
    assert (await send(service, "approvals", verdict="approve", approval=APPROVAL)).code == 303
    assert pages.done == [("grace", APPROVAL, "approve")]
    assert (await send(service, "approvals", verdict="approve")).code == 422
    failed = await send(service, "approvals", verdict="approve", approval=SECOND)
    item = failed.body.decode().partition(f'id="{SECOND}"')[2].partition("</article>")[0]
    assert (failed.code, "A second person must." in item) == (409, True)
    without = await send(service, "approvals", scopes=[READ], verdict="approve", approval=APPROVAL)
    assert without.code == 403


async def test_a_rejection_without_a_reason_is_explained_at_its_place(service: Service, pages: Pages) -> None:
    """The page comes again with the error's words inside the item."""
    answer = await send(service, f"approvals/{APPROVAL}", verdict="reject", note="")
    assert answer.code == 409
    item = answer.body.decode().partition(f'id="{APPROVAL}"')[2].partition("</article>")[0]
    assert "A rejection needs a reason." in item
    assert pages.done == []


async def test_a_form_without_the_pages_token_does_nothing(service: Service, pages: Pages) -> None:
    """Another site cannot approve in a lead's name."""
    login = cookies(service, service.hub.add("t", ALL, name="grace"))
    login["Content-Type"] = "application/x-www-form-urlencoded"
    answer = await service.fetch(f"approvals/{APPROVAL}", method="POST", headers=login, body="verdict=approve")
    assert answer.code == 403
    assert pages.done == []


async def test_a_token_cannot_decide(service: Service, pages: Pages) -> None:
    """Only a person who is signed in: kernels can read their server's token."""
    token = service.hub.add("t", ALL, name="grace")
    answer = await service.fetch(f"approvals/{APPROVAL}", token=token, method="POST", body="verdict=approve")
    assert answer.code == 403
    assert pages.done == []


async def test_the_scope_to_approve_is_needed(service: Service, pages: Pages) -> None:
    """A reader's login is refused, in HTML."""
    answer = await send(service, f"approvals/{APPROVAL}", scopes=[READ], verdict="approve")
    assert answer.code == 403
    assert answer.headers["Content-Type"].startswith("text/html")
    assert pages.done == []


async def test_other_requests_are_decided_on_the_page_as_well(service: Service, pages: Pages) -> None:
    """To join, for a role, for more quota: counted among what needs the reader, decided by a form, names escaped."""
    pages.requests.there = True
    shown = await page(service)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", shown))
    assert "Needs you: 2 approvals" in text
    assert "ben joins qcourse as user, for 30 days." in text
    assert HOSTILE not in shown
    for address, forms in ((f"requests/{WISH}", 2), (f"approvals/{APPROVAL}", 3)):
        assert (
            len(
                re.findall(
                    rf'action="/services/quantum/{address}">\s*<input type="hidden" name="_xsrf" value="\S+">', shown
                )
            )
            == forms
        )
    assert (await send(service, f"requests/{WISH}", verdict="approve")).code == 303
    refused = await send(service, f"requests/{WISH}", verdict="reject")
    item = refused.body.decode().partition(f'id="{WISH}"')[2].partition("</article>")[0]
    assert (refused.code, "A rejection needs a reason." in item) == (409, True)
    assert (await send(service, f"requests/{WISH}", scopes=[READ], verdict="approve")).code == 403
    assert pages.requests.done == [("grace", WISH, "approve", None)]


async def test_an_own_wish_can_be_withdrawn(service: Service, pages: Pages) -> None:
    """It says who decides, and offers no verdict."""
    pages.role, pages.requests.there = "", True
    shown = await page(service, "ben")
    assert "The leads of qcourse decide." in shown
    assert "verdict" not in shown
    assert (await send(service, f"requests/{WISH}/withdraw", "ben")).code == 303
    assert pages.requests.done == [("ben", WISH, "withdraw")]


async def test_an_own_request_has_no_buttons(service: Service, pages: Pages) -> None:
    """And says who decides."""
    text = await page(service, "ada")
    assert "You asked for this, so another lead must decide." in text
    assert 'value="approve"' not in text


async def test_whoever_has_roles_on_the_whole_hub_reads_them(service: Service, pages: Pages) -> None:
    """All of them, not only that which operates."""
    pages.role, pages.roles = "", ("auditor", "admin")
    assert "vera · administrator · auditor" in await page(service, "vera")


def test_a_budget_is_shown_in_its_own_unit() -> None:
    """Seconds are not credits, and an organisation's budget is of no project."""
    kept = {"scope": "organisation", "name": "campus", "project": "", "window": "November", "unit": "qpu_seconds"}
    sums = {"limit": 3_600_000, "used": 45_000, "held": 0, "available": 3_555_000}
    shown = meter_item(Meter(**kept, **sums), Clock(NOW, None))
    assert (shown.title, shown.used, shown.held) == ("campus · November", "45 s", "0 s")
    assert shown.left.startswith("59 min")
    assert "credits" not in shown.left + shown.chart


async def test_operators_get_buttons_for_devices_and_others_do_not(service: Service, pages: Pages) -> None:
    """Those that fit the state; an offline device has none."""
    assert 'value="pause"' not in await page(service)
    pages.role, pages.roles = "", ("operator",)
    text = await page(service, "otto")
    assert re.findall(r'name="action" value="(\w+)"', text) == ["pause", "isolate", "drain"]
    assert "1 device offline" in text
    answer = await send(service, "devices/campus_qpu", name="otto", action="drain")
    assert answer.code == 303
    assert pages.done == [("otto", "campus_qpu", "drain")]


async def test_operators_admit_new_devices_and_others_do_not_learn_of_them(service: Service, pages: Pages) -> None:
    """What was announced and what has changed, as text; prices in credits; wrong amounts are said at the device."""
    assert "iqm_garnet" not in await page(service)
    assert pages.looked == 0
    pages.role, pages.roles = "", ("operator",)
    text = await page(service, "otto")
    assert "1 device to admit" in text
    assert "changed: region us → eu" in text
    assert "&lt;img src=x&gt;" in text
    pages.done.clear()
    form = {"verdict": "admit", "version": DIGEST, "per_task": "1", "per_shot": "0,02", "per_second": "0"}
    answer = await send(service, "devices/iqm_garnet/admission", name="otto", max_seconds="30", **form)
    assert answer.code == 303
    assert pages.done[-1] == ("otto", "iqm_garnet", "admit", 20_000, 30.0, DIGEST)
    answer = await send(service, "devices/iqm_garnet/admission", name="otto", **form | {"per_shot": "cheap"})
    assert answer.code == 422
    assert "per_shot: an amount of credits" in answer.body.decode()
    item = text[text.index('id="new-iqm_garnet"') :]
    assert re.search(r'name="note" maxlength="1000" required', item[: item.index("</article>")])
    said = {"verdict": "reject", "version": DIGEST, "note": "Not ours."}
    assert (await send(service, "devices/iqm_garnet/admission", name="otto", **said)).code == 303
    assert pages.done[-1] == ("otto", "iqm_garnet", "reject", "Not ours.", DIGEST)


async def test_operators_say_what_became_of_an_unknown_run(service: Service, pages: Pages) -> None:
    """Where to look, how much can be charged, and three answers; nobody else sees it."""
    assert "Unknown runs" not in await page(service)
    pages.role, pages.roles = "", ("operator",)
    text = await page(service, "otto")
    assert "1 unknown run" in text
    assert "Did &lt;img src=x&gt; run this?" in text
    assert "look for job_1-1 there" in text
    assert "Look again" not in text  # it cannot be asked
    pages.done.clear()
    for form, told in (({"verdict": "not_run"}, None), ({"verdict": "ran", "charge": "0,5"}, 500_000)):
        assert (await send(service, "attempts/job_1-1", name="otto", **form)).code == 303
        assert pages.done[-1] == ("otto", "job_1-1", form["verdict"], told)
    answer = await send(service, "attempts/job_1-1", name="otto", verdict="ran", charge="7")
    assert answer.code == 422
    assert "At most 6.10 credits are on hold for it." in answer.body.decode()


async def test_an_unknown_action_is_refused_in_words(service: Service, pages: Pages) -> None:
    """A form that somebody made up."""
    answer = await send(service, "devices/campus_qpu", action="explode")
    assert answer.code == 422
    assert "Something went wrong" not in answer.body.decode()


async def test_a_foreign_job_cannot_be_cancelled(service: Service, pages: Pages) -> None:
    """It answers like an absent one."""
    answer = await send(service, "jobs/job_3/cancel")
    assert answer.code == 404


async def test_names_are_text(service: Service, pages: Pages) -> None:
    """Markup in names and reasons is shown, not run; nothing inline that the policy of the page would have to allow."""
    pages.name = HOSTILE
    text = await page(service)
    assert HOSTILE not in text
    assert text.count("&lt;img src=x onerror=alert(1)&gt;") >= 3
    assert not re.search(r'\sstyle="|<style|<script(?![^>]*src=)|\son\w+="(?!.*&)', text)


async def test_who_is_not_signed_in_is_sent_to_the_hub(service: Service, pages: Pages) -> None:
    """As every page of the hub."""
    answer = await service.fetch("")
    assert answer.code == 302
    assert "/hub/api/oauth2/authorize" in answer.headers["Location"]


async def test_style_and_script_are_served(service: Service, pages: Pages) -> None:
    """And nothing beside them."""
    for name, kind in (("quantum.css", "text/css"), ("quantum.js", "javascript")):
        answer = await service.fetch(f"static/{name}")
        assert (answer.code, kind in answer.headers["Content-Type"]) == (200, True)
    assert (await service.fetch("static/%2e%2e/handlers.py")).code in {403, 404}
