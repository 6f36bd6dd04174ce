"""The event bridge: one stream from the service, passed on to every tab, resumed where it broke."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from jupyter_quantum.lab.bridge import SCHEMA
from jupyter_quantum.lab.sse import Parser
from tests.unit.lab.server import LOGIN, Server
from tests.unit.lab.standin import Standin


class Tab:
    """What a Lab tab has: a connection to Jupyter's event bus."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket

    async def next(self, kind: str) -> dict[str, Any]:
        """The next event of our schema and this type."""
        while True:
            message = await asyncio.wait_for(self.socket.read_message(), 20)
            assert message is not None
            event: dict[str, Any] = json.loads(message)
            if event["schema_id"] == SCHEMA and event["type"] == kind:
                return event


@pytest.fixture
async def tab(server: Server, service: Standin) -> AsyncIterator[Tab]:
    """A tab whose server listens to the service."""
    headers = {"Authorization": f"token {LOGIN}"}
    socket = await websocket_connect(HTTPRequest(server.websocket("api/events/subscribe"), headers=headers))
    server.ask("quantum/status")
    await asyncio.to_thread(_until, lambda: bool(service._streams))
    yield Tab(socket)
    socket.close()


def _until(condition: Any) -> None:
    until = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


async def test_an_event_reaches_a_tab(tab: Tab, service: Standin) -> None:
    """A job's move at the service arrives in Lab with the job in it, within a second."""
    began = time.monotonic()
    moved = await asyncio.to_thread(service.move, service.jobs[0].id, "completed")
    event = await tab.next("job.moved")
    assert event["data"]["state"] == "completed"
    assert event["job"] == moved.id
    assert time.monotonic() - began < 1


async def test_a_break_loses_nothing(tab: Tab, service: Standin, server: Server) -> None:
    """Events of the time without a link arrive after it, and tabs hear that it was down."""
    await asyncio.to_thread(service.emit, "quota.changed", {"n": 1})
    last = (await tab.next("quota.changed"))["seq"]
    service.stop()
    down = await tab.next("link.changed")
    assert down["data"]["online"] is False
    assert server.ask("quantum/status")[1]["online"] is False
    await asyncio.to_thread(service.emit, "quota.changed", {"n": 2})
    service.start()
    server.ask("quantum/status")
    assert (await tab.next("link.changed"))["data"]["online"] is True
    assert (await tab.next("quota.changed"))["data"] == {"n": 2}
    assert service.resumed[-1] == str(last)
    assert server.ask("quantum/status")[1]["seq"] == last + 1


async def test_two_tabs_share_one_stream(tab: Tab, server: Server, service: Standin) -> None:
    """However many tabs ask, the service serves one stream to this server."""
    for _ in range(5):
        server.ask("quantum/status")
    assert len(service._streams) == 1


def test_chunks_may_be_cut_anywhere() -> None:
    """The parser gives the same messages whether it gets the bytes at once or one by one."""
    text = 'retry: 2000\n\nid: 7\r\nevent: job.moved\r\ndata: {"a":\r\ndata: "é"}\r\n\r\n: alive\n\nid: 8\ndata: x\n\n'
    raw = text.encode()
    whole = list(Parser().feed(raw))
    parser = Parser()
    cut = [message for byte in raw for message in parser.feed(bytes([byte]))]
    assert cut == whole
    assert [(m.id, m.type, m.data) for m in whole] == [("7", "job.moved", '{"a":\n"é"}'), ("8", "message", "x")]


def test_an_endless_line_is_refused() -> None:
    """A stream that is not ours cannot fill the memory."""
    parser = Parser()
    with pytest.raises(ValueError, match="too long"):
        list(parser.feed(b"x" * 5 * 1024 * 1024))
