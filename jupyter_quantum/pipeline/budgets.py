"""What a run costs, which budgets must hold it, and what to say where they do not."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from jupyter_quantum.core.money import Cost
from jupyter_quantum.core.tenancy import ProjectSpec
from jupyter_quantum.exceptions import QuotaExceeded
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.views import meter
from jupyter_quantum.store import View
from jupyter_quantum.store.rows import AccountRow, AccountSpec
from jupyter_quantum.wire.jobs import QuotaView
from jupyter_quantum.wire.runner import Prepared

__all__ = ["Budgets"]


class Budgets:
    """Prices and budgets of one request."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @staticmethod
    def cost(device: Device, prepared: Prepared) -> Cost:
        """Estimate, and the most that it can cost: the run is killed at the device's time limit."""
        seconds = prepared.seconds.value if prepared.seconds else 0.0
        return device.prices.cost(
            tasks=prepared.tasks or prepared.num_circuits,
            executions=prepared.executions,
            seconds=min(seconds, device.max_seconds),
            seconds_at_most=device.max_seconds,
        )

    def accounts(self, principal: str, name: str, project: ProjectSpec) -> list[AccountSpec]:
        """The budgets that must hold a job: the user's month, in the lab's time zone, and the project's grant."""
        local = self._context.clock().astimezone(self._context.settings.time_zone)
        period = f"{local:%Y-%m}"
        monthly = AccountSpec(
            f"user:{principal}:{project.name}:{period}",
            "user",
            name,
            project.name,
            project.user_quota,
            period,
            _next_month(local),
        )
        return [monthly, AccountSpec(f"project:{project.name}", "project", project.name, project.name, project.grant)]

    def quota_of(self, view: View, principal: str, name: str, project: ProjectSpec) -> QuotaView:
        """The budgets as they are now; one that nothing was ever put on hold in is full."""
        meters = [meter(_account(view, spec), self._window(spec)) for spec in self.accounts(principal, name, project)]
        least = min(range(len(meters)), key=lambda i: meters[i].available)
        return QuotaView(project=project.name, meters=meters, binding=least)

    def _window(self, spec: AccountSpec) -> str:
        if spec.period is None:
            return "the project's grant"
        return f"{self._context.clock().astimezone(self._context.settings.time_zone):%B}"

    def alternatives(self, device: Device, prepared: Prepared) -> list[tuple[str, Cost]]:
        """Other devices that are up and wide enough, with the price there; priced ones first, cheapest first."""
        registry = self._context.registry
        found = [
            (other, self.cost(other, prepared))
            for other in registry
            if other.name != device.name
            and other.words.num_qubits >= prepared.num_qubits
            and registry.state(other) == "ready"
        ]
        found.sort(key=lambda pair: (pair[0].prices.free, pair[1].estimate, pair[0].name))
        return [(other.name, cost) for other, cost in found]

    def say_quota(self, error: QuotaExceeded, others: Sequence[tuple[str, Cost]]) -> QuotaExceeded:
        """The store's refusal, in words that name the next step; ``others`` are the :meth:`alternatives`."""
        left, needed = int(error.details["left"]), int(error.details["needed"])
        resets = error.details.get("resets")
        until = datetime.fromisoformat(resets) if isinstance(resets, str) else resets
        cheaper = next(((name, cost.estimate) for name, cost in others if cost.at_most <= left), None)
        message = sentences.over_quota(needed, left, until, self._context.settings.time_zone, cheaper)
        details = {**error.details, "resets": until and until.isoformat()}
        return QuotaExceeded(message, details=details | ({"cheaper": cheaper[0]} if cheaper else {}))


def _account(view: View, spec: AccountSpec) -> AccountRow:
    found = view.account(spec.id)
    used, held = (found.used, found.held) if found is not None else (0, 0)
    return AccountRow(spec.id, spec.scope, spec.name, spec.project, spec.limit, used, held, spec.period, spec.resets)


def _next_month(local: datetime) -> datetime:
    """Midnight of the next month's first day, in the same time zone."""
    year, month = divmod(local.year * 12 + local.month, 12)
    return local.replace(year=year, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
