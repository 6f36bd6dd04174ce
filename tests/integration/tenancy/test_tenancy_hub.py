"""Tenancy on a real hub behind a real OpenID issuer: applied tenants, joining, roles for a while, leaving, CI."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from jupyter_quantum.client.hub import Hub
from jupyter_quantum.client.members import exchange
from jupyter_quantum.exceptions import Conflict, NotFound, QuantumError, Refused, ScopeMissing
from tests.integration.story.lab import GONE_S, Lab, Person, bell, wait_for
from tests.integration.story.provider import Provider
from tests.integration.tenancy.conftest import CI, tenants

BELL = base64.b64encode(
    b'OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;\nh q[0];\ncx q[0], q[1];\nc = measure q;\n'
).decode()
ADMIN = ("custom:quantum:read", "custom:quantum:admin")


def member(lab: Lab, provider: Provider, name: str, *groups: str) -> Person:
    provider.enrol(name, *groups)
    return lab.person(name)


@pytest.fixture
def lena(lab: Lab, provider: Provider) -> Person:
    """A lead of physics. The hub knew nothing of her group when it started."""
    return (
        member(lab, provider, "lena", "physics", "physics-leads")
        if "lena" not in provider.people
        else lab.person("lena")
    )


def said(answer: Any, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()


def waiting(person: Person, project: str = "physics") -> dict[str, Any]:
    """A run on hardware that waits for a lead's approval, its credits on hold."""
    body = {
        "device": "campus_qpu",
        "project": project,
        "circuits": {"format": "qasm3", "data": BELL},
        "options": {"shots": 1000},
    }
    job: dict[str, Any] = said(person.lab.raw(person.token(), "POST", "jobs", body), 201)
    assert job["state"] == "awaiting_approval", job
    return job


def test_applied_tenants_are_in_force(lab: Lab, provider: Provider, lena: Person) -> None:
    """A group that no configuration named gives its role; leads lead the part; the same file again changes nothing."""
    assert member(lab, provider, "mia", "physics").hub().me().projects == {"physics": "user"}
    assert lena.hub().me().projects == {"physics": "lead", "vqe": "lead"}
    admin = lab.person("root").hub(None, *ADMIN)
    plan = admin.tenancy.plan(tenants(provider.url))
    assert (plan.changes, plan.problems) == ([], [])
    with pytest.raises(Conflict) as stale:
        admin.tenancy.apply({"organisations": {}, "projects": {}}, version=0)
    assert stale.value.code in {"tenants.version", "tenants.refused"}
    for token in (lena.token(), lena.token("custom:quantum:read")):
        with pytest.raises(ScopeMissing):
            Hub(lab.service, token).tenancy.get()


def test_from_stranger_to_first_job(lab: Lab, provider: Provider, lena: Person) -> None:
    """Eve is in no group: she sees what takes people in, asks, is let in on the page, is welcomed, runs a circuit."""
    eve = member(lab, provider, "eve").hub()
    assert [(one.name, one.owner) for one in eve.members.open_projects().projects] == [("physics", "lena")]
    with pytest.raises(QuantumError) as none:
        eve.backend("aer").run(bell(), shots=10)
    assert none.value.code in {"absent", "project.none"}
    asked = eve.members.join("physics", reason="the course", days=30)
    by_token = lab.raw(
        lena.token("custom:quantum:read"), "POST", f"requests/{asked.id}/decision", {"verdict": "approve"}
    )
    assert by_token.status_code == 403
    decided = said(lena.ask("POST", f"requests/{asked.id}/decision", verdict="approve"))
    assert (decided["state"], decided["decided_by"]) == ("approved", "lena")
    me = eve.me()
    assert me.projects == {"physics": "user"}
    assert me.memberships[0].end is not None
    assert "Welcome to physics" in repr(eve.members.welcome())
    assert sum(eve.backend("aer").run(bell(), shots=10).result().get_counts().values()) == 10


def test_an_absent_users_jobs_end(lab: Lab, provider: Provider, lena: Person) -> None:
    """Max leaves the group at the identity provider and does nothing more: what he had waiting is taken back."""
    max_ = member(lab, provider, "max", "physics")
    job = waiting(max_)
    provider.leave("max", "physics")
    path = f"jobs/{job['id']}"
    wait_for(lambda: said(lena.ask("GET", path))["state"] == "cancelled", GONE_S, lambda: f"Still waits.\n{lab.log}")
    after = said(lena.ask("GET", path))
    assert (after["error"]["code"], after["on_hold"]) == ("owner.left", 0)


def test_a_closed_accounts_jobs_end(lab: Lab, provider: Provider, lena: Person) -> None:
    """The identity provider refuses to renew what it gave: the person is gone, and so is what waited."""
    kim = member(lab, provider, "kim", "physics")
    job = waiting(kim)
    provider.revoke("kim")
    path = f"jobs/{job['id']}"
    wait_for(lambda: said(lena.ask("GET", path))["state"] == "cancelled", GONE_S, lambda: f"Still waits.\n{lab.log}")
    assert said(lena.ask("GET", path))["error"]["code"] == "owner.gone"


