"""The service's event stream, and following one job from a thread."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from urllib3.exceptions import HTTPError

from jupyter_quantum.client.http import Connection
from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.exceptions import QuantumError, Unavailable
from jupyter_quantum.wire.jobs import EventView, JobView

__all__ = ["Subscription", "follow", "stream"]

_POLL_S: Final = 25.0
_PAUSE_S: Final = 2.0


class Subscription:
    """A thread that calls back; :meth:`stop` ends it (at the latest when its current request does)."""

    def __init__(self, run: Callable[[threading.Event], None], name: str) -> None:
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=run, args=(self._stopped,), name=name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """No callback begins after this."""
        self._stopped.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the thread's end (seconds)."""
        self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Whether it still calls back."""
        return self._thread.is_alive() and not self._stopped.is_set()


def follow(connection: Connection, job: str, callback: Callable[[JobView], object]) -> Subscription:
    """Call ``callback(view)`` from a daemon thread: at once, then after each move, the last time in a final state.

    A service that is away is waited for. An exception of the callback ends the following.
    """

    def run(stopped: threading.Event) -> None:
        version = -1
        while not stopped.is_set():
            view = _next(connection, job, version, stopped)
            if view is None:
                return
            if view.version > version and not stopped.is_set():
                version = view.version
                callback(view)
            if view.state in FINAL:
                return

    return Subscription(run, f"follow-{job[-6:]}")


def _next(connection: Connection, job: str, version: int, stopped: threading.Event) -> JobView | None:
    while not stopped.is_set():
        try:
            return connection.get(f"jobs/{job}", JobView, wait_s=0 if version < 0 else _POLL_S, version=version)
        except Unavailable:
            stopped.wait(_PAUSE_S)
        except QuantumError:
            return None
    return None


def stream(connection: Connection, after: int | None = None) -> Iterator[EventView]:
    """Events that the caller may see, from number ``after`` on (exclusive), or from now; connects again by itself."""
    while True:
        try:
            for event in _parsed(connection.lines("events", after=after)):
                after = event.seq
                yield event
        except (HTTPError, Unavailable):
            time.sleep(_PAUSE_S)


def _parsed(lines: Iterator[str]) -> Iterator[EventView]:
    """Server-sent events (WHATWG HTML, section 9.2): ``data`` lines up to an empty line; comments are dropped."""
    data: list[str] = []
    with contextlib.closing(lines):  # type: ignore[type-var]  # a generator
        for line in lines:
            if line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
            elif not line and data:
                yield EventView.model_validate_json("\n".join(data))
                data = []
