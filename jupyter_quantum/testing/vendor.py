"""A vendor in memory, for tests of the pipeline: it counts what it was given, and says so when it is asked.

It lives outside the runner that uses it, as a vendor does: a runner that dies leaves its submissions there.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from jupyter_quantum.wire.runner import SessionReport

__all__ = ["MemoryVendor"]


class MemoryVendor:
    """Submissions by tag. ``silent`` swallows the answer to the next submission, as a broken connection does."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        """Tag → how often it was run."""
        self.cancelled: list[str] = []
        """Tags that were taken back."""
        self.counts: float | None = None
        """Seconds that it bills a run with; None: it does not tell."""
        self.marks: list[str] = []
        """What is to be known of its answers."""
        self.lacks: frozenset[int] = frozenset()
        """PUBs that it does not answer. Each PUB is a submission of its own then, billed with ``counts`` seconds."""
        self.silent = False
        self.hides = False
        """Whether it does not list what it has, as long as its index is behind."""
        self.stalls: asyncio.Event | None = None
        """Submissions wait for it before they arrive; those whose runner dies first never do."""
        self.sessions: dict[str, list[str]] = {}
        """Id of each session that was opened → tags of the runs in it."""
        self.names: dict[str, str] = {}
        """Id of each session → the name that it was opened under."""
        self.ended: list[str] = []
        """Sessions that take no more runs."""
        self.drops: set[str] = set()
        """Sessions that ended and took what waited in them along."""
        self.opens: SessionReport | None = None
        """What comes of the next opening, where it is not a session."""
        self.usage_s: float | None = None
        """Seconds that it counts for a session."""
        self._handles: dict[str, str] = {}

    def open(self, name: str) -> SessionReport:
        """Open a session."""
        said, self.opens = self.opens, None
        if said is not None:
            return said
        handle = f"session-{len(self.sessions) + 1}"
        self.sessions[handle], self.names[handle] = [], name
        return SessionReport(handle=handle)

    def end(self, session: str) -> None:
        """End a session."""
        self.ended.append(session)

    def takes(self, session: str, tag: str) -> bool:
        """Note a run in a session, unless that has ended."""
        if session in self.ended:
            return False
        self.sessions[session].append(tag)
        return True

    async def receive(self, tag: str) -> str | None:
        """A submission over the network: its id, None where the answer is lost."""
        if self.stalls is not None:
            await self.stalls.wait()
        handle = self.submit(tag)
        silent, self.silent = self.silent, False
        return None if silent else handle

    def submit(self, tag: str) -> str:
        """Take a run; the same tag gives the same one."""
        if tag not in self._handles:
            self._handles[tag] = f"vendor-{len(self._handles) + 1}"
            self.runs[tag] += 1
        return self._handles[tag]

    def find(self, tag: str) -> str | None:
        """The run with this tag, where it is listed."""
        return None if self.hides else self._handles.get(tag)

    def cancel(self, tag: str) -> float:
        """Take a run back; the seconds that it used."""
        self.cancelled.append(tag)
        return 0.0 if self.counts is None else self.counts
