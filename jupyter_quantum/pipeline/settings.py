"""What the operator decides: one frozen value, built by the hub's application from its configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

from jupyter_quantum.core.egress import Egress
from jupyter_quantum.core.jobs import JobClass
from jupyter_quantum.core.money import PriceList
from jupyter_quantum.core.tenancy import OrganisationSpec, ProjectSpec
from jupyter_quantum.pipeline.limits import Rate

__all__ = [
    "CLASS_WEIGHTS",
    "AuditSettings",
    "ExportTarget",
    "Isolation",
    "Limits",
    "RunnerSpec",
    "SeriesSettings",
    "Settings",
]

_NOTHING: Mapping[str, str] = MappingProxyType({})

CLASS_WEIGHTS: Mapping[JobClass, float] = MappingProxyType({JobClass.INTERACTIVE: 1.0, JobClass.BENCHMARK: 0.25})
"""Weights of the priority classes where nobody sets others."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one request may hold, and one user have under way.

    The worker gets them as caps; the service checks what it can see itself.
    """

    bytes: int = 1024 * 1024
    """Of the circuits as sent."""
    qubits: int = 512
    operations: int = 200_000
    """Over all circuits, after unrolling."""
    circuits: int = 300
    parameters: int = 10_000
    shots: int = 100_000
    """Of one circuit, on any device."""
    executions: int = 10_000_000
    """Shots over all circuits and bindings."""
    active: int = 200
    """Jobs of one principal that have not ended."""

    def caps(self) -> dict[str, int]:
        """What a request may hold, as names and numbers, for ``wire.runner.Work.limits``."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "active"}


@dataclass(frozen=True, slots=True)
class Isolation:
    """When a device is isolated by itself, and when it comes back. 0 switches a rule off."""

    in_a_row: int = 5
    """So many jobs one after the other that failed for the device's sake."""
    rate: float = 0.5
    """The share of attempts within :attr:`window_s` that may fail for the device's sake."""
    least: int = 10
    """Attempts within the window from which on the share is looked at."""
    window_s: float = 3600.0
    drift: float = 0.0
    """How many times its median two-qubit error of before a new calibration may be."""
    mirror: float = 0.0
    """The least success of benchmarks with a known answer (mirror circuits), of what was predicted for them."""
    resume: bool = False
    """Whether it resumes by itself with the next calibration that passes."""
    error: float = 0.0
    """The most that the median two-qubit error of a calibration may be, to pass."""


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """How the record is signed, and where its checkpoints go."""

    key: Path | None = None
    """File of the signing key; ``audit.key`` in the data directory where None. Replicas share one."""
    copies: str | None = None
    """fsspec URL of the second place; ``checkpoints`` in the data directory where None, nowhere where empty."""
    witness: str = ""
    """Address that checkpoints are posted to; none where empty."""
    every_s: float = 60.0
    """The longest that numbered events wait for a checkpoint."""
    entries: int = 1_000
    """After so many new events, a checkpoint is made sooner."""
    window_s: float = 60.0
    """Refusals that are alike within so many seconds are one entry with a count."""


@dataclass(frozen=True, slots=True)
class ExportTarget:
    """Where data may be exported to."""

    url: str | None = None
    """An fsspec URL; None: whoever asked downloads it, once."""
    region: str = ""
    data_classes: frozenset[str] = frozenset()
    """Classes of data that it takes; none: all."""


@dataclass(frozen=True, slots=True)
class SeriesSettings:
    """Benchmark series: which devices are measured how often, and who pays."""

    project: str = ""
    """Its budgets pay and its policy decides, as for anybody's job; empty: nothing runs."""
    account: str = "quantum"
    """Service account of that project in whose name the jobs run."""
    devices: frozenset[str] = frozenset()
    """Those that are measured by themselves; others only when an operator asks."""
    every_s: float = 86_400.0
    """Between the starts of two runs on a device."""
    shots: int = 1000
    """Of each circuit."""
    max_price: int | None = None
    """The most that one run may cost, micro-credits."""
    sets: Path | None = None
    """File of sets of circuits, as ``jupyter quantum series make`` writes it; the packaged ones where None."""
    recent_s: float = 7 * 86_400.0
    """For so long a result of mirror circuits says something of the device."""


