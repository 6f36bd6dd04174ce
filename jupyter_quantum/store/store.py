"""The store: one writer, several readers, artefacts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url

from jupyter_quantum.exceptions import NotFound
from jupyter_quantum.store import claims
from jupyter_quantum.store.artefacts import INLINE, Files
from jupyter_quantum.store.crypt import FileMaster, Keyring, MasterKey
from jupyter_quantum.store.names import Names
from jupyter_quantum.store.reads.artefacts import TABLE
from jupyter_quantum.store.rows import ArtefactRow
from jupyter_quantum.store.safe import Safe
from jupyter_quantum.store.tx import Tx
from jupyter_quantum.store.view import View
from jupyter_quantum.store.writer import Writer
from jupyter_quantum.wire.base import digest_of

__all__ = ["Artefacts", "Store"]

T = TypeVar("T")

_READERS: Final = 4
_FOLDS: Final = 40
_FOLD_S: Final = 0.05

_LOCK_MS: Final = 300
"""Milliseconds that a request waits for a row that another process is changing; then it is tried again."""


class Store:
    """Everything that is kept.

    Args:
        url: a SQLAlchemy URL. SQLite needs a file: ``sqlite:////srv/jupyter_quantum/store.sqlite``; PostgreSQL, which
            several processes may share, is ``postgresql+psycopg://user@host/name``.
        artefacts: an fsspec URL of the directory for larger artefacts: ``file:///srv/jupyter_quantum/artefacts``.
        master: who wraps the data keys; a file beside the artefacts' directory where it is not given.
        algorithm: what new data keys seal with.
    """

    def __init__(
        self, url: str, *, artefacts: str, master: MasterKey | None = None, algorithm: str = "A256GCM"
    ) -> None:
        self._url = make_url(url)
        files = Files(artefacts)
        self.keyring = Keyring(master or FileMaster(files.beside("master-keys.json")), algorithm=algorithm)
        self._safe = Safe(files, self.keyring)
        self.names = Names()
        self.engine = self._engine(writes=True)
        self._reading = self._engine(writes=False)
        self._threads = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._writer: Writer | None = None
        self._current: dict[str, str] = {}
        """Tenant → id of the key that sealed when it was last looked up; a hint for :meth:`ready`, no more."""
        self.artefacts = Artefacts(self, self._safe)
        self._bookings = 0

    @property
    def path(self) -> Path:
        """The database's file (SQLite)."""
        return Path(self._url.database or "")

    @property
    def shared(self) -> bool:
        """Whether other processes may write to the database too."""
        return self.engine.dialect.name != "sqlite"

    @property
    def bookings(self) -> int | None:
        """Grows after every commit that may have changed an account: what was read of accounts at the same number is
        what they say now. None where other processes write too.
        """
        return None if self.shared else self._bookings

    def _bump(self) -> None:
        self._bookings += 1  # by the writer's thread alone

    def migrate(self) -> None:
        """Bring the database to this version's tables (blocking; call it before serving)."""
        from jupyter_quantum.store.migrate import migrate

        if self.engine.dialect.name == "sqlite":
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.engine.begin() as conn:
            migrate(conn)

    async def write(self, work: Callable[[Tx], T]) -> T:
        """Run ``work`` in the writer thread, all or nothing; it is on disk when this returns.

        ``work`` must not block on anything but the database. What it raises is raised here, and nothing of it stays.
        The act of a request with an idempotency key is marked in the same transaction.
        """
        claim = claims.current()
        if claim is None:
            return await self.apart(work)
        answer = await self.apart(claim.marking(work))
        claim.acted = True
        return answer

    async def apart(self, work: Callable[[Tx], T]) -> T:
        """Write what is no act of a request with an idempotency key, but comes before it: keys, artefacts."""
        if self._writer is None:
            self._writer = Writer(self.engine, self._safe, self.names, self._bump)
        answer: T = await self._writer.submit(work)
        return answer

    async def read(self, work: Callable[[View], T]) -> T:
        """Run ``work`` in a reader thread, on one snapshot."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._view, work)

    async def pseudonym(self, principal: str) -> str:
        """The name by which the record calls this principal, made where there is none yet."""
        known = self.names.get(principal)
        return await self.write(lambda tx: tx.named(principal)) if known is None else known

    async def ready(self, tenant: str) -> None:
        """Have the tenant's key in memory, made where there is none, so that sealing in a transaction is quick.

        Raises Unavailable where the provider of the master key does not give it.
        """
        known = self._current.get(tenant)
        if known is None or not self.keyring.has(known):
            found = await self.read(lambda view: view.warm(tenant))
            self._current[tenant] = await self.apart(lambda tx: tx.add_key(tenant).id) if found is None else found

    async def scrub(self) -> int:
        """Remove the files that were thrown away, and fold SQLite's log, so that nothing of them is left; how many.

        What was deleted from the database was overwritten there (``secure_delete``); PostgreSQL's VACUUM does its part
        in its own time.
        """
        files = await self.read(lambda view: view.trash())
        if files:
            await self.in_thread(lambda: self._safe.files.remove(*files))
            await self.apart(lambda tx: tx.forget_trash(files))
        if self.engine.dialect.name == "sqlite":
            await self.in_thread(self._fold)
        return len(files)

    def _fold(self) -> None:
        """Empty the log; a reader that is in the middle of something delays that, so it is tried for a moment."""
        connection = self._reading.raw_connection()
        try:
            for _ in range(_FOLDS):
                cursor = connection.cursor()
                cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                busy, *_ = cursor.fetchone() or (0,)
                if not busy:
                    break
                time.sleep(_FOLD_S)
        finally:
            connection.close()

    async def sweep_files(self, before: datetime) -> int:
        """Remove files that no row names, written before then: a crash, or an older version, left them. How many."""
        found = await self.in_thread(lambda: [name for name, at in self._safe.files.names() if at < before])
        known = await self.read(lambda view: view.named_files(found)) if found else set()
        stray = [name for name in found if name not in known]
        await self.in_thread(lambda: self._safe.files.remove(*stray))
        return len(stray)

    async def seal_again(self, row: ArtefactRow) -> None:
        """Seal one artefact with its tenant's current key; a file is written anew, beside the old one."""
        await self.ready(row.tenant)
        if row.file is None:
            await self.apart(lambda tx: tx.seal_again(row))
            return
        file = self._safe.files.fresh()

        def seal(view: View) -> tuple[str, int]:
            raw, key = view.blob(row.tenant, row.digest), view.sealing_key(row.tenant)
            assert key is not None  # ready() made it
            self._safe.files.put(file, view.seal_with(key.id, row.tenant, TABLE, row.digest, raw))
            return key.id, len(raw)

        try:
            key, size = await self.read(seal)
        except NotFound:  # of before, and never kept: nothing to seal
            await self.apart(lambda tx: tx.drop([row]))
            return
        await self.apart(lambda tx: tx.moved_file(row, file=file, key=key, size=size))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run blocking work in a reader's thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Finish what waits and close every connection."""
        if self._writer is not None:
            self._writer.close()
        self._threads.shutdown()
        self.engine.dispose()
        self._reading.dispose()

    @contextmanager
    def reading(self) -> Iterator[View]:
        """One snapshot, in this thread; for programs without an event loop."""
        with self._reading.begin() as conn:
            yield View(conn, self._safe)

    def _view(self, work: Callable[[View], T]) -> T:
        with self._reading.begin() as conn:
            return work(View(conn, self._safe))

    def _engine(self, *, writes: bool) -> Engine:
        if self._url.get_backend_name() != "sqlite":
            return _postgres(self._url, writes=writes)
        engine = create_engine(self._url, pool_size=_READERS, max_overflow=1)
        event.listen(engine, "connect", _prepare_sqlite)

        def start(conn: Connection) -> None:
            conn.connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN")

        event.listen(engine, "begin", start)
        return engine


