"""Whatever a reviewer reads in a bundle is proven by the record, or is listed as stated and not proven."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from jupyter_quantum.bundle_verify.run import BOUND
from jupyter_quantum.store.stating import facts_digest
from jupyter_quantum.wire.base import canonical, digest_of
from jupyter_quantum.wire.jobs import ApprovalDecision, JobView, Origin, ReplayRequest
from tests.integration.pipeline.conftest import ADA, GRACE, House, request, until
from tests.integration.pipeline.test_pipeline_bundle import checked, completed, failed, resummed, taken, unpacked
from tests.integration.pipeline.test_pipeline_bundle import house as house

STATED = {"job.json: owner", "manifest.json: export", "manifest.json: made", "README.txt"}
OWN_KEY = {"record/keys.txt: whose key it is"}


async def approved(house: House, verdict: Any = "approve") -> JobView:
    asked = await house.pipeline.submit(ADA, request("campus_qpu", name="thesis"), key=None, wait_s=0)

    async def asking() -> str | None:
        return (await house.pipeline.job(ADA, asked.id)).approval

    approval = await until(asking)
    answer = ApprovalDecision(verdict=verdict, note="go on" if verdict == "approve" else "use the emulator")
    await house.pipeline.decide(GRACE, approval, answer)
    return await ended(house, asked)


async def ended(house: House, job: JobView) -> JobView:
    async def there() -> JobView | None:
        now = await house.pipeline.job(ADA, job.id)
        return now if now.ended is not None else None

    found: JobView = await until(there)
    return found


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each value in a JSON document that holds no other, and of each list and object."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inside in items:
        yield from leaves(inside, (*path, name))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    """The document with another value there."""
    copy = json.loads(json.dumps(document))
    inside = copy
    for name in path[:-1]:
        inside = inside[name]
    inside[path[-1]] = value
    return copy


def others(value: Any) -> list[Any]:
    """Values that say something else."""
    if isinstance(value, bool) or value is None:
        return [not value, "so"]
    if isinstance(value, int | float):
        return [value + 1, None]
    if isinstance(value, str):
        return [f"{value[:-1]}{'1' if value[-1:] != '1' else '2'}", None] if not value.endswith("Z") else [None]
    return [[1], {"more": 1}]


def is_listed(stated: list[str], member: str, path: tuple[Any, ...]) -> bool:
    named = {member, f"{member}: {path[0]}"} | ({f"{member}: the words of its error"} if path[0] == "error" else set())
    return bool(named & set(stated))


def unproven(files: dict[str, bytes]) -> tuple[list[str], int]:
    """Fields of JSON members that can be changed, with fitting checksums, and are neither found nor listed."""
    open_, tried = [], 0
    for member, raw in files.items():
        if not member.endswith(".json"):
            continue
        document = json.loads(raw)
        for path in leaves(document):
            if (member, path[0]) == ("manifest.json", "files"):
                continue  # ``resummed`` writes them anew; a flipped byte of theirs is found elsewhere
            inside = document
            for name in path:
                inside = inside[name]
            for other in others(inside):
                if other == inside and type(other) is type(inside):
                    continue
                tried += 1
                now = files | {member: json.dumps(changed(document, path, other), indent=1).encode()}
                outcome = checked(resummed(now))
                if outcome.verified and not is_listed(outcome.stated, member, path):
                    open_.append(f"{member} {path} -> {other!r}")
    return open_, tried


async def test_a_run_that_was_approved_states_no_more_than_it_lists(house: House) -> None:
    """Each field of each JSON member, changed to something else, is found or is one of those that are listed."""
    files = unpacked(await taken(house, await approved(house)))
    outcome = checked(resummed(files))
    assert outcome.verified
    assert set(outcome.stated) == STATED | OWN_KEY
    found, tried = unproven(files)
    assert (found, tried > 150) == ([], True)


async def test_results_alone_are_as_well_bound(house: House) -> None:
    """Without circuits and what validation found, the estimate is bound by the record itself."""
    files = unpacked(await taken(house, await completed(house, name="bell"), "results"))
    assert "prepared.json" not in files
    found, tried = unproven(files)
    assert (found, tried > 80) == ([], True)


async def test_a_rejected_run_too(house: House) -> None:
    """Its error's code is proven, its words (which may name a person) are listed."""
    job = await approved(house, "reject")
    files = unpacked(await taken(house, job, "inputs"))
    outcome = checked(resummed(files))
    assert (outcome.verified, "job.json: the words of its error" in outcome.stated) == (True, True)
    told = json.loads(files["job.json"])
    told["error"]["code"] = "job.device"
    assert failed(checked(resummed(files | {"job.json": json.dumps(told).encode()}))) == ["job"]
    assert unproven(files)[0] == []


