"""Follows one job by long polls, in a thread of its own, until it has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final

from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.exceptions import NotFound, QuantumError, Unauthenticated
from jupyter_quantum.lab.widgets.door import Door
from jupyter_quantum.wire.jobs import JobView

__all__ = ["Watch"]

LONG_POLL_S: Final = 25.0
_RETRY_S: Final = (1.0, 2.0, 4.0, 8.0, 15.0)
_NEVER_FASTER_S: Final = 0.2


class Watch(threading.Thread):
    """Calls ``moved`` with each new version of a job, ``offline`` with the time since when nobody answers, or None.

    A token that is not valid any more, or a job that is gone, ends the watch: ``lost`` is called with the error.
    """

    def __init__(
        self,
        door: Door,
        job: JobView,
        *,
        moved: Callable[[JobView], None],
        offline: Callable[[datetime | None], None],
        lost: Callable[[QuantumError], None],
    ) -> None:
        super().__init__(name=f"watch-{job.id}", daemon=True)
        self._door, self._job = door, job
        self._moved, self._offline, self._lost = moved, offline, lost
        self._ended = threading.Event()
        self._failures = 0

    def stop(self) -> None:
        """End the watch; the job goes on."""
        self._ended.set()

    def run(self) -> None:
        """Poll until the job is final."""
        while not self._ended.is_set() and self._job.state not in FINAL:
            began = time.monotonic()
            before = self._job.version
            if not self._turn():
                return
            if self._failures == 0 and self._job.version == before:
                self._ended.wait(max(0.0, _NEVER_FASTER_S - (time.monotonic() - began)))

    def _turn(self) -> bool:
        """One request; whether to go on."""
        asked = datetime.now().astimezone()
        try:
            seen = self._door.follow(self._job, LONG_POLL_S)
        except (NotFound, Unauthenticated) as error:
            self._lost(error)
            return False
        except QuantumError:
            self._missed(asked)
            return True
        if self._failures:
            self._failures = 0
            self._offline(None)
        changed, self._job = seen != self._job, seen
        if changed and not self._ended.is_set():
            self._moved(seen)
        return True

    def _missed(self, asked: datetime) -> None:
        if self._failures == 0:
            self._offline(asked)
        self._ended.wait(_RETRY_S[min(self._failures, len(_RETRY_S) - 1)])
        self._failures += 1
