"""What a route may look like: every method, answers that are files or streams, acts that ask the hub afresh."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest
from tornado.httpclient import HTTPClientError
from tornado.web import Application

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.hub.api.json import Api, by_path
from jupyter_quantum.hub.api.route import File, Route, pattern
from jupyter_quantum.wire.devices import DeviceAction
from jupyter_quantum.wire.jobs import JobView
from tests.unit.hub.support import PREFIX, Service, job_view


async def _change(api: Api, id: str) -> JobView:  # noqa: A002
    return job_view(id=id, name=api.body(DeviceAction).action)


async def _remove(api: Api, id: str) -> None:  # noqa: A002
    assert id


async def _lines(*, broken: bool) -> AsyncIterator[bytes]:
    for number in range(3):
        if broken and number == 2:
            raise RuntimeError("the disk is gone")
        yield json.dumps({"n": number}).encode() + b"\n"


async def _export(api: Api) -> File:
    return File(_lines(broken="broken" in api.request.query), 'lines "2026"\r\n.jsonl')


async def _open(api: Api) -> File:
    return File(b"a,b\n")


ROUTES = (
    Route("PUT", "t/{id}", Scope.SUBMIT, "Put", JobView, _change, body=DeviceAction),
    Route("PATCH", "t/{id}", Scope.ADMIN, "Change", JobView, _change, body=DeviceAction),
    Route("DELETE", "t/{id}", Scope.ADMIN, "Remove", None, _remove, status=204),
    Route("GET", "t", Scope.READ, "Lines", JobView, _export, media="application/jsonl"),
    Route("GET", "open", None, "For everybody", None, _open, media="text/csv"),
)
TOKEN = [Scope.SUBMIT, Scope.ADMIN, Scope.READ]


@pytest.fixture
def more(service: Service) -> Service:
    """The service with these routes as well."""
    handlers = [(PREFIX + pattern(path), Api, {"routes": found}) for path, found in by_path(ROUTES).items()]
    app: Application = service.app
    app.add_handlers(".*", handlers)
    return service


async def test_every_method_of_a_write(more: Service) -> None:
    """PUT and PATCH carry a body, DELETE answers with nothing."""
    token = more.hub.add("t", TOKEN)
    for method in ("PUT", "PATCH"):
        answer = await more.fetch("t/x", token=token, method=method, body='{"action": "drain"}')
        assert (answer.code, json.loads(answer.body)["name"]) == (200, "drain")
        assert (await more.fetch("t/x", token=token, method=method, body="{}")).code == 422
    gone = await more.fetch("t/x", token=token, method="DELETE")
    assert (gone.code, gone.body) == (204, b"")


async def test_an_administrative_act_asks_the_hub_each_time(more: Service) -> None:
    """Acts beyond submitting rest on an answer of this moment; a scope that was taken away counts at once."""
    token = more.hub.add("t", TOKEN)
    assert (await more.fetch("t/x", token=token, method="DELETE")).code == 204
    more.hub.add("t", [Scope.READ, Scope.SUBMIT])
    assert (await more.fetch("t/x", token=token, method="PUT", body='{"action": "drain"}')).code == 200
    assert (await more.fetch("t/x", token=token, method="DELETE")).code == 403


async def test_a_stream_is_sent_in_pieces_and_breaks_visibly(more: Service) -> None:
    """Lines arrive with their type and a harmless file name; where the source fails, the answer has no proper end."""
    token = more.hub.add("t", TOKEN)
    answer = await more.fetch("t", token=token)
    assert answer.headers["Content-Type"] == "application/jsonl"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="lines__2026___.jsonl"'
    assert [json.loads(line)["n"] for line in answer.body.splitlines()] == [0, 1, 2]
    with pytest.raises((HTTPClientError, OSError)):
        (await more.fetch("t?broken=1", token=token)).rethrow()
    assert (await more.fetch("t", token=token)).code == 200


async def test_an_open_route_needs_nobody(more: Service) -> None:
    """A route without a scope answers everybody."""
    answer = await more.fetch("open")
    assert (answer.code, answer.body, answer.headers["Content-Type"]) == (200, b"a,b\n", "text/csv")
