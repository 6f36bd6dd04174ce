"""The event stream: format, where it goes on, when it ends."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from jupyter_quantum.hub import events
from jupyter_quantum.wire.jobs import EventView
from tests.unit.hub.support import NOW, PREFIX, READ, SUBMIT, Service


@asynccontextmanager
async def stream(service: Service, token: str, **headers: str) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", service.port)
    lines = [f"GET {PREFIX}api/v1/events HTTP/1.1", "Host: x", f"Authorization: token {token}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode())
    try:
        yield reader
    finally:
        writer.close()


async def until(reader: asyncio.StreamReader, text: str, seconds: float = 3.0) -> str:
    """Everything up to ``text``; fails where it does not come."""
    return (await asyncio.wait_for(reader.readuntil(text.encode()), seconds)).decode()


def event(seq: int) -> EventView:
    return EventView(seq=seq, id=f"evt_{seq}", time=NOW, type="job.moved", job="job_1", data={"words": "line\nbreak"})


async def test_events_come_numbered_and_whole(service: Service) -> None:
    """Each event is one block: id, event, data on a single line; the pipeline learns where to go on."""
    token = service.hub.add("t", [READ])
    ada, cursors = "ada@2026-05-12T09:00:00Z", service.context.cursors
    async with stream(service, token, Last_Event_ID=str(cursors.show(41, ada))) as reader:
        assert "text/event-stream" in await until(reader, "\r\n\r\n")
        await service.pipeline.live.put(event(42))
        block = await until(reader, "}\n\n")
    number = cursors.show(42, ada)
    assert f"id: {number}\nevent: job.moved\ndata: {{" in block
    assert f'"seq":{number},' in block
    assert "\\n" in block.partition("data: ")[2]
    assert service.pipeline.calls[0][0] == "events after 41"


async def test_the_stream_lives_and_ends_with_the_right_to_read(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Comments keep the connection; once the token is gone the next check ends the stream."""
    monkeypatch.setattr(events, "_ALIVE_S", 0.05)
    monkeypatch.setattr(events, "_AUTHORISE_S", 0.15)
    token = service.hub.add("t", [READ])
    async with stream(service, token) as reader:
        await until(reader, ": alive\n\n")
        await asyncio.sleep(0.4)  # checked again, and still allowed
        assert service.context.metrics.streams._value.get() == 1
        del service.hub.tokens[token]
        await until(reader, "\r\n0\r\n\r\n")
    await asyncio.sleep(0.05)
    assert service.context.metrics.streams._value.get() == 0


async def test_a_client_that_leaves_frees_the_stream(service: Service) -> None:
    """Closing the connection ends the generator of the pipeline."""
    token = service.hub.add("t", [READ])
    async with stream(service, token) as reader:
        await until(reader, "retry: 2000\n\n")
        assert len(service.app.settings["streams"]) == 1
    for _ in range(50):
        if not service.app.settings["streams"]:
            break
        await asyncio.sleep(0.02)
    assert not service.app.settings["streams"]


async def test_the_stream_needs_the_scope_and_a_number(service: Service) -> None:
    """403 without the scope read, 422 for a Last-Event-ID that is no number."""
    token = service.hub.add("t", [SUBMIT])
    assert (await service.fetch("api/v1/events", token=token)).code == 403
    token = service.hub.add("r", [READ])
    answer = await service.fetch("api/v1/events", token=token, headers={"Last-Event-ID": "-1"})
    assert answer.code == 422


async def test_streams_of_one_principal_are_counted(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than allowed is 429, and another principal is not concerned."""
    monkeypatch.setattr(events, "_STREAMS", 1)
    ada, ben = service.hub.add("a", [READ]), service.hub.add("b", [READ], name="ben")
    async with stream(service, ada) as first:
        await until(first, "retry: 2000\n\n")
        refused = await service.fetch("api/v1/events", token=ada)
        assert (refused.code, refused.headers["Retry-After"]) == (429, "10")
        async with stream(service, ben) as other:
            await until(other, "retry: 2000\n\n")


async def test_a_readers_numbers_tell_nothing_of_others(service: Service) -> None:
    """Numbers are a reader's own, without order, and come back to the event; invented ones mean from now on."""
    cursors = service.context.cursors
    shown = [cursors.show(seq, "ada@1") for seq in range(1, 2001)]
    assert [cursors.read(number, "ada@1") for number in shown] == list(range(1, 2001))
    assert len(set(shown)) == 2000
    assert all(0 <= number < 2**53 for number in shown)
    ups = sum(later > earlier for earlier, later in itertools.pairwise(shown))
    assert 800 < ups < 1200
    assert set(shown).isdisjoint(cursors.show(seq, "ben@1") for seq in range(1, 2001))
    assert cursors.read(2**60, "ada@1") is None
    token = service.hub.add("t", [READ])
    for last, after in (("12", None), ("0", 0)):
        async with stream(service, token, Last_Event_ID=last) as reader:
            await until(reader, "retry: 2000\n\n")
            await asyncio.sleep(0.05)
        assert service.pipeline.calls[-1][0] == f"events after {after}"
