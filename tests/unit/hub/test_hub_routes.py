"""Every route of the table: who may, what errors look like, what is refused before it reaches the pipeline."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re

import pytest

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.exceptions import JobFailed, QuotaExceeded
from jupyter_quantum.hub.api.route import CIRCUITS, SMALL, Route
from jupyter_quantum.hub.api.routes import ROUTES
from jupyter_quantum.hub.api.runners import ROUTES as RUNNER_ROUTES
from jupyter_quantum.pipeline.limits import Rate
from tests.unit.hub.support import ALL, JOB, PREFIX, READ, SUBMIT, Service, cookies, parts, signed_in

EXAMPLES = {
    "POST api/v1/keys/rotate": {"tenant": "nobody"},
    "POST api/v1/exports": {"job": "job_absent", "target": "nowhere"},
    "POST api/v1/keys/shred": {"tenant": "nobody", "confirm": "nobody"},
    "POST api/v1/webhooks": {"url": "https://hooks.example.org/"},
    "PATCH api/v1/webhooks/{id}": {"label": "lab"},
    "POST api/v1/jobs": JOB,
    "POST api/v1/jobs/{id}/replay": {},
    "POST api/v1/reports": {"circuits": JOB["circuits"]},
    "POST api/v1/devices/{name}/state": {"action": "pause"},
    "POST api/v1/attempts/{tag}/resolution": {"verdict": "not_run"},
    "POST api/v1/devices/{name}/admission": {"verdict": "reject", "note": "Not ours."},
    "POST api/v1/approvals/{id}/decision": {"verdict": "approve"},
    "POST api/v1/approvals/decisions": {"verdict": "approve", "ids": ["apr_1"]},
    "POST api/v1/envelopes/{id}/revoke": {},
    "POST api/v1/policy/replay": {"files": {"schema.cedarschema": ""}},
    "POST api/v1/admin/forget": {"user": "ada"},
    "POST api/v1/requests": {"kind": "onboarding", "project": "qcourse"},
    "POST api/v1/requests/{id}/decision": {"verdict": "approve"},
    "POST api/v1/members": {"name": "ben", "project": "qcourse"},
    "POST api/v1/members/{id}/review": {"note": "It was needed."},
    "POST api/v1/breakglass": {"project": "qcourse", "reason": "The lead is away."},
    "POST api/v1/token": {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "subject_token": "a.b.c",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "project": "qcourse",
    },
    "PUT api/v1/tenants": {"tenants": {}, "version": 0},
    "POST api/v1/tenants/plan": {},
    "POST api/v1/ledger/loans": {"grant": "g", "from_project": "a", "to_project": "b", "amount": 1},
    "POST api/v1/ledger/prices": {"device": "aer", "since": "2030-01-01T00:00:00Z"},
    "POST api/v1/series": {"device": "aer"},
    "POST api/v1/requests/decisions": {"verdict": "approve", "ids": ["req_1"]},
}
"""A body for each route that takes one."""
QUERIES = {
    "GET api/v1/audit/proof/inclusion": "?event=1",
    "GET api/v1/audit/proof/consistency": "?first=1&second=2",
}
"""What a route cannot do without."""


def named(route: Route) -> str:
    return f"{route.method} {route.path}"


CLOSED = [route for route in ROUTES if route.scope is not None]
TABLE = pytest.mark.parametrize("route", CLOSED, ids=named)
EVERY = pytest.mark.parametrize("route", [*CLOSED, *RUNNER_ROUTES], ids=named)


def sent(route: Route) -> dict[str, str]:
    """The options of a request with this route's example."""
    assert route.body is None or route in RUNNER_ROUTES or named(route) in EXAMPLES, (
        f"EXAMPLES needs a body for {named(route)}"
    )
    return {"body": json.dumps(EXAMPLES.get(named(route), {}))} if route.method in {"POST", "PUT", "PATCH"} else {}


def address(route: Route, value: str = "x") -> str:
    return re.sub(r"\{\w+\}", value, route.path) + QUERIES.get(named(route), "")


