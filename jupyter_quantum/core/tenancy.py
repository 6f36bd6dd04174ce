"""Who asks: principals, and the role each has in a project; and what is declared of organisations and projects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from jupyter_quantum.core.jobs import DeviceKind
from jupyter_quantum.core.match import matches

__all__ = [
    "CI",
    "SERVICE",
    "WORKLOAD",
    "ExportSpec",
    "GrantSpec",
    "IdentitySpec",
    "OrganisationSpec",
    "Principal",
    "ProjectSpec",
    "QuotaSpec",
    "Role",
    "Scope",
    "Tier",
    "Unit",
    "Window",
    "name_of",
    "workload_of",
]

Unit = Literal["credits", "shots", "qpu_seconds", "simulator_seconds", "jobs"]
"""What a quota counts: micro-credits, shots, milliseconds on hardware or on a simulator, jobs under way at once."""
Window = Literal["day", "week", "month", "term", "ever"]
"""Over which time a quota counts, in the lab's time zone; ``jobs`` are counted now, so their window is ``ever``."""


SERVICE: Final = "service"
"""In the place of the time at which a user was created: services are told apart by name."""
WORKLOAD: Final = "workload:"
"""The same for workloads; a hash of the issuer and the project follow: ``ci:repo…@workload:0a1b…:vqe``."""


CI: Final = "ci:"
"""Before the subject in the name of a workload, so that no workload is called like a person."""


class Scope(StrEnum):
    """Custom scopes of the hub. Tokens of user servers carry the first two at most: kernel code can read them."""

    READ = "custom:quantum:read"
    SUBMIT = "custom:quantum:submit"
    APPROVE = "custom:quantum:approve"
    OPERATE = "custom:quantum:operate"
    AUDIT = "custom:quantum:audit"
    ADMIN = "custom:quantum:admin"
    RUNNER = "custom:quantum:runner"
    """Of services of the hub that run jobs elsewhere; it is good for nothing else, and for nobody else."""


class Role(StrEnum):
    """A role in one project."""

    USER = "user"
    LEAD = "lead"


class Tier(StrEnum):
    """How much a project is trusted with; policy sees it."""

    SANDBOX = "sandbox"
    """Simulators, permissive."""
    PILOT = "pilot"
    """Emulators and small hardware budgets."""
    PRODUCTION = "production"
    """Approval, retention, reservations."""


def name_of(principal_id: str) -> str:
    """The name in a :attr:`Principal.id` (it may be an address, with an ``@`` of its own); other actors as they are."""
    name, _, created = principal_id.rpartition("@")
    return name or created


@dataclass(frozen=True, slots=True)
class Principal:
    """A hub user or service. Names are used again, so the identity is the name and when it was created."""

    name: str
    created: str
    """The hub's own time stamp, as text."""
    groups: frozenset[str] = frozenset()
    scopes: frozenset[str] = frozenset()
    admin: bool = False
    interactive: bool = False
    """Signed in by cookie on the hub's page: a person, not a token of a server."""
    mfa: bool = False
    acr: str = ""
    """How the identity provider says that the person signed in (its ``acr`` claim); empty where it says nothing."""
    project: str | None = None
    """The one project that this principal is bound to: a workload's; None: whichever its roles reach."""
    token: str = ""
    """The hub's id of the token or session, for the audit; never the token."""

    @property
    def id(self) -> str:
        """``ada@2026-05-12T09:00:00Z``: what rows refer to."""
        return f"{self.name}@{self.created}"

    @property
    def kind(self) -> Literal["user", "service", "workload"]:
        """A person of the hub, a service of the hub, or a workload that came with a token of an OIDC issuer."""
        if self.created == SERVICE:
            return "service"
        return "workload" if self.created.startswith(WORKLOAD) else "user"

    @property
    def subject(self) -> str:
        """Of a workload: the ``sub`` claim of its token."""
        return self.name.removeprefix(CI)

    @classmethod
    def known(cls, principal_id: str, groups: frozenset[str]) -> Principal:
        """The principal behind an :attr:`id`, with these groups and no scopes."""
        name, _, created = principal_id.rpartition("@")
        bound = created.split(":", 2)[2] if created.startswith(WORKLOAD) else None
        return cls(name, created, groups, project=bound)


