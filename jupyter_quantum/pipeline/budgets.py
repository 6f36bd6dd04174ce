"""What a run costs, which budgets must hold it, and what to say where they do not."""

from __future__ import annotations

import json
import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Final

from jupyter_quantum.core.charging import NOTHING, Use
from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.money import Cost, PriceList
from jupyter_quantum.core.tenancy import Principal, ProjectSpec
from jupyter_quantum.exceptions import QuotaExceeded
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.accounts import Accounts
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.regions import fits
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.views import meter
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import AccountRow, AccountSpec, Claim, JobRow, Json
from jupyter_quantum.wire.jobs import Meter, QuotaView
from jupyter_quantum.wire.runner import Prepared

__all__ = ["Budgets", "bound_prices", "prices_json", "queue_minutes", "usage"]

_NOBODY: Final = "nobody"
"""Stands in an account's id for somebody whom the ledger does not know yet; nothing is ever written under it."""


_KNOWN: Final = 512
_KNOWN_S: Final = 5.0
"""Seconds after which balances are read again even so: somebody may have the database's file open."""


@dataclass(frozen=True, slots=True)
class _Known:
    """Budgets as they were read, at which number of bookings and at which moment."""

    quota: QuotaView
    at: int
    read: float


class Budgets:
    """Prices and budgets of one request."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self.accounts = Accounts(context.settings, context.tenants)
        self._known: OrderedDict[tuple[object, ...], _Known] = OrderedDict()
        self.expected_wait: Callable[[Device, Prepared], float | None] = lambda _device, _prepared: None
        """Seconds that a run would probably wait; set by the pipeline, asked where waiting costs something."""

    def cost(self, device: Device, prepared: Prepared, prices: PriceList | None = None) -> Cost:
        """Estimate, and the most that it can cost: the run is killed at the device's time limit.

        ``prices``: those that the job was submitted under; the list in force where None.
        """
        prices = prices or device.prices
        seconds = prepared.seconds.value if prepared.seconds else 0.0
        wait = (self.expected_wait(device, prepared) or 0.0) if prices.per_queue_minute else 0.0
        return prices.cost(
            tasks=prepared.tasks or prepared.num_circuits,
            executions=prepared.executions,
            seconds=min(seconds, device.max_seconds),
            seconds_at_most=device.max_seconds,
            queue_minutes=wait / 60,
        )

    @staticmethod
    def needs(device: Device, prepared: Prepared, cost: Cost) -> dict[str, int]:
        """What a run needs at most, by unit."""
        return {
            "credits": cost.at_most,
            "shots": prepared.executions,
            _seconds_of(device.words.kind): math.ceil(device.max_seconds * 1000),
            "jobs": 1,
        }

    def claims(
        self,
        tx: Tx,
        principal: str,
        project: ProjectSpec,
        device: Device,
        prepared: Prepared,
        cost: Cost,
        at: datetime | None = None,
    ) -> list[Claim]:
        """What must be on hold for a run, in each account that binds it (at another time than now)."""
        when = at or self._context.clock()
        needs = self.needs(device, prepared, cost)
        return self.accounts.claims(tx.named(principal), project, device.words.kind, needs, when)

    def charged(self, row: JobRow, device: Device | None, use: Use, now: datetime) -> int:
        """What a use of the device costs, by the prices that the job was submitted under; of nothing, nothing."""
        prices = bound_prices(row) or (device.prices if device is not None else PriceList())
        if row.prepared is None or prices.free or use == NOTHING:
            return 0
        return prices.amount(
            tasks=use.tasks,
            executions=use.executions,
            seconds=use.seconds,
            queue_minutes=queue_minutes(row, now) if prices.per_queue_minute else 0.0,
        )

    # What is left

    async def quota(self, who: Principal, project: ProjectSpec) -> QuotaView:
        """The budgets that bind somebody in a project, as they are now.

        They are read again only after a commit that may have changed an account; where other programs write to the
        database, each time.
        """
        store = self._context.store
        at, name = store.bookings, store.names.get(who.id)
        if at is None or name is None:
            return await store.read(lambda view: self.quota_of(view, who.id, who.name, project))
        bound = self.accounts.binding(name, project, self._context.clock())
        key = (who.id, who.name, project.name, *bound)
        known, now = self._known.pop(key, None), time.monotonic()
        if known is None or known.at != at or now - known.read > _KNOWN_S:
            known = _Known(await store.read(lambda view: self._quota(view, bound, who.name, project)), at, now)
        self._known[key] = known
        while len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return known.quota

    def quota_of(self, view: View, principal: str, name: str, project: ProjectSpec) -> QuotaView:
        """The budgets as they are now; one that nothing was ever put on hold in is full."""
        who = view.pseudonym(principal) or _NOBODY
        return self._quota(view, self.accounts.binding(who, project, self._context.clock()), name, project)

    def _quota(self, view: View, bound: Sequence[Sequence[AccountSpec]], name: str, project: ProjectSpec) -> QuotaView:
        found = [self._meter(view, specs, name) for specs in bound]
        credit = [each for each in found if each.unit == "credits"]
        least = min(range(len(credit)), key=lambda i: credit[i].available)
        others = [each for each in found if each.unit != "credits"]
        return QuotaView(project=project.name, meters=credit, others=others, binding=least)

    def _meter(self, view: View, specs: Sequence[AccountSpec], name: str) -> Meter:
        """One budget; the grants of one owner are one."""
        rows = [_account(view, spec) for spec in specs]
        first = specs[0]
        ends = [spec.resets for spec in specs]
        soft = [spec.soft for spec in specs if spec.soft is not None]
        whole = AccountRow(
            first.id,
            first.scope,
            name if first.scope == "user" else first.name,
            first.project,
            sum(row.limit for row in rows),
            sum(row.used for row in rows),
            sum(row.held for row in rows),
            first.period,
            max((end for end in ends if end), default=None) if None not in ends else None,
            unit=first.unit,
            device_kind=first.device_kind,
            soft=sum(soft) if soft else None,
        )
        return meter(whole, specs[-1].words, sentences.soft_limit(whole, _whose(specs[-1])))

    def left_to(self, view: View, project: ProjectSpec) -> int:
        """Micro-credits that a project still has of its own grants."""
        return sum(_account(view, spec).available for spec in self.accounts.lots(project, self._context.clock()))

    # Refusals

    def alternatives(self, device: Device, prepared: Prepared, project: ProjectSpec) -> list[tuple[str, Cost]]:
        """Other devices that are up, wide enough and where the project may run; priced ones first, cheapest first."""
        registry = self._context.registry
        found = [
            (other, self.cost(other, prepared))
            for other in registry
            if other.name != device.name
            and other.words.num_qubits >= prepared.num_qubits
            and registry.state(other) == "ready"
            and fits(project, other)
        ]
        found.sort(key=lambda pair: (pair[0].prices.free, pair[1].estimate, pair[0].name))
        return [(other.name, cost) for other, cost in found]

    def say_quota(self, error: QuotaExceeded, others: Sequence[tuple[str, Cost]]) -> QuotaExceeded:
        """The store's refusal, in words that name the next step; ``others`` are the :meth:`alternatives`."""
        said = error.details
        left, needed, unit = int(said["left"]), int(said["needed"]), str(said["unit"])
        until = datetime.fromisoformat(said["resets"]) if said["resets"] else None
        cheaper = None
        if unit == "credits":
            cheaper = next(((name, cost.estimate) for name, cost in others if cost.at_most <= left), None)
        whose = said["name"] if said["scope"] != "user" else None
        message = sentences.over_quota(needed, left, until, self._context.settings.time_zone, cheaper, unit, whose)
        return QuotaExceeded(message, details={**said} | ({"cheaper": cheaper[0]} if cheaper else {}))


