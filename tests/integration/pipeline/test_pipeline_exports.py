"""Exports: to named targets, as policy says, after a review; by tokens only where a project says so. And regions."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from jupyter_quantum.core.tenancy import ExportSpec, Principal, Role
from jupyter_quantum.exceptions import Conflict, NotFound, PolicyRefused, Refused
from jupyter_quantum.pipeline.settings import ExportTarget
from jupyter_quantum.store.tables import events
from jupyter_quantum.testing.runner import announcement
from jupyter_quantum.wire.data import AskExport
from jupyter_quantum.wire.jobs import JobView
from jupyter_quantum.wire.reports import ReportRequest
from jupyter_quantum.wire.requests import Decision
from tests.integration.pipeline.conftest import (
    ADA,
    BEN,
    COURSE,
    GRACE,
    HEDY,
    LISE,
    OTHER,
    House,
    request,
    running,
    until,
)

SECRET = b"the circuit that leaves"
APPROVE = Decision(verdict="approve")
PORTAL = Principal("portal", "service", scopes=frozenset())


def with_targets(*names: str, **changes: Any) -> dict[str, Any]:
    """Projects whose data may go there."""
    export = ExportSpec(frozenset(names))
    return {"qcourse": replace(COURSE, export=export, **changes), "lab": replace(OTHER, export=export)}


@pytest.fixture
async def house(settings: Any, tmp_path: Path) -> AsyncIterator[House]:
    """A service with an archive, a download and a target for public data only."""
    targets = {
        "archive": ExportTarget(f"file://{tmp_path}/out", "local"),
        "download": ExportTarget(None),
        "website": ExportTarget(f"file://{tmp_path}/web", data_classes=frozenset({"public"})),
        "unused": ExportTarget(None),
    }
    projects = with_targets("archive", "download", "website")
    async with running(settings, export_targets=targets, projects=projects) as made, made.runner():
        yield made


async def completed(house: House, who: Principal = ADA) -> JobView:
    """A job that has run."""
    return await house.pipeline.submit(who, request(data=SECRET), key=None, wait_s=10)


def asked(job: JobView, target: str = "archive", **fields: Any) -> AskExport:
    """A wish to let everything of a job go."""
    return AskExport(**{"job": job.id, "target": target, "classes": ["inputs", "results"], "reason": "thesis"} | fields)


def checked(raw: bytes) -> dict[str, bytes]:
    """The files of a bundle, whose checksums are right."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for line in files["SHA256SUMS"].decode().splitlines():
        value, name = line.split("  ")
        assert hashlib.sha256(files[name]).hexdigest() == value
    manifest = json.loads(files["manifest.json"])
    assert set(manifest["files"]) == files.keys() - {"SHA256SUMS", "manifest.json"}
    return files


async def test_an_export_is_reviewed_by_somebody_else_and_written(house: House, tmp_path: Path) -> None:
    """Asked, reviewed by another lead, written with its checksums; every step is in the record."""
    job = await completed(house)
    view = await house.pipeline.data.exports.ask(ADA, asked(job))
    assert (view.state, view.link) == ("review", None)
    with pytest.raises((Refused, NotFound)):
        await house.pipeline.requests.decide(
            replace(ADA, interactive=True), view.request or "", Decision(verdict="approve")
        )
    after = await house.pipeline.requests.decide(GRACE, view.request or "", APPROVE)
    assert after.outcome == {"export": view.id}
    view = await house.pipeline.data.exports.get(ADA, view.id)
    assert (view.state, view.place) == ("written", f"qcourse/{view.id}.zip")
    raw = (tmp_path / "out" / "qcourse" / f"{view.id}.zip").read_bytes()
    assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == view.digest
    files = checked(raw)
    assert files["source.qpy"] == SECRET
    assert json.loads(files["result.json"])["experiments"]

    async def all_told() -> bool:
        told = await house.store.read(lambda view: view.events(0))
        states = [event.data["state"] for event in told if event.type == "export.changed"]
        return states == ["review", "approved", "written"]

    await until(all_told)