@dataclass(frozen=True, slots=True)
class RunnerSpec:
    """What a runner on another machine may announce."""

    devices: tuple[str, ...] = ()
    """Names, with ``*``; none: nothing."""
    regions: tuple[str, ...] = ()
    """Where its devices may be; none: anywhere."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the pipeline is told. Amounts are micro-credits, durations seconds."""

    data_dir: Path
    db_url: str
    policies: Path
    """Directory with ``schema.cedarschema`` and ``*.cedar``."""
    projects: Mapping[str, ProjectSpec]
    organisations: Mapping[str, OrganisationSpec] = field(default_factory=dict)
    """Those that something is declared of, by name."""
    prices: Mapping[str, PriceList] = field(default_factory=dict)
    """By device; a device without a price list is free only where it is a simulator, otherwise it takes no jobs."""
    dated_prices: Mapping[str, Sequence[tuple[datetime, PriceList]]] = field(default_factory=dict)
    """By device: lists that hold from a moment on, until the next one does."""
    device_labels: Mapping[str, str] = field(default_factory=dict)
    """Words for people, instead of the runner's."""
    max_seconds: Mapping[str, float] = field(default_factory=lambda: {"aer": 300.0})
    """By device: the longest a run may take; then it is killed."""
    default_max_seconds: float = 60.0
    operators: str = "quantum-operators"
    auditors: str = "quantum-auditors"
    admins: str = "quantum-admins"
    time_zone: tzinfo = field(default_factory=lambda: ZoneInfo("UTC"))
    """The lab's: days, months and policy's hours are counted in it."""
    limits: Limits = field(default_factory=Limits)
    approval_expiry_s: float = 7 * 86_400.0
    lease_s: float = 45.0
    session_idle_s: float = 1800.0
    """A vendor's session in which no job runs for so long is ended."""
    prepare_s: float = 30.0
    """The longest a validation may take in a worker; then it is killed."""
    intake_s: float = 60.0
    """The longest a submission waits for a runner to validate it."""
    memory_mb: int = 4096
    """Of one worker."""
    max_attempts: int = 3
    retry_s: float = 5.0
    """Before a second attempt, seconds; doubled for each further one, give or take a half."""
    retry_most_s: float = 300.0
    vendor_wait_s: float = 86_400.0
    """The longest that a run may wait in a vendor's own queue; its time limit counts on the device."""
    fallback_s: float = 3600.0
    """How long a job waits for a device that starts nothing before it moves, where its owner says nothing."""
    isolation: Isolation = field(default_factory=Isolation)
    half_life_s: float = 7 * 86_400.0
    """Of the usage that fair share remembers."""
    class_weights: Mapping[JobClass, float] = field(default_factory=lambda: CLASS_WEIGHTS)
    """Priority class → weight: what a job uses counts divided by it, so that none is passed over for ever."""
    series: SeriesSettings = field(default_factory=SeriesSettings)
    held_back_s: float = 0.03
    """For so long a draft waits for its validation, to be written in one transaction with what is decided."""
    numbering_s: float = 0.05
    """The longest that a committed event waits for its number."""
    sweep_s: float = 60.0
    """Between two looks at whether people with waiting jobs are still there."""
    elevation_s: float = 8 * 3600.0
    """The longest that somebody may have a role for a while."""
    breakglass_groups: frozenset[str] = frozenset()
    """Hub groups whose members may take a role at once; none: nobody."""
    breakglass_s: float = 3600.0
    """The longest that a role taken so lasts."""
    review_reminder_s: float = 86_400.0
    """Until those who should look at a broken glass are told again."""
    workload_s: float = 600.0
    """How long a token lasts that a workload gets in exchange for its own; at most ten minutes."""
    storage_region: str = ""
    """Where the service's storage is; projects that are bound to regions need it named."""
    insecure_issuers: bool = False
    """Whether OIDC issuers on loopback may speak plain HTTP (tests, demos)."""
    admin_services: frozenset[str] = frozenset()
    """Services of the hub that may administrate, such as the CI that applies tenants."""
    runners: Mapping[str, RunnerSpec] = field(default_factory=dict)
    """Services of the hub that run jobs on other machines, and what each may announce."""
    egress: Egress = field(default_factory=Egress)
    """Where users may have messages sent to."""
    authorities: Path | None = None
    """Certificates that are trusted there, instead of the system's."""
    rates: Mapping[str, Rate] = field(default_factory=dict)
    """By class of request, where they differ from ``limits.KINDS``."""
    tier_rates: Mapping[str, float] = field(
        default_factory=lambda: MappingProxyType({"sandbox": 1.0, "pilot": 2.0, "production": 4.0})
    )
    """How many times the usual a project of this tier may send."""
    audit: AuditSettings = field(default_factory=AuditSettings)
    export_targets: Mapping[str, ExportTarget] = field(default_factory=dict)
    """By name; projects say which of them theirs may go to."""
    retention: Mapping[str, float] = field(default_factory=dict)
    """Class of data (inputs, results, logs) → days; what is absent is kept. Projects may say otherwise."""
    secret: bytes = b""
    """Key of the affinity values, which group a user's tasks without naming the user."""

    def seconds_at_most(self, device: str) -> float:
        """The longest run on this device, seconds."""
        return self.max_seconds.get(device, self.default_max_seconds)
