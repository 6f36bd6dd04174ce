"""The event stream: server-sent events (HTML standard, section 9.2) of what the caller may see."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from tornado.iostream import StreamClosedError

from jupyter_quantum.core.tenancy import Scope
from jupyter_quantum.exceptions import InputError, QuantumError, TooBusy
from jupyter_quantum.hub.api.base import Handler
from jupyter_quantum.hub.auth import ADMINISTER
from jupyter_quantum.wire.jobs import EventView

__all__ = ["Events"]

_ALIVE_S: Final = 15.0
_AUTHORISE_S: Final = 60.0
_STREAMS: Final = 20
"""Of one principal; each user server needs one."""
_LATER: Final = {"retry_after": 10}


class Events(Handler):
    """``GET api/v1/events``: ``id`` is the reader's number of the event, ``event`` its type, ``data`` an `EventView`.

    A client that comes back with ``Last-Event-ID`` misses nothing. The caller is checked again each minute; the stream
    ends when the token is gone, has lost the scope, or its groups have changed (the client comes back, and sees what it
    may see now).
    """

    label = "api/v1/events"

    async def prepare(self) -> None:
        """Identify the caller and read where to go on."""
        await self.authenticate(Scope.READ)
        streams: set[Events] = self.settings["streams"]
        if sum(other.who.id == self.who.id for other in streams) >= _STREAMS:
            raise TooBusy(
                f"You have {_STREAMS} event streams open.", code="busy.streams", hint="Close some.", details=_LATER
            )
        last = self.request.headers.get("Last-Event-ID") or self.get_query_argument("after", "")
        if last and not last.isdecimal():
            raise InputError("Last-Event-ID is the number of an event.", code="request.malformed")
        # One that was never given out to this reader means: from now on. 0 stands before the first event.
        self._after = self.context.cursors.read(int(last), self.who.id) if last and int(last) else 0 if last else None
        self._task: asyncio.Task[None] | None = None

    async def get(self) -> None:
        """Stream until the client leaves, the service stops or the caller may not read any more."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        self._task = asyncio.current_task()
        streams: set[Events] = self.settings["streams"]
        streams.add(self)
        self.context.metrics.streams.inc()
        try:
            await self._send("retry: 2000\n\n")
            await self._stream(self.context.pipeline.events(self.who, after=self._after))
        except (StreamClosedError, asyncio.CancelledError, QuantumError):
            pass  # it has ended; the client comes back if it wants more
        finally:
            self.context.metrics.streams.dec()
            streams.discard(self)

    async def _stream(self, events: AsyncIterator[EventView]) -> None:
        loop = asyncio.get_running_loop()
        authorise_at = loop.time() + _AUTHORISE_S
        following: asyncio.Future[EventView] | None = None
        try:
            while True:
                if following is None:
                    following = asyncio.ensure_future(_next(events))
                patience = min(_ALIVE_S, max(0.0, authorise_at - loop.time()))
                done, _ = await asyncio.wait({following}, timeout=patience)
                if loop.time() >= authorise_at:
                    if not await self._still_allowed():
                        return
                    authorise_at = loop.time() + _AUTHORISE_S
                if done:
                    event, following = following.result(), None
                    await self._send_event(event)
                else:
                    await self._send(": alive\n\n")
        except StopAsyncIteration:
            return
        finally:
            if following is not None:
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError, StopAsyncIteration, QuantumError):
                    await following
            if hasattr(events, "aclose"):
                await events.aclose()

    async def _still_allowed(self) -> bool:
        before = self.who
        now = await self.identify(max_age=ADMINISTER)
        return now is not None and now.id == before.id and now.groups == before.groups and Scope.READ in now.scopes

    async def _send_event(self, event: EventView) -> None:
        number = self.context.cursors.show(event.seq, self.who.id)
        shown = event.model_copy(update={"seq": number})
        await self._send(f"id: {number}\nevent: {event.type}\ndata: {shown.model_dump_json()}\n\n")

    async def _send(self, text: str) -> None:
        self.write(text)
        await self.flush()

    def end(self) -> None:
        """Stop streaming: the client has left, or the service stops."""
        if self._task is not None:
            self._task.cancel()

    def on_connection_close(self) -> None:
        """The client has left."""
        self.end()


async def _next(events: AsyncIterator[EventView]) -> Any:
    try:
        return await anext(events)
    except StopAsyncIteration:  # a task may not raise it
        raise _Ended("The service stops.") from None


class _Ended(QuantumError):
    """The pipeline has no more events: it stops."""