async def test_a_download_is_taken_once_by_who_asked(house: House) -> None:
    """The bundle comes once, to nobody else, and not when its time has passed."""
    exports, job = house.pipeline.data.exports, await completed(house)

    async def ready() -> str:
        view = await exports.ask(ADA, asked(job, "download", classes=["results"]))
        await house.pipeline.requests.decide(GRACE, view.request or "", APPROVE)
        assert (await exports.get(ADA, view.id)).link == f"exports/{view.id}/bundle"
        assert (await exports.get(GRACE, view.id)).link is None
        return view.id

    export = await ready()
    for who in (BEN, GRACE, LISE):
        with pytest.raises(NotFound):
            await exports.take(who, export)
    files = checked(await exports.take(ADA, export)).keys()
    assert {"job.json", "result.json", "manifest.json", "SHA256SUMS"} <= files
    assert not {"source.qpy", "pubs.json", "executable.qpy"} & files
    with pytest.raises(Conflict) as again:
        await exports.take(ADA, export)
    assert again.value.code == "export.state"
    late = await ready()
    house.pipeline._context.clock = lambda: datetime.now(UTC) + timedelta(days=2)
    with pytest.raises(Conflict) as expired:
        await exports.take(ADA, late)
    assert expired.value.code == "export.expired"


@pytest.mark.parametrize(
    ("target", "code"), [("unused", "export.target"), ("absent", "export.target"), ("website", "export.class")]
)
async def test_other_targets_are_refused(house: House, target: str, code: str) -> None:
    """A target that the project does not declare, one that is not there, one that does not take such data."""
    job = await completed(house)
    with pytest.raises(Refused) as refused:
        await house.pipeline.data.exports.ask(ADA, asked(job, target))
    assert refused.value.code == code
    if code == "export.target":
        assert "archive, download, website" in str(refused.value.hint)


async def test_rejected_and_foreign_exports_go_nowhere(house: House, tmp_path: Path) -> None:
    """A rejection ends it; strangers can neither ask for it nor see it."""
    job = await completed(house)
    with pytest.raises(NotFound):
        await house.pipeline.data.exports.ask(LISE, asked(job))
    view = await house.pipeline.data.exports.ask(ADA, asked(job))
    with pytest.raises(NotFound):
        await house.pipeline.data.exports.get(BEN, view.id)
    await house.pipeline.requests.decide(GRACE, view.request or "", Decision(verdict="reject", note="not yet"))
    assert (await house.pipeline.data.exports.get(ADA, view.id)).state == "rejected"
    assert not (tmp_path / "out").exists()
    assert [one.id for one in (await house.pipeline.data.exports.list(HEDY)).exports] == [view.id]
    assert (await house.pipeline.data.exports.list(BEN)).exports == []


async def test_who_has_left_exports_nothing(house: House) -> None:
    """Between asking and the review, the asker leaves the group: the review cannot be granted."""
    job = await completed(house)
    view = await house.pipeline.data.exports.ask(ADA, asked(job))
    house.directory.now[ADA.id] = frozenset()
    with pytest.raises(Refused) as refused:
        await house.pipeline.requests.decide(GRACE, view.request or "", APPROVE)
    assert refused.value.code == "owner.left"
    assert (await house.pipeline.data.exports.get(ADA, view.id)).state == "review"


@pytest.mark.parametrize("review", [Role.LEAD, None])
async def test_public_data_goes_as_the_project_says(settings: Any, tmp_path: Path, review: Role | None) -> None:
    """Policy asks nobody about public data; the project may want a review all the same."""
    spec = replace(COURSE, data_class="public", export=ExportSpec(frozenset({"archive"}), review))
    targets = {"archive": ExportTarget(f"file://{tmp_path}/out", "local")}
    async with running(settings, export_targets=targets, projects={"qcourse": spec}) as house, house.runner():
        view = await house.pipeline.data.exports.ask(ADA, asked(await completed(house)))
        assert view.state == ("written" if review is None else "review")


async def test_confidential_data_stays(settings: Any, tmp_path: Path) -> None:
    """Policy's no is recorded with its policies."""
    targets = {"archive": ExportTarget(f"file://{tmp_path}/out", "local")}
    projects = with_targets("archive", data_class="confidential")
    async with running(settings, export_targets=targets, projects=projects) as house, house.runner():
        with pytest.raises(PolicyRefused) as refused:
            await house.pipeline.data.exports.ask(ADA, asked(await completed(house)))
        assert refused.value.details["policies"] == ["confidential-stays"]
        refusals = select(events.c.id).where(events.c.type == "export.refused")
        kept = await house.store.read(lambda view: list(view.query(refusals)))
        assert len(kept) == 1


