"""A task that a runner holds."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from jupyter_quantum.fabric.pool import Pool, Session
from jupyter_quantum.wire.runner import Task

__all__ = ["Running"]


@dataclass(eq=False, slots=True)
class Running:
    """A task, the worker that has it, and what the service said of it since."""

    task: Task
    session: Session | None = None
    pool: Pool | None = None
    """Whose worker it has, or waits for."""
    stopped: bool = False
    cancelled: bool = False
    """Stopped because its owner took it back, not because the lease was lost."""
    elsewhere: bool = False
    """A vendor has it: its worker is not killed to stop it."""
    reporting: bool = False
    """Its outcome is on the way: a lease request that crosses the report must not kill what follows in this worker."""
    began: float = field(default_factory=time.monotonic)
    renewed: float = field(default_factory=time.monotonic)
    """When the lease began that is certain, monotonic seconds."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is stopped."""

    def stop(self, *, cancelled: bool) -> None:
        """Stop it, as the service says."""
        self.stopped = True
        self.cancelled = self.cancelled or cancelled
        self.news.set()
        if self.session is not None and not self.elsewhere:
            self.session.kill("stopped")
