"""``tenants.yaml`` as a shape, the plan that leads to it, and who is a member of what.

In the file, credits and seconds are plain numbers (``credits: 12.5``); what is stored counts micro-credits and
milliseconds (:mod:`jupyter_quantum.core.tenancy`).
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.tenancy import Role, Tier
from jupyter_quantum.wire.base import Answer, Digest, Request, Time

__all__ = [
    "ApplyTenants",
    "Change",
    "Export",
    "FieldChange",
    "Grant",
    "Identity",
    "Organisation",
    "Problem",
    "Project",
    "Quota",
    "Tenants",
    "TenantsPlan",
    "TenantsView",
    "Term",
]

_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def _midnight(value: object) -> object:
    return f"{value}T00:00:00Z" if isinstance(value, str) and _DAY.fullmatch(value) else value


Name = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"), Field(description="letters, digits, . _ -")
]
Group = Annotated[str, StringConstraints(min_length=1, max_length=255)]
Amount = Annotated[Decimal, Field(ge=0, le=10**12, max_digits=20, decimal_places=6)]
Moment = Annotated[Time, BeforeValidator(_midnight), Field(description="a day alone is its first moment in UTC")]
Weight = Annotated[float, Field(gt=0, le=1000)]


class Quota(Request):
    """What may run in a window; ``limit`` in credits, shots, seconds or jobs, as ``unit`` says."""

    scope: Literal["user", "project", "organisation"] = "project"
    limit: Amount
    unit: Literal["credits", "shots", "qpu_seconds", "simulator_seconds", "jobs"] = "credits"
    window: Literal["day", "week", "month", "term", "ever"] = "month"
    soft: Annotated[float, Field(ge=0, le=1)] = 0.8
    device_kind: DeviceKind | None = None


class Grant(Request):
    """Credits between two moments; endless where no end is given."""

    id: Name
    credits: Amount
    start: Moment | None = None
    end: Moment | None = None
    lendable: bool = False

    @model_validator(mode="after")
    def _ends_later(self) -> Grant:
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise ValueError("end must be after start")
        return self


class Term(Request):
    """A term, for quotas by term."""

    name: Name
    start: Moment
    end: Moment

    @model_validator(mode="after")
    def _ends_later(self) -> Term:
        if self.end <= self.start:
            raise ValueError("end must be after start")
        return self


class Identity(Request):
    """Workloads of an OIDC issuer that may exchange their token for one of the project."""

    issuer: Annotated[str, Field(max_length=500, pattern=r"^https?://")]
    audience: Annotated[str, Field(min_length=1, max_length=500)]
    subject: Annotated[str, Field(min_length=1, max_length=500, description="* stands for any run of characters")]
    role: Role = Role.USER

    @model_validator(mode="after")
    def _names_somebody(self) -> Identity:
        if not self.subject.strip("*"):
            raise ValueError("a subject of nothing but * would let in everybody whom the issuer knows")
        return self


class Export(Request):
    """Where results may leave to, and whose review that needs (None: nobody's)."""

    targets: list[Name] = Field(default_factory=list)
    review: Role | None = Role.LEAD


class Organisation(Request):
    """The top of the tree."""

    weight: Weight = 1.0
    grants: list[Grant] = Field(default_factory=list)
    quotas: list[Quota] = Field(default_factory=list)
    terms: list[Term] = Field(default_factory=list)


class Project(Request):
    """A project. Amounts are credits."""

    organisation: Name
    parent: Name | None = None
    tier: Tier = Tier.SANDBOX
    owner: Annotated[str, Field(min_length=1, max_length=255)] | None = None
    roles: dict[Role, list[Group]] = Field(default_factory=dict)
    weight: Weight = 1.0
    data_class: Annotated[str, Field(min_length=1, max_length=64)] = "internal"
    regions: list[Annotated[str, Field(min_length=1, max_length=64)]] = Field(default_factory=list)
    grant: Amount = Decimal(0)
    user_quota: Amount = Decimal(0)
    grants: list[Grant] = Field(default_factory=list)
    quotas: list[Quota] = Field(default_factory=list)
    service_accounts: dict[Name, Role] = Field(default_factory=dict)
    identities: list[Identity] = Field(default_factory=list)
    retention: dict[Literal["inputs", "results", "logs", "audit"], Annotated[float, Field(gt=0, le=36_500)]] = Field(
        default_factory=dict, description="days"
    )
    export: Export = Field(default_factory=Export)
    onboarding: bool = Field(default=False, description="people who are in no project may see its name and ask to join")


class Tenants(Request):
    """All organisations and projects: what is not here is removed."""

    organisations: dict[Name, Organisation] = Field(default_factory=dict)
    projects: dict[Name, Project] = Field(default_factory=dict)


class ApplyTenants(Request):
    """Make it so, if nobody else changed anything since the plan was made."""

    tenants: Tenants
    version: Annotated[int, Field(ge=0, description="of the plan that was agreed to")]


class FieldChange(Answer):
    """One field before and after; None where it was or is not there."""

    field: str
    before: Any = None
    after: Any = None


class Change(Answer):
    """One organisation or project that is added, changed or removed."""

    action: Literal["add", "change", "remove"]
    kind: Literal["organisation", "project"]
    name: str
    fields: list[FieldChange] = Field(default_factory=list)


class Problem(Answer):
    """Why a plan cannot be applied: where in the file, what is wrong, what to do."""

    key: str = Field(description="projects.vqe.parent")
    code: str
    message: str
    hint: str | None = None


class TenantsPlan(Answer):
    """What applying a file would do."""

    version: int = Field(description="of what is in force; apply with it")
    digest: Digest = Field(description="of what would be in force")
    changes: list[Change]
    problems: list[Problem]


class TenantsView(Answer):
    """What is in force."""

    version: int
    digest: Digest
    applied: Time | None = None
    tenants: Tenants = Field(description="what was applied")
    configured: Tenants = Field(description="what the service's configuration declares; apply does not change it")
