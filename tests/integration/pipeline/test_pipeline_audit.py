"""The record of a running service: signed, copied, witnessed, searched, exported, verified; and who was forgotten."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from jupyter_quantum.audit_verify import Key
from jupyter_quantum.audit_verify import verify as verify_export
from jupyter_quantum.core.merkle import consistent, included, leaf_hash
from jupyter_quantum.core.tenancy import Principal, Scope
from jupyter_quantum.exceptions import Conflict, NotFound, PolicyRefused, QuantumError, Refused, Unavailable
from jupyter_quantum.pipeline import Settings
from jupyter_quantum.pipeline.audit import Asked
from jupyter_quantum.pipeline.named import FORGOTTEN
from jupyter_quantum.pipeline.notes import Signer, checkpoint_text, read_checkpoint
from jupyter_quantum.pipeline.refusals import UNKNOWN, Refusal
from jupyter_quantum.pipeline.settings import AuditSettings
from jupyter_quantum.store import verify
from jupyter_quantum.testing.runner import MemoryRunner
from jupyter_quantum.wire.jobs import ApprovalDecision

from .conftest import ADA, BEN, GRACE, House, person, request, running, until

VERA = replace(person("vera", "quantum-auditors"), scopes=frozenset({Scope.AUDIT.value}))
ROOT = replace(person("root", "quantum-admins"), scopes=frozenset({Scope.AUDIT.value, Scope.ADMIN.value}))
QUICK = AuditSettings(every_s=0.05, window_s=0.2)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Checkpoints and windows in fractions of a second."""
    return replace(settings, audit=QUICK)


async def a_job(house: House, who: Principal = ADA) -> str:
    """A job on the simulator, to its end."""
    return (await house.pipeline.submit(who, request(), key=None, wait_s=10)).id


async def act(house: House) -> None:
    """Something that is recorded."""
    await house.store.write(lambda tx: tx.add_event("test.event", actor="service"))
    house.pipeline._live.committed()


async def numbered(house: House) -> None:
    """Wait until every event has its number."""
    events = "SELECT count(*) FROM events WHERE seq IS NULL"

    def left() -> bool:
        with closing(sqlite3.connect(house.store.path)) as raw:
            return raw.execute(events).fetchone()[0] == 0

    await until(left)


async def whole(house: House, who: Principal = VERA) -> list[bytes]:
    """An export, as lines."""
    raw = b"".join([piece async for piece in await house.pipeline.audit.export(who)])
    return raw.splitlines(keepends=True)


async def keys(house: House) -> list[Key]:
    return [Key.read(text) for text in (await house.pipeline.audit.key(VERA)).keys]


def copies(house: House) -> list[str]:
    return [path.read_text() for path in sorted((house.settings.data_dir / "checkpoints").glob("*.checkpoint"))]


async def test_an_export_verifies_with_nothing_else(house: House, runner: MemoryRunner) -> None:
    """Export, key and the checkpoints of the second place; the names of people are in none of them."""
    await a_job(house)
    await until(lambda: copies(house))
    await a_job(house, BEN)
    lines = await whole(house)
    outcome = verify_export(lines, await keys(house), copies(house))
    assert outcome.findings == []
    assert outcome.leaves == outcome.signed > 10
    assert not any(who.id.encode() in b"".join(lines) for who in (ADA, BEN, VERA))
    assert not any(f'"{who.name}"'.encode() in b"".join(lines) for who in (ADA, BEN, VERA))
    assert await house.store.read(verify) == []


