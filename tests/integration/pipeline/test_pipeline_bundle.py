"""The bundle of a run verifies offline, whatever happened to the job; one flipped byte anywhere is found."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import io
import json
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from jupyter_quantum.audit_verify import Key
from jupyter_quantum.bundle_verify import Outcome, verify
from jupyter_quantum.core.tenancy import ExportSpec
from jupyter_quantum.exceptions import Conflict, PolicyRefused, Refused
from jupyter_quantum.pipeline.settings import ExportTarget
from jupyter_quantum.wire.data import AskExport
from jupyter_quantum.wire.jobs import ApprovalDecision, JobView, ReplayRequest
from tests.integration.pipeline.conftest import ADA, COURSE, GRACE, House, request, running, until

CHECKS = [
    *("archive", "sums", "manifest", "record", "proofs", "key", "source", "pubs", "options", "prepared"),
    *("executable", "calibration", "result", "decision", "approvals", "job", "citation"),
]


@pytest.fixture
async def house(settings: Any) -> AsyncIterator[House]:
    """A service whose projects' data may be downloaded: of qcourse's at once, of lab's nothing."""
    export = ExportSpec(frozenset({"download"}), None)
    project = dataclasses.replace(COURSE, export=export, data_class="public")
    targets = {"download": ExportTarget(None)}
    async with running(settings, export_targets=targets, projects={"qcourse": project}) as made, made.runner():
        yield made


async def taken(house: House, job: JobView, *classes: str) -> bytes:
    """The bundle of a job, as a download gives it."""
    asked = AskExport(job=job.id, classes=list(classes or ("inputs", "results")), target="download")
    export = await house.pipeline.data.exports.ask(ADA, asked)
    return await house.pipeline.data.exports.take(ADA, export.id)


async def completed(house: House, device: str = "fake_torino", **fields: Any) -> JobView:
    return await house.pipeline.submit(ADA, request(device, 100, **fields), key=None, wait_s=10)


def checked(raw: bytes, **options: Any) -> Outcome:
    return verify(io.BytesIO(raw), **options)


