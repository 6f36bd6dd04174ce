"""Migrations: Alembic, packaged and run by the program itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

__all__ = ["migrate"]

_LOCK: Final = 0x6A71  # "jq"


def migrate(conn: Connection) -> None:
    """Bring the database of this connection to the newest version; nothing happens where it is there already."""
    if conn.dialect.name == "postgresql":  # of several processes that start together one migrates, the others wait
        conn.execute(text("SET LOCAL lock_timeout = 0"))
        conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, "head")
