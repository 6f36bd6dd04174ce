"""Organisations and projects: what is declared is planned, agreed to and applied, all or nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Any

from jupyter_quantum.core.jobs import FINAL, JobState
from jupyter_quantum.core.tenancy import Principal, ProjectSpec
from jupyter_quantum.exceptions import Conflict, Refused
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.declared import declared_organisation, declared_project, organisation_spec, project_spec
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.planning import Facts, changes, problems
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import DeclaredRow
from jupyter_quantum.store.unit import canonical
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.tenancy import (
    ApplyTenants,
    Change,
    Organisation,
    Problem,
    Project,
    Tenants,
    TenantsPlan,
    TenantsView,
)

__all__ = ["Tenancy"]

log = logging.getLogger(__name__)

_OPEN = frozenset(JobState) - FINAL


class Tenancy:
    """Plans and applies; and keeps :class:`~jupyter_quantum.pipeline.tenants.Tenants` in step with the store."""

    def __init__(self, context: Context, live: Live) -> None:
        self._context = context
        self._live = live
        self._loaded = (-1, -1)
        self.listeners: list[Callable[[], None]] = []
        """Called in the event loop when what is declared has changed."""
        seed = context.settings
        self._configured = Tenants.model_construct(  # names of before the file's rules on names
            organisations={name: declared_organisation(spec) for name, spec in seed.organisations.items()},
            projects={name: declared_project(spec) for name, spec in seed.projects.items()},
        )

    # In step

    async def refresh(self) -> None:
        """Take in what this or another replica has applied or granted since the last look."""
        if await self._context.store.read(self._take_in):
            for listener in self.listeners:
                listener()

    def _take_in(self, view: View) -> bool:
        """Whether what is declared has changed."""
        found = (view.revision("tenants").version, view.revision("members").version)
        if found == self._loaded:
            return False
        tenants = self._context.tenants
        declared = found[0] != self._loaded[0]
        if declared:
            file = _declared(view)
            tenants.declare(
                {name: organisation_spec(name, told) for name, told in file.organisations.items()},
                {name: self._project(name, told) for name, told in file.projects.items()},
            )
        tenants.grant(view.memberships(alive_at=self._context.clock(), limit=None))
        self._loaded = found
        return declared

    def _project(self, name: str, told: Project) -> ProjectSpec:
        if self._context.tenants.configured(name):
            log.error("The project %s is applied and configured; the configuration counts", name)
        return project_spec(name, told)

    # Planned and applied

    async def get(self, who: Principal) -> TenantsView:
        """What is in force. For administrators."""
        self._admin(who)

        def read(view: View) -> TenantsView:
            revision, file = view.revision("tenants"), _declared(view)
            return TenantsView(
                version=revision.version,
                digest=_digest(file),
                applied=revision.changed,
                tenants=file,
                configured=self._configured,
            )

        return await self._context.store.read(read)

    async def plan(self, who: Principal, file: Tenants) -> TenantsPlan:
        """What applying ``file`` would do. Changes nothing."""
        self._admin(who)
        return await self._context.store.read(lambda view: self._plan(view, file))

    async def apply(self, who: Principal, asked: ApplyTenants) -> TenantsPlan:
        """Do it. The answer is what was done.

        Raises Conflict ``tenants.version`` where somebody was quicker, ``tenants.refused`` (with ``problems``) where it
        would leave jobs without a home or does not fit together.
        """
        self._admin(who)

        def write(tx: Tx) -> TenantsPlan:
            plan = self._plan(tx, asked.tenants)
            if plan.problems:
                raise _refused(plan.problems)
            if plan.version != asked.version:
                raise _stale()
            if not plan.changes:
                return plan
            _write(tx, asked.tenants, plan, who.id, self._context.clock())
            return plan.model_copy(update={"version": asked.version + 1})

        done = await self._context.store.write(write)
        await self.refresh()
        self._live.committed()
        return done

    def _plan(self, view: View, file: Tenants) -> TenantsPlan:
        before = _declared(view)
        settings = self._context.settings
        facts = Facts(
            configured=self._configured,
            now=self._context.clock(),
            region=settings.storage_region,
            insecure_issuers=settings.insecure_issuers,
            at_work=lambda project: view.open_jobs(project, _OPEN),
        )
        return TenantsPlan(
            version=view.revision("tenants").version,
            digest=_digest(file),
            changes=changes(before, file),
            problems=problems(before, file, facts),
        )

    def _admin(self, who: Principal) -> None:
        if "admin" not in self._context.people.staff(who):
            raise Refused("Administrators do this.", code="admin.role", hint="Ask one of the hub's quantum admins.")


def _declared(view: View) -> Tenants:
    organisations: dict[str, Organisation] = {}
    projects: dict[str, Project] = {}
    for row in view.declared():
        if row.kind == "organisation":
            organisations[row.name] = Organisation.model_validate_json(row.body)
        else:
            projects[row.name] = Project.model_validate_json(row.body)
    return Tenants(organisations=organisations, projects=projects)


def _digest(file: Tenants) -> str:
    return digest_of(canonical(file.model_dump(mode="json", exclude_defaults=True)).encode())


def _write(tx: Tx, file: Tenants, plan: TenantsPlan, actor: str, now: datetime) -> None:
    """Rows of what changes; grants and requests of a project that goes end with it."""
    put, remove = [], []
    for change in plan.changes:
        key = f"{change.kind}:{change.name}"
        if change.action == "remove":
            remove.append(key)
        else:
            put.append(DeclaredRow(key, change.kind, change.name, _body(file, change)))
        if change.action == "remove" and change.kind == "project":
            _clear(tx, change.name, actor, now)
    told = [
        {
            "action": change.action,
            "kind": change.kind,
            "name": change.name,
            "fields": [field.field for field in change.fields],  # names of people may be among the values
        }
        for change in plan.changes
    ]
    tx.apply_tenants(put, remove, expect=plan.version, digest=plan.digest, actor=actor, changes=told)


def _clear(tx: Tx, project: str, actor: str, now: datetime) -> None:
    for membership in tx.memberships(project=project, alive_at=now, limit=None):
        tx.end_membership(membership.id, actor=actor, code="project.removed")
    for request in tx.requests(project=project, state="open", limit=10_000):
        tx.decide_request(request.id, "expired", actor=actor)


def _body(file: Tenants, change: Change) -> str:
    known: dict[str, Any] = file.organisations if change.kind == "organisation" else file.projects
    return json.dumps(known[change.name].model_dump(mode="json", exclude_defaults=True), sort_keys=True)


def _stale() -> Conflict:
    return Conflict(
        "Somebody else changed the tenants since this plan was made.",
        code="tenants.version",
        hint="Make the plan again, look at it, and apply that.",
    )


def _refused(found: list[Problem]) -> Conflict:
    first = found[0]
    rest = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
    return Conflict(
        f"{first.key}: {first.message}{rest}",
        code="tenants.refused",
        hint=first.hint,
        details={"problems": [one.model_dump() for one in found]},
    )
