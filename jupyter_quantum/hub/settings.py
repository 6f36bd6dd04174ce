"""From configuration, where amounts are credits and groups are lists, to what the pipeline is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import datetime, tzinfo
from operator import itemgetter
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ValidationError

from jupyter_quantum.core.egress import Egress
from jupyter_quantum.core.jobs import JobClass
from jupyter_quantum.core.money import PriceList, credits_to_micro
from jupyter_quantum.core.tenancy import ProjectSpec, Role
from jupyter_quantum.exceptions import InputError
from jupyter_quantum.hub.traits import ServiceTraits
from jupyter_quantum.pipeline.declared import project_spec
from jupyter_quantum.pipeline.limits import KINDS, Rate
from jupyter_quantum.pipeline.settings import (
    CLASS_WEIGHTS,
    AuditSettings,
    ExportTarget,
    Isolation,
    Limits,
    RunnerSpec,
    SeriesSettings,
    Settings,
)
from jupyter_quantum.resources import resource
from jupyter_quantum.store.rows import DATA_CLASSES
from jupyter_quantum.wire.tenancy import Project

__all__ = ["DEVICES", "prices", "projects", "runner_secrets", "settings_of"]

DEVICES: Final[tuple[Mapping[str, Any], ...]] = (
    {"name": "aer", "adapter": "aer", "slots": 2},
    {"name": "fake_torino", "adapter": "ibm_fake", "fake": "FakeTorino", "kind": "emulator"},
    {"name": "fake_fez", "adapter": "ibm_fake", "fake": "FakeFez", "kind": "emulator"},
    {
        "name": "campus_qpu",
        "adapter": "ibm_fake",
        "fake": "FakeMarrakesh",
        "kind": "qpu",
        "label": "emulated QPU",
    },
)
"""What the local runner serves where nothing is configured; the emulated QPU is queued and priced as hardware is."""

_PROJECT: Final = frozenset(Project.model_fields) | {"members", "leads"}
_SECRETS: Final[Mapping[str, tuple[str, ...]]] = {
    "file": ("path",),
    "vault": ("url", "token_file", "mount", "path", "namespace", "ca", "timeout_s"),
}
_PRICE: Final = frozenset(field.name for field in fields(PriceList))


def _known(where: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InputError(
            f"{where} has no setting {unknown[0]!r}.", code="config", hint=f"It has {', '.join(sorted(known))}."
        )


def runner_secrets(service: ServiceTraits) -> dict[str, Any]:
    """What the local runner is told of its secrets provider. Raises :class:`InputError` for one that it has not."""
    told = dict(service.secrets)
    if not told:
        return {}
    provider = str(told.get("provider"))
    if provider not in _SECRETS:
        raise InputError(
            f"secrets cannot have the provider {provider!r}.",
            code="config",
            hint=f"The local runner has {' and '.join(sorted(_SECRETS))}; it inherits no environment.",
        )
    _known("secrets", told, ("provider", *_SECRETS[provider]))
    return {"secrets": told}


def projects(given: Mapping[str, Mapping[str, Any]]) -> dict[str, ProjectSpec]:
    """Projects from configuration, as in ``tenants.yaml``, with ``members`` and ``leads`` for ``roles``; credits."""
    return {name: _project(name, entry) for name, entry in given.items()}


def _project(name: str, entry: Mapping[str, Any]) -> ProjectSpec:
    _known(f"Project {name!r}", entry, _PROJECT)
    values = dict(entry)
    roles = {Role.USER: list(values.pop("members", ())), Role.LEAD: list(values.pop("leads", ()))}
    try:
        told = Project.model_validate({"organisation": "campus", "roles": roles, **values})
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, ("projects", name, *first["loc"])))
        raise InputError(f"{where}: {first['msg']}.", code="config") from error
    return project_spec(name, told)


def prices(given: Mapping[str, Any]) -> dict[str, PriceList]:
    """Price lists that always hold, from configuration; credits to micro-credits."""
    return {device: _prices(device, entry) for device, entry in given.items() if not isinstance(entry, list)}


def dated_prices(given: Mapping[str, Any], zone: tzinfo) -> dict[str, list[tuple[datetime, PriceList]]]:
    """Price lists that hold from a moment on (the lab's zone): ``[{"since": "2026-10-01", "per_shot": 0.006}, …]``."""
    return {
        device: sorted(((_since(device, entry, zone), _prices(device, entry)) for entry in entries), key=itemgetter(0))
        for device, entries in given.items()
        if isinstance(entries, list)
    }


def _since(device: str, entry: Mapping[str, Any], zone: tzinfo) -> datetime:
    try:
        found = datetime.fromisoformat(str(entry["since"]))
    except (KeyError, ValueError) as error:
        raise InputError(
            f"A dated price list of {device!r} needs `since`.", code="config", hint="Such as 2026-10-01."
        ) from error
    return found if found.tzinfo is not None else found.replace(tzinfo=zone)


def _prices(device: str, entry: Mapping[str, Any]) -> PriceList:
    _known(f"The price list of {device!r}", entry, _PRICE | {"since"})
    parts = {part: value for part, value in entry.items() if part != "since"}
    return PriceList(**{n: int(v) if n == "queue_minutes" else credits_to_micro(v) for n, v in parts.items()})


def _limits(given: Mapping[str, int]) -> Limits:
    _known("limits", given, (field.name for field in fields(Limits)))
    return replace(Limits(), **given)


def _rates(service: ServiceTraits) -> dict[str, Rate]:
    _known("rates", service.rates, KINDS)
    usual = {kind: {"rate": service.rate, "burst": service.burst} for kind in ("read", "submit")}
    found: dict[str, Rate] = {}
    for kind, given in {**usual, **service.rates}.items():
        _known(f"rates[{kind!r}]", given, ("rate", "burst"))
        one = Rate(float(given.get("rate", KINDS[kind].rate)), int(given.get("burst", KINDS[kind].burst)))
        if one.rate <= 0 or one.burst < 1:
            raise InputError(f"rates[{kind!r}] lets nothing pass.", code="config", hint="Give rate > 0 and burst ≥ 1.")
        found[kind] = one
    return found


def _egress(service: ServiceTraits) -> Egress:
    try:
        return Egress(service.webhook_allow, ports=service.webhook_ports, plain=service.webhook_http)
    except ValueError as error:
        raise InputError(
            f"webhook_allow: {error}.", code="config", hint="Give names of hosts, addresses, or networks."
        ) from error


def _tiers(given: Mapping[str, float]) -> dict[str, float]:
    found = {"sandbox": 1.0, "pilot": 2.0, "production": 4.0, **given}
    if any(factor <= 0 for factor in found.values()):
        raise InputError("tier_rates takes factors above 0.", code="config")
    return found


def _retention(given: Mapping[str, float]) -> dict[str, float]:
    _known("retention", given, sorted(DATA_CLASSES))
    found = {name: float(days) for name, days in given.items()}
    if any(days < 0 for days in found.values()):
        raise InputError("retention takes days, 0 or more.", code="config")
    return found


def _targets(given: Mapping[str, Mapping[str, Any]]) -> dict[str, ExportTarget]:
    found = {}
    for name, told in given.items():
        _known(f"Export target {name!r}", told, ("url", "region", "data_classes"))
        found[name] = ExportTarget(
            told.get("url"), str(told.get("region", "")), frozenset(told.get("data_classes", ()))
        )
    return found


def _runners(given: Mapping[str, Mapping[str, Any]]) -> dict[str, RunnerSpec]:
    found = {}
    for name, told in given.items():
        _known(f"Runner {name!r}", told, ("devices", "regions"))
        lists = {key: told.get(key, ()) for key in ("devices", "regions")}
        if any(isinstance(value, str) for value in lists.values()):
            raise InputError(f"Runner {name!r}: devices and regions are lists.", code="config")
        found[name] = RunnerSpec(**{key: tuple(map(str, value)) for key, value in lists.items()})
    return found


def _series(given: Mapping[str, Any]) -> SeriesSettings:
    _known("series", given, ("project", "account", "devices", "hours", "shots", "max_price", "circuits"))
    usual = SeriesSettings()
    price, circuits = given.get("max_price"), given.get("circuits")
    found = SeriesSettings(
        project=str(given.get("project", usual.project)),
        account=str(given.get("account", usual.account)),
        devices=frozenset(given.get("devices", ())),
        every_s=float(given.get("hours", usual.every_s / 3600)) * 3600,
        shots=int(given.get("shots", usual.shots)),
        max_price=None if price is None else credits_to_micro(price),
        sets=Path(circuits) if circuits else None,
    )
    if found.devices and not found.project:
        raise InputError("series names devices and no project.", code="config", hint="Say whose budgets pay.")
    if found.every_s <= 0 or found.shots < 1:
        raise InputError("series takes hours above 0, and shots of 1 or more.", code="config")
    return found


def _isolation(given: Mapping[str, Any]) -> Isolation:
    names = {"window": "window_s"}
    _known("isolation", given, sorted({field.name for field in fields(Isolation)} - set(names.values()) | set(names)))
    told = {names.get(name, name): value for name, value in given.items()}
    wrong = next((name for name, value in told.items() if not isinstance(value, int | float) or value < 0), None)
    if wrong is not None:
        raise InputError(f"isolation[{wrong!r}] is a number, 0 or more.", code="config")
    return Isolation(**told)


def _classes(given: Mapping[str, float]) -> dict[JobClass, float]:
    _known("class_weights", given, list(JobClass))
    found = {**CLASS_WEIGHTS, **{JobClass(name): float(one) for name, one in given.items()}}
    if any(weight <= 0 for weight in found.values()):
        raise InputError("class_weights takes weights above 0: no class waits for ever.", code="config")
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise InputError(f"There is no time zone {name!r}.", code="config", hint="Such as Europe/Berlin.") from error


def _audit(service: ServiceTraits) -> AuditSettings:
    return AuditSettings(
        key=Path(service.audit_key) if service.audit_key else None,
        copies=service.audit_copies,
        witness=service.audit_witness,
        every_s=service.audit_every,
        entries=service.audit_entries,
        window_s=service.audit_window,
    )


def settings_of(service: ServiceTraits, data_dir: Path, secret: bytes) -> Settings:
    """The pipeline's settings; raises :class:`InputError` naming a setting that cannot be used."""
    return Settings(
        data_dir=data_dir,
        db_url=service.db_url or f"sqlite:///{data_dir / 'quantum.sqlite'}",
        policies=Path(service.policies) if service.policies else resource("hub_config/policies"),
        projects=projects(service.projects),
        prices=prices(service.prices),
        dated_prices=dated_prices(service.prices, _zone(service.time_zone)),
        device_labels=dict(service.device_labels),
        max_seconds={"aer": 300.0, **service.max_seconds},
        operators=service.operators,
        auditors=service.auditors,
        admins=service.admins,
        time_zone=_zone(service.time_zone),
        limits=_limits(service.limits),
        approval_expiry_s=service.approval_expiry,
        sweep_s=service.sweep_every,
        elevation_s=service.elevation_hours * 3600,
        breakglass_groups=frozenset(service.breakglass_groups),
        breakglass_s=service.breakglass_hours * 3600,
        workload_s=service.workload_token_life,
        storage_region=service.storage_region,
        insecure_issuers=service.insecure_issuers,
        admin_services=frozenset(service.admin_services),
        runners=_runners(service.runners),
        egress=_egress(service),
        authorities=Path(service.webhook_ca) if service.webhook_ca else None,
        rates=_rates(service),
        tier_rates=_tiers(service.tier_rates),
        audit=_audit(service),
        export_targets=_targets(service.export_targets),
        retention=_retention(service.retention),
        isolation=_isolation(service.isolation),
        retry_s=service.retry_pause,
        vendor_wait_s=service.vendor_wait,
        fallback_s=service.fallback_wait,
        series=_series(service.series),
        class_weights=_classes(service.class_weights),
        secret=secret,
    )