@EVERY
async def test_a_token_without_the_routes_scope_is_refused(service: Service, route: Route) -> None:
    """Each route refuses a token that holds every scope but the one it needs."""
    token = service.hub.add("t", [scope for scope in ALL if scope != route.scope])
    answer = await service.fetch(address(route), token=token, method=route.method, **sent(route))
    assert answer.code == 403
    said = json.loads(answer.body)
    assert (said["error"], said["code"]) == ("ScopeMissing", "scope.missing")
    assert service.pipeline.calls == []


@EVERY
async def test_nobody_gets_in_without_a_token(service: Service, route: Route) -> None:
    """Each route answers 401 to a request without a token and to one with an unknown token."""
    for token in (None, "unknown"):
        answer = await service.fetch(address(route), token=token, method=route.method)
        assert answer.code == 401
        assert json.loads(answer.body)["error"] == "Unauthenticated"
    assert service.pipeline.calls == []


@TABLE
async def test_the_right_scope_alone_opens_the_route(service: Service, route: Route) -> None:
    """Each route takes a token with just its scope, unless it wants a person: then it says so."""
    token = service.hub.add("t", [route.scope])
    answer = await service.fetch(address(route), token=token, method=route.method, **sent(route))
    if route.cookie_only:
        assert answer.code == 403
        assert json.loads(answer.body)["code"] == "auth.interactive"
        assert service.pipeline.calls == []
    else:
        assert answer.code == route.status, answer.body
        assert {who.id for _, who in service.pipeline.calls} == {"ada@2026-05-12T09:00:00Z"}


@pytest.mark.parametrize("route", [route for route in CLOSED if route.writes], ids=named)
async def test_a_login_by_cookie_needs_the_pages_token(service: Service, route: Route) -> None:
    """An unsafe request with the login cookie passes with X-XSRFToken only, and then counts as a person's."""
    token = service.hub.add("t", ALL)
    bare = await service.fetch(address(route), method=route.method, headers=cookies(service, token), **sent(route))
    assert (bare.code, json.loads(bare.body)["code"]) == (403, "auth.xsrf")
    assert service.pipeline.calls == []
    headers = await signed_in(service, token)
    service.pipeline.calls.clear()
    answer = await service.fetch(address(route), method=route.method, headers=headers, **sent(route))
    assert answer.code == route.status, answer.body
    assert service.pipeline.calls[0][1].interactive


async def test_foreign_and_absent_are_one_answer(service: Service) -> None:
    """The 404 of the pipeline and that of an unknown address have the same code."""
    token = service.hub.add("t", [READ])
    foreign = await service.fetch("api/v1/jobs/foreign", token=token)
    nowhere = await service.fetch("api/v1/nothing", token=token)
    assert (foreign.code, nowhere.code) == (404, 404)
    assert json.loads(foreign.body)["code"] == json.loads(nowhere.body)["code"] == "absent"


async def test_a_wrong_body_names_the_fields(service: Service) -> None:
    """422 request.malformed tells field and reason, and repeats nothing of what was sent."""
    token = service.hub.add("t", [SUBMIT])
    body = json.dumps({**JOB, "surprise": "<script>", "max_price": "much"})
    answer = await service.fetch("api/v1/jobs", token=token, method="POST", body=body)
    said = json.loads(answer.body)
    assert (answer.code, said["code"]) == (422, "request.malformed")
    assert {problem["field"] for problem in said["details"]["fields"]} == {"surprise", "max_price"}
    assert b"<script>" not in answer.body
    for broken in ("", "{", "[]", '{"device": "\ud800"}'.encode("utf8", "surrogatepass")):
        answer = await service.fetch("api/v1/jobs", token=token, method="POST", body=broken)
        assert answer.code == 422


