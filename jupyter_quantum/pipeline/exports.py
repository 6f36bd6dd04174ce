"""Exports: data leaves a project to a named target, as policy says, after a review where one is asked for.

What a member's own notebook reads is no export. What a token reads that no person holds (a service account's, a
workload's) is one, to the target ``tokens``: declaring that target is its review.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import fsspec
from pydantic import BaseModel

from jupyter_quantum.core.facts import Decision, ExportFacts
from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.tenancy import Principal, ProjectSpec, Role
from jupyter_quantum.exceptions import Conflict, InputError, QuantumError, Refused
from jupyter_quantum.pipeline.asking import keep_decision
from jupyter_quantum.pipeline.bundle import bundle
from jupyter_quantum.pipeline.context import Context
from jupyter_quantum.pipeline.dossier import Dossier
from jupyter_quantum.pipeline.live import Live
from jupyter_quantum.pipeline.people import absent, known_now
from jupyter_quantum.pipeline.requests import Kind, Requests, check_room
from jupyter_quantum.pipeline.runs import policy_error
from jupyter_quantum.pipeline.schedule import SERVICE
from jupyter_quantum.pipeline.settings import ExportTarget
from jupyter_quantum.store import Tx, View
from jupyter_quantum.store.rows import ExportRow, JobRow, RequestRow
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.data import AskExport, ExportList, ExportView

__all__ = ["TOKENS", "ExportKind", "Exports"]

log = logging.getLogger(__name__)

TOKENS: Final = "tokens"
"""The target of what tokens read that no person holds."""
_DOWNLOAD: Final = timedelta(hours=24)
_STAFF: Final = frozenset({"lead", "operator", "auditor", "admin"})


class ExportBody(BaseModel):
    """What a request for review is about."""

    export: str
    job: str
    target: str
    classes: list[str]


class Exports:
    """Asks, lists, writes and hands out exports."""

    def __init__(self, context: Context, live: Live, requests: Requests, dossier: Dossier) -> None:
        self._context = context
        self._live = live
        self._requests = requests
        self._dossier = dossier

    # Asked for

    async def ask(self, who: Principal, asked: AskExport) -> ExportView:
        """Ask for an export; it goes at once, waits for a person, or is refused.

        Raises NotFound (job), Refused ``export.target``, ``export.class``, PolicyRefused.
        """
        store = self._context.store
        row = await store.read(lambda view: view.job(asked.job))
        self._context.people.check_job(who, row)
        project = self._context.tenants.project(row.project)
        target = self._target(project, asked.target)
        classes: list[str] = sorted(set(asked.classes))
        size = sum(len(raw) for raw in (await self._dossier.collect(row, classes)).values())
        facts = self._facts(who, project, asked.target, classes, size, frozenset())
        decision = self._context.policies.decide(facts)
        if decision.effect == "refuse":
            await store.write(lambda tx: _refused(tx, who, row, asked.target, facts, decision))
            self._live.committed()
            raise policy_error(decision)
        role = self._reviewer(project, decision)
        now = self._context.clock()
        export = ExportRow(
            id=new_id("exp"),
            job=row.id,
            project=row.project,
            principal=who.id,
            asked_by=who.name,
            target=asked.target,
            classes=json.dumps(classes),
            reason=asked.reason.strip(),
            created=now,
            changed=now,
            state="review" if role is not None else _after(target),
            decision=decision.words,
            request=None if role is None else new_id("req"),
            expires=now + _DOWNLOAD if role is None and target.url is None else None,
            size=size,
        )

        def write(tx: Tx) -> None:
            keep_decision(tx, who.id, facts, decision, job=row.id, request=export.request)
            tx.add_export(export)
            if role is not None:
                check_room(tx, who.id)
                tx.add_request(self._request(export, role))

        await store.write(write)
        self._live.committed()
        if export.state == "approved":
            export = await self.send(export)
        return self.view(who, export)

    def _target(self, project: ProjectSpec, name: str) -> ExportTarget:
        """Raise Refused where this project's data may not go there, naming where it may."""
        allowed = sorted(project.export.targets & self._context.settings.export_targets.keys())
        if name not in allowed or name == TOKENS:
            said = ", ".join(one for one in allowed if one != TOKENS)
            raise Refused(
                f"Data of {project.name} may not go to {name!r}.",
                code="export.target",
                hint=f"It may go to {said}." if said else "The project declares no target that the service has.",
                details={"targets": allowed},
            )
        target = self._context.settings.export_targets[name]
        if target.data_classes and project.data_class not in target.data_classes:
            raise Refused(
                f"{name} takes data of the classes {', '.join(sorted(target.data_classes))}; that of {project.name} is "
                f"{project.data_class}.",
                code="export.class",
            )
        return target

    @staticmethod
    def _reviewer(project: ProjectSpec, decision: Decision) -> str | None:
        """Who decides: the role that policy asks for, or the one that the project wants in any case."""
        if decision.effect == "needs_approval":
            return decision.roles[0] if decision.roles else "lead"
        return None if project.export.review is None else project.export.review.value

    def _request(self, export: ExportRow, role: str) -> RequestRow:
        body = ExportBody(
            export=export.id, job=export.job, target=export.target, classes=json.loads(export.classes)
        ).model_dump_json()
        return RequestRow(
            id=export.request or "",
            kind=ExportKind.name,
            principal=export.principal,
            asked_by=export.asked_by,
            role=role,
            created=export.created,
            expires=export.created + timedelta(seconds=self._context.settings.approval_expiry_s),
            project=export.project,
            reason=export.reason,
            body=body,
        )

    def _facts(
        self, who: Principal, project: ProjectSpec, target: str, classes: list[str], size: int, approved: frozenset[str]
    ) -> ExportFacts:
        role = self._context.tenants.role(who, project.name)
        if role is None:
            raise Refused(f"{who.name} is not in the project {project.name}.", code="owner.left")
        known = self._context.settings.export_targets.get(target)
        return ExportFacts(
            user=who.name,
            groups=who.groups,
            role=role.value,
            organisation=project.organisation,
            project=project.name,
            tier=project.tier,
            target=target,
            target_region=known.region if known is not None else self._context.settings.storage_region,
            targets=project.export.targets,
            regions=project.regions,
            data_class=project.data_class,
            classes=frozenset(classes),
            num_bytes=size,
            mfa=who.mfa,
            approvals=approved,
            now=self._context.clock().astimezone(self._context.settings.time_zone),
        )

    # Read by tokens

    def reads(self, who: Principal, project: str, data: str) -> bool:
        """Whether this reader may have data of this class."""
        try:
            self.check_reader(who, project, data)
        except Refused:
            return False
        return True

    def check_reader(self, who: Principal, name: str, data: str) -> None:
        """Raise Refused ``export.token`` where a token that no person holds may not read this project's data."""
        if who.kind == "user":
            return
        project = self._context.tenants.projects.get(name)
        if project is not None and TOKENS in project.export.targets:
            decision = self._context.policies.decide(self._facts(who, project, TOKENS, [data], 0, _STAFF))
            if decision.effect == "allow":
                return
            raise policy_error(decision)
        raise Refused(
            f"Data of {name} does not leave it with the token of a service or a workload.",
            code="export.token",
            hint=f"Add {TOKENS!r} to the project's export targets, or let a member ask for an export.",
        )

    # Seen and taken

    async def list(self, who: Principal, *, job: str | None = None, before: str | None = None) -> ExportList:
        """One's own, and those of projects that one leads, newest first."""
        leads, most = self._context.people.leads(who), 100

        def read(view: View) -> list[ExportRow]:
            found = view.exports(principal=who.id, job=job, before=before, limit=most + 1)
            return found + (view.exports(projects=leads, job=job, before=before, limit=most + 1) if leads else [])

        seen = {*leads, *self._context.people.roles(who)}  # whoever left a project has left its exports as well
        rows = {row.id: row for row in await self._context.store.read(read) if row.project in seen}
        newest = [rows[key] for key in sorted(rows, reverse=True)]
        following = newest[most - 1].id if len(newest) > most else None
        return ExportList(exports=[self.view(who, row) for row in newest[:most]], next=following)

    async def get(self, who: Principal, export_id: str) -> ExportView:
        """One export. Raises NotFound."""
        return self.view(who, await self._row(who, export_id))

    async def _row(self, who: Principal, export_id: str) -> ExportRow:
        row, people = await self._context.store.read(lambda view: view.export(export_id)), self._context.people
        if not people.owns(who, row.principal, row.project) and row.project not in people.leads(who):
            raise absent("export")
        return row

    async def take(self, who: Principal, export_id: str) -> bytes:
        """The bundle, once, for who asked. Raises Conflict ``export.state``, ``export.expired``."""
        row = await self._row(who, export_id)
        if row.principal != who.id:
            raise absent("export")
        if row.state != "ready":
            raise Conflict(f"There is nothing to download: this export is {row.state}.", code="export.state")
        if row.expires is not None and row.expires <= self._context.clock():
            await self._context.store.write(lambda tx: tx.move_export(row, "expired", actor=SERVICE))
            raise Conflict("The time to download this has passed.", code="export.expired", hint="Ask again.")
        await self._still_allowed(row)
        raw = await self._made(row, proven=True)
        told = {"digest": digest_of(raw), "size": len(raw)}
        await self._context.store.write(lambda tx: tx.move_export(row, "taken", actor=who.id, **told))
        self._live.committed()
        return raw

    async def send(self, row: ExportRow) -> ExportRow:
        """Write an approved export to its target."""
        store = self._context.store
        try:
            await self._still_allowed(row)
            target = self._target(self._context.tenants.project(row.project), row.target)
            raw = await self._made(row)
            place = f"{row.project}/{row.id}.zip"
            await store.in_thread(lambda: _write(target.url or "", place, raw))
        except Exception as error:  # whatever the target's file system raises
            log.exception("The export %s of %s could not be written", row.id, row.job)
            said = error.message if isinstance(error, QuantumError) else "The target could not be written to."
            return await self._moved(row, "failed", error=said)
        return await self._moved(row, "written", place=place, digest=digest_of(raw), size=len(raw))

    async def _moved(self, row: ExportRow, state: Any, **changes: Any) -> ExportRow:
        after = await self._context.store.apart(lambda tx: tx.move_export(row, state, actor=SERVICE, **changes))
        self._live.committed()
        return after

    async def resume(self) -> None:
        """Go on with what was approved before the service stopped."""
        for row in await self._context.store.read(lambda view: view.exports(states={"approved"}, limit=1000)):
            try:
                await self.send(row)
            except QuantumError as error:  # another process was quicker, or the store does not answer
                log.warning("The export %s of %s was not sent again: %s", row.id, row.job, error)

    async def _still_allowed(self, row: ExportRow) -> None:
        """Policy and membership as they are now, with the review that it had."""
        who = await self._asker(row)
        project = self._context.tenants.projects.get(row.project)
        if project is None:
            raise Conflict(f"The project {row.project} is no longer there.", code="project.gone")
        request = row.request
        role = None
        if request is not None:
            role = (await self._context.store.read(lambda view: view.request(request))).role
        self.judge(who, project, row, role)

    async def _asker(self, row: ExportRow) -> Principal:
        """Who asked, with their groups of now and the second factor that they had then."""
        tenants, directory = self._context.tenants, self._context.directory
        who = await known_now(directory, row.principal, lambda who: tenants.role(who, row.project) is not None)
        if who is None:
            raise Refused("The account of who asked is gone.", code="owner.gone")
        return replace(who, mfa=await self._context.store.read(lambda view: _asked_with_mfa(view, row)))

    def judge(self, who: Principal, project: ProjectSpec, row: ExportRow, role: str | None) -> Decision:
        """Policy's answer with a role's approval. Raises what forbids it now."""
        self._target(project, row.target)
        approved = frozenset() if role is None else frozenset({role})
        facts = self._facts(who, project, row.target, json.loads(row.classes), row.size or 0, approved)
        decision = self._context.policies.decide(facts)
        if decision.effect != "allow":
            raise policy_error(decision)
        return decision

    async def _made(self, row: ExportRow, *, proven: bool = False) -> bytes:
        job = await self._context.store.read(lambda view: view.job(row.job))
        await self._dossier.sign()
        files = await self._dossier.collect(job, json.loads(row.classes), proven=proven)
        return bundle(files, export=row.id, job=row.job, project=row.project, made=row.created)

    def view(self, who: Principal, row: ExportRow) -> ExportView:
        """An export as ``who`` sees it."""
        ready = row.state == "ready" and row.principal == who.id
        return ExportView(
            id=row.id,
            job=row.job,
            project=row.project,
            target=row.target,
            classes=json.loads(row.classes),
            reason=row.reason,
            asked_by=row.asked_by,
            state=row.state,
            words=_words(row),
            created=row.created,
            changed=row.changed,
            request=row.request,
            expires=row.expires,
            place=row.place,
            digest=row.digest,
            size=row.size,
            link=f"exports/{row.id}/bundle" if ready else None,
        )


