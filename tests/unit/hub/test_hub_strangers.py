"""Requests of nobody: they are counted by address, and lock out nobody who is known."""

from __future__ import annotations

import json

import pytest
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from jupyter_quantum.hub.api.limits import Bucket
from jupyter_quantum.hub.api.peer import address_of
from jupyter_quantum.pipeline.limits import Rate
from tests.unit.hub.support import READ, Service

PROXIES = frozenset({"127.0.0.1", "10.0.0.7"})


@pytest.mark.parametrize(
    ("peer", "said", "found"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "198.51.100.1, 10.0.0.7", "198.51.100.1"),
        ("127.0.0.1", "6.6.6.6, <script>", "127.0.0.1"),
        ("127.0.0.1", "::ffff:198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:9::9", "198.51.100.1", "2001:db8:1:2::/64"),
    ],
)
def test_a_forwarded_address_is_believed_from_the_proxy_only(peer: str, said: str, found: str) -> None:
    """The last address that is not a proxy's counts, from trusted peers; nonsense counts as the proxy's own."""
    line, headers = RequestStartLine("GET", "/", "HTTP/1.1"), HTTPHeaders({"X-Forwarded-For": said, "Host": "hub"})
    request = HTTPServerRequest(start_line=line, headers=headers)
    request.remote_ip = peer
    assert address_of(request, PROXIES) == found


async def test_strangers_are_held_up_and_the_known_are_not(service: Service) -> None:
    """After too many unknown tokens an address gets 429 before the hub is asked; a token that was known passes."""
    service.pipeline.door.limit(stranger=Rate(0.5, 3))
    known = service.hub.add("t", [READ])
    assert (await service.fetch("api/v1/me", token=known)).code == 200
    codes = [(await service.fetch("api/v1/me", token=f"guess{n}")).code for n in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    asked = len(service.hub.asked)
    refused = await service.fetch("api/v1/me", token="guess9")
    assert (refused.code, json.loads(refused.body)["code"]) == (429, "busy.rate")
    assert int(refused.headers["Retry-After"]) >= 1
    assert len(service.hub.asked) == asked
    assert (await service.fetch("api/v1/me", token=known)).code == 200
    elsewhere = {"X-Forwarded-For": "198.51.100.1"}
    assert (await service.fetch("api/v1/me", token="guess", headers=elsewhere)).code == 401


async def test_invented_addresses_are_bounded_by_their_peer(service: Service) -> None:
    """Who forwards under ever new addresses runs into the limit of the machine that forwards."""
    service.pipeline.door.limit(peer=Rate(0.5, 4))
    codes = [
        (await service.fetch("api/v1/me", token="x", headers={"X-Forwarded-For": f"198.51.100.{n}"})).code
        for n in range(6)
    ]
    assert codes == [401, 401, 401, 401, 429, 429]


async def test_what_is_open_to_everybody_is_bounded_too(service: Service) -> None:
    """Health and the description are counted by address, without the store."""
    service.app.settings["open_bucket"] = Bucket(0.5, 2)
    codes = [(await service.fetch("health/live")).code for _ in range(3)]
    assert codes == [200, 200, 429]


async def test_a_query_has_a_size(service: Service) -> None:
    """A query with too many characters or parameters is 413, before anybody is asked; large headers are refused."""
    token = service.hub.add("t", [READ])
    for query in ("x=" + "y" * 5000, "&".join(f"p{n}=1" for n in range(40))):
        answer = await service.fetch(f"api/v1/jobs?{query}", token=token)
        assert (answer.code, json.loads(answer.body)["code"]) == (413, "request.size")
    assert service.hub.asked == []