async def test_a_second_factor_counts_as_when_it_was_asked(settings: Any, tmp_path: Path) -> None:
    """Policy may want one of whoever asks; reviewed and written later, the export still has it."""
    own = tmp_path / "policies"
    shutil.copytree(settings.policies, own)
    (own / "50-own.cedar").write_text(
        '@id("export-mfa")\nforbid (principal, action == Action::"export", resource) when { !context.mfa };\n'
    )
    targets = {"archive": ExportTarget(f"file://{tmp_path}/out", "local")}
    changes = {"export_targets": targets, "projects": with_targets("archive"), "policies": own}
    async with running(settings, **changes) as house, house.runner():
        job = await completed(house)
        with pytest.raises(PolicyRefused):
            await house.pipeline.data.exports.ask(ADA, asked(job))
        view = await house.pipeline.data.exports.ask(replace(ADA, mfa=True), asked(job))
        await house.pipeline.requests.decide(GRACE, view.request or "", APPROVE)
        assert (await house.pipeline.data.exports.get(ADA, view.id)).state == "written"


async def test_an_approved_export_survives_a_restart(settings: Any, tmp_path: Path) -> None:
    """The service stops after the review and before the writing: the next start writes it."""
    targets = {"archive": ExportTarget(f"file://{tmp_path}/out", "local")}
    changes = {"export_targets": targets, "projects": with_targets("archive")}
    async with running(settings, **changes) as house, house.runner():
        view = await house.pipeline.data.exports.ask(ADA, asked(await completed(house)))
        row = await house.store.read(lambda store: store.export(view.id))

        def approved(tx: Any) -> None:
            tx.move_export(row, "approved", actor=GRACE.id)
            tx.decide_request(row.request, "approved", actor=GRACE.id)

        await house.store.write(approved)
    async with running(settings, **changes) as house:

        async def written() -> bool:
            return (await house.pipeline.data.exports.get(ADA, view.id)).state == "written"

        await until(written)


# -- tokens ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("declared", [False, True])
async def test_a_services_token_reads_only_where_the_project_says_so(settings: Any, declared: bool) -> None:
    """Results, circuits and provenance stay in the project, also in the answer to the submission itself."""
    names = ("tokens",) if declared else ()
    spec = replace(with_targets(*names)["qcourse"], service_accounts={"portal": Role.USER})
    async with running(settings, projects={"qcourse": spec}) as house, house.runner():
        house.directory.now[PORTAL.id] = frozenset()
        job = await house.pipeline.submit(PORTAL, request(data=SECRET), key=None, wait_s=10)
        assert (job.result is not None) is declared
        assert (await house.pipeline.job(PORTAL, job.id)).state == "completed"
        for read in (
            house.pipeline.result,
            house.pipeline.source,
            house.pipeline.executable,
            house.pipeline.provenance,
        ):
            if declared:
                await read(PORTAL, job.id)
            else:
                with pytest.raises(Refused) as refused:
                    await read(PORTAL, job.id)
                assert refused.value.code == "export.token"


# -- regions -----------------------------------------------------------------------------------------------------------


async def test_a_bound_project_runs_and_is_stored_nowhere_else(settings: Any) -> None:
    """A device elsewhere is refused, naming those that fit, and is a problem in reports; so is a storage elsewhere."""
    devices = (announcement("aer"), announcement("far").model_copy(update={"region": "us"}))
    spec = replace(COURSE, regions=frozenset({"local"}))
    changes = {"projects": {"qcourse": spec}, "storage_region": "local"}
    async with running(settings, **changes) as house, house.runner(*devices):
        assert (await completed(house)).state == "completed"
        with pytest.raises(Refused) as refused:
            await house.pipeline.submit(ADA, request("far"), key=None, wait_s=0)
        assert refused.value.code == "region.bound"
        assert refused.value.details["devices"] == ["aer"]
        report = await house.pipeline.report(
            ADA, ReportRequest(circuits=request().circuits, devices=["aer", "far"], project="qcourse")
        )
        assert {row.device: row.code for row in report.rows} == {"aer": None, "far": "region.bound"}
    async with running(settings, projects={"qcourse": spec}, storage_region="us") as house, house.runner(*devices):
        with pytest.raises(Refused) as refused:
            await house.pipeline.submit(ADA, request(), key=None, wait_s=0)
        assert refused.value.code == "region.storage"


async def test_data_of_a_bound_project_goes_to_its_regions_only(settings: Any, tmp_path: Path) -> None:
    """A target elsewhere is refused by policy, with the words of its file."""
    targets = {"archive": ExportTarget(f"file://{tmp_path}/out", "us")}
    projects = with_targets("archive", regions=frozenset({"local"}))
    changes = {"export_targets": targets, "projects": projects, "storage_region": "local"}
    async with running(settings, **changes) as house, house.runner():
        with pytest.raises(PolicyRefused) as refused:
            await house.pipeline.data.exports.ask(ADA, asked(await completed(house)))
        assert refused.value.details["policies"] == ["export-regions"]
