"""Forgetting reaches every column that names a person."""

from __future__ import annotations

import pytest

from jupyter_quantum.store.forget import PLACES
from jupyter_quantum.store.tables import metadata

PEOPLE = frozenset({"principal", "owner", "actor", "asked_by", "by"})
"""Columns that name people, and all that end in ``_by``."""
KNOWN = frozenset({("entries", "actor"), ("loans", "by"), ("prices", "by")})
"""Columns that hold pseudonyms anyway."""
RECORD = frozenset({"events", "people"})
"""Pseudonyms only, and the table that forgetting deletes from."""

COLUMNS = [
    (table.name, column.name)
    for table in metadata.sorted_tables
    for column in table.columns
    if (column.name in PEOPLE or column.name.endswith("_by")) and table.name not in RECORD
]
COVERED = {(place.table.name, column) for place in PLACES for column in (place.principal, *place.names)}


@pytest.mark.parametrize("column", COLUMNS, ids=".".join)
def test_every_name_has_its_place(column: tuple[str, str]) -> None:
    """A table that names people belongs into ``store.forget.PLACES``."""
    assert column in COVERED | KNOWN