async def test_seconds_and_every_line_of_the_other_members_are_found(house: House) -> None:
    """What passed before: the time on the device, the vendor's, names; a line of citation, keys or proofs."""
    files = unpacked(await taken(house, await completed(house, name="bell")))
    for field, value in (("seconds", 9.5), ("vendor_seconds", 1.0), ("name", "ghz"), ("shots", 7), ("attempts", 2)):
        job, estimate = json.loads(files["job.json"]), json.loads(files["estimate.json"])
        job[field] = value
        estimate["actual"]["seconds"] = job["seconds"]
        now = {"job.json": json.dumps(job).encode(), "estimate.json": json.dumps(estimate).encode()}
        assert "job" in failed(checked(resummed(files | now))), field
    for member in ("CITATION.cff", "record/keys.txt", "record/events.jsonl", "record/proofs/0001.txt"):
        lines = files[member].decode().splitlines(keepends=True)
        for at, line in enumerate(lines):
            if not line.strip():
                continue
            flipped = chr(ord(line[len(line) // 2]) ^ 1)
            other = line[: len(line) // 2] + flipped + line[len(line) // 2 + 1 :]
            raw = "".join([*lines[:at], other, *lines[at + 1 :]]).encode()
            assert not checked(resummed(files | {member: raw})).verified, (member, line)


async def test_an_approval_that_is_left_out_is_found(house: House) -> None:
    """Nor can who decided be taken away."""
    files = unpacked(await taken(house, await approved(house)))
    assert failed(checked(resummed(files | {"approvals.json": b"[]"}))) == ["approvals"]
    (approval,) = json.loads(files["approvals.json"])
    nobody = json.dumps([approval | {"decided_by": None}]).encode()
    assert failed(checked(resummed(files | {"approvals.json": nobody}))) == ["approvals"]


async def test_a_member_that_has_two_meanings_is_refused(house: House) -> None:
    """A name twice in an object: one reader takes the first, another the last."""
    files = unpacked(await taken(house, await completed(house)))
    twice = files["job.json"].replace(b'"cost"', b'"cost": 0, "cost"')
    assert "job" in failed(checked(resummed(files | {"job.json": twice})))
    renamed = {name.replace("source.qpy", "source.qasm3"): raw for name, raw in files.items()}
    assert failed(checked(resummed(renamed))) == ["source"]


async def test_what_an_older_record_does_not_bind_is_listed(house: House) -> None:
    """Entries without the digest prove what they say; every other field of the job is listed."""
    from jupyter_quantum.bundle_verify.parts import Bundle
    from jupyter_quantum.bundle_verify.run import check_job

    files = unpacked(await taken(house, await completed(house)))
    bundle = Bundle(files, [])
    for line in files["record/events.jsonl"].splitlines():
        event = json.loads(line)
        event["data"].pop("facts", None)
        bundle.events.append(event)
    check_job(bundle)
    assert {"job.json: seconds", "job.json: owner", "job.json: name"} <= set(bundle.unproven)
    assert "job.json: cost" not in bundle.unproven


async def test_forgetting_somebody_leaves_bundles_valid(house: House) -> None:
    """Who rejected is forgotten, by its error too; the record's digest still holds, as it names nobody."""
    job = await approved(house, "reject")
    await house.store.write(lambda tx: tx.forget(GRACE.id))
    files = unpacked(await taken(house, job, "inputs"))
    assert "someone who was forgotten" in json.loads(files["job.json"])["error"]["message"]
    assert checked(resummed(files)).verified


async def test_service_and_verifier_mean_the_same_fields(house: House) -> None:
    """The verifier stands alone, so the list is there twice; both are the fields of a job but for names and words."""
    view = set(JobView.model_fields) - {"owner", "error", "wait", "result", "decision", "options"}
    assert view == BOUND
    row = await house.store.read(lambda view: view.job(job.id)) if (job := await completed(house)) else None
    assert row is not None
    told = job.model_dump(mode="json", include=BOUND) | {"error": None}
    for name in ("created", "changed", "submitted", "started", "ended", "cancel_asked"):
        when = getattr(job, name)
        told[name] = None if when is None else when.isoformat()
    assert facts_digest(row) == digest_of(canonical(told))
    assert facts_digest(dataclasses.replace(row, seconds=1)) == facts_digest(dataclasses.replace(row, seconds=1.0))


async def test_the_cell_is_kept_shown_and_bound(house: House) -> None:
    """It comes with the job, its replay has its own, a repeat from another cell is the same request; no other word."""
    sent = request("fake_torino", 100, origin={"notebook": "bell.ipynb", "cell": "a-1"})
    job = await house.pipeline.submit(ADA, sent, key="once", wait_s=10)
    assert job.origin == Origin(notebook="bell.ipynb", cell="a-1")
    moved = sent.model_copy(update={"origin": Origin(cell="b-2")})
    assert (await house.pipeline.submit(ADA, moved, key="once", wait_s=10)).id == job.id
    assert (await house.pipeline.provenance(ADA, job.id)).job.origin == job.origin
    again = await house.pipeline.replay(ADA, job.id, ReplayRequest(origin=Origin(cell="c-3")), key=None, wait_s=10)
    assert again.origin == Origin(cell="c-3")
    files = unpacked(await taken(house, job))
    told = json.loads(files["job.json"])
    assert told["origin"] == {"notebook": "bell.ipynb", "cell": "a-1"}
    told["origin"]["cell"] = "a-2"
    assert "job" in failed(checked(resummed(files | {"job.json": json.dumps(told).encode()})))
    assert b"bell.ipynb" not in files["record/events.jsonl"]
