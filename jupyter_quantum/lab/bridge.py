"""One event stream from the service to this server, passed on to every Lab tab by Jupyter's own event bus.

The bridge starts when the first tab asks and goes on with ``Last-Event-ID`` after a break: tabs miss nothing. Between
attempts it waits with full jitter, so that a thousand servers do not come back in the same second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.httputil import HTTPHeaders

from jupyter_quantum.lab.sse import Message, Parser
from jupyter_quantum.lab.upstream import Link, Upstream
from jupyter_quantum.wire.jobs import EventView

__all__ = ["SCHEMA", "SCHEMA_FILE", "Bridge"]

SCHEMA: Final = "urn:jupyter-quantum:event:v1"
SCHEMA_FILE: Final = Path(__file__).parent / "schemas" / "event-v1.yaml"

_SILENCE_S: Final = 40.0
"""The service sends a comment every 15 s; after this long without a byte the link is dead."""
_BACKOFF_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
_SETTLED_S: Final = 10.0
"""A stream that lived this long was a good one: the next break starts with a short wait again."""

Emit = Callable[[dict[str, Any]], None]


class Bridge:
    """Reads the service's stream and hands every event to ``emit`` as the schema's data."""

    def __init__(self, upstream: Upstream, emit: Emit, log: logging.Logger) -> None:
        self._upstream = upstream
        self._emit = emit
        self._log = log
        self._task: asyncio.Task[None] | None = None
        self._again = asyncio.Event()
        self.seq: int | None = None
        upstream.link.on_change = self._link_changed

    def start(self) -> None:
        """Begin to listen; once it runs, only cut short the wait before the next attempt."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="jupyter-quantum-events")
        elif not self._upstream.link.online:
            self._again.set()

    async def stop(self) -> None:
        """Stop listening."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        failures = 0
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self._listen()
            except (OSError, HTTPClientError, ValueError) as error:
                self._log.debug("quantum events: %s", error)
            if asyncio.get_running_loop().time() - began > _SETTLED_S:
                failures = 0
            await self._pause(failures)
            failures += 1

    async def _pause(self, failures: int) -> None:
        longest = _BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)]
        self._again.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._again.wait(), 0.2 + random.uniform(0, longest))  # noqa: S311 - no secret

    async def _listen(self) -> None:
        """One stream, until it breaks or falls silent."""
        stream = _Stream(self._deliver, self._answered)
        client = AsyncHTTPClient(force_instance=True, max_clients=1)
        reading = asyncio.ensure_future(client.fetch(self._request(stream)))
        try:
            while not reading.done():
                stream.heard = False
                await asyncio.wait({reading}, timeout=_SILENCE_S)
                if not stream.heard and not reading.done():
                    raise OSError("the service fell silent")
            reading.result()
        except (OSError, HTTPClientError) as error:
            if not (isinstance(error, HTTPClientError) and 400 <= error.code < 500):
                self._upstream.link.say(False)
            raise
        finally:
            reading.cancel()
            client.close()

    def _request(self, stream: _Stream) -> HTTPRequest:
        resume = {} if self.seq is None else {"Last-Event-ID": str(self.seq)}
        return HTTPRequest(
            f"{self._upstream.url}/api/v1/events",
            headers=HTTPHeaders(self._upstream.headers() | {"Accept": "text/event-stream"} | resume),
            connect_timeout=3.0,
            request_timeout=0,
            follow_redirects=False,
            header_callback=stream.header,
            streaming_callback=stream.chunk,
        )

    def _answered(self, ok: bool) -> None:
        if ok:
            self._upstream.link.say(True)

    def _deliver(self, message: Message) -> None:
        try:
            event = EventView.model_validate_json(message.data)
        except ValidationError:
            self._log.warning("quantum events: an event of type %.40r was not understood", message.type)
            return
        self.seq = event.seq
        self._safely(event.model_dump(mode="json"))

    def _link_changed(self, link: Link) -> None:
        data = {"online": bool(link.online), "since": link.since.isoformat()}
        self._safely({"type": "link.changed", "seq": 0, "time": link.since.isoformat(), "data": data})
        if link.online:
            self._again.set()

    def _safely(self, data: dict[str, Any]) -> None:
        """Emit; a listener that raises must not end the stream for the others."""
        try:
            self._emit(data)
        except Exception:
            self._log.exception("quantum events: a listener failed")


class _Stream:
    """Callbacks of one streaming request: status line and chunks."""

    def __init__(self, deliver: Callable[[Message], None], answered: Callable[[bool], None]) -> None:
        self._parser = Parser()
        self._deliver = deliver
        self._answered = answered
        self._ok = False
        self.heard = False

    def header(self, line: str) -> None:
        """The status line says whether what follows is a stream or an error's text."""
        self.heard = True
        if line.startswith("HTTP/"):
            self._ok = line.split(" ", 2)[1] == "200"
            self._answered(self._ok)

    def chunk(self, chunk: bytes) -> None:
        """A piece of the body."""
        self.heard = True
        if self._ok:
            for message in self._parser.feed(chunk):
                self._deliver(message)