async def test_a_large_body_is_refused_before_it_is_read(service: Service) -> None:
    """413 for a body above the route's limit, whether its length is announced or not."""
    token = service.hub.add("t", [SUBMIT])
    announced = await service.fetch("api/v1/jobs/x/cancel", token=token, method="POST", body=b"x" * (SMALL + 1))
    assert (announced.code, json.loads(announced.body)["code"]) == (413, "request.size")
    fits = await service.fetch("api/v1/jobs", token=token, method="POST", body=b"x" * (CIRCUITS - 1))
    assert fits.code == 422

    async def pieces(write: object) -> None:
        for _ in range(SMALL // 1024 + 2):
            await write(b"x" * 1024)  # type: ignore[operator]

    chunked = await service.fetch("api/v1/jobs/x/cancel", token=token, method="POST", body=None, body_producer=pieces)
    assert chunked.code == 413
    assert [name for name, _ in service.pipeline.calls] == []


@pytest.mark.parametrize(
    ("method", "scopes", "status"),
    [("POST", [READ], 403), ("POST", [READ, SUBMIT], 201), ("GET", [SUBMIT], 403), ("GET", [READ], 200)],
)
async def test_a_connection_that_ends_says_so(service: Service, method: str, scopes: list[str], status: int) -> None:
    """Where a request is refused before its body is read, or would be, the answer says `Connection: close`.

    A proxy that keeps connections would otherwise send its next request into one that is closed.
    """
    token, body = service.hub.add("t", scopes), json.dumps(JOB).encode() if method == "POST" else b""
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    head = f"{method} {PREFIX}api/v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: token {token}\r\n"
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode())
    await asyncio.sleep(0.2)  # a refusal is on its way before the body is
    writer.write(body)
    answer = (await reader.readuntil(b"\r\n\r\n")).decode()
    refused = status == 403
    assert answer.startswith(f"HTTP/1.1 {status} ")
    assert ("connection: close" in answer.lower()) == refused
    length = int(answer.lower().partition("content-length: ")[2].split()[0])
    await reader.readexactly(length)
    with contextlib.suppress(TimeoutError):
        assert await asyncio.wait_for(reader.read(1), 0.3) == b""
    assert reader.at_eof() == refused
    writer.close()


