"""From what is declared, where credits are numbers and groups are lists, to what the pipeline works with, and back."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from jupyter_quantum.core.money import CREDIT, credits_to_micro
from jupyter_quantum.core.tenancy import (
    ExportSpec,
    GrantSpec,
    IdentitySpec,
    OrganisationSpec,
    ProjectSpec,
    QuotaSpec,
    Role,
    Tier,
)
from jupyter_quantum.wire import tenancy as wire

__all__ = ["declared_organisation", "declared_project", "organisation_spec", "project_spec"]

_SCALE: Final = {"credits": CREDIT, "qpu_seconds": 1000, "simulator_seconds": 1000, "shots": 1, "jobs": 1}
"""How many of what is stored make one of what is declared."""


def organisation_spec(name: str, told: wire.Organisation) -> OrganisationSpec:
    """An organisation as it is declared."""
    return OrganisationSpec(
        name=name,
        weight=told.weight,
        grants=_grants(told.grants),
        quotas=_quotas(told.quotas),
        terms=tuple((term.name, term.start, term.end) for term in told.terms),
    )


def project_spec(name: str, told: wire.Project) -> ProjectSpec:
    """A project as it is declared."""
    return ProjectSpec(
        name=name,
        organisation=told.organisation,
        tier=told.tier.value,
        members=frozenset(told.roles.get(Role.USER, ())),
        leads=frozenset(told.roles.get(Role.LEAD, ())),
        grant=credits_to_micro(told.grant),
        user_quota=credits_to_micro(told.user_quota),
        weight=told.weight,
        data_class=told.data_class,
        parent=told.parent,
        owner=told.owner,
        regions=frozenset(told.regions),
        grants=_grants(told.grants),
        quotas=_quotas(told.quotas),
        service_accounts=MappingProxyType(dict(told.service_accounts)),
        identities=tuple(IdentitySpec(one.issuer, one.audience, one.subject, one.role) for one in told.identities),
        retention=MappingProxyType(dict(told.retention.items())),
        export=ExportSpec(frozenset(told.export.targets), told.export.review),
        onboarding=told.onboarding,
    )


def _grants(told: Iterable[wire.Grant]) -> tuple[GrantSpec, ...]:
    return tuple(GrantSpec(one.id, credits_to_micro(one.credits), one.start, one.end, one.lendable) for one in told)


def _quotas(told: Iterable[wire.Quota]) -> tuple[QuotaSpec, ...]:
    return tuple(
        QuotaSpec(one.scope, int(one.limit * _SCALE[one.unit]), one.unit, one.window, one.soft, one.device_kind)
        for one in told
    )


def declared_organisation(spec: OrganisationSpec) -> wire.Organisation:
    """An organisation in the file's words."""
    return wire.Organisation(
        weight=spec.weight,
        grants=_grants_back(spec.grants),
        quotas=_quotas_back(spec.quotas),
        terms=[wire.Term(name=name, start=start, end=end) for name, start, end in spec.terms],
    )


def declared_project(spec: ProjectSpec) -> wire.Project:
    """A project in the file's words."""
    roles = {Role.USER: sorted(spec.members), Role.LEAD: sorted(spec.leads)}
    return wire.Project(
        organisation=spec.organisation,
        parent=spec.parent,
        tier=Tier(spec.tier),
        owner=spec.owner,
        roles={role: groups for role, groups in roles.items() if groups},
        weight=spec.weight,
        data_class=spec.data_class,
        regions=sorted(spec.regions),
        grant=_back(spec.grant, CREDIT),
        user_quota=_back(spec.user_quota, CREDIT),
        grants=_grants_back(spec.grants),
        quotas=_quotas_back(spec.quotas),
        service_accounts=dict(spec.service_accounts),
        identities=[
            wire.Identity(issuer=one.issuer, audience=one.audience, subject=one.subject, role=one.role)
            for one in spec.identities
        ],
        retention=dict(spec.retention),
        export=wire.Export(targets=sorted(spec.export.targets), review=spec.export.review),
        onboarding=spec.onboarding,
    )


def _back(amount: int, scale: int) -> Decimal:
    return Decimal(amount) / scale


def _grants_back(specs: Iterable[GrantSpec]) -> list[wire.Grant]:
    return [
        wire.Grant(id=one.id, credits=_back(one.amount, CREDIT), start=one.start, end=one.end, lendable=one.lendable)
        for one in specs
    ]


def _quotas_back(specs: Iterable[QuotaSpec]) -> list[wire.Quota]:
    return [
        wire.Quota(
            scope=one.scope,
            limit=_back(one.limit, _SCALE[one.unit]),
            unit=one.unit,
            window=one.window,
            soft=one.soft,
            device_kind=one.device_kind,
        )
        for one in specs
    ]
