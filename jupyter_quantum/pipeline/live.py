"""Live: numbers what was committed and delivers it, to each principal what they may see."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import JobState
from jupyter_quantum.core.tenancy import Principal
from jupyter_quantum.exceptions import Conflict, NotFound
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.decide import Deciding
from jupyter_quantum.pipeline.named import Naming
from jupyter_quantum.pipeline.views import job_view
from jupyter_quantum.store import View
from jupyter_quantum.store.rows import ApprovalRow, EventRow, JobRow, RequestRow
from jupyter_quantum.wire.devices import DeviceView, Wait
from jupyter_quantum.wire.jobs import ApprovalView, EventView, JobView
from jupyter_quantum.wire.requests import RequestView
from jupyter_quantum.wire.results import ResultView

__all__ = ["Live"]

log = logging.getLogger(__name__)

_LEASE_S = 3.0
_RECENT = 2_000
_BATCH = 500


class Live:
    """The numbering loop and the streams."""

    def __init__(self, context: Context, deciding: Deciding) -> None:
        self._context = context
        self._deciding = deciding
        self._holder = new_id("run")
        self._recent: deque[EventRow] = deque(maxlen=_RECENT)
        self._last = 0
        self._dirty = True
        self.show_approval: Callable[[View, Principal, ApprovalRow], ApprovalView] | None = None
        """How a request for approval looks to a reader; set by the pipeline."""
        self.show_request: Callable[[Principal, RequestRow], RequestView] | None = None
        """The same for other requests."""
        self.leads = asyncio.Event()
        """Set once this process leads."""
        self.fence: int | None = None
        """The fencing token while this process leads."""

    @property
    def leading(self) -> bool:
        """Whether this process leads now."""
        return self.fence is not None

    def moved(self, row: JobRow, result: ResultView | None = None) -> None:
        """A job's move was committed: wake who waits for it, and have its event numbered."""
        self._context.intake.moved(row)
        self._context.bus.publish(row, result)
        self.committed()

    def committed(self) -> None:
        """Something with an event was committed."""
        self._dirty = True
        self._context.dirty.ring()

    # Numbering

    async def run(self) -> None:
        """Claim the lead, then number events for ever: soon after each commit, together what comes together."""
        every = self._context.settings.numbering_s
        claimed = 0.0
        clock = asyncio.get_running_loop().time
        while True:
            if self.fence is None or clock() - claimed > _LEASE_S / 3:
                self.fence = await self._context.store.write(lambda tx: tx.claim_leader(self._holder, _LEASE_S))
                claimed = clock()
            if self.fence is None:
                await asyncio.sleep(_LEASE_S / 10)
                await self._follow()
                continue
            self.leads.set()
            try:
                await self._number(self.fence)
            except Conflict:
                self.fence = None
                continue
            except Exception:  # the events stay committed, and are numbered the next time
                log.exception("events could not be numbered")
                self._dirty, self.fence = True, None
                await asyncio.sleep(_LEASE_S / 3)
                continue
            if not self._dirty and not self._context.store.shared:
                await self._context.dirty.wait(_LEASE_S / 4)
            # Events of other processes ring no bell here: on a database that is shared, it is looked for them.
            self._dirty = self._dirty or self._context.store.shared
            await asyncio.sleep(0.8 * every)  # the rest of the time is for writing

    async def _follow(self) -> None:
        """While another process leads: tell the streams of this one that there are new numbers."""
        self._recent.clear()  # what the other one numbers is not among it
        last = await self._context.store.read(lambda view: view.last_seq())
        if last > self._last:
            self._last = last
            self._context.numbered.ring()

    async def finish(self) -> None:
        """Number what was written last, before the lead is given up."""
        if self.fence is not None:
            self._dirty = True
            await self._number(self.fence)

    async def resign(self) -> None:
        """Let another process lead at once."""
        self.fence = None
        await self._context.store.write(lambda tx: tx.claim_leader(self._holder, 0.0))

    async def _number(self, fence: int) -> None:
        if not self._dirty:
            return
        self._dirty = False
        rows = await self._context.store.write(lambda tx: tx.number_events(fence))
        if rows:
            if self._recent and (self._recent[-1].seq or 0) + 1 != rows[0].seq:  # another process led meanwhile
                self._recent.clear()
            self._recent.extend(rows)
            self._last = rows[-1].seq or self._last
            self._dirty = len(rows) >= _BATCH
            self._context.numbered.ring()

    # Streams

    async def stream(self, who: Principal, after: int | None) -> AsyncIterator[EventView]:
        """What ``who`` may see, from event ``after`` on (from now on where None), for ever."""
        if after is None:
            after = await self._context.store.read(lambda view: view.last_seq())
        while True:
            rows = await self._rows(after)
            if not rows:
                await self._context.numbered.wait(5.0)
                continue
            after = rows[-1].seq or after
            named = await self._context.store.pseudonym(who.id)
            seen = [row for row in rows if self._context.people.sees_event(who, named, row)]
            for event in await self._views(who, rows, seen):
                yield event

    async def numbered_after(self, after: int) -> Sequence[EventRow]:
        """Events with higher numbers, in order: some, where there are many."""
        return await self._rows(after)

    async def shown(self, who: Principal, rows: Sequence[EventRow]) -> list[EventView]:
        """Events as this reader sees them; whether they may is the caller's to decide."""
        return await self._context.store.read(lambda view: [self._event(view, who, row) for row in rows])

    async def _rows(self, after: int) -> Sequence[EventRow]:
        if self._recent and (self._recent[0].seq or 0) <= after + 1:
            return [row for row in self._recent if (row.seq or 0) > after]
        return await self._context.store.read(lambda view: view.events(after, limit=_BATCH))

    async def _views(self, who: Principal, rows: Sequence[EventRow], seen: Sequence[EventRow]) -> list[EventView]:
        """The events as this reader sees them, and after them the budgets that moved."""
        roles = self._context.people.roles(who)
        spends = [row for row in rows if row.project in roles and _moves_money(row)]
        # Numbered as the last event that concerns the reader: of others it tells neither id nor time.
        last = max((*seen, *spends), key=lambda row: row.seq or 0, default=None)
        spent = sorted({row.project or "" for row in spends})

        def read(view: View) -> list[EventView]:
            shown = [self._event(view, who, row) for row in seen]
            return shown + [self._quota(view, who, project, last) for project in spent if last is not None]

        return await self._context.store.read(read) if last is not None else []

    def _quota(self, view: View, who: Principal, project: str, last: EventRow) -> EventView:
        spec = self._context.tenants.projects[project]
        quota = self._deciding.budgets.quota_of(view, who.id, who.name, spec)
        return EventView(
            seq=last.seq or 0,
            id=last.id,
            time=last.time,
            type="quota.changed",
            project=project,
            data=quota.model_dump(mode="json"),
        )

    def _event(self, view: View, who: Principal, row: EventRow) -> EventView:
        data = self._data(view, who, row)
        return EventView(
            seq=row.seq or 0, id=row.id, time=row.time, type=row.type, job=row.job, project=row.project, data=data
        )

    def _data(self, view: View, who: Principal, row: EventRow) -> dict[str, Any]:
        """The thing that the event is about, as the reader sees it."""
        said = dict(row.data)
        shown: JobView | DeviceView | ApprovalView | RequestView | None = None
        if row.type.startswith("job.") and row.job is not None:
            job = _job(view, row.job)
            shown = None if job is None else _as_of(job_view(job), row)
        elif row.type == "device.changed":
            device = self._context.registry.get(str(said.get("device")))
            shown = None if device is None else self._context.registry.view(device, Wait())
        elif row.type == "approval.changed" and self.show_approval is not None:
            shown = self.show_approval(view, who, view.approval(str(said.get("approval"))))
        elif row.type == "request.changed" and self.show_request is not None:
            shown = self.show_request(who, view.request(str(said.get("request"))))
        if shown is not None:
            return shown.model_dump(mode="json")
        named: dict[str, Any] = Naming(view).data(said)
        return named


def _job(view: View, job_id: str) -> JobRow | None:
    try:
        return view.job(job_id)
    except NotFound:
        return None


def _moves_money(row: EventRow) -> bool:
    return bool(row.data.get("entries"))


def _as_of(view: JobView, event: EventRow) -> JobView:
    """The job with the state that this event tells of, where it has moved on since."""
    version = event.data.get("version")
    if version is None or version == view.version:
        return view
    to = event.data.get("to")
    then = {"state": JobState(to) if to else view.state, "version": version, "changed": event.time}
    return view.model_copy(update=then)