async def test_search_finds_acts_and_is_one(house: House, runner: MemoryRunner) -> None:
    """By person, job, device, decision; each search is an entry with its query; names only where they are known."""
    job = await a_job(house)
    await a_job(house, BEN)
    await numbered(house)
    audit = house.pipeline.audit

    async def search(**asked: Any) -> Any:
        return await audit.search(VERA, Asked(**asked), before=None, limit=100)

    of_job = await search(job=job)
    assert {event.job for event in of_job.events} == {job}
    assert set(of_job.people.values()) == {"ada"}
    by_ada = await search(who="ada", project="qcourse")
    assert {event.job for event in by_ada.events} == {job}
    assert (await search(who=ADA.id)).events == (await search(who=await house.store.pseudonym(ADA.id))).events
    assert (await search(who="nobody")).events == []
    allowed = await search(effect="allow", device="aer", type="job.*")
    assert {event.job for event in allowed.events} >= {job}
    policy = allowed.events[0].data["decision"]["policies"][0]
    assert (await search(policy=policy)).events
    await numbered(house)
    read = await search(type="audit.read", who="vera")
    assert [event.data["query"] for event in read.events if event.data["query"].get("job")] == [{"job": job}]
    assert all("ada" not in str(event.data) for event in read.events)


async def test_pages_go_on_where_they_ended(house: House, runner: MemoryRunner) -> None:
    """Every entry once, newest first."""
    await a_job(house)
    await numbered(house)
    last = await house.store.read(lambda view: view.last_seq())
    seen: list[int] = []
    before: int | None = last + 1
    while before is not None:
        page = await house.pipeline.audit.search(VERA, Asked(), before=before, limit=3)
        seen += [event.seq for event in page.events]
        before = page.next
    assert seen == list(range(last, 0, -1))


@pytest.mark.parametrize(
    "who",
    [
        ADA,
        GRACE,
        replace(VERA, groups=frozenset()),
        replace(VERA, scopes=frozenset()),
        replace(ADA, scopes=frozenset({Scope.AUDIT.value})),
    ],
)
async def test_only_auditors_read(house: House, who: Principal) -> None:
    """The scope alone or the group alone does not do."""
    audit = house.pipeline.audit
    calls: list[Callable[[], Awaitable[Any]]] = [
        lambda: audit.search(who, Asked(), before=None, limit=1),
        lambda: audit.export(who),
        lambda: audit.checkpoint(who),
        lambda: audit.inclusion(who, "1"),
        lambda: audit.consistency(who, 1, 1),
        lambda: audit.key(who),
        lambda: audit.check(who),
        lambda: audit.rotate(who),
        lambda: house.pipeline.forgetting.forget(who, "ada"),
    ]
    for call in calls:
        with pytest.raises(Refused):
            await call()


async def test_proofs_lead_to_signed_roots(house: House, runner: MemoryRunner) -> None:
    """Of an entry by its number and by its id; between two checkpoints."""
    await a_job(house)
    await until(lambda: copies(house))
    first = read_checkpoint(copies(house)[-1])
    await a_job(house)
    await until(lambda: len(copies(house)) > 1)
    audit = house.pipeline.audit
    newest = read_checkpoint((await audit.checkpoint(VERA)).note)
    row = await house.store.read(lambda view: view.numbered(2))
    for event in ("2", row.id):
        proof = await audit.inclusion(VERA, event)
        hashes = [bytes.fromhex(each) for each in proof.hashes]
        signed = read_checkpoint(proof.proof.partition("\n\n")[2])
        assert included(leaf_hash(proof.payload.encode()), 1, proof.size, hashes) == signed.root
        assert proof.proof.startswith("c2sp.org/tlog-proof@v1\nindex 1\n")
    grown = await audit.consistency(VERA, first.size, newest.size)
    hashes = [bytes.fromhex(each) for each in grown.hashes]
    assert consistent(first.size, newest.size, first.root, newest.root, hashes)
    with pytest.raises(NotFound):
        await audit.inclusion(VERA, "evt_none")


async def test_provenance_proves_its_events(house: House, runner: MemoryRunner) -> None:
    """Each event of a job comes with its text and, once signed, with the proof that it is in the record."""
    job = await a_job(house)

    async def proven() -> Any:
        found = await house.pipeline.provenance(ADA, job)
        return found if all(event["proof"] for event in found.events) else None

    found = await until(proven)
    assert found.events[0]["actor"] == "ada"
    for event in found.events:
        assert leaf_hash(event["payload"].encode()).hex() == event["hash"]
        assert f"\nindex {event['seq'] - 1}\n" in event["proof"]


