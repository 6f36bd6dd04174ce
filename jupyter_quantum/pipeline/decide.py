"""Stage *decide*: what policy says of a request whose price is known (:mod:`jupyter_quantum.pipeline.budgets`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jupyter_quantum.core.facts import Decision, Facts
from jupyter_quantum.core.money import Cost
from jupyter_quantum.core.tenancy import Principal, ProjectSpec, Role
from jupyter_quantum.exceptions import Refused
from jupyter_quantum.pipeline.budgets import Budgets
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.people import known_now
from jupyter_quantum.pipeline.registry import Device
from jupyter_quantum.store.rows import JobRow
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
    """Policy for one request; its price and the budgets that pay are ``budgets``."""

    def __init__(self, context: Context, budgets: Budgets) -> None:
        self._context = context
        self.budgets = budgets

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
        facts = self.facts(asker, project, device, prepared, cost, approvals)
        return self._context.policies.decide(facts)

    def facts(
        self,
        asker: Asker,
        project: ProjectSpec,
        device: Device,
        prepared: Prepared,
        cost: Cost,
        approvals: Sequence[str] = (),
    ) -> Facts:
        """What policy is told about this request."""
        words = device.words
        return Facts(
            user=asker.name,
            groups=asker.groups,
            role=asker.role.value,
            organisation=project.organisation,
            project=project.name,
            tier=project.tier,
            action="submit",
            device=device.name,
            device_kind=words.kind,
            vendor=words.vendor,
            region=words.region,
            regions=project.regions,
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

    async def asker_now(self, row: JobRow, *, mfa: bool = False) -> Asker:
        """The owner of a job as the hub knows them now.

        Raises Refused (``owner.gone``, ``owner.left``) where the user is gone or left the project.
        """
        tenants = self._context.tenants
        who = await known_now(
            self._context.directory, row.principal, lambda who: tenants.role(who, row.project) is not None
        )
        if who is None:
            raise Refused(f"The account of {row.owner} is gone, so the run was taken back.", code="owner.gone")
        role = tenants.role(who, row.project)
        if role is None:
            message = f"{row.owner} is no longer in the project {row.project}, so the run was taken back."
            raise Refused(message, code="owner.left")
        return Asker(row.principal, row.owner, who.groups, role, mfa)