def _whose(spec: AccountSpec) -> str:
    """``this month's``: the turn of a quota's window, as it is named before what it counts."""
    window = spec.id.split("/")[-2]
    turns = {"day": "today's", "week": "this week's", "month": "this month's", "term": f"{spec.words}'s"}
    ever = "what you may use" if spec.scope == "user" else f"{spec.name}'s"
    return spec.words if spec.purpose == "funds" else turns.get(window, ever)


def _account(view: View, spec: AccountSpec) -> AccountRow:
    found = view.account(spec.id)
    if found is None:
        return AccountRow(spec.id, spec.scope, spec.name, spec.project, spec.limit)
    limit = 0 if found.closed else found.limit + spec.limit - found.declared
    return AccountRow(spec.id, spec.scope, spec.name, spec.project, limit, found.used, found.held)


def _seconds_of(kind: DeviceKind) -> str:
    """The unit that counts time on such a device: only hardware is hardware."""
    return "qpu_seconds" if kind is DeviceKind.QPU else "simulator_seconds"


def usage(kind: DeviceKind, use: Use) -> dict[str, int]:
    """A use of a device of this kind, by unit, besides credits: shots, and milliseconds on the device."""
    return {"shots": use.executions, _seconds_of(kind): math.ceil(use.seconds * 1000)}


def bound_prices(row: JobRow) -> PriceList | None:
    """The prices that a job was submitted under; None for a job of before there were any."""
    return None if row.prices is None else PriceList(**json.loads(row.prices))


def prices_json(prices: PriceList) -> Json:
    """A price list as it is stored."""
    return json.dumps(asdict(prices))


def queue_minutes(row: JobRow, now: datetime) -> float:
    """How long a job was in its device's queue; a wait for the next window of a budget does not count."""
    if row.queued is None:
        return 0.0
    since = row.queued if row.not_before is None else max(row.queued, row.not_before)
    return max(0.0, ((row.started or now) - since).total_seconds() / 60)