# -- checkpoints ------------------------------------------------------------------------------------------------------


async def test_stopping_signs_everything(settings: Settings) -> None:
    """The last checkpoint covers the last event, although its time had not come."""
    async with running(settings, audit=AuditSettings()) as house:
        await act(house)
        assert copies(house) == []
    house.store.close()
    (note,) = copies(house)
    with closing(sqlite3.connect(house.store.path)) as raw:
        assert raw.execute("SELECT max(seq), count(*) FROM events").fetchone() == (read_checkpoint(note).size,) * 2


def _back_up(house: House) -> Path:
    copy = house.settings.data_dir / "backup.sqlite"
    with closing(sqlite3.connect(house.store.path)) as raw, closing(sqlite3.connect(copy)) as kept:
        raw.backup(kept)
    return copy


async def test_a_rolled_back_database_does_not_start(settings: Settings) -> None:
    """The second place has seen more; the service says so, and starts again once the database is what it was."""
    house = House(settings)
    await house.open()
    await act(house)
    await until(lambda: copies(house))
    old = _back_up(house)
    await act(house)
    await house.close()
    planted = house.settings.data_dir / "checkpoints" / f"{10**6:020d}.checkpoint"
    other = Signer.new(read_checkpoint(copies(house)[0]).origin)
    text = checkpoint_text(other.verifier.name, 10**6, bytes(32))
    planted.write_text(text + "\n" + other.line(text))  # not signed by the key: it says nothing
    newest = house.store.path.with_suffix(".newest")
    shutil.copy(house.store.path, newest)
    for source, works in ((old, False), (newest, True)):
        for path in house.store.path.parent.glob("quantum.sqlite-*"):
            path.unlink()
        shutil.copy(source, house.store.path)
        if works:
            await house.open()
        else:
            with pytest.raises(Unavailable) as caught:
                await house.open()
            assert caught.value.code == "audit.rolled_back"
        await house.close()


async def test_an_edited_tree_is_not_signed(house: House) -> None:
    """Where the tree is not how the last checkpoint went on, nothing is signed, and the health says so."""
    await act(house)
    await until(lambda: copies(house))
    with closing(sqlite3.connect(house.store.path, isolation_level=None)) as raw:
        raw.execute("UPDATE events SET leaf = zeroblob(32) WHERE seq = 1")
    house.pipeline._live.committed()
    await act(house)
    await until(lambda: "signing" in house.pipeline.audit.checkpoints.trouble)
    assert house.pipeline.audit.state.startswith("ready; signing: ")
    assert (await house.pipeline.audit.check(VERA)).problems
    assert len(copies(house)) == 1


async def test_a_second_place_that_is_away_catches_up(settings: Settings, tmp_path: Path) -> None:
    """Jobs go on, the health says what is wrong, and what was signed meanwhile is written when it is back."""
    place = tmp_path / "elsewhere"
    async with running(settings, audit=replace(QUICK, copies=(place / "x").as_uri())) as house:
        place.write_text("not a directory")
        async with house.runner():
            await a_job(house)
        checkpoints = house.pipeline.audit.checkpoints
        await until(lambda: "copies" in checkpoints.trouble)
        place.unlink()
        await until(lambda: "copies" not in checkpoints.trouble and list((place / "x").glob("*.checkpoint")), 15)
        assert house.pipeline.audit.state == "ready"


async def test_a_rotation_is_recorded_and_verifies(house: House) -> None:
    """Old and new key verify the whole; the act is an entry; the origin stays."""
    await act(house)
    await until(lambda: copies(house))
    before = await keys(house)
    turned = await house.pipeline.audit.rotate(ROOT)
    lines = await whole(house)
    after = await keys(house)
    assert (await house.pipeline.audit.check(VERA)).problems == []
    assert [key.name for key in after] == [before[0].name] * 2
    assert before[0] in after
    assert verify_export(lines, after).verified
    assert not verify_export(lines, before).verified
    found = await house.pipeline.audit.search(VERA, Asked(type="audit.key_rotated"), before=None, limit=1)
    assert [turned.keys[0], turned.keys[1]] == [found.events[0].data["new"], found.events[0].data["old"]]


