"""``python -m jupyter_quantum.hub.books URL``: prove the ledger's sums of a database, without a service.

Prints one JSON document (``wire.ledger.BooksView``); exit 1 where anything is wrong, 2 where it cannot be read. It
changes nothing.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from jupyter_quantum.pipeline.ledger import books
from jupyter_quantum.store import Store
from jupyter_quantum.wire.ledger import BooksView

__all__ = ["main"]


async def _proved(url: str) -> BooksView:
    with tempfile.TemporaryDirectory() as nothing:  # the books refer to no artefact
        store = Store(url, artefacts=Path(nothing).as_uri())
        try:
            return await store.read(books)
        finally:
            store.close()


def _absent(url: str) -> str | None:
    """Why there is nothing to read; SQLite would make a file that is not there."""
    found = make_url(url)
    there = found.get_backend_name() != "sqlite" or Path(found.database or "").is_file()
    return None if there else f"there is no file {found.database}"


def main(arguments: list[str]) -> int:
    """The program."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m jupyter_quantum.hub.books URL\n")
        return 2
    try:
        problem = _absent(arguments[0])
        if problem is None:
            found = asyncio.run(_proved(arguments[0]))
    except (SQLAlchemyError, ImportError) as error:  # also no URL at all, or one of a driver that is not installed
        problem = str(getattr(error, "orig", None) or error).splitlines()[0]
    if problem is not None:
        sys.stderr.write(problem + "\n")
        return 2
    sys.stdout.write(found.model_dump_json() + "\n")
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
