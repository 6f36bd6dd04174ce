"""What handlers tell the record of refusals: who, route, code, where from; nothing that the caller chose."""

from __future__ import annotations

import pytest

from jupyter_quantum.exceptions import NotFound, QuotaExceeded
from jupyter_quantum.pipeline.refusals import UNKNOWN, Refusal, address_class
from tests.unit.hub.support import READ, SUBMIT, Service

ADA = "ada@2026-05-12T09:00:00Z"


@pytest.fixture
def told(service: Service) -> list[Refusal]:
    """Refusals that reached the record."""
    found: list[Refusal] = []
    service.context.refused = found.append
    return found


async def test_each_kind_of_refusal_is_told(service: Service, told: list[Refusal]) -> None:
    """No token, an unknown one, a missing scope, an absent thing, an address that is none."""
    token = service.hub.add("t", [READ])
    await service.fetch("api/v1/jobs?secret=1")
    await service.fetch("api/v1/jobs", token="stolen")
    await service.fetch("api/v1/jobs/job_1/cancel", token=token, method="POST")
    await service.fetch("api/v1/jobs/foreign", token=token)
    await service.fetch("api/v1/secret", token=token)
    assert [(one.type, one.who, one.route, one.status, one.code) for one in told] == [
        ("request.refused", UNKNOWN, "GET api/v1/jobs", 401, "auth.missing"),
        ("auth.failed", UNKNOWN, "GET api/v1/jobs", 401, "auth.missing"),
        ("request.refused", ADA, "POST api/v1/jobs/{id}/cancel", 403, "scope.missing"),
        ("request.refused", ADA, "GET api/v1/jobs/{id}", 404, "absent"),
        ("request.refused", UNKNOWN, "GET other", 404, "absent"),
    ]
    assert {one.address for one in told} == {"loopback"}


async def test_what_the_job_says_is_not_told_twice(service: Service, told: list[Refusal]) -> None:
    """A refused job is in the record as a job; what is malformed is no refusal."""
    token = service.hub.add("t", [SUBMIT])
    body = '{"device": "aer", "circuits": {"format": "qasm3", "data": "T1BFTlFBU00gMy4wOw=="}}'
    service.pipeline.raises = QuotaExceeded("Too much.", details={"job": "job_1"})
    assert (await service.fetch("api/v1/jobs", token=token, method="POST", body=body)).code == 403
    assert (await service.fetch("api/v1/jobs", token=token, method="POST", body="{")).code == 422
    assert told == []
    service.pipeline.raises = NotFound("No such project.")
    await service.fetch("api/v1/jobs", token=token, method="POST", body=body)
    assert [one.route for one in told] == ["POST api/v1/jobs"]


async def test_a_failed_sign_in_is_told(service: Service, told: list[Refusal]) -> None:
    """The hub's answer to a login that nobody began."""
    answer = await service.fetch("oauth_callback?code=x&state=y")
    assert answer.code >= 400
    assert [(one.type, one.who, one.code) for one in told] == [("auth.failed", UNKNOWN, "auth.callback")]


async def test_the_proxys_word_on_the_sender_counts(service: Service, told: list[Refusal]) -> None:
    """The last address is the one that the hub's proxy saw; earlier ones are the sender's own claims."""
    await service.fetch("api/v1/me", headers={"X-Forwarded-For": "127.0.0.1, 8.8.8.8"})
    assert told[0].address == "public"


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("10.1.2.3", "private"),
        ("8.8.8.8", "public"),
        ("2001:4860:4860::/64", "public"),
        ("nonsense", "unknown"),
        (None, "unknown"),
    ],
)
def test_addresses_are_classes(address: str | None, found: str) -> None:
    """No address is kept."""
    assert address_class(address) == found
