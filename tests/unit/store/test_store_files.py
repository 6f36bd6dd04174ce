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

from jupyter_quantum.exceptions import NotFound, Unavailable
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
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_files_are_named_by_what_is_in_them(tmp_path: Path) -> None:
    """The same bytes are one file; no draft stays behind; damage is noticed."""
    files = Files(f"file://{tmp_path}")
    digest = files.put(b"counts")
    assert files.put(b"counts") == digest
    (path,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files.get(digest) == b"counts"
    path.write_bytes(b"other")
    with pytest.raises(Unavailable):
        files.get(digest)
    path.unlink()
    with pytest.raises(NotFound):
        files.get(digest)


def test_other_file_systems_work() -> None:
    """Anything that fsspec knows, an object store for example; here its memory."""
    files = Files("memory://artefacts")
    assert files.get(files.put(b"elsewhere")) == b"elsewhere"


WRITER = """
import asyncio, sys
from jupyter_quantum.store import Store
from jupyter_quantum.testing.rows import queue
store = Store(sys.argv[1], artefacts=sys.argv[2])

async def one():
    while True:
        job = await store.write(lambda tx: (queue(tx, 1000), tx.put_blob(b"small"), tx.put_blob(bytes(70_000)))[0])
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
