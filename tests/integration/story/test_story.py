"""The story of a student at a campus, told once by doing it, on a real hub behind a real OpenID issuer.

New student → asks to join → approved → group → sandbox job → pilot job → refused by quota → more quota approved →
production job approved by the lead → export reviewed → leaves the group → everything refused; and the audit tells it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jupyter_quantum import audit_verify
from jupyter_quantum.client.hub import Hub
from jupyter_quantum.client.members import exchange
from tests.integration.story.lab import GONE_S, Lab, bell, wait_for
from tests.integration.story.provider import Provider
from tests.integration.story.receiver import Receiver
from tests.integration.story.tale import ADMIN, CAST, SERVICE, Tale, names_in, not_told, payloads, refused

pytestmark = pytest.mark.timeout(600)  # it waits for the hub, which takes a loaded machine minutes
RUN_S = 60.0
"""The longest that anybody waits for a result, seconds; a tenth of a second on an idle machine."""
CREDIT = 1_000_000


def test_the_story(lab: Lab, provider: Provider, receiver: Receiver, tmp_path: Path) -> None:
    """Each step is allowed or refused as it must be, and the record, verified on its own, tells them in order."""
    tale = Tale(lab, provider, receiver)
    tale.says("tenants.applied", ADMIN)
    a_stranger_asks_to_join(tale)
    a_job_in_the_sandbox(tale)
    a_pilot_job_and_its_quota(tale)
    a_workload_of_the_pilot(tale)
    job = a_production_job(tale)
    an_export_is_reviewed(tale, job)
    waiting = a_job_that_waits(tale)
    token = the_student_leaves(tale, waiting)
    everything_is_refused(tale, token, job, waiting)
    the_books_are_right(tale)
    the_audit_tells_it(tale, tmp_path)


def a_stranger_asks_to_join(tale: Tale) -> None:
    """Zoe may sign in and nothing else; she sees the course's name, asks, and its lead lets her in."""
    hub = tale.zoe.hub()
    assert hub.me().projects == {}
    refused(lambda: hub.backend("aer").run(bell(), shots=10), "project.none", "absent")
    assert [one.name for one in hub.members.open_projects().projects] == ["qcourse"]
    refused(lambda: hub.members.join("qlab"), "absent")
    asked = hub.members.join("qcourse", reason="I take the course.")
    tale.says("request.changed", "student-zoe", "qcourse", kind="onboarding", state="open")
    own = tale.zoe.ask("POST", f"requests/{asked.id}/decision", verdict="approve")
    assert own.status_code == 403, own.text
    by_token = tale.lab.raw(tale.carl.token(), "POST", f"requests/{asked.id}/decision", {"verdict": "approve"})
    assert by_token.status_code == 403, by_token.text
    assert tale.lena.ask("GET", f"requests/{asked.id}").status_code == 404  # another project's lead
    tale.decided(tale.carl, f"requests/{asked.id}")
    tale.says("membership.changed", "lead-carl", "qcourse", act="given", role="user")
    tale.says("request.changed", "lead-carl", "qcourse", kind="onboarding", state="approved")
    assert hub.me().projects == {"qcourse": "user"}
    assert hub.members.welcome().project == "qcourse"


def a_job_in_the_sandbox(tale: Tale) -> None:
    """In the sandbox tier the simulator is hers at once; a rule of the tier says by how much she is over it."""
    backend = tale.zoe.hub("qcourse").backend("aer")
    counts = backend.run(bell(), shots=100).result(timeout=RUN_S).get_counts()
    assert sum(counts.values()) == 100
    tale.ran("student-zoe", "qcourse", "aer", "draft", "validated", "queued")
    said = refused(lambda: backend.run(bell(), shots=20_000), "policy.sandbox-shots")
    assert "20 000 shots is over 10 000 in the sandbox tier." in said.message.replace("\u202f", " ")
    tale.says("job.moved", SERVICE, "qcourse", to="rejected", code="policy.sandbox-shots")


