"""Whoever has left has left: their waiting jobs, requests and grants end within minutes, present or absent.

The leader looks once a minute at those who have something open. A hub that does not answer says nothing about anybody,
so nothing is taken back on its silence.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Mapping

from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.core.tenancy import Principal, name_of
from jupyter_quantum.exceptions import Conflict, QuantumError, Refused, Unavailable
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.elevation import BreakingGlass
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.requests import Requests
from jupyter_quantum.pipeline.retire import Retiring
from jupyter_quantum.pipeline.tenancy import Tenancy
from jupyter_quantum.store import Tx, View

__all__ = ["Sweeping"]

log = logging.getLogger(__name__)

_WAITING = frozenset(JobState) - FINAL - {JobState.RUNNING}
"""What has not begun to run is taken back; a run on a device is paid for, and its project's leads see the result."""
_AT_ONCE = 8
_RARELY = 5
"""Those who have a grant or a request only are asked about at every fifth look, and the hub alone: they have no access
once the hub does not know them."""


class Sweeping:
    """Asks who is still there."""

    def __init__(
        self,
        context: Context,
        tenancy: Tenancy,
        retiring: Retiring,
        requests: Requests,
        glass: BreakingGlass,
        live: Live,
    ) -> None:
        self._context = context
        self._tenancy = tenancy
        self._retiring = retiring
        self._requests = requests
        self._glass = glass
        self._live = live

    async def run(self) -> None:
        """Look again and again, while this process leads."""
        for turn in itertools.count():
            await asyncio.sleep(self._context.settings.sweep_s)
            if not self._live.leading:
                continue
            try:
                await self.once(everybody=turn % _RARELY == 0)
                await self._glass.remind()
                await self._context.store.write(lambda tx: tx.forget_spent())
            except Exception:  # one bad look must not be the last
                log.exception("the look at who has left failed")

    async def once(self, *, everybody: bool = True) -> None:
        """One look at those who have jobs waiting, or at ``everybody`` who has something open."""
        found = await self._context.store.read(lambda view: self._open(view, everybody))
        gate = asyncio.Semaphore(_AT_ONCE)

        async def look(principal: str, projects: frozenset[str]) -> None:
            async with gate:
                try:
                    await self._look(principal, projects)
                except Unavailable:  # silence says nothing
                    log.warning("The hub does not say who is still there; looking again later")

        await asyncio.gather(*(look(principal, projects) for principal, projects in found.items()))

    def _open(self, view: View, everybody: bool) -> Mapping[str, frozenset[str]]:
        """Principal → projects in which they have waiting jobs; also those with grants or requests only."""
        found: dict[str, set[str]] = {}
        for principal, project in view.at_work(_WAITING):
            found.setdefault(principal, set()).add(project)
        if not everybody:
            return {principal: frozenset(projects) for principal, projects in found.items()}
        for member in view.memberships(alive_at=self._context.clock(), limit=None):
            found.setdefault(member.principal, set())
        for request in view.requests(state="open", limit=10_000):
            found.setdefault(request.principal, set())
        return {principal: frozenset(projects) for principal, projects in found.items()}

    async def _look(self, principal: str, projects: frozenset[str]) -> None:
        directory = self._context.directory
        groups = await (directory.refreshed(principal) if projects else directory.groups_of(principal))
        if groups is None:
            await self._gone(principal, projects)
            return
        who = Principal.known(principal, groups)
        for project in sorted(projects):
            if self._context.tenants.role(who, project) is None:
                message = f"{who.name} is no longer in the project {project}, so the run was taken back."
                await self._take_back(principal, project, Refused(message, code="owner.left"))

    async def _gone(self, principal: str, projects: frozenset[str]) -> None:
        message = f"The account of {name_of(principal)} is gone, so the run was taken back."
        for project in sorted(projects):
            await self._take_back(principal, project, Refused(message, code="owner.gone"))
        if await self._context.directory.groups_of(principal) is not None:
            return  # the identity provider does not let them in now; what they have for good waits for their return
        await self._requests.withdraw_all(principal)

        def end(tx: Tx) -> int:
            rows = tx.memberships(principal=principal, alive_at=self._context.clock(), limit=None)
            for row in rows:
                tx.end_membership(row.id, actor="service", code="owner.gone")
            return len(rows)

        if await self._context.store.write(end):
            await self._tenancy.refresh()
            self._live.committed()

    async def _take_back(self, principal: str, project: str, why: QuantumError) -> None:
        rows = await self._context.store.read(
            lambda view: view.jobs(principal=principal, project=project, states=_WAITING, limit=None)
        )
        for row in rows:
            try:
                await self._retiring.take_back(row.id, why, unless=JobState.RUNNING)
            except Conflict:  # it ended, or began to run, at this very moment
                continue
