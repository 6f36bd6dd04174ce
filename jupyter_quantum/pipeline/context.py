"""What all stages share: the parts of one pipeline, wired once."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from jupyter_quantum.pipeline.board import Board
from jupyter_quantum.pipeline.bus import Bell, Bus
from jupyter_quantum.pipeline.intake import Intake
from jupyter_quantum.pipeline.people import Directory, People
from jupyter_quantum.pipeline.policy import Policies
from jupyter_quantum.pipeline.registry import Registry
from jupyter_quantum.pipeline.settings import Settings
from jupyter_quantum.pipeline.tenants import Tenants
from jupyter_quantum.store import Store, Tx
from jupyter_quantum.store.artefacts import INLINE

__all__ = ["Background", "Context"]

log = logging.getLogger(__name__)


class Background:
    """Tasks that nobody awaits: kept from being collected, their failures logged, ended with the pipeline."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run ``work`` beside the caller."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s ended with an error", task.get_name(), exc_info=error)

    async def stop(self) -> None:
        """Cancel what still runs, and wait for it."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Context:
    """The parts."""

    settings: Settings
    store: Store
    directory: Directory
    policies: Policies
    board: Board
    registry: Registry
    people: People
    tenants: Tenants
    bus: Bus = field(default_factory=Bus)
    numbered: Bell = field(default_factory=Bell)
    """Rings when events were numbered."""
    dirty: Bell = field(default_factory=Bell)
    """Rings when something was committed that needs a number."""
    background: Background = field(default_factory=Background)
    clock: Callable[[], datetime] = _utc_now
    intake: Intake = field(init=False)

    def __post_init__(self) -> None:
        self.tenants.clock = lambda: self.clock()
        self.intake = Intake(self.settings.limits.active)

    def affinity(self, principal_id: str) -> str:
        """Opaque value that is the same for all tasks of one user; the runner learns no name."""
        return hmac.digest(self.settings.secret or b"unset", principal_id.encode(), "sha256").hex()[:32]

    async def keep(self, tenant: str, raw: bytes) -> None:
        """Store a large artefact ahead of the transaction that refers to it; small ones go with the transaction."""
        if len(raw) >= INLINE:
            await self.store.artefacts.put(tenant, raw)
        else:
            await self.store.ready(tenant)

    @staticmethod
    def refer(tx: Tx, tenant: str, raw: bytes, digest: str) -> str:
        """Digest of an artefact, written with this transaction where it is small (see :meth:`keep`)."""
        return digest if len(raw) >= INLINE else tx.put_blob(tenant, raw)