class _WitnessHandler(RequestHandler):
    """A witness of one log, as c2sp.org/tlog-witness describes it."""

    def post(self) -> None:
        state: dict[str, Any] = self.application.settings["state"]
        if state["away"]:
            self.set_status(503)
            return
        head, _, note = self.request.body.decode().partition("\n\n")
        old, *proof = head.split("\n")
        size, root = state["seen"]
        if old != f"old {size}":
            self.set_status(409)
            self.finish(f"{size}\n")
            return
        checkpoint = read_checkpoint(note)
        import base64

        hashes = [base64.b64decode(each) for each in proof]
        if size and not consistent(size, checkpoint.size, root, checkpoint.root, hashes):
            self.set_status(422)
            return
        state["seen"] = (checkpoint.size, checkpoint.root)
        state["count"] += 1
        self.finish("nonsense\n" + state["signer"].line(checkpoint.text))


@asynccontextmanager
async def witness() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Its address and state."""
    state: dict[str, Any] = {"away": False, "seen": (0, b""), "count": 0, "signer": Signer.new("witness.example/w1")}
    server = HTTPServer(Application([("/add-checkpoint", _WitnessHandler)], state=state))
    socket, port = bind_unused_port()
    server.add_socket(socket)
    yield f"http://127.0.0.1:{port}/add-checkpoint", state
    server.stop()
    await server.close_all_connections()


async def test_a_witness_cosigns(settings: Settings) -> None:
    """It gets proofs of consistency, its signature is kept, one that is away is asked again, a larger one alarms."""
    async with witness() as (url, state), running(settings, audit=replace(QUICK, witness=url)) as house:
        audit = house.pipeline.audit

        for count in (1, 2, 3):
            await act(house)
            await until(lambda count=count: state["count"] >= count)
        note = await until(lambda: _cosigned(house))
        assert state["signer"].verifier.verifies(read_checkpoint(note))
        assert "nonsense" not in note
        state["away"] = True
        await act(house)
        await until(lambda: "witness" in audit.checkpoints.trouble)
        state["away"] = False
        await until(lambda: "witness" not in audit.checkpoints.trouble, 15)
        state["seen"] = (10_000, bytes(32))
        await act(house)
        await until(lambda: "10000" in audit.checkpoints.trouble.get("witness", ""), 15)


async def _cosigned(house: House) -> str | None:
    found = await house.pipeline.audit.checkpoint(VERA)
    return found.note if found.witnessed is not None else None


# -- refusals ---------------------------------------------------------------------------------------------------------


async def test_refusals_are_entries_and_floods_are_counts(house: House) -> None:
    """The first is there at once, a thousand alike are one more entry, and unlike ones are not without end."""
    refusals = house.pipeline.audit.refusals
    refused = Refusal("request.refused", ADA.id, "GET api/v1/jobs/{id}", 404, "absent", "private")
    for _ in range(1000):
        refusals.note(refused)
    failed = Refusal("auth.failed", UNKNOWN, "GET api/v1/me", 401, "auth.missing", "public")
    refusals.note(failed)

    async def entries(type_: str, count: int) -> Any:
        page = await house.pipeline.audit.search(VERA, Asked(type=type_), before=None, limit=1000)
        return page.events if len(page.events) >= count else None

    later, first = await until(lambda: entries("request.refused", 2))
    assert (first.data["count"], later.data["count"]) == (1, 999)
    assert first.actor == await house.store.pseudonym(ADA.id)
    (one,) = await until(lambda: entries("auth.failed", 1))
    assert (one.actor, one.data["code"], one.data["address"]) == ("unknown", "auth.missing", "public")
    for at in range(2_000):
        refusals.note(replace(refused, route=f"GET {at}"))
    await house.pipeline.audit.close()
    count = await house.store.read(lambda view: view.last_seq())
    assert count < 700


# -- forgetting -------------------------------------------------------------------------------------------------------


async def test_a_forgotten_person_is_a_pseudonym(house: House, runner: MemoryRunner) -> None:
    """Nothing in the database says who it was; the record verifies; a new act is somebody else's."""
    job = await a_job(house)
    await a_job(house, BEN)
    named = await house.store.pseudonym(ADA.id)
    done = await house.pipeline.forgetting.forget(ROOT, "ada")
    assert (done.pseudonym, done.changed > 0) == (named, True)
    await numbered(house)
    with closing(sqlite3.connect(house.store.path)) as raw:
        text = "\n".join(raw.iterdump())
    assert ADA.id not in text
    assert "'ada'" not in text
    assert BEN.id in text
    lines = await whole(house)
    assert verify_export(lines, await keys(house), copies(house)).verified
    assert await house.store.read(verify) == []
    row = await house.store.read(lambda view: view.job(job))
    assert (row.principal, row.owner) == (named, named)
    found = await house.pipeline.provenance(replace(GRACE, interactive=True), job)
    assert {event["actor"] for event in found.events} >= {FORGOTTEN}
    with pytest.raises(NotFound):
        await house.pipeline.forgetting.forget(ROOT, "ada")
    await a_job(house)
    assert await house.store.pseudonym(ADA.id) != named


