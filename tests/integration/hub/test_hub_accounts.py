"""Service accounts on a real hub: their own tokens, their project, and nothing that a person does."""

from __future__ import annotations

import requests

from tests.integration.hub.support import BELL, Hub

BODY = {"device": "aer", "circuits": {"format": "qasm3", "data": BELL}, "options": {"shots": 10}}


def test_a_service_acts_for_its_project(hub: Hub) -> None:
    """It is known by the hub's own token, has the role that the project declares, and runs jobs there."""
    token = hub.accounts["nightly"]
    me = hub.ask("api/v1/me", token).json()
    assert (me["name"], me["projects"]) == ("nightly", {"qcourse": "user"})
    assert me["scopes"] == ["custom:quantum:read", "custom:quantum:submit"]
    job = hub.ask("api/v1/jobs?wait=30", token, "POST", json=BODY)
    assert (job.status_code, job.json()["state"], job.json()["owner"]) == (201, "completed", "nightly"), job.text


def test_a_service_of_no_project_runs_nothing(hub: Hub) -> None:
    """Scopes alone do not do: an act needs the role as well."""
    token = hub.accounts["stranger"]
    assert hub.ask("api/v1/me", token).json()["projects"] == {}
    assert hub.ask("api/v1/jobs", token, "POST", json=BODY).json()["code"] == "project.none"


def test_a_service_is_no_person(hub: Hub) -> None:
    """It asks for no role, joins nothing, decides nothing, breaks no glass."""
    token = hub.accounts["nightly"]
    asked = {"kind": "elevation", "project": "qcourse", "reason": "more power", "body": {"role": "lead"}}
    assert hub.ask("api/v1/requests", token, "POST", json=asked).json()["code"] == "elevation.person"
    for path, body in (
        ("requests/decisions", {"verdict": "approve", "ids": ["x"]}),
        ("breakglass", {"project": "qcourse", "reason": "no reason"}),
        ("tenants/plan", {}),
    ):
        assert hub.ask(f"api/v1/{path}", token, "POST", json=body).status_code == 403, path


def test_an_absent_user_is_asked_about_through_the_hub(hub: Hub) -> None:
    """The hub answers the service, and nobody without the scope; a user who is not there is 404."""
    path = "quantum/refresh/ada"
    answer = hub.admin("GET", path)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["name"], answer.json()["groups"], answer.json()["refused"]) == ("ada", ["qcourse"], False)
    assert hub.admin("GET", "quantum/refresh/nobody").status_code == 404
    stranger = {"Authorization": f"token {hub.accounts['stranger']}"}
    refused = requests.get(f"{hub.url}/hub/api/{path}", headers=stranger, timeout=20)
    assert refused.status_code in {403, 404}
