"""What applying a file of tenants would do, and why it may not be applied. Pure: what the store knows is passed in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import BaseModel

from jupyter_quantum.core import words
from jupyter_quantum.pipeline.declared import organisation_spec, project_spec
from jupyter_quantum.wire.tenancy import Change, FieldChange, Grant, Organisation, Problem, Project, Tenants

__all__ = ["LOOPBACK", "Facts", "changes", "is_loopback", "problems"]

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What a plan is judged by, beside the file."""

    configured: Tenants
    """What the service's configuration declares."""
    now: datetime
    region: str
    """Where the storage is; empty where nobody said."""
    insecure_issuers: bool
    """Whether issuers on loopback may speak plain HTTP."""
    at_work: Callable[[str], tuple[int, int]]
    """Project → open jobs, and micro-credits on hold for them."""


# What would change


def changes(before: Tenants, after: Tenants) -> list[Change]:
    """Organisations, then projects, by name; equal ones are left out."""
    organisations = _changes("organisation", before.organisations, after.organisations, organisation_spec)
    return [*organisations, *_changes("project", before.projects, after.projects, project_spec)]


def _changes(
    kind: Any, before: Mapping[str, BaseModel], after: Mapping[str, BaseModel], spec: Callable[[str, Any], Any]
) -> Iterator[Change]:
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None and new is not None:
            yield Change(action="add", kind=kind, name=name, fields=_fields(None, new))
        elif new is None and old is not None:
            yield Change(action="remove", kind=kind, name=name, fields=_fields(old, None))
        elif spec(name, old) != spec(name, new):
            yield Change(action="change", kind=kind, name=name, fields=_fields(old, new))


def _fields(old: BaseModel | None, new: BaseModel | None) -> list[FieldChange]:
    """The fields that differ; of something that comes or goes, those that say something."""
    known = old or new
    assert known is not None
    found = []
    for field, info in type(known).model_fields.items():
        empty = info.get_default(call_default_factory=True)
        was = empty if old is None else getattr(old, field)
        is_now = empty if new is None else getattr(new, field)
        if was != is_now:
            before = None if old is None else old.model_dump(mode="json")[field]
            after = None if new is None else new.model_dump(mode="json")[field]
            found.append(FieldChange(field=field, before=before, after=after))
    return found


# Why not


def problems(before: Tenants, after: Tenants, facts: Facts) -> list[Problem]:
    """Everything that is wrong with the file, in its order; then what would be left without a home."""
    found = [*_organisations(after), *_projects(after, facts), *_cycles(after, facts)]
    return [*found, *_orphans(before, after, facts)]


def _problem(key: str, code: str, message: str, hint: str | None = None) -> Problem:
    return Problem(key=key, code=f"tenants.{code}", message=message, hint=hint)


def _organisations(file: Tenants) -> Iterator[Problem]:
    for name, told in file.organisations.items():
        yield from _grants(f"organisations.{name}", told)
        terms = [term.name for term in told.terms]
        if len(set(terms)) < len(terms):
            yield _problem(f"organisations.{name}.terms", "duplicate", "Two terms have the same name.")


def _projects(file: Tenants, facts: Facts) -> Iterator[Problem]:
    known = {**facts.configured.projects, **file.projects}
    houses = {*file.organisations, *facts.configured.organisations}
    houses |= {project.organisation for project in facts.configured.projects.values()}
    for name, told in file.projects.items():
        key = f"projects.{name}"
        if name in facts.configured.projects:
            yield _problem(
                key,
                "configured",
                f"The service's configuration declares a project {name} already.",
                "Take it out of one of the two.",
            )
        if told.organisation not in houses:
            yield _problem(
                f"{key}.organisation",
                "organisation",
                f"There is no organisation {told.organisation}.",
                f"Declare it: organisations: {{{told.organisation}: {{}}}}.",
            )
        yield from _parent(key, told, known)
        yield from _grants(key, told)
        yield from _regions(key, told, facts)
        yield from _issuers(key, told, facts)