def a_pilot_job_and_its_quota(tale: Tale) -> None:
    """The campus puts her into the pilot's group; one credit a month is soon used, and the lead raises it."""
    tale.provider.join("student-zoe", "qlab-students")
    hub = tale.zoe.hub("qlab-pilot")
    wait_for(lambda: "qlab-pilot" in hub.me().projects, GONE_S, "The group of the identity provider did not arrive.")
    backend = hub.backend("fake_torino")
    backend.run(bell(), shots=1000).result(timeout=RUN_S)
    tale.ran("student-zoe", "qlab-pilot", "fake_torino", "draft", "validated", "queued")
    assert "ask for more" in refused(lambda: backend.run(bell(), shots=2000), "quota.exceeded").message
    tale.says("job.moved", SERVICE, "qlab-pilot", to="rejected", code="quota.exceeded")
    asked = hub.requests.ask("quota", project="qlab-pilot", reason="My thesis.", amount=2 * CREDIT, days=30)
    tale.says("request.changed", "student-zoe", "qlab-pilot", kind="quota", state="open")
    tale.decided(tale.lena, f"requests/{asked.id}", note="One month.")
    tale.says("ledger.raised", "lead-lena", "qlab-pilot", amount=2 * CREDIT)
    tale.says("request.changed", "lead-lena", "qlab-pilot", kind="quota", state="approved")
    backend.run(bell(), shots=2000).result(timeout=RUN_S)
    tale.ran("student-zoe", "qlab-pilot", "fake_torino", "draft", "validated", "queued")


def a_workload_of_the_pilot(tale: Tale) -> None:
    """A CI job trades the issuer's token, once, for one of the project that ends within minutes, and runs with it."""
    issued = tale.provider.workload_token("ci:vqe:main", "quantum")
    refused(lambda: exchange(tale.lab.service, issued, "qlab"), "token.refused")
    given = exchange(tale.lab.service, issued, "qlab-pilot")
    assert given.expires_in <= 600
    tale.says("token.exchanged", "ci:ci:vqe:main", "qlab-pilot", token=given.id)
    refused(lambda: exchange(tale.lab.service, issued, "qlab-pilot"), "token.replayed")
    workload = Hub(tale.lab.service, given.access_token)
    assert workload.me().projects == {"qlab-pilot": "user"}
    workload.backend("aer").run(bell(), shots=10)
    tale.says("job.moved", "ci:ci:vqe:main", "qlab-pilot", device="aer", to="queued")
    tale.done(tale.lena, f"tokens/{given.id}/revoke")
    tale.says("token.revoked", "lead-lena", "qlab-pilot", token=given.id)
    refused(workload.me, "auth.missing")


def a_production_job(tale: Tale) -> Any:
    """Hardware in the production tier waits for the lead, who decides on the page; a webhook hears of every move."""
    tale.provider.join("student-zoe", "qlab")
    hub = tale.zoe.hub("qlab")
    wait_for(lambda: "qlab" in hub.me().projects, GONE_S, "The group of the identity provider did not arrive.")
    hook = tale.done(tale.zoe, "webhooks", url=tale.receiver.url, events=["job.*"])
    tale.receiver.secrets.append(hook["secret"])
    tale.says("webhook.added", "student-zoe")
    job = hub.backend("campus_qpu").run(bell(), shots=1000)
    assert job.state == "awaiting_approval"
    tale.ran("student-zoe", "qlab", "campus_qpu", "draft", "validated")
    tale.says("approval.changed", "student-zoe", "qlab", role="lead", state="open")
    tale.ran("student-zoe", "qlab", "campus_qpu", "awaiting_approval")
    approve(tale, job.job_id())
    assert sum(job.result(timeout=RUN_S).get_counts().values()) == 1000
    hears = ["job.moved"] * 7  # draft, validated, awaiting approval, queued, scheduled, running, completed
    wait_for(lambda: tale.receiver.told(job.job_id()) == hears, RUN_S, lambda: str(tale.receiver.messages))
    assert tale.receiver.forged == 0
    return job


def approve(tale: Tale, job: str) -> None:
    """The lab's lead approves a job on the page, where she sees what it costs."""
    [open_one] = [one for one in tale.lena.ask("GET", "approvals").json()["approvals"] if one["job"]["id"] == job]
    assert open_one["may_decide"]
    tale.decided(tale.lena, f"approvals/{open_one['id']}")
    tale.says("approval.changed", "lead-lena", "qlab", role="lead", state="approved")
    tale.says("job.moved", "lead-lena", "qlab", device="campus_qpu", to="queued")


