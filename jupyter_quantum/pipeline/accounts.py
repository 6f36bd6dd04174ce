"""Which budgets bind a job: quotas and grants of its user, its project, the projects above, and the organisation.

==============  ============================================================  ======================================
budget          account                                                       pays
==============  ============================================================  ======================================
quota           ``<unit>/<scope>/<name>/<declarer>/<kind>/<window>/<turn>``   alone
grant           ``credits/funds/<owner>/<grant>``, ``…/always`` without end   with the owner's other grants and loans
==============  ============================================================  ======================================

Every level that has money of its own binds: what a part of a project spends is spent of the project's grant as well. A
project without a grant of its own lives on the ones above it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.ledger import account_id
from jupyter_quantum.core.tenancy import GrantSpec, OrganisationSpec, ProjectSpec, QuotaSpec
from jupyter_quantum.core.windows import period
from jupyter_quantum.pipeline.settings import Settings
from jupyter_quantum.pipeline.tenants import Tenants
from jupyter_quantum.store.lending import loan_spec
from jupyter_quantum.store.rows import AccountSpec, Claim, LoanRow, RaiseRow

__all__ = ["Accounts", "grant_spec", "quota_key"]

_SOFT: Final = 0.8
"""Share of a grant from which on its leads are warned."""
_ENDLESS: Final = "always"
_LATEST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Quota:
    """A quota and who declares it."""

    spec: QuotaSpec
    name: str
    """Of whom: a project or an organisation; empty for the user who asks."""
    declarer: str
    """``project:qcourse``, ``organisation:campus``."""

    def key(self, who: str) -> str:
        """Id of its accounts without the turn of the window."""
        return quota_key(self.spec, self.name or who, self.declarer)


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is declared for a project, its line and its organisation."""

    line: tuple[ProjectSpec, ...]
    organisation: OrganisationSpec
    quotas: tuple[_Quota, ...]


def quota_key(spec: QuotaSpec, name: str, declarer: str) -> str:
    """The id of a quota's accounts, without the turn of the window."""
    window = "ever" if spec.unit == "jobs" else spec.window
    return account_id(spec.unit, spec.scope, name, declarer, spec.device_kind or "any", window)


def grant_spec(owner: ProjectSpec | OrganisationSpec, grant: GrantSpec | None, amount: int) -> AccountSpec:
    """The account of a grant; of the endless one of a project where ``grant`` is None."""
    project = owner.name if isinstance(owner, ProjectSpec) else ""
    scope = "project" if isinstance(owner, ProjectSpec) else "organisation"
    name = _ENDLESS if grant is None else grant.id
    return AccountSpec(
        account_id("credits", "funds", f"{scope}:{owner.name}", name),
        "project" if project else "organisation",
        owner.name,
        project,
        amount,
        period=None if grant is None else grant.id,
        resets=None if grant is None else grant.end,
        organisation=owner.organisation if isinstance(owner, ProjectSpec) else owner.name,
        purpose="funds",
        soft=_share(amount, _SOFT),
        starts=None if grant is None else grant.start,
        words="the project's grant" if project else "the organisation's grant",
    )


def _share(limit: int, share: float) -> int | None:
    return math.ceil(limit * share) if 0 < share < 1 and limit else None