class ExportKind(Kind):
    """The kind ``export``: made by :meth:`Exports.ask`, decided like every other."""

    name = "export"
    body = ExportBody
    role = Role.LEAD.value

    def __init__(self, context: Context, exports: Exports) -> None:
        self._context = context
        self._exports = exports

    def words(self, row: RequestRow) -> str:
        """What leaves, and where to."""
        asked: ExportBody = self.read(row)
        return f"{' and '.join(asked.classes)} of {asked.job} leave {row.project} for {asked.target}"

    def may_ask(self, who: Principal, project: str | None, body: ExportBody) -> None:
        """Never by itself: policy is asked first."""
        raise InputError("Exports are asked for on their own.", code="request.kind", hint="Use POST /exports.")

    async def before(self, row: RequestRow) -> None:
        """Whoever asked is still in the project, and policy allows it with this approval."""
        export = await self._context.store.read(lambda view: view.export_of(row.id))
        project = self._context.tenants.projects.get(row.project or "")
        if export is None or project is None:
            raise Conflict(f"The project {row.project} is no longer there.", code="project.gone")
        self._exports.judge(await self._exports._asker(export), project, export, row.role)

    def approve(self, tx: Tx, row: RequestRow, by: Principal) -> Mapping[str, Any]:
        """It may go."""
        export = tx.export_of(row.id)
        if export is None:
            raise absent("export")
        target = self._context.settings.export_targets[export.target]
        state = _after(target)
        expires = tx.now + _DOWNLOAD if state == "ready" else None
        tx.move_export(export, state, actor=by.id, expires=expires)
        return {"export": export.id}

    def ended(self, tx: Tx, row: RequestRow) -> None:
        """It stays."""
        export = tx.export_of(row.id)
        if export is not None and export.state == "review":
            tx.move_export(export, "expired" if row.state == "expired" else "rejected", actor=row.decided_by or SERVICE)

    async def done(self, row: RequestRow) -> None:
        """Write it now."""
        export = await self._context.store.read(lambda view: view.export_of(row.id))
        if export is not None and export.state == "approved":
            await self._exports.send(export)