def an_export_is_reviewed(tale: Tale, job: Any) -> None:
    """The result may leave to the declared target only, and only once the lead has looked."""
    data = tale.zoe.hub("qlab").data
    refused(lambda: data.export(job.job_id(), "elsewhere"), "export.target")
    asked = data.export(job.job_id(), "repository", reason="Figure 3.")
    assert (asked.state, asked.request is not None) == ("review", True)
    tale.says("export.changed", "student-zoe", "qlab", export=asked.id, state="review")
    tale.decided(tale.lena, f"requests/{asked.request}")
    wait_for(lambda: data.get_export(asked.id).state == "written", RUN_S, lambda: repr(data.get_export(asked.id)))
    written = list((tale.lab.data / "repository").rglob(f"{asked.id}.zip"))
    assert len(written) == 1, written
    tale.says("request.changed", "lead-lena", "qlab", kind="export", state="approved")
    tale.says("export.changed", SERVICE, "qlab", export=asked.id, state="written")


def a_job_that_waits(tale: Tale) -> Any:
    """The device is paused, so that an approved job of hers waits, its price on hold."""
    tale.done(tale.otto, "devices/campus_qpu/state", action="pause", reason="Maintenance.")
    tale.says("device.changed", "operator-otto", device="campus_qpu", state="paused")
    job = tale.zoe.hub("qlab").backend("campus_qpu").run(bell(), shots=1500)
    tale.ran("student-zoe", "qlab", "campus_qpu", "draft", "validated", "awaiting_approval")
    if job.state == "awaiting_approval":
        approve(tale, job.job_id())
    held = tale.lena.ask("GET", f"jobs/{job.job_id()}").json()
    assert (held["state"], held["on_hold"] > 0) == ("queued", True), held
    return job


def the_student_leaves(tale: Tale, waiting: Any) -> str:
    """She leaves the groups at the identity provider and is seen no more; what waits is taken back without her."""
    token = tale.zoe.token()
    tale.provider.leave("student-zoe", "qlab", "qlab-students")

    def taken_back() -> bool:
        job = tale.lena.ask("GET", f"jobs/{waiting.job_id()}").json()
        return (job["state"], job["on_hold"]) == ("cancelled", 0)

    wait_for(taken_back, GONE_S, "Her waiting job is still there.")
    tale.says("job.moved", SERVICE, "qlab", to="cancelled", code="owner.left")
    [member] = tale.carl.ask("GET", "members").json()["members"]
    tale.done(tale.carl, f"members/{member['id']}/end")
    tale.says("membership.changed", "lead-carl", "qcourse", act="ended")
    return token


def everything_is_refused(tale: Tale, token: str, job: Any, waiting: Any) -> None:
    """Neither with the token that she had, nor on the page, nor by webhook does she get anything of the projects."""
    lab, job_id = tale.lab, job.job_id()
    wait_for(lambda: lab.raw(token, "GET", f"jobs/{job_id}").status_code == 404, GONE_S, "She still reads her job.")
    heard = len(tale.receiver.messages)
    for project, device in (("qcourse", "aer"), ("qlab-pilot", "fake_torino"), ("qlab", "campus_qpu")):
        hub = Hub(lab.service, token, project=project)
        refused(lambda hub=hub, device=device: hub.backend(device).run(bell(), shots=10), "absent", "project.none")
        refused(hub.quota, "absent")
        refused(lambda hub=hub, project=project: hub.jobs(project=project), "absent")
        refused(lambda hub=hub, project=project: hub.requests.ask("quota", project=project, amount=1), "absent")
    hub = Hub(lab.service, token)
    assert (hub.me().projects, list(hub.jobs())) == ({}, [])
    for path in ("", "/result", "/source", "/executable", "/provenance"):
        assert lab.raw(token, "GET", f"jobs/{job_id}{path}").status_code == 404, path
        assert tale.zoe.ask("GET", f"jobs/{job_id}{path}").status_code == 404, path
    assert hub.data.exports().exports == []
    refused(lambda: hub.data.export(job_id, "repository"), "absent")
    for act in ({"url": tale.receiver.url, "project": "qlab"}, {"url": tale.receiver.url, "project": "qcourse"}):
        assert lab.raw(token, "POST", "webhooks", act).status_code == 404, act
    assert tale.zoe.ask("GET", "approvals", state="all").json()["approvals"] == []
    tale.done(tale.otto, "devices/campus_qpu/state", action="resume")
    tale.says("device.changed", "operator-otto", device="campus_qpu", state="ready")
    assert len(tale.receiver.messages) == heard, tale.receiver.messages[heard:]
    assert "cancelled" not in tale.receiver.states(waiting.job_id())
    tale.provider.revoke("student-zoe")
    wait_for(lambda: lab.raw(token, "GET", "me").status_code == 401, GONE_S, "The token outlives the account.")
    assert "/hub/login" in tale.zoe.visit().url


