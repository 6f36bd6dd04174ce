"""Sign-in by the campus's identity provider: its groups give scopes and roles, and leaving one ends what it gave."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from traitlets.config import Config

from jupyter_quantum.hub.traits import ServiceTraits
from tests.integration.story.lab import GONE_S, SHIPPED, Lab, bell, wait_for
from tests.integration.story.provider import Provider

pytestmark = pytest.mark.timeout(600)  # the first test waits for the hub, which takes a loaded machine minutes


def test_as_shipped_leaving_takes_less_than_five_minutes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The copied configuration refreshes and re-asks so often that both together stay below the promised 300 s."""
    for name in ("OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET"):
        monkeypatch.setenv(name, "https://login.campus.example")
    monkeypatch.setenv("JUPYTERHUB_DATA", str(tmp_path))
    c = Config()
    exec(compile(SHIPPED.read_text(), str(SHIPPED), "exec"), {"get_config": lambda: c})
    assert c.Authenticator.auth_refresh_strict is True
    looks = (ServiceTraits.membership_age, ServiceTraits.sweep_every)
    within = sum(c.QuantumService.get(trait.name, trait.default_value) for trait in looks)
    assert c.Authenticator.auth_refresh_age + within < 300


@pytest.mark.parametrize(
    ("name", "groups", "projects", "roles"),
    [
        ("mia", ["qcourse"], {"qcourse": "user"}, []),
        ("lea", ["qcourse", "qcourse-leads"], {"qcourse": "lead"}, []),
        ("ole", ["quantum-operators"], {}, ["operator"]),
        ("uma", ["quantum-auditors"], {}, ["auditor"]),
        ("lia", ["qlab-leads"], {"qlab": "lead", "qlab-pilot": "lead"}, []),
        ("eve", ["library"], {}, []),
    ],
)
def test_groups_become_roles(
    lab: Lab, provider: Provider, name: str, groups: list[str], projects: dict[str, str], roles: list[str]
) -> None:
    """What the claim `groups` says at sign-in is what the service sees; nobody's role is written down elsewhere."""
    provider.enrol(name, *groups)
    me = lab.person(name).hub().me()
    assert (me.name, me.projects, me.roles) == (name, projects, roles)


@pytest.mark.parametrize(("name", "mfa"), [("ann", True), ("bob", False)])
def test_a_second_factor_is_a_group(lab: Lab, provider: Provider, name: str, mfa: bool) -> None:
    """What the issuer says of a sign-in (`acr`) is a group at the hub, and the fact `mfa` for policy."""
    provider.enrol(name, "qcourse", mfa=mfa)
    person = lab.person(name)
    token = person.token("read:users:groups!user", "read:users:name!user")
    model = requests.get(f"{lab.url}/hub/api/user", headers={"Authorization": f"token {token}"}, timeout=30).json()
    assert ("quantum-mfa" in model["groups"]) == mfa
    job = person.hub("qcourse").backend("aer").run(bell(), shots=10)
    explained = lab.raw(person.token(), "GET", f"jobs/{job.job_id()}/decision").json()
    assert explained["facts"]["mfa"] == mfa, explained


def test_leaving_a_group_ends_access(lab: Lab, provider: Provider) -> None:
    """Who leaves at the identity provider can soon neither submit nor read, with a token or on the page; then again."""
    provider.enrol("max", "qcourse")
    person = lab.person("max")
    token = person.token()
    hub = person.hub("qcourse")
    job = hub.backend("aer").run(bell(), shots=10)
    job.result()
    provider.leave("max", "qcourse")
    wait_for(lambda: lab.raw(token, "GET", f"jobs/{job.job_id()}").status_code in {403, 404}, GONE_S, "Still reads.")
    refused = lab.raw(token, "POST", "reports", {"circuits": {"format": "qasm3", "data": ""}})
    assert refused.status_code in {403, 404}, refused.text
    on_page = person.ask("GET", f"jobs/{job.job_id()}")
    assert on_page.status_code in {403, 404}, f"{on_page.text}\n{lab.log}"
    provider.join("max", "qcourse")
    wait_for(lambda: lab.raw(token, "GET", f"jobs/{job.job_id()}").status_code == 200, GONE_S, "Does not read again.")


def test_a_closed_account_is_refused(lab: Lab, provider: Provider) -> None:
    """Once the identity provider has revoked what it gave, the person's tokens and cookies open nothing (strict)."""
    provider.enrol("kim", "qcourse")
    person = lab.person("kim")
    token = person.token()
    assert lab.raw(token, "GET", "me").status_code == 200
    provider.revoke("kim")
    wait_for(lambda: lab.raw(token, "GET", "me").status_code == 401, GONE_S, "The token is still good.")
    assert person.ask("GET", "me").status_code in {401, 403}
    assert "/hub/login" in person.visit().url  # the hub asks for a new sign-in