async def test_who_is_busy_is_not_forgotten(house: House, runner: MemoryRunner) -> None:
    """An open request keeps its owner; afterwards the words of who rejected it are without the name."""
    asked = await house.pipeline.submit(ADA, request("campus_qpu", 1000, reason="thesis"), key=None, wait_s=5)
    with pytest.raises(Conflict) as caught:
        await house.pipeline.forgetting.forget(ROOT, "ada")
    assert caught.value.code == "person.busy"
    (open_,) = (await house.pipeline.approvals(GRACE)).approvals
    await house.pipeline.decide(GRACE, open_.id, ApprovalDecision(verdict="reject", note="Later."))
    await house.pipeline.forgetting.forget(ROOT, "grace")
    row = await house.store.read(lambda view: view.job(asked.id))
    assert "grace" not in (row.error or "")
    assert FORGOTTEN in (row.error or "")
    await house.pipeline.forgetting.forget(ROOT, "ada")


async def test_a_name_that_was_used_again_must_be_told_apart(house: House) -> None:
    """Two people of one name: which one is said by when they came."""
    later = Principal("ada", "2026-06-01T00:00:00Z")
    for who in (ADA, later):
        await house.store.pseudonym(who.id)
    with pytest.raises(Conflict) as caught:
        await house.pipeline.forgetting.forget(ROOT, "ada")
    assert caught.value.code == "person.several"
    await house.pipeline.forgetting.forget(ROOT, later.id)
    assert await house.store.read(lambda view: view.pseudonym(later.id)) is None
    assert await house.store.read(lambda view: view.pseudonym(ADA.id)) is not None


async def test_refused_jobs_carry_the_decision(house: House, runner: MemoryRunner) -> None:
    """The record says what policy answered and which policies decided."""
    with pytest.raises((PolicyRefused, QuantumError)):
        await house.pipeline.submit(ADA, request("fake_torino", 90_000), key=None, wait_s=5)
    await numbered(house)
    found = await house.pipeline.audit.search(VERA, Asked(effect="refuse"), before=None, limit=5)
    assert found.events[0].data["decision"]["policies"]
    await asyncio.sleep(0)


async def test_an_export_gets_every_entry_in_order(house: House) -> None:
    """Those before it began too; after an error the same ones again; it goes on where it was."""
    taken: list[int] = []
    fails = [OSError("full")]

    def take(rows: Any) -> None:
        if fails:
            raise fails.pop()
        taken.extend(row.seq for row in rows)

    for _ in range(3):
        await act(house)
    house.pipeline.audit.follow("test", take)
    await until(lambda: len(taken) >= 3)
    await act(house)
    await until(lambda: len(taken) >= 4)
    assert taken == list(range(1, len(taken) + 1))
    assert await house.store.read(lambda view: view.cursor("test")) in (taken[-1], taken[-1] - 1)
