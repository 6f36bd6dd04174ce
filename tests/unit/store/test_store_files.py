"""Tables as migrated, files as written, and what is left after a crash."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from jupyter_quantum.exceptions import NotFound
from jupyter_quantum.store import Store, verify
from jupyter_quantum.store.artefacts import Files
from jupyter_quantum.store.tables import metadata
from jupyter_quantum.testing.rows import queue


def test_migrations_lead_to_the_tables(store: Store) -> None:
    """Nothing is left to migrate, and doing it again changes nothing."""
    store.migrate()
    with store.engine.connect() as conn:
        assert compare_metadata(MigrationContext.configure(conn, opts={"compare_type": True}), metadata) == []


def test_migrating_makes_the_folder(tmp_path: Path) -> None:
    """An admin names a path; the rest is ours."""
    store = Store(f"sqlite:///{tmp_path}/a/b/store.sqlite", artefacts=f"file://{tmp_path}/x")
    store.migrate()
    store.close()
    assert (tmp_path / "a/b/store.sqlite").exists()


def test_sqlite_is_durable_and_strict(store: Store) -> None:
    """WAL, full synchronisation, foreign keys."""
    with store.engine.connect() as conn:
        found = {
            name: conn.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "secure_delete")
        }
    strict = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
    assert found == strict | {"secure_delete": 1}


def test_files_are_written_whole_and_removed_for_good(tmp_path: Path) -> None:
    """No draft stays behind; what is removed is absent, and removing it again is nothing."""
    files = Files(f"file://{tmp_path}")
    name = files.fresh()
    files.put(name, b"counts")
    assert [path for path, _ in files.names()] == [name]
    assert files.get(name) == b"counts"
    files.remove(name)
    files.remove(name)
    assert list(files.names()) == []
    with pytest.raises(NotFound):
        files.get(name)


def test_other_file_systems_work() -> None:
    """Anything that fsspec knows, an object store for example; here its memory."""
    files = Files("memory://artefacts")
    files.put("a/b", b"elsewhere")
    assert files.get("a/b") == b"elsewhere"
    assert [name for name, _ in files.names()] == ["a/b"]
    files.remove("a/b")
    assert not files.has("a/b")


WRITER = """
import asyncio, sys
from jupyter_quantum.store import Store
from jupyter_quantum.testing.rows import queue
store = Store(sys.argv[1], artefacts=sys.argv[2])

async def one():
    while True:
        kept = lambda tx: (queue(tx, 1000), tx.put_blob("lab", b"small"), tx.put_blob("lab", bytes(70_000)))
        job = (await store.write(kept))[0]
        print(job.id, flush=True)

async def main():
    await asyncio.gather(*(one() for _ in range(8)))

asyncio.run(main())
"""


def test_what_was_acknowledged_survives_a_kill(store: Store, tmp_path: Path) -> None:
    """kill -9 in the middle of writing: every job that was answered is there, with its hold; nothing is half there."""
    arguments = [f"sqlite:///{store.path}", f"file://{tmp_path}/artefacts"]
    with subprocess.Popen([sys.executable, "-c", WRITER, *arguments], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline().strip() for _ in range(200)]
        writer.send_signal(signal.SIGKILL)
        # The last line may be cut off; it was acknowledged to nobody.
        said += [line.strip() for line in writer.stdout if line.endswith("\n")]
    there = {job.id for job in asyncio.run(store.read(lambda view: view.jobs(limit=None)))}
    assert len(said) >= 200
    assert set(said) <= there
    assert asyncio.run(store.read(verify)) == []
    asyncio.run(store.write(lambda tx: queue(tx, 1)))
