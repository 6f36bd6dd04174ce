"""``python -m jupyter_quantum.hub.books URL``: prove the ledger's sums of a database, without a service.

Prints one JSON document (``wire.ledger.BooksView``); exit 1 where anything is wrong. It changes nothing.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

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


def main(arguments: list[str]) -> int:
    """The program."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m jupyter_quantum.hub.books URL\n")
        return 2
    found = asyncio.run(_proved(arguments[0]))
    sys.stdout.write(found.model_dump_json() + "\n")
    return 0 if found.ok else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
