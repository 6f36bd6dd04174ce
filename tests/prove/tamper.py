"""The record cannot be edited unseen: random tampers of the audit store and of its export, each of them found.

Half of the cases tamper with a copy of the database (SQLite): a flipped byte of the file or of a field, deleted,
reordered, inserted, cut off events, an old copy put back. Many of them are an attacker's who knows the format: leaves,
numbers and tree are made to fit again, and only what was signed and kept elsewhere gives them away. The other half
tampers with an export. A tenth are controls that change nothing (or only what the database says of deliveries), which
must pass. What is added after the last checkpoint is
no tamper: nothing was stated of it yet. A tamper that by chance changed nothing of the record is drawn again.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from jupyter_quantum.audit_verify import Key
from jupyter_quantum.audit_verify import verify as verify_export
from jupyter_quantum.core.merkle import Frontier, leaf_hash
from jupyter_quantum.pipeline.audit import export_lines
from jupyter_quantum.pipeline.notes import Signer, checkpoint_text
from jupyter_quantum.pipeline.recheck import problems
from jupyter_quantum.store import Store, Tx
from jupyter_quantum.store.reads.audit import LOWEST
from jupyter_quantum.store.rows import CheckpointRow, TreeState
from jupyter_quantum.testing.rows import ADA, queue, run

_BATCHES = 8
_CONTROLS = 10
"""One case in so many changes nothing."""

_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

Lines = list[bytes]
Raw = sqlite3.Connection
Content = list[list[tuple[object, ...]]] | None


@dataclass
class Record:
    """A record that grew, as it is and as it once was."""

    place: Path
    signer: Signer = field(default_factory=lambda: Signer.new("prove.example/record"))
    notes: list[str] = field(default_factory=list)
    old: list[tuple[Path, Lines]] = field(default_factory=list)
    export: Lines = field(default_factory=list)

    @property
    def path(self) -> Path:
        return self.place / "record.sqlite"

    def store(self, path: Path) -> Store:
        return Store(f"sqlite:///{path}", artefacts=(self.place / "artefacts").as_uri())

    def fresh(self, path: Path) -> None:
        """A copy of the record as it is, and nothing of the copy before."""
        for beside in path.parent.glob(f"{path.name}-*"):
            beside.unlink()
        shutil.copyfile(self.place / "newest.sqlite", path)

    async def grow(self) -> None:
        """Jobs and other acts, signed a dozen times; each time a copy of the database and of the export is kept."""
        store = self.store(self.path)
        store.migrate()
        for batch in range(_BATCHES):
            tree = await store.write(lambda tx, batch=batch: _live(tx, batch))
            text = checkpoint_text(self.signer.verifier.name, tree.size, tree.root)
            row = CheckpointRow(tree.size, datetime.now(UTC), text + "\n" + self.signer.line(text))
            await store.write(lambda tx, row=row: tx.add_checkpoint(row, tx.claim_leader("me", 60) or 0))
            self.notes.append(row.note)
            copy = self.place / f"old-{batch}.sqlite"
            with closing(sqlite3.connect(self.path)) as raw, closing(sqlite3.connect(copy)) as kept:
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                raw.backup(kept)
                kept.execute("PRAGMA journal_mode=DELETE")
            lines = b"".join([piece async for piece in export_lines(store, tree.size)]).splitlines(keepends=True)
            self.old.append((copy, lines))
        store.close()
        newest, self.export = self.old.pop()
        shutil.move(newest, self.place / "newest.sqlite")


def _live(tx: Tx, batch: int) -> TreeState:
    job = run(tx, queue(tx, 1000).id)
    tx.add_event("request.refused", actor="unknown", data={"code": "absent", "count": batch})
    tx.add_event("audit.read", actor=ADA, data={"what": "search", "query": {"project": "Größe"}})
    if batch % 2:
        queue(tx, 10)
    del job
    tx.number_events(tx.claim_leader("me", 60) or 0)
    return tx.tree()


# -- the database -----------------------------------------------------------------------------------------------------


_COLUMNS = ("id", "time", "type", "actor", "payload", "leaf", "principal", "project", "job", "seq")
_CONTENT = (
    f"SELECT {', '.join(_COLUMNS)} FROM events ORDER BY seq, id",
    "SELECT * FROM tree ORDER BY name",
    "SELECT * FROM nodes ORDER BY level, place",
    "SELECT size, note FROM checkpoints ORDER BY size",
)
"""What the record is; the ids of its rows, and where a checkpoint was delivered, are bookkeeping."""


def _content(path: Path) -> Content:
    """The record in a file; None where SQLite cannot read it any more."""
    try:
        with closing(sqlite3.connect(path)) as raw:
            raw.text_factory = bytes
            return [raw.execute(query).fetchall() for query in _CONTENT]
    except (sqlite3.Error, UnicodeError):  # its words about a broken schema may be no text
        return None


def _where(content: Content, genuine: Content) -> str:
    """Which tables a tamper changed, to be named where it is not found."""
    if content is None or genuine is None:
        return "unreadable"
    names = ("events", "tree", "nodes", "checkpoints")
    return ", ".join(name for name, one, two in zip(names, content, genuine, strict=True) if one != two)


def _rebuild(raw: Raw) -> None:
    """What an attacker does who knows the format: numbers, leaves, tree fit; checkpoints that cannot fit are gone."""
    rows = raw.execute("SELECT pos, payload FROM events WHERE seq IS NOT NULL ORDER BY seq").fetchall()
    raw.execute("UPDATE events SET seq = NULL")
    edge = Frontier()
    raw.execute("DELETE FROM nodes")
    for number, (pos, payload) in enumerate(rows, 1):
        leaf = leaf_hash(payload.encode() if isinstance(payload, str) else bytes(payload))
        raw.execute("UPDATE events SET seq = ?, leaf = ? WHERE pos = ?", (number, leaf, pos))
        for (level, place), found in edge.append(leaf):
            if level >= LOWEST:
                raw.execute("INSERT INTO nodes (level, place, hash) VALUES (?, ?, ?)", (level, place, found))
    raw.execute("UPDATE tree SET size = ?, edge = ?", (edge.size, edge.raw))
    raw.execute("DELETE FROM checkpoints WHERE size > ?", (edge.size,))


def _event(raw: Raw, chance: random.Random) -> int:
    return int(chance.choice(raw.execute("SELECT pos FROM events").fetchall())[0])


def _flip(value: object, chance: random.Random) -> object:
    """Another value of the same kind, one bit or so away."""
    if value is None:
        return "x"
    if isinstance(value, int):
        return value ^ (1 << chance.randrange(8))
    raw = bytearray(value.encode() if isinstance(value, str) else value)  # type: ignore[arg-type]
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    return bytes(raw) if isinstance(value, bytes) else raw.decode("utf8", "replace")


def _flip_field(raw: Raw, chance: random.Random) -> None:
    pos, column = _event(raw, chance), chance.choice(_COLUMNS)
    (value,) = raw.execute(f"SELECT {column} FROM events WHERE pos = ?", (pos,)).fetchone()
    raw.execute(f"UPDATE events SET {column} = ? WHERE pos = ?", (_flip(value, chance), pos))


def _edit_payload(raw: Raw, chance: random.Random) -> None:
    """Another actor, moment or fact, with the columns and, mostly, the leaf to match."""
    pos = _event(raw, chance)
    whole = json.loads(raw.execute("SELECT payload FROM events WHERE pos = ?", (pos,)).fetchone()[0])
    change: dict[str, object] = chance.choice([{"actor": "service-x"}, {"project": "lab-x"}, {"data": {"code": "x"}}])
    whole |= change
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    values = (text, whole["actor"], whole["project"], pos)
    raw.execute("UPDATE events SET payload = ?, actor = ?, project = ? WHERE pos = ?", values)
    if chance.random() < 0.7:
        raw.execute("UPDATE events SET leaf = ? WHERE pos = ?", (leaf_hash(text.encode()), pos))


def _delete(raw: Raw, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 3)):
        raw.execute("DELETE FROM events WHERE pos = ?", (_event(raw, chance),))


def _reorder(raw: Raw, chance: random.Random) -> None:
    one, two = chance.sample(raw.execute("SELECT pos, seq FROM events WHERE seq IS NOT NULL").fetchall(), 2)
    raw.execute("UPDATE events SET seq = NULL WHERE pos IN (?, ?)", (one[0], two[0]))
    raw.execute("UPDATE events SET seq = ? WHERE pos = ?", (one[1], two[0]))
    raw.execute("UPDATE events SET seq = ? WHERE pos = ?", (two[1], one[0]))


def _truncate(raw: Raw, chance: random.Random) -> None:
    raw.execute("DELETE FROM events WHERE seq > ?", (chance.randrange(raw.execute(_LAST).fetchone()[0]),))


def _insert(raw: Raw, chance: random.Random) -> None:
    """An act that nobody did, in the place of another."""
    names = ", ".join(_COLUMNS[:-1])
    raw.execute(f"INSERT INTO events ({names}) SELECT {names} FROM events WHERE pos = ?", (_event(raw, chance),))
    (pos,) = raw.execute("SELECT max(pos) FROM events").fetchone()
    last = raw.execute(_LAST).fetchone()[0]
    at = chance.randint(1, last)
    for (each,) in raw.execute("SELECT seq FROM events WHERE seq >= ? ORDER BY seq DESC", (at,)).fetchall():
        raw.execute("UPDATE events SET seq = ? WHERE seq = ?", (each + 1, each))
    raw.execute("UPDATE events SET seq = ? WHERE pos = ?", (at, pos))


def _tree(raw: Raw, chance: random.Random) -> None:
    table, column = chance.choice([("tree", "size"), ("tree", "edge"), ("nodes", "hash"), ("nodes", "place")])
    (row, value) = chance.choice(raw.execute(f"SELECT rowid, {column} FROM {table}").fetchall())
    raw.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE rowid = ?", (_flip(value, chance), row))


def _checkpoint(raw: Raw, chance: random.Random) -> None:
    (size, note) = chance.choice(raw.execute("SELECT size, note FROM checkpoints").fetchall())
    if chance.random() < 0.3:
        raw.execute("DELETE FROM checkpoints WHERE size = ?", (size,))
    else:
        raw.execute("UPDATE checkpoints SET note = ? WHERE size = ?", (_flip(note, chance), size))


_LAST = "SELECT coalesce(max(seq), 0) FROM events"
_EDITS: dict[str, tuple[Callable[[Raw, random.Random], None], bool]] = {
    "field": (_flip_field, False),
    "payload": (_edit_payload, True),
    "delete": (_delete, True),
    "reorder": (_reorder, True),
    "truncate": (_truncate, True),
    "insert": (_insert, True),
    "tree": (_tree, False),
    "checkpoint": (_checkpoint, False),
}
"""Kind → edit, and whether an attacker would make the tree fit afterwards (then half of them do)."""


def _edit(record: Record, path: Path, chance: random.Random) -> str:
    kind = chance.choice(list(_EDITS))
    edit, rebuilt = _EDITS[kind]
    fits = rebuilt and chance.random() < 0.5
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("BEGIN")
        try:
            edit(raw, chance)
            if fits:
                _rebuild(raw)
        except sqlite3.IntegrityError:  # the number of another: drawn again
            raw.execute("ROLLBACK")
            return kind
        raw.execute("COMMIT")
    return f"{kind}, tree made to fit" if fits else kind


def _byte(record: Record, path: Path, chance: random.Random) -> str:
    raw = bytearray(path.read_bytes())
    at = chance.randrange(len(raw))
    raw[at] ^= 1 << chance.randrange(8)
    path.write_bytes(raw)
    return f"byte {at}"


def _restore(record: Record, path: Path, chance: random.Random) -> str:
    copy, _ = chance.choice(record.old)
    shutil.copyfile(copy, path)
    return "old copy"


def _store_case(
    record: Record, chance: random.Random, genuine: list[list[tuple[object, ...]]] | None
) -> tuple[str, bool]:
    """What was done to a copy, and whether it was found."""
    path = record.place / "case.sqlite"
    while True:
        record.fresh(path)
        tamper = chance.choices([_edit, _byte, _restore], [8, 3, 1])[0]
        what = tamper(record, path, chance)
        content = _content(path)
        if content != genuine:
            return f"{what} ({_where(content, genuine)})", bool(_problems(record, path))


def _problems(record: Record, path: Path) -> list[str]:
    store = record.store(path)
    try:
        with store.reading() as view:
            return list(problems(view, [record.signer.verifier], record.notes))
    except Exception as error:  # a database that cannot be read any more is found, too
        return [repr(error)]
    finally:
        store.close()


# -- the export -------------------------------------------------------------------------------------------------------


def _flip_byte(record: Record, lines: Lines, chance: random.Random) -> Lines:
    raw = bytearray(b"".join(lines))
    raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
    return bytes(raw).splitlines(keepends=True) if b"\r" not in raw else _split(bytes(raw))


def _split(raw: bytes) -> Lines:
    """As a file is read: lines end with a newline and nothing else."""
    parts = raw.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


def _drop(record: Record, lines: Lines, chance: random.Random) -> Lines:
    gone = set(chance.sample(range(len(lines)), chance.randint(1, 3)))
    return [line for at, line in enumerate(lines) if at not in gone]


def _swap(record: Record, lines: Lines, chance: random.Random) -> Lines:
    one, two = chance.sample(range(len(lines)), 2)
    found = list(lines)
    found[one], found[two] = found[two], found[one]
    return found


def _cut(record: Record, lines: Lines, chance: random.Random) -> Lines:
    raw = b"".join(lines)
    return _split(raw[: chance.randrange(len(raw))]) if chance.random() < 0.5 else lines[: chance.randrange(len(lines))]


def _repeat(record: Record, lines: Lines, chance: random.Random) -> Lines:
    found = list(lines)
    found.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
    return found


def _roll_back(record: Record, lines: Lines, chance: random.Random) -> Lines:
    return chance.choice(record.old)[1]


def _refit(record: Record, lines: Lines, chance: random.Random) -> Lines:
    """Leaves edited, left out or swapped; hashes, numbers and counts made to fit; checkpoints kept, or left out."""
    entries = [json.loads(line) for line in lines]
    leaves = [entry for entry in entries if "leaf" in entry]
    at = chance.randrange(len(leaves))
    if (how := chance.randrange(3)) == 0:
        leaves[at]["payload"] = str(_flip(leaves[at]["payload"], chance))
    elif how == 1:
        del leaves[at]
    else:
        other = chance.randrange(len(leaves))
        leaves[at], leaves[other] = leaves[other], leaves[at]
    notes = {int(e["checkpoint"].split("\n")[1]): e for e in entries if "checkpoint" in e}
    if chance.random() < 0.3:
        notes = {}
    found, kept = [], 0
    for number, leaf in enumerate(leaves, 1):
        found.append({"leaf": number, "payload": leaf["payload"], "hash": leaf_hash(leaf["payload"].encode()).hex()})
        if number in notes:
            found.append(notes[number])
            kept += 1
    found.append({"end": {"leaves": len(leaves), "checkpoints": kept}})
    return [json.dumps(e, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for e in found]


def _forge(record: Record, lines: Lines, chance: random.Random) -> Lines:
    """A checkpoint signed with another key of the same name."""
    other = Signer.new(record.signer.verifier.name)
    found = list(lines)
    at = chance.choice([at for at, line in enumerate(lines) if b'"checkpoint"' in line])
    text = json.loads(lines[at])["checkpoint"].partition("\n\n")[0] + "\n"
    said = {"checkpoint": text + "\n" + other.line(text)}
    found[at] = json.dumps(said, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    return found


_TAMPERS = (_flip_byte, _drop, _swap, _cut, _repeat, _roll_back, _refit, _forge)


def _export_case(record: Record, chance: random.Random, key: Key) -> tuple[str, bool]:
    while True:
        tamper = chance.choice(_TAMPERS)
        lines = tamper(record, record.export, chance)
        if lines != record.export:
            return f"export: {tamper.__name__[1:]}", not verify_export(lines, [key], record.notes).verified


# -- the proof --------------------------------------------------------------------------------------------------------


def _control(record: Record, number: int, key: Key) -> list[str]:
    """Nothing is flagged where nothing was done, or only a delivery was noted."""
    if number % 2:
        findings = verify_export(record.export, [key], record.notes).findings
        return [f"case {number}: untampered export flagged: {found.words}" for found in findings]
    path = record.place / "case.sqlite"
    record.fresh(path)
    with closing(sqlite3.connect(path)) as raw, raw:
        raw.execute("UPDATE checkpoints SET copied = 1, witnessed = 2")
    return [f"case {number}: untampered store flagged: {found}" for found in _problems(record, path)]


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """Each case is one tamper of a fresh copy; the record is made once."""
    chance = random.Random(seed)
    violations: list[str] = []
    with tempfile.TemporaryDirectory(prefix="jq-tamper-", dir=_MEMORY) as place:
        record = Record(Path(place))
        asyncio.run(record.grow())
        genuine = _content(record.place / "newest.sqlite")
        key = Key.read(record.signer.verifier.text)
        for number in range(cases):
            if number % _CONTROLS == 0:
                violations += _control(record, number // _CONTROLS, key)
                continue
            what, found = _store_case(record, chance, genuine) if number % 2 else _export_case(record, chance, key)
            if not found:
                violations.append(f"case {number}: not found: {what}")
    return cases, violations