def test_a_second_factor_reaches_the_hub(lab: Lab, provider: Provider) -> None:
    """Whoever signs in with one is in the group that stands for it; whoever does not is not."""
    provider.enrol("nora", "physics", mfa=True)
    with_, without = lab.person("nora"), member(lab, provider, "otis", "physics")
    groups = {
        one.name: set(said(one.browser.get(f"{lab.url}/hub/api/user", timeout=20))["groups"])
        for one in (with_, without)
    }
    assert "quantum-mfa" in groups["nora"]
    assert "quantum-mfa" not in groups["otis"]


def test_a_lead_for_an_hour(lab: Lab, provider: Provider, lena: Person) -> None:
    """Ida has no scope to decide from the hub; while she is lead by a grant she decides on the page, not by token."""
    ida = member(lab, provider, "ida", "physics")
    asked = member(lab, provider, "olga").hub().members.join("physics", reason="to see")
    path = f"requests/{asked.id}/decision"
    assert said(ida.ask("POST", path, verdict="approve"), 403)["code"] == "scope.missing"
    mine = ida.hub().members.elevate("lead", "lena is away", project="physics", hours=1)
    said(lena.ask("POST", f"requests/{mine.id}/decision", verdict="approve"))
    assert ida.hub().me().projects["physics"] == "lead"
    assert said(ida.ask("POST", path, verdict="reject", note="not now"))["decided_by"] == "ida"


def test_the_glass(lab: Lab, provider: Provider, lena: Person) -> None:
    """By a person on the page only; at once; the auditor sees and reviews it, who broke it cannot."""
    kay = member(lab, provider, "kay", "physics", "quantum-emergency")
    audie = member(lab, provider, "audie", "quantum-auditors")
    asked = {"role": "lead", "project": "physics", "reason": "fire", "hours": 0.5}
    assert said(lab.raw(kay.token(), "POST", "breakglass", asked), 403)["code"] == "auth.interactive"
    assert said(lena.ask("POST", "breakglass", **asked), 403)["code"] == "breakglass.group"
    taken = said(kay.ask("POST", "breakglass", **asked), 201)
    assert kay.hub().me().projects["physics"] == "lead"
    seen = said(audie.ask("GET", "members", unreviewed=1))["members"]
    assert [one["id"] for one in seen] == [taken["id"]]
    path = f"members/{taken['id']}/review"
    assert said(kay.ask("POST", path, note="all well"), 403)["code"] == "breakglass.own"
    assert said(audie.ask("POST", path, note="It burned."))["reviewed_by"] == "audie"


def test_a_ci_job_comes_with_its_own_token(lab: Lab, provider: Provider, lena: Person) -> None:
    """Through the hub's proxy: exchanged once, used for a job of the project, seen and ended by the lead."""
    token = provider.workload_token(CI, "quantum-ci")
    given = exchange(lab.service, token, "physics")
    with pytest.raises(Refused) as again:
        exchange(lab.service, token, "physics")
    assert again.value.code == "token.replayed"
    ci = Hub(lab.service, given.access_token)
    assert sum(ci.backend("aer").run(bell(), shots=10).result().get_counts().values()) == 10
    assert ci.me().projects == {"physics": "user"}
    listed = said(lena.ask("GET", "tokens", project="physics"))["tokens"]
    assert [one["id"] for one in listed] == [given.id]
    said(lena.ask("POST", f"tokens/{given.id}/revoke"))
    assert lab.raw(given.access_token, "GET", "me").status_code == 401
    other = provider.workload_token("repo:elsewhere", "quantum-ci")
    with pytest.raises(Refused) as refused:
        exchange(lab.service, other, "physics")
    assert refused.value.code == "token.refused"


def test_absent_and_foreign_ids_answer_alike(lab: Lab, provider: Provider, lena: Person) -> None:
    """Requests, memberships, tokens and projects of others: the same bytes as for what never was."""
    cleo = member(lab, provider, "cleo", "qcourse", "qcourse-leads")
    asked = member(lab, provider, "finn", "physics").hub().members.elevate("lead", "why not", project="physics")
    ended = said(lena.ask("GET", "members", past=1))["members"][0]["id"]
    for method, path, real, never in (
        ("GET", "requests/{}", asked.id, "req_" + "0" * 32),
        ("POST", "requests/{}/withdraw", asked.id, "req_" + "0" * 32),
        ("POST", "members/{}/end", ended, "mem_" + "0" * 32),
        ("POST", "members/{}/review", ended, "mem_" + "0" * 32),
        ("GET", "jobs?project={}", "vqe", "nowhere"),
        ("GET", "welcome?project={}", "vqe", "nowhere"),
    ):
        body = {"note": "let me see"} if path.endswith("review") else {}
        foreign = cleo.ask(method, path.format(real), **body)
        absent = cleo.ask(method, path.format(never), **body)
        assert (foreign.status_code, foreign.text) == (404, absent.text), path
    with pytest.raises(NotFound):
        cleo.hub().members.join("vqe")
