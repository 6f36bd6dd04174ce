"""Stage *decide*: what it costs, whether the budgets hold it, what policy says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from jupyter_quantum.core.facts import Decision, Facts
from jupyter_quantum.core.money import Cost
from jupyter_quantum.core.tenancy import Principal, ProjectSpec, Role
from jupyter_quantum.exceptions import QuotaExceeded, Refused
from jupyter_quantum.pipeline import sentences
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.pipeline.views import meter
from jupyter_quantum.store import View
from jupyter_quantum.store.rows import AccountRow, AccountSpec, JobRow
from jupyter_quantum.wire.jobs import QuotaView
from jupyter_quantum.wire.runner import Prepared

__all__ = ["Asker", "Deciding"]


@dataclass(frozen=True, slots=True)
class Asker:
    """The person behind a job, as policy sees them."""

    principal: str
    name: str
    groups: frozenset[str]
    role: Role
    mfa: bool = False


class Deciding:
    """Prices, budgets and policy for one request."""

    def __init__(self, context: Context) -> None:
        self._context = context

    # Money

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

    # Policy

    def asker(self, who: Principal, project: ProjectSpec) -> Asker:
        """A principal who has just been authenticated. Raises Refused for a stranger to the project."""
        role = self._context.tenants.role(who, project.name)
        if role is None:
            raise Refused(f"You are not in the project {project.name}.", code="project.none")
        return Asker(who.id, who.name, who.groups, role, who.mfa)

    def ask(
        self,
        asker: Asker,
        project: ProjectSpec,
        device: Device,
        prepared: Prepared,
        cost: Cost,
        approvals: Sequence[str] = (),
    ) -> Decision:
        """What policy says to this request now."""
        words = device.words
        return self._context.policies.decide(
            Facts(
                user=asker.name,
                groups=asker.groups,
                role=asker.role.value,
                project=project.name,
                tier=project.tier,
                action="submit",
                device=device.name,
                device_kind=words.kind,
                vendor=words.vendor,
                region=words.region,
                data_class=project.data_class,
                num_qubits=prepared.num_qubits,
                depth=prepared.depth,
                shots=prepared.shots,
                executions=prepared.executions,
                price=cost.estimate,
                price_at_most=cost.at_most,
                validated=prepared.error is None,
                mfa=asker.mfa,
                approvals=frozenset(approvals),
                now=self._context.clock().astimezone(self._context.settings.time_zone),
            )
        )

    async def asker_now(self, row: JobRow, *, mfa: bool = False) -> Asker:
        """The owner of a job as the hub knows them now.

        Raises Refused (``owner.gone``, ``owner.left``) where the user is gone or left the project.
        """
        groups = await self._context.directory.groups_of(row.principal)
        if groups is None:
            raise Refused(f"The account of {row.owner} is gone, so the run was taken back.", code="owner.gone")
        name, _, created = row.principal.rpartition("@")
        role = self._context.tenants.role(Principal(name, created, groups), row.project)
        if role is None:
            message = f"{row.owner} is no longer in the project {row.project}, so the run was taken back."
            raise Refused(message, code="owner.left")
        return Asker(row.principal, row.owner, groups, role, mfa)


def _account(view: View, spec: AccountSpec) -> AccountRow:
    found = view.account(spec.id)
    used, held = (found.used, found.held) if found is not None else (0, 0)
    return AccountRow(spec.id, spec.scope, spec.name, spec.project, spec.limit, used, held, spec.period, spec.resets)


def _next_month(local: datetime) -> datetime:
    """Midnight of the next month's first day, in the same time zone."""
    year, month = divmod(local.year * 12 + local.month, 12)
    return local.replace(year=year, month=month + 1, day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
