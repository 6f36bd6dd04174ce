"""The server extension forwards what Lab needs, with the server's token, and nothing else."""

from __future__ import annotations

import pytest

from jupyter_quantum.core.ids import new_id
from tests.unit.lab.server import Server
from tests.unit.lab.standin import Standin

API = "quantum/api/v1"


@pytest.mark.parametrize("route", ["me", "quota", "devices", "jobs?limit=50&active=1", "approvals?state=open"])
def test_reads_are_forwarded_with_the_servers_token(server: Server, route: str) -> None:
    """Lab sends its login; the service sees the server's own token and its answer comes back whole."""
    status, body = server.ask(f"{API}/{route}")
    assert status == 200
    assert body


def test_a_job_is_read_and_cancelled(server: Server, service: Standin) -> None:
    """The one act on the list reaches the service as a POST."""
    job = service.jobs[1]
    assert server.ask(f"{API}/jobs/{job.id}")[1]["name"] == job.name
    status, body = server.ask(f"{API}/jobs/{job.id}/cancel", b"{}")
    assert (status, body["state"]) == (200, "cancelled")


def test_refusals_come_back_in_the_services_words(server: Server) -> None:
    """An absent job's answer is the service's own, status and body."""
    status, body = server.ask(f"{API}/jobs/{new_id('job')}")
    assert (status, body["code"]) == (404, "absent")
    assert body["message"] == "No such job, or it is not visible to you."


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("approvals/apr_01a21b57b6277f01861de9353c9d26c8/decision", b'{"verdict": "approve"}'),
        ("devices/aer/state", b'{"action": "drain"}'),
        ("jobs", b"{}"),
        ("events", None),
        ("openapi.json", None),
        ("jobs/job_01a21b57b62775c3a5a4531372558666/result", None),
        ("../../../hub/api/users", None),
        ("jobs/%2e%2e/me", None),
        ("me/../devices", None),
        ("devices/a%0d%0aX-Evil:1", None),
    ],
)
def test_other_routes_never_reach_the_service(server: Server, service: Standin, path: str, body: bytes | None) -> None:
    """What is not on the list is refused here: decisions, device states, streams, tricks with paths."""
    before = list(service.seen)
    status, answer = server.ask(f"{API}/{path}", body)
    assert status in {404, 405}
    assert service.seen == before
    assert answer is None or answer.get("code", "absent") == "absent"


def test_query_arguments_are_picked(server: Server, service: Standin) -> None:
    """Arguments that the list does not know are dropped."""
    assert server.ask(f"{API}/jobs?state=queued&limit=2&evil=1&project=a%26b")[0] == 200
    assert service.seen[-1] == ("GET", "/services/quantum/api/v1/jobs?limit=2&project=a%26b&state=queued")


def test_a_stranger_gets_nothing(server: Server, service: Standin) -> None:
    """Without Jupyter's own login no request is forwarded."""
    before = list(service.seen)
    assert server.ask(f"{API}/quota", login=False)[0] == 403
    assert server.ask("quantum/status", login=False)[0] == 403
    assert service.seen == before


def test_looking_is_not_activity(server: Server) -> None:
    """Polling must not keep an idle workspace alive."""
    first = server.ask("api/status")[1]["last_activity"]
    for path in ("quantum/status", f"{API}/quota"):
        assert server.ask(path)[0] == 200
    assert server.ask("api/status")[1]["last_activity"] == first


def test_without_a_service_lab_is_told_so(server: Server, service: Standin) -> None:
    """While the service is down every route answers 503 in words, at once, and works again afterwards."""
    assert server.ask(f"{API}/quota")[0] == 200
    service.stop()
    try:
        status, body = server.ask(f"{API}/quota")
        assert (status, body["code"], body["error"]) == (503, "service.offline", "Unavailable")
        assert body["message"].startswith("Quantum service unreachable since ")
        assert body["hint"] == "Jobs continue there; this view catches up by itself."
        assert server.ask("quantum/status")[1]["online"] is False
    finally:
        service.start()
    assert server.ask(f"{API}/quota")[0] == 200