def unpacked(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def failed(outcome: Outcome) -> list[str]:
    return [check.name for check in outcome.checks if check.holds is False]


async def test_a_bundle_verifies_offline(house: House, tmp_path: Path) -> None:
    """Every check holds, against the hub's key too; by the program alone; another hub's key is refused."""
    raw = await taken(house, await completed(house))
    keys = [Key.read(key.text) for key in house.pipeline.audit.checkpoints.key.verifiers()]
    outcome = checked(raw, keys=keys)
    assert [(one.name, one.holds) for one in outcome.checks] == [(name, True) for name in CHECKS]
    own = checked(raw)
    assert own.verified
    assert [one.name for one in own.checks if one.holds is None] == ["key"]
    file = tmp_path / "run.zip"
    file.write_bytes(raw)
    command = [sys.executable, "-m", "jupyter_quantum.bundle_verify", str(file), "--json"]
    key = house.pipeline.audit.checkpoints.key.verifiers()[0].text
    ran = await asyncio.to_thread(subprocess.run, [*command, "--key", key], capture_output=True, text=True)
    assert (ran.returncode, json.loads(ran.stdout)["verified"]) == (0, True), ran.stderr
    stranger = dataclasses.replace(keys[0], public=bytes(32))
    assert "proofs" in failed(checked(raw, keys=[stranger]))


async def test_a_flipped_byte_in_any_member_is_found(house: House) -> None:
    """First, middle and last byte of each member; a member that is gone, or one more."""
    files = unpacked(await taken(house, await completed(house)))
    assert checked(packed(files)).verified
    for name, content in files.items():
        for at in {0, len(content) // 2, len(content) - 1}:
            flipped = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
            assert not checked(packed(files | {name: flipped})).verified, (name, at)
        assert not checked(packed({other: raw for other, raw in files.items() if other != name})).verified, name
    assert failed(checked(packed(files | {"more.txt": b""}))) == ["sums", "manifest"]


def resummed(files: dict[str, bytes]) -> bytes:
    """The archive with manifest and checksums made to fit: what somebody would do who changes it on purpose."""
    kept = {name: raw for name, raw in files.items() if name not in ("manifest.json", "SHA256SUMS")}
    sums = {name: hashlib.sha256(raw).hexdigest() for name, raw in kept.items()}
    told = json.loads(files["manifest.json"])
    told["files"] = {name: {"sha256": value, "size": len(kept[name])} for name, value in sums.items()}
    manifest = json.dumps(told).encode()
    sums["manifest.json"] = hashlib.sha256(manifest).hexdigest()
    listed = "".join(f"{value}  {name}\n" for name, value in sums.items()).encode()
    return packed(kept | {"manifest.json": manifest, "SHA256SUMS": listed})


def swapped(name: str, old: bytes, new: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        assert old in files[name], name
        files[name] = files[name].replace(old, new)

    return change


def _cut(files: dict[str, bytes]) -> None:
    """Without the last move."""
    lines = files["record/events.jsonl"].splitlines(keepends=True)
    files["record/events.jsonl"] = b"".join(lines[:-1])
    del files[f"record/proofs/{len(lines):04d}.txt"]


def _cheaper(files: dict[str, bytes]) -> None:
    """As if it had cost less."""
    for name, inside in (("job.json", ()), ("estimate.json", ("actual",))):
        told = json.loads(files[name])
        part = told
        for one in inside:
            part = part[one]
        part["cost"] -= 1
        files[name] = json.dumps(told).encode()


@pytest.mark.parametrize(
    ("found", "change"),
    [
        ("job", _cheaper),
        ("source", swapped("source.qpy", b"n=2", b"n=3")),
        ("executable", swapped("executable.qpy", b"x:", b"y:")),
        ("result", swapped("result.json", b'"0x3":50', b'"0x3":49')),
        ("options", swapped("options.json", b"100", b"900")),
        ("prepared", swapped("prepared.json", b"0.95", b"0.99")),
        ("calibration", swapped("calibration.json", b"30", b"31")),
        ("decision", swapped("decision.json", b"allow", b"allowed")),
        ("pubs", swapped("pubs.json", b"[]", b"[ ]")),
        ("job", swapped("job.json", b"fake_torino", b"campus_qpu ")),
        ("proofs", swapped("record/events.jsonl", b'"fake_torino"', b'"campus_qpu"')),
        ("record", _cut),
        ("result", lambda files: files.update({"result.json.bak": files["result.json"]})),
    ],
)
async def test_a_change_that_fits_the_checksums_is_found_by_the_record(
    house: House, found: str, change: Callable[[dict[str, bytes]], None]
) -> None:
    """Whoever changes a member and its checksums is told by the entries which one it was."""
    files = unpacked(await taken(house, await completed(house)))
    change(files)
    outcome = checked(resummed(files))
    assert found in failed(outcome), outcome
    assert "sums" not in failed(outcome)


async def test_what_happened_on_the_way_is_in_the_bundle(house: House) -> None:
    """An approval, by a pseudonym; estimate and actual; a replay names its first job. No name but the owner's."""
    waiting = await house.pipeline.submit(ADA, request("campus_qpu"), key=None, wait_s=0)
    await house.pipeline.decide(GRACE, waiting.approval or "", ApprovalDecision(verdict="approve", note="go on"))
    await until(lambda: _ended(house, waiting.id))
    files = unpacked(raw := await taken(house, waiting))
    assert checked(raw).verified
    (approval,) = json.loads(files["approvals.json"])
    assert (approval["state"], approval["note"], approval["decided_by"][:4]) == ("approved", "go on", "ppl_")
    assert not [name for name, content in files.items() if b"grace" in content]
    estimate = json.loads(files["estimate.json"])
    assert estimate["actual"]["cost"] <= estimate["estimate"]["price_at_most"]
    assert b"ada" in files["CITATION.cff"]
    first = await completed(house)
    again = await house.pipeline.replay(ADA, first.id, ReplayRequest(), key=None, wait_s=10)
    assert json.loads(unpacked(await taken(house, again))["job.json"])["replay_of"] == first.id
    tampered = json.dumps([approval | {"role": "owner"}]).encode()
    assert failed(checked(resummed(files | {"approvals.json": tampered}))) == ["approvals"]


async def _ended(house: House, job: str) -> bool:
    return (await house.pipeline.job(ADA, job)).ended is not None


async def test_results_alone_leave_without_circuits(house: House) -> None:
    """Without the class *inputs* nothing of the circuits or parameters is in it, and what is there verifies."""
    raw = await taken(house, await completed(house, data=b"secret angle"), "results")
    outcome = checked(raw)
    assert outcome.verified
    absent = {one.name for one in outcome.checks if one.holds is None}
    assert absent == {"key", "source", "pubs", "options", "prepared", "executable"}
    assert not [name for name, content in unpacked(raw).items() if b"secret angle" in content]


async def test_a_project_that_keeps_its_data_refuses(settings: Any) -> None:
    """No target: the refusal names it. Data of a class that needs a review: not before somebody agreed."""
    async with running(settings, export_targets={"download": ExportTarget(None)}) as house, house.runner():
        job = await completed(house)
        with pytest.raises(Refused, match="may not go to 'download'"):
            await taken(house, job)
    secret = dataclasses.replace(COURSE, export=ExportSpec(frozenset({"download"}), None), data_class="confidential")
    changes = {"export_targets": {"download": ExportTarget(None)}, "projects": {"qcourse": secret}}
    async with running(settings, **changes) as house, house.runner():
        job = await completed(house)
        with pytest.raises(PolicyRefused, match="does not leave"):
            await taken(house, job)


async def test_a_bundle_without_proofs_is_not_handed_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where this process cannot sign, a download waits for the one that leads; it is not used up."""
    job = await completed(house)
    asked = AskExport(job=job.id, classes=["inputs", "results"], target="download")
    exports = house.pipeline.data.exports
    export = await exports.ask(ADA, asked)

    async def nothing() -> None:
        return

    with monkeypatch.context() as now:
        now.setattr(house.pipeline.audit.checkpoints, "make", nothing)
        with pytest.raises(Conflict) as caught:
            await exports.take(ADA, export.id)
    assert caught.value.code == "audit.unsigned"
    assert checked(await exports.take(ADA, export.id)).verified