class Accounts:
    """Answers which accounts bind a job, from what is declared and from the loans and raises that are in force."""

    def __init__(self, settings: Settings, tenants: Tenants) -> None:
        self._zone = settings.time_zone
        self._tenants = tenants
        self._plans: dict[str, _Plan] = {}
        self._loans: dict[str, list[LoanRow]] = {}
        self._raises: dict[str, list[RaiseRow]] = {}

    def learn(self, loans: Sequence[LoanRow], raises: Sequence[RaiseRow]) -> None:
        """Loans and raises as they are in the store now."""
        lent: dict[str, list[LoanRow]] = {}
        for loan in loans:
            if loan.closed is None:
                lent.setdefault(loan.to_project, []).append(loan)
        more: dict[str, list[RaiseRow]] = {}
        for row in raises:
            more.setdefault(row.quota, []).append(row)
        self._loans, self._raises = lent, more

    def claims(
        self, who: str, project: ProjectSpec, kind: DeviceKind, needs: Mapping[str, int], at: datetime
    ) -> list[Claim]:
        """What a job needs of each account that binds it at that time. ``who``: its user's pseudonym.

        Of two quotas that are the same account, the smaller one binds.
        """
        plan = self._plan(project)
        found: dict[str, AccountSpec] = {}
        for quota in plan.quotas:
            if needs.get(quota.spec.unit) and quota.spec.device_kind in (None, kind):
                spec = self._quota(plan, quota, who, at)
                if spec.id not in found or spec.limit < found[spec.id].limit:
                    found[spec.id] = spec
        claims = [Claim(needs[spec.unit], (spec,)) for spec in found.values()]
        if price := needs.get("credits", 0):
            claims += [Claim(price, funds) for funds in self._funds(plan, at)]
        return claims

    def binding(self, who: str, project: ProjectSpec, at: datetime) -> list[tuple[AccountSpec, ...]]:
        """Every budget that may bind somebody in a project: quotas one by one, grants by who has them."""
        plan = self._plan(project)
        quotas = {spec.id: spec for quota in plan.quotas if (spec := self._quota(plan, quota, who, at))}
        return [(spec,) for spec in quotas.values()] + list(self._funds(plan, at))

    def lots(self, project: ProjectSpec, at: datetime) -> tuple[AccountSpec, ...]:
        """The grants and loans that a project has of its own at that time."""
        return self._lots(project, project.grant, project.grants, at)

    def key(self, who: str, project: ProjectSpec, spec: QuotaSpec) -> str | None:
        """Which of the project's quotas is meant, as :func:`quota_key`; None where none binds it."""
        found = self._meant(project, spec)
        return None if found is None else found.key(who)

    def own(self, project: ProjectSpec, spec: QuotaSpec) -> bool:
        """Whether the project itself declares the quota that is meant, and not one above it or its organisation."""
        found = self._meant(project, spec)
        return found is not None and found.declarer == f"project:{project.name}"

    # -- inside ----------------------------------------------------------------------------------------------------

    def _meant(self, project: ProjectSpec, spec: QuotaSpec) -> _Quota | None:
        for quota in self._plan(project).quotas:
            same = (quota.spec.scope, quota.spec.unit, quota.spec.window, quota.spec.device_kind)
            if same == (spec.scope, spec.unit, spec.window, spec.device_kind):
                return quota
        return None

    def _plan(self, project: ProjectSpec) -> _Plan:
        line, organisation = self._tenants.line(project), self._tenants.organisation(project.organisation)
        known = self._plans.get(project.name)
        if known is not None and known.organisation == organisation and _same(known.line, line):
            return known
        made = _Plan(line, organisation, tuple(_quotas(line, organisation)))
        self._plans[project.name] = made
        return made

    def _quota(self, plan: _Plan, quota: _Quota, who: str, at: datetime) -> AccountSpec:
        spec, key = quota.spec, quota.key(who)
        window = "ever" if spec.unit == "jobs" else spec.window
        turn = period(window, at, self._zone, plan.organisation.terms)
        limit = spec.limit + sum(row.amount for row in self._raises.get(key, ()) if row.starts <= at < row.until)
        return AccountSpec(
            f"{key}/{turn.name}",
            spec.scope,
            quota.name or who,
            quota.declarer.partition(":")[2] if quota.declarer.startswith("project:") else "",
            limit,
            turn.name,
            turn.end,
            organisation=plan.organisation.name,
            unit=spec.unit,
            device_kind=spec.device_kind,
            soft=_share(limit, spec.soft),
            starts=turn.start,
            words=turn.words,
        )

    def _funds(self, plan: _Plan, at: datetime) -> Iterator[tuple[AccountSpec, ...]]:
        """The accounts of each level that has money of its own; where none has any, there is nothing to spend."""
        levels = [level for level in plan.line if level.grant or level.grants or level.name in self._loans]
        for level in levels:
            yield self._lots(level, level.grant, level.grants, at)
        if plan.organisation.grants:
            yield self._lots(plan.organisation, 0, plan.organisation.grants, at)
        elif not levels:
            yield (grant_spec(plan.line[0], None, 0),)

    def _lots(
        self, owner: ProjectSpec | OrganisationSpec, endless: int, grants: Sequence[GrantSpec], at: datetime
    ) -> tuple[AccountSpec, ...]:
        """Loans first, since they may be recalled; then grants, the one that ends first before the others."""
        running = [grant for grant in grants if _runs(grant, at)]
        running.sort(key=lambda grant: (grant.end or _LATEST, grant.id))
        found = [grant_spec(owner, grant, grant.amount) for grant in running]
        if isinstance(owner, ProjectSpec):
            lent = self._loans.get(owner.name, ())
            words = "what was lent to the project"
            lots = [replace(loan_spec(loan, owner.organisation), words=words) for loan in lent]
            found = [spec for spec in lots if spec.resets is None or spec.resets > at] + found
        if endless or not found:
            found.append(grant_spec(owner, None, endless))
        return tuple(found)


def _runs(grant: GrantSpec, at: datetime) -> bool:
    return (grant.start is None or grant.start <= at) and (grant.end is None or at < grant.end)


def _same(before: Sequence[ProjectSpec], now: Sequence[ProjectSpec]) -> bool:
    """Whether these are the very same declarations; a new one is another object."""
    return len(before) == len(now) and all(one is other for one, other in zip(before, now, strict=True))


def _quotas(line: Sequence[ProjectSpec], organisation: OrganisationSpec) -> Iterator[_Quota]:
    for at, project in enumerate(line):
        declarer = f"project:{project.name}"
        if project.user_quota or at == 0:
            yield _Quota(QuotaSpec("user", project.user_quota), "", declarer)
        for spec in project.quotas:
            yield _Quota(spec, "" if spec.scope == "user" else project.name, declarer)
    declarer = f"organisation:{organisation.name}"
    for spec in organisation.quotas:
        if spec.scope == "project":
            yield from (_Quota(spec, project.name, declarer) for project in line)
        else:
            yield _Quota(spec, "" if spec.scope == "user" else organisation.name, declarer)