def the_books_are_right(tale: Tale) -> None:
    """What was spent is what the runs cost, nothing is left on hold, and each sum equals its entries."""
    ledger = tale.lab.person(ADMIN).hub(None, "custom:quantum:admin", "custom:quantum:read").ledger
    books = ledger.verify()
    assert books.ok, books
    accounts = ledger.accounts(unit="credits").accounts
    assert [one.id for one in accounts if one.held] == []
    spent = {one.project: one.used for one in accounts if one.scope == "user" and one.name == "student-zoe"}
    assert spent.get("qcourse", 0) == 0  # the simulator is free
    assert 3 * 0.4 * CREDIT < spent["qlab-pilot"] < 3 * 0.45 * CREDIT  # 3000 shots of the emulator
    assert 6 * CREDIT < spent["qlab"] - spent["qlab-pilot"] < 6.6 * CREDIT  # 1000 shots of the QPU; a part counts


def the_audit_tells_it(tale: Tale, folder: Path) -> None:
    """The auditor alone reads, and runs nothing; the export stands alone, names nobody, and has the story in order."""
    for other in (tale.lena, tale.otto):
        assert other.ask("GET", "audit/events").status_code == 403
    refused(lambda: tale.uma.hub().backend("aer").run(bell(), shots=10), "absent", "project.none")
    auditor = tale.uma.token("custom:quantum:audit", "custom:quantum:read")
    hub = Hub(tale.lab.service, auditor)
    refusals = hub.audit.search(who="student-zoe", type="request.refused", limit=1000)
    assert {"absent", "scope.missing"} <= {str(one.data["code"]) for one in refusals.events}
    export = folder / "record.jsonl"
    tale.lab.command(auditor, "audit", "export", str(export))
    keys = hub.audit.key().keys
    assert verified(folder, export, keys[0]) == 0
    text = export.read_text()
    found = hub.audit.search(limit=1000)
    story = payloads(text)
    missing = not_told(tale.expected, story, found.people)
    assert missing is None, f"The record does not say, in its place: {missing}\n{told(story, found.people)}"
    assert names_in(text, [*CAST, ADMIN]) == []
    assert set(found.people.values()) >= {*CAST, ADMIN}
    tampered = folder / "tampered.jsonl"
    tampered.write_text(text.replace("owner.left", "owner.gone", 1))
    assert verified(folder, tampered, keys[0]) == 1


def verified(folder: Path, export: Path, key: str) -> int:
    """Exit code of the verifier, run as an auditor elsewhere would: that one file, beside the export."""
    alone = folder / "audit_verify.py"
    shutil.copy(audit_verify.__file__, alone)
    line = [sys.executable, "-I", str(alone), str(export), "--key", key]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=60)
    print(done.stdout, done.stderr)
    return done.returncode


def told(story: list[dict[str, Any]], people: dict[str, str]) -> str:
    """The record in a few words a line, for whoever reads why the test failed."""
    lines = []
    for entry in story:
        data = {name: value for name, value in entry["data"].items() if name in {"to", "state", "code", "kind", "act"}}
        lines.append(f"{entry['type']} by {people.get(entry['actor'], entry['actor'])} in {entry['project']}: {data}")
    return "\n".join(lines)