def _asked_with_mfa(view: View, row: ExportRow) -> bool:
    """Whether whoever asked had a second factor: what policy was told then."""
    asker = view.pseudonym(row.principal)
    made = [one for one in view.job_decisions(row.job) if one.action == "export" and one.person == asker]
    return bool(made and json.loads(made[-1].context).get("mfa", False))


def _after(target: ExportTarget) -> Any:
    return "ready" if target.url is None else "approved"


def _refused(tx: Tx, who: Principal, row: JobRow, target: str, facts: ExportFacts, decision: Decision) -> None:
    keep_decision(tx, who.id, facts, decision, job=row.id)
    data = {"job": row.id, "target": target, "code": decision.code, "policies": list(decision.policies)}
    tx.add_event("export.refused", actor=who.id, principal=who.id, project=row.project, data=data)


def _write(url: str, place: str, raw: bytes) -> None:
    """Below the target's URL; an object store, a directory, whatever fsspec knows."""
    files, root = fsspec.core.url_to_fs(url)
    path = f"{str(root).rstrip('/')}/{place}"
    files.makedirs(path.rpartition("/")[0], exist_ok=True)
    files.pipe_file(path, raw)


def _words(row: ExportRow) -> str:
    said = {
        "review": "Waits for a review.",
        "approved": f"On its way to {row.target}.",
        "written": f"Written to {row.target} as {row.place}.",
        "ready": "To be downloaded once.",
        "taken": "Downloaded.",
        "rejected": "Rejected; nothing left the project.",
        "expired": "Expired; nothing left the project.",
        "failed": f"Failed: {row.error or ''}",
    }
    return said[row.state]
