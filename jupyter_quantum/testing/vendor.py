"""A vendor in memory, for tests of the pipeline: it counts what it was given, and says so when it is asked.

It lives outside the runner that uses it, as a vendor does: a runner that dies leaves its submissions there.
"""

from __future__ import annotations

import asyncio
from collections import Counter

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
        self._handles: dict[str, str] = {}

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