def _parent(key: str, told: Project, known: Mapping[str, Project]) -> Iterator[Problem]:
    if told.parent is None:
        return
    parent = known.get(told.parent)
    if parent is None:
        message = f"There is no project {told.parent}."
        yield _problem(f"{key}.parent", "parent", message, "Declare it in this file, or leave parent out.")
    elif parent.organisation != told.organisation:
        yield _problem(
            f"{key}.parent",
            "parent",
            f"{told.parent} is a project of {parent.organisation}, not of {told.organisation}.",
            "A project and its parts are in one organisation.",
        )


def _grants(key: str, told: Organisation | Project) -> Iterator[Problem]:
    ids = [grant.id for grant in told.grants]
    for doubled in sorted({one for one in ids if ids.count(one) > 1}):
        yield _problem(f"{key}.grants", "duplicate", f"Two grants are called {doubled}.", "Give each its own id.")


def _regions(key: str, told: Project, facts: Facts) -> Iterator[Problem]:
    if told.regions and facts.region not in told.regions:
        where = f"in {facts.region}" if facts.region else "in a region that nobody named"
        yield _problem(
            f"{key}.regions",
            "region",
            f"The storage is {where}, and this project may be stored only in {', '.join(told.regions)}.",
            "Add the storage's region, or set c.QuantumService.storage_region to where it really is.",
        )


def is_loopback(address: str) -> bool:
    """Whether an address is on this very machine."""
    return (urlsplit(address).hostname or "") in LOOPBACK


def _issuers(key: str, told: Project, facts: Facts) -> Iterator[Problem]:
    for number, identity in enumerate(told.identities):
        plain = urlsplit(identity.issuer).scheme != "https"
        if plain and not (facts.insecure_issuers and is_loopback(identity.issuer)):
            yield _problem(
                f"{key}.identities.{number}.issuer", "issuer", "The issuer does not speak HTTPS.", "Use https://…"
            )


def _cycles(file: Tenants, facts: Facts) -> Iterator[Problem]:
    known = {**facts.configured.projects, **file.projects}
    for name in file.projects:
        seen, at = [name], known[name].parent
        while at in known and at not in seen:
            seen.append(at)
            at = known[at].parent
        if at == name:  # each project of a circle says it once
            said = " → ".join([*seen, name])
            yield _problem(f"projects.{name}.parent", "cycle", f"These projects are parts of each other: {said}.")


def _orphans(before: Tenants, after: Tenants, facts: Facts) -> Iterator[Problem]:
    for name, old in before.projects.items():
        new = after.projects.get(name)
        if new is None:
            yield from _home(f"projects.{name}", f"{name} cannot be removed", name, facts)
            yield from _running(f"projects.{name}", old, facts.now)
        elif (new.organisation, new.parent) != (old.organisation, old.parent):
            field = "organisation" if new.organisation != old.organisation else "parent"
            yield from _home(f"projects.{name}.{field}", f"{name} cannot be moved", name, facts)
            if field == "organisation":
                yield from _running(f"projects.{name}.organisation", old, facts.now)
    for name, house in before.organisations.items():
        if name not in after.organisations:
            yield from _running(f"organisations.{name}", house, facts.now)
            for project, told in facts.configured.projects.items():
                if told.organisation == name:
                    message = f"{name} cannot be removed: {project} of the service's configuration is in it."
                    yield _problem(f"organisations.{name}", "orphan", message)


def _home(key: str, what: str, project: str, facts: Facts) -> Iterator[Problem]:
    jobs, held = facts.at_work(project)
    if jobs:
        on_hold = f" with {words.spent(held)} on hold" if held else ""
        message = f"{what}: it has {jobs} open job{'' if jobs == 1 else 's'}{on_hold}."
        yield _problem(key, "orphan", message, "Wait for them, or cancel them, and apply again.")


def _running(key: str, told: Organisation | Project, now: datetime) -> Iterator[Problem]:
    running = [grant.id for grant in told.grants if _runs(grant, now)]
    if isinstance(told, Project) and told.grant > 0:
        running.append("the one without an end")
    if running:
        message = f"Its grants are still running ({', '.join(running)})."
        yield _problem(key, "grant", message, "Apply a file without them first, then remove or move it.")


def _runs(grant: Grant, now: datetime) -> bool:
    return grant.end is None or now < grant.end
