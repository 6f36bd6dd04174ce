"""What the page shows a person: collected from the pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from jupyter_quantum.core import words
from jupyter_quantum.core.tenancy import Principal, Role
from jupyter_quantum.exceptions import NotFound, Refused
from jupyter_quantum.hub.pages.items import (
    ApprovalItem,
    Clock,
    DeviceItem,
    JobItem,
    MeterItem,
    approval_item,
    device_item,
    job_item,
    meter_item,
)
from jupyter_quantum.hub.pages.mysteries import Mystery, mysteries
from jupyter_quantum.hub.pages.newcomers import Newcomer, newcomers
from jupyter_quantum.hub.pages.wishes import Wish, wishes
from jupyter_quantum.wire.devices import DeviceView
from jupyter_quantum.wire.jobs import JobView, Me
from jupyter_quantum.wire.reports import ReportView

if TYPE_CHECKING:
    from jupyter_quantum.pipeline import Pipeline

__all__ = ["Board", "collect"]

_RECENT = 12
_HUB_WIDE = {"admin": "administrator"}


@dataclass(frozen=True, slots=True)
class Board:
    """The whole page."""

    needs: str
    user: bool
    lead: bool
    operator: bool
    roles: str
    """In which projects, and on the whole hub; empty for nobody's."""
    several: bool = False
    """Whether more than one request waits for the reader's decision."""
    approvals: list[ApprovalItem] = field(default_factory=list)
    mysteries: list[Mystery] = field(default_factory=list)
    """Attempts of which the reader must find out whether they ran."""
    newcomers: list[Newcomer] = field(default_factory=list)
    """Devices that wait for the reader to admit them."""
    wishes: list[Wish] = field(default_factory=list)
    """Requests beside those for a job, which the reader may decide."""
    asked: list[ApprovalItem] = field(default_factory=list)
    wished: list[Wish] = field(default_factory=list)
    """The reader's own of them."""
    meters: list[MeterItem] = field(default_factory=list)
    jobs: list[JobItem] = field(default_factory=list)
    project_jobs: list[JobItem] = field(default_factory=list)
    devices: list[DeviceItem] = field(default_factory=list)


async def collect(pipeline: Pipeline, who: Principal) -> Board:
    """Ask the pipeline for everything that ``who`` may see here."""
    me = await pipeline.me(who)
    clock = Clock(datetime.now(UTC), getattr(getattr(pipeline, "settings", None), "time_zone", None))
    operator = bool({"operator", "admin"} & set(me.roles))
    led = [project for project, role in me.projects.items() if role == Role.LEAD]
    approvals, asked = await _approvals(pipeline, who, clock, led)
    wished = await wishes(pipeline, who, clock)
    waiting = sum(item.may_decide for item in approvals) + sum(wish.may_decide for wish in wished)
    devices = (await pipeline.devices(who)).devices
    new = await newcomers(pipeline, who) if operator else []
    unknown = await mysteries(pipeline, who, clock) if operator else []
    offline = [one for one in devices if one.state == "offline"] if operator else []
    return Board(
        needs=_needs(waiting, len(new), len(unknown), offline),
        user=bool(me.projects),
        lead=bool(led),
        operator=operator,
        roles=_roles(me),
        several=sum(item.may_decide for item in approvals) > 1,
        approvals=approvals,
        mysteries=unknown,
        newcomers=new,
        wishes=[wish for wish in wished if wish.may_decide],
        asked=asked,
        wished=[wish for wish in wished if not wish.may_decide],
        meters=[meter_item(m, clock) for project in me.projects for m in (await pipeline.quota(who, project)).meters],
        jobs=[job_item(job, clock) for job in (await pipeline.jobs(who, limit=_RECENT)).jobs] if me.projects else [],
        project_jobs=[
            job_item(job, clock)
            for project in led
            for job in (await pipeline.jobs(who, limit=_RECENT, project=project)).jobs
            if job.owner != who.name
        ],
        devices=[device_item(device, clock, operator) for device in devices],
    )


def _roles(me: Me) -> str:
    led = ", ".join(f"{role} of {project} ({me.tiers.get(project, '–')})" for project, role in me.projects.items())
    return " · ".join(filter(None, [led, *(_HUB_WIDE.get(role, role) for role in sorted(me.roles))]))


def _needs(waiting: int, new: int, unknown: int, offline: Sequence[DeviceView]) -> str:
    parts = []
    if unknown:
        parts.append(words.plural(unknown, "unknown run"))
    if waiting:
        parts.append(words.plural(waiting, "approval"))
    if new:
        parts.append(f"{words.plural(new, 'device')} to admit")
    if offline:
        parts.append(f"{words.plural(len(offline), 'device')} offline")
    return " · ".join(parts)


async def _approvals(
    pipeline: Pipeline, who: Principal, clock: Clock, led: Sequence[str]
) -> tuple[list[ApprovalItem], list[ApprovalItem]]:
    others: list[ApprovalItem] = []
    own: list[ApprovalItem] = []
    for view in (await pipeline.approvals(who, state="open")).approvals:
        report = await _report(pipeline, who, view.job) if view.may_decide else None
        item = approval_item(view, report, who, clock, lead=view.project in led)
        (own if view.asked_by == who.name else others).append(item)
    return others, own


async def _report(pipeline: Pipeline, who: Principal, job: JobView) -> ReportView | None:
    if job.report is None:
        return None
    try:
        found: ReportView = await pipeline.get_report(who, job.report)
    except (NotFound, Refused):
        return None
    return found