@dataclass(frozen=True, slots=True)
class QuotaSpec:
    """What may run in a window. A soft limit warns, the limit itself blocks."""

    scope: Literal["user", "project", "organisation"]
    """``user``: for each member on their own."""
    limit: int
    unit: Unit = "credits"
    window: Window = "month"
    soft: float = 0.8
    """Share of the limit from which on people are warned."""
    device_kind: DeviceKind | None = None
    """Only what runs on devices of this kind counts; None: everything."""


@dataclass(frozen=True, slots=True)
class GrantSpec:
    """An entitlement that funds a project (or the projects of an organisation) between two moments."""

    id: str
    amount: int
    """Micro-credits."""
    start: datetime | None = None
    end: datetime | None = None
    lendable: bool = False
    """What is unused may be lent to other projects of the organisation; it comes back when it is needed."""


@dataclass(frozen=True, slots=True)
class IdentitySpec:
    """Workloads of an OIDC issuer that may exchange their token for a short-lived one of the project."""

    issuer: str
    audience: str
    subject: str
    """Pattern of the ``sub`` claim, ``*`` for any run of characters: ``repo:lab/vqe:ref:refs/heads/*``."""
    role: Role = Role.USER


@dataclass(frozen=True, slots=True)
class ExportSpec:
    """Where results and artefacts may leave to, and whose review that needs."""

    targets: frozenset[str] = frozenset()
    """Names of targets; none: nothing leaves but to its own members' notebooks."""
    review: Role | None = Role.LEAD
    """None: no review."""


@dataclass(frozen=True, slots=True)
class OrganisationSpec:
    """The top of the tree: projects below it share its grants and quotas."""

    name: str
    weight: float = 1.0
    grants: tuple[GrantSpec, ...] = ()
    quotas: tuple[QuotaSpec, ...] = ()
    terms: tuple[tuple[str, datetime, datetime], ...] = ()
    """Name, start and end of each term, for quotas by term."""


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """A project as it is declared. Amounts are micro-credits."""

    name: str
    organisation: str
    tier: str
    members: frozenset[str]
    """Hub groups whose members may submit."""
    leads: frozenset[str]
    """Hub groups whose members approve (and submit)."""
    grant: int
    """What the project may spend in all: a grant without start and end, besides those in ``grants``."""
    user_quota: int
    """What one member may spend in a calendar month: a quota besides those in ``quotas``."""
    weight: float = 1.0
    data_class: str = "internal"
    parent: str | None = None
    """The project that this one is a part of; leads of a project lead its parts, and its limits bind them too."""
    owner: str | None = None
    """The hub user who answers for it."""
    regions: frozenset[str] = frozenset()
    """Where it may run and be stored; none: anywhere."""
    grants: tuple[GrantSpec, ...] = ()
    quotas: tuple[QuotaSpec, ...] = ()
    service_accounts: Mapping[str, Role] = field(default_factory=lambda: MappingProxyType({}))
    """Services of the hub that act for this project, and their role in it."""
    identities: tuple[IdentitySpec, ...] = ()
    retention: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    """Class of artefact (inputs, results, logs, audit) → days that it is kept; the service's default where absent."""
    export: ExportSpec = field(default_factory=ExportSpec)
    onboarding: bool = False
    """People who are in no project see its name, tier and owner, and may ask to join."""

    def role_of(self, who: Principal) -> Role | None:
        """The role of ``who`` here by what is declared: lead before user; None for a stranger."""
        if who.kind == "service":
            return self.service_accounts.get(who.name)
        if who.kind == "workload":
            return self._workload(who)
        if who.groups & self.leads:
            return Role.LEAD
        if who.groups & self.members:
            return Role.USER
        return None

    def _workload(self, who: Principal) -> Role | None:
        """Declared anew each time, so that taking an identity out of the declaration ends what came by it."""
        if who.project != self.name:
            return None
        for identity in self.identities:
            if who.created == workload_of(identity.issuer, self.name) and matches(identity.subject, who.subject):
                return identity.role
        return None


def workload_of(issuer: str, project: str) -> str:
    """What stands in the place of ``created`` for workloads of this issuer in this project."""
    return f"{WORKLOAD}{hashlib.sha256(issuer.encode()).hexdigest()[:16]}:{project}"