async def test_only_our_errors_reach_the_user(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception is `internal` without its text, and is logged; ours keeps code, hint, details and job."""
    token = service.hub.add("t", [READ])
    service.pipeline.raises = RuntimeError("password is hunter2")
    answer = await service.fetch("api/v1/quota", token=token)
    assert (answer.code, json.loads(answer.body)["code"]) == (500, "internal")
    assert b"hunter2" not in answer.body
    assert "hunter2" in caplog.text
    service.pipeline.raises = QuotaExceeded("Too dear.", hint="Ask.", details={"left": 5, "job": "job_7"})
    said = json.loads((await service.fetch("api/v1/quota", token=token)).body)
    assert (said["error"], said["hint"], said["details"], said["job"]) == (
        "QuotaExceeded",
        "Ask.",
        {"left": 5},
        "job_7",
    )
    service.pipeline.raises = JobFailed("It failed.")
    assert (await service.fetch("api/v1/jobs/x/result", token=token)).code == 410


async def test_a_wrong_method_is_405_in_the_common_form(service: Service) -> None:
    """DELETE on a job is refused with an error body and an Allow header."""
    token = service.hub.add("t", ALL)
    answer = await service.fetch("api/v1/jobs", token=token, method="DELETE")
    assert (answer.code, json.loads(answer.body)["code"]) == (405, "request.method")
    assert answer.headers["Allow"] == "GET, POST"


async def test_query_values_are_checked(service: Service) -> None:
    """Numbers that are none and unknown states are 422; a long wait is cut."""
    token = service.hub.add("t", [READ])
    for query in ("wait=nan", "wait=x", "version=one"):
        assert (await service.fetch(f"api/v1/jobs/x?{query}", token=token)).code == 422
    assert (await service.fetch("api/v1/jobs?state=sleeping", token=token)).code == 422
    assert (await service.fetch("api/v1/jobs?state=queued,running&active=1", token=token)).code == 200
    assert (await service.fetch("api/v1/jobs/x?wait=999&version=1", token=token)).code == 200


async def test_a_target_is_sent_once_per_calibration(service: Service) -> None:
    """The ETag is the calibration's digest; If-None-Match answers 304."""
    token = service.hub.add("t", [READ])
    first = await service.fetch("api/v1/devices/aer/target", token=token)
    again = await service.fetch(
        "api/v1/devices/aer/target", token=token, headers={"If-None-Match": first.headers["ETag"]}
    )
    assert (first.code, again.code, again.body) == (200, 304, b"")


async def test_too_many_requests_wait(service: Service) -> None:
    """Beyond the burst a principal gets 429 with Retry-After; another one is not held up."""
    service.pipeline.door.limit(read=Rate(0.5, 3))
    ada, ben = service.hub.add("a", [READ]), service.hub.add("b", [READ], name="ben")
    codes = [(await service.fetch("api/v1/me", token=ada)).code for _ in range(4)]
    assert codes == [200, 200, 200, 429]
    refused = await service.fetch("api/v1/me", token=ada)
    assert (refused.headers["Retry-After"], json.loads(refused.body)["code"]) == ("2", "busy.rate")
    assert (await service.fetch("api/v1/me", token=ben)).code == 200


async def test_every_answer_is_guarded(service: Service) -> None:
    """Security headers on answers and errors, and no header that shares with other origins."""
    token = service.hub.add("t", [READ])
    for path in ("api/v1/me", "api/v1/nothing", "health/live"):
        answer = await service.fetch(path, token=token, headers={"Origin": "https://evil.example"})
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_health_metrics_and_description_are_there(service: Service) -> None:
    """Live and ready answer without a token; metrics with a token that may see them, from anywhere."""
    assert json.loads((await service.fetch("health/live")).body) == {"status": "live"}
    assert (await service.fetch("health/ready")).code == 200
    service.context.ready = parts("starting")
    service.app.settings.pop("readiness")
    unready = await service.fetch("health/ready")
    assert (unready.code, json.loads(unready.body)["parts"]["runner"]) == (503, "starting")
    scraper = {"Authorization": "Bearer scraper"}
    assert b"quantum_request_answer_seconds" in (await service.fetch("metrics", headers=scraper)).body
    assert (await service.fetch("api/v1/me", headers=scraper)).code == 401
    assert (await service.fetch("metrics")).code == 401
    assert (await service.fetch("metrics", headers={"Authorization": "Bearer scrape"})).code == 401
    assert (await service.fetch("metrics", token=service.hub.add("u", [READ, SUBMIT]))).code == 403
    for scope in ("operate", "admin"):
        assert (await service.fetch("metrics", token=service.hub.add(scope, [f"custom:quantum:{scope}"]))).code == 200


async def test_an_auditors_scope_opens_what_asks_for_it(service: Service) -> None:
    """An auditor's scope alone opens no other address."""
    token = service.hub.add("t", ["custom:quantum:audit"])
    for route in CLOSED:
        if route.method == "GET" and route.scope is not Scope.AUDIT:
            assert (await service.fetch(route.path.replace("{", "").replace("}", ""), token=token)).code == 403
    assert (await service.fetch("metrics", token=token)).code == 403


async def test_the_description_covers_the_table(service: Service) -> None:
    """The OpenAPI document has every route with its scope, body, answer and errors, and no dangling reference."""
    said = json.loads((await service.fetch("api/v1/openapi.json")).body)
    assert said["openapi"].startswith("3.1")
    for route in ROUTES:
        operation = said["paths"][f"/{route.path}"][route.method.lower()]
        assert operation["x-scope"] == route.scope
        assert operation["security"] or route.scope is None
        assert ("requestBody" in operation) == (route.body is not None)
        assert {str(route.status), "401", "403", "503"} <= set(operation["responses"])
    wanted = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(said)))
    assert wanted <= set(said["components"]["schemas"])


async def test_before_the_pipeline_is_there_the_service_says_so(service: Service) -> None:
    """While the pipeline starts, routes answer 503 and live still answers."""
    token = service.hub.add("t", [READ])
    service.context.started = None
    answer = await service.fetch("api/v1/me", token=token)
    assert (answer.code, json.loads(answer.body)["code"]) == (503, "service.starting")
    assert (await service.fetch("health/live")).code == 200


@pytest.mark.parametrize("cap", [-1, 2**63, 10**30])
async def test_a_price_cap_is_an_amount(service: Service, cap: int) -> None:
    """What no account can hold is refused at the door, and breaks nothing behind it."""
    token = service.hub.add("t", [SUBMIT])
    body = json.dumps({**JOB, "max_price": cap})
    answer = await service.fetch("api/v1/jobs", token=token, method="POST", body=body)
    assert (answer.code, json.loads(answer.body)["code"]) == (422, "request.malformed")
    assert service.pipeline.calls == []