def _postgres(url: URL, *, writes: bool) -> Engine:
    """Readers see one snapshot; the writer sees what others commit, and waits for their locks for a moment only."""
    return create_engine(
        url,
        pool_size=_READERS,
        max_overflow=1,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED" if writes else "REPEATABLE READ",
        connect_args={"options": f"-c lock_timeout={_LOCK_MS} -c timezone=UTC"} if writes else {},
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Durable and patient; transactions begin where we say, not where the driver guesses.

    The writer folds the log into the database when it has time; 4000 pages (16 MB) are the most that it waits for.
    """
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "busy_timeout=5000",
        "foreign_keys=ON",
        "secure_delete=ON",
        "wal_autocheckpoint=4000",
    ):
        connection.execute(f"PRAGMA {pragma}")


class Artefacts:
    """Bytes by tenant and digest, sealed: small ones in the database, larger ones in files."""

    def __init__(self, store: Store, safe: Safe) -> None:
        self._store = store
        self._safe = safe

    async def put(self, tenant: str, raw: bytes) -> str:
        """Keep bytes for a tenant and return their digest; they are on disk when this returns."""
        await self._store.ready(tenant)
        if len(raw) < INLINE:
            return await self._store.apart(lambda tx: tx.put_blob(tenant, raw))
        digest = digest_of(raw)
        # The row comes first, so that there is no file without one.
        file, key = await self._store.apart(lambda tx: tx.place_blob(tenant, digest, len(raw)))
        if file is not None and not await self._store.in_thread(lambda: self._safe.files.has(file)):
            sealed = await self._store.read(lambda view: view.seal_with(key, tenant, TABLE, digest, raw))
            await self._store.in_thread(lambda: self._safe.files.put(file, sealed))
        return digest

    async def get(self, tenant: str, digest: str) -> bytes:
        """The bytes. Raises NotFound, Conflict ``data.shredded``."""
        return await self._store.read(lambda view: view.blob(tenant, digest))
