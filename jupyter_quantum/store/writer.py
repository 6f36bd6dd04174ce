"""One thread writes: it groups the requests that wait into one transaction, a savepoint each, one commit for all.

On PostgreSQL other processes may write as well. A request that met one of them (a row that changed meanwhile, a lock
that did not come, a deadlock) is rolled back alone and runs again in the next group, which holds none of these locks.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError

from jupyter_quantum.exceptions import Conflict, InputError, Unavailable
from jupyter_quantum.store.names import Names
from jupyter_quantum.store.safe import Safe
from jupyter_quantum.store.tx import Tx
from jupyter_quantum.store.unit import Stale

__all__ = ["Writer"]

_GROUP: Final = 128
"""Requests in one transaction at most, so that the first of them need not wait for long."""

_SHARED_GROUP: Final = 16
"""The same where other processes write too: they wait for the rows that this one has changed."""

_TRIES: Final = 8
"""Times that a request runs at most where other processes get in its way."""

_IN_THE_WAY: Final = frozenset({"40001", "40P01", "55P03", "23505"})
"""PostgreSQL's: serialization failure, deadlock, lock not available, and a row that another process has just made."""

_PAUSE: Final = 0.25
"""Seconds without a request after which there is time for housekeeping."""


@dataclass(slots=True)
class _Request:
    work: Callable[[Tx], Any]
    future: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    value: Any = None
    error: BaseException | None = None
    tx: Tx | None = None
    """What it wrote with, once it is done."""
    tries: int = 0
    again: bool = False

    def run(self, tx: Tx) -> None:
        """Do what is asked."""
        self.tries += 1
        self.again = False
        self.value = self.work(tx)
        tx.finish()
        self.tx = tx

    def failed(self, error: Exception) -> None:
        """What it raised is its caller's, never the writer's, unless it is worth another try."""
        self.again = self.tries < _TRIES and _in_the_way(error)
        self.error = None if self.again else _named(error)

    def answer(self) -> None:
        """Called in the request's own loop."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.value)
        else:
            self.future.set_exception(self.error)


class Writer:
    """Runs requests one after the other in its own thread; an answer means that the request is on disk."""

    def __init__(self, engine: Engine, safe: Safe, names: Names, booked: Callable[[], None]) -> None:
        self._engine = engine
        self._safe = safe
        self._names = names
        self._booked = booked
        self._conn: Connection | None = None
        self._most = _GROUP if engine.dialect.name == "sqlite" else _SHARED_GROUP
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Tx], Any]) -> asyncio.Future[Any]:
        """Queue a request of the running loop; its future resolves after the commit."""
        if not self._thread.is_alive():
            raise Unavailable("The store is closed.", code="store.closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._queue.put(_Request(work, future, loop))
        return future

    def close(self) -> None:
        """Finish what waits, then end the thread."""
        self._queue.put(None)
        self._thread.join()

    # -- in the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        ended = False
        while not ended and (first := self._next()) is not None:
            group = [first]
            ended = self._group(group)
            _answer([request for request in group if not request.again])
            if repeated := [request for request in group if request.again]:
                for request in repeated:
                    self._queue.put(request)
                if ended:  # the end was asked for before: it comes after what waits
                    self._queue.put(None)
                    ended = False
        self._disconnect()

    def _next(self) -> _Request | None:
        """The next request; a pause between requests is used to fold SQLite's log into the database."""
        try:
            return self._queue.get(timeout=_PAUSE)
        except Empty:
            self._fold()
            return self._queue.get()

    def _fold(self) -> None:
        if self._conn is None or self._conn.dialect.name != "sqlite":
            return
        # Past SQLAlchemy, which would begin a transaction, in which SQLite folds nothing. It folds by itself later.
        with contextlib.suppress(Exception), contextlib.closing(self._conn.connection.cursor()) as cursor:
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _group(self, group: list[_Request]) -> bool:
        """Run the first request and all that wait meanwhile, and commit; whether the end was asked for."""
        ended = False
        try:
            conn = self._conn = self._conn or self._engine.connect()
            transaction = self._alone(conn, group[0])
            with transaction:
                request, ended = self._waiting(len(group))
                while request is not None:
                    group.append(request)
                    self._one(conn, request)
                    request, ended = self._waiting(len(group))
            for done in group:
                if done.tx is not None:
                    done.tx.committed()
            if any(done.tx.booked for done in group if done.tx is not None):
                self._booked()
        except Exception as error:
            # The commit failed (disk full, another process holds the lock): nothing of the group is there.
            for failed in group:
                failed.again = False
                failed.error = failed.error or _named(error)
            self._disconnect()
        return ended

    def _disconnect(self) -> None:
        """The next group gets a fresh connection."""
        conn, self._conn = self._conn, None
        if conn is not None:
            with contextlib.suppress(SQLAlchemyError):
                conn.close()

    def _waiting(self, taken: int) -> tuple[_Request | None, bool]:
        if taken >= self._most:
            return None, False
        try:
            request = self._queue.get_nowait()
        except Empty:
            return None, False
        return request, request is None

    def _alone(self, conn: Connection, request: _Request) -> RootTransaction:
        """A transaction with the first request in it, which needs no savepoint: where it fails, all is rolled back."""
        transaction = conn.begin()
        try:
            request.run(Tx(conn, self._safe, names=self._names))
        except Exception as error:
            request.failed(error)
            transaction.rollback()
            transaction = conn.begin()
        return transaction

    def _one(self, conn: Connection, request: _Request) -> None:
        """One request in its savepoint: a failing one leaves no trace, and its neighbours stay."""
        conn.exec_driver_sql("SAVEPOINT request")
        try:
            request.run(Tx(conn, self._safe, names=self._names))
        except Exception as error:
            request.failed(error)
            conn.exec_driver_sql("ROLLBACK TO SAVEPOINT request")
        conn.exec_driver_sql("RELEASE SAVEPOINT request")


def _in_the_way(error: Exception) -> bool:
    """Whether another process on the database was the cause, so that the request may well pass the next time."""
    if isinstance(error, Stale):
        return True
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in _IN_THE_WAY


def _named(error: Exception) -> Exception:
    """Errors of the database in our own words; others as they are."""
    if isinstance(error, DataError):
        named: Exception = InputError("The database cannot keep this text.", code="store.value")
    elif isinstance(error, IntegrityError):
        named = Conflict("Something else changed this at the same moment.", hint="Try again.")
    elif isinstance(error, SQLAlchemyError):
        named = Unavailable("The database did not answer.", code="store.unavailable", hint="Try again in a moment.")
    else:
        return error
    named.__cause__ = error
    return named


def _answer(group: list[_Request]) -> None:
    """Resolve the futures, with one call into each loop."""
    loops: dict[asyncio.AbstractEventLoop, list[_Request]] = {}
    for request in group:
        loops.setdefault(request.loop, []).append(request)
    for loop, requests in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(_answer_all, requests)


def _answer_all(requests: list[_Request]) -> None:
    for request in requests:
        request.answer()
