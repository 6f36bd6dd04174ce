"""Entries of the record as Jupyter events."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
from jupyter_events.schema import EventSchema
from traitlets.config import Config

from jupyter_quantum.core.merkle import leaf_hash
from jupyter_quantum.hub.app import QuantumService
from jupyter_quantum.hub.journal import SCHEMA, SCHEMA_ID, Journal
from jupyter_quantum.store.rows import EventRow
from tests.unit.hub.support import NOW


def entry(seq: int) -> EventRow:
    payload = '{"data":{"code":"absent","who":"Größe"}}'
    return EventRow(f"evt_{seq}", NOW, "x.y", "ppl_1", payload, leaf_hash(payload.encode()), project="lab", seq=seq)


def service(**values: object) -> QuantumService:
    return QuantumService(config=Config({"QuantumService": values}))


def test_entries_are_lines_of_a_file(tmp_path: Path) -> None:
    """One JSON document a line, with the schema, the entry's own moment and its hash."""
    journal = Journal(service(audit_events=str(tmp_path / "events.jsonl")))
    assert journal.wanted
    journal.take([entry(1), entry(2)])
    first, second = (json.loads(line) for line in (tmp_path / "events.jsonl").read_text().splitlines())
    assert (first["seq"], second["seq"]) == (1, 2)
    assert (first["__schema__"], first["__timestamp__"]) == (SCHEMA_ID, "2026-05-12T09:00:00Z")
    assert first["data"] == {"code": "absent", "who": "Größe"}
    assert first["hash"] == entry(1).leaf.hex()


def test_an_operators_handler_gets_them_and_may_fail() -> None:
    """``c.EventLogger.handlers``; what it raises is the caller's, who comes again."""

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("full")

    config = Config({"EventLogger": {"handlers": [Broken()]}})
    journal = Journal(QuantumService(config=config))
    assert journal.wanted
    with pytest.raises(OSError, match="full"):
        journal.take([entry(1)])


def test_nobody_listens_by_default() -> None:
    """Then nothing is exported."""
    assert not Journal(service()).wanted


def test_the_schema_is_one() -> None:
    """Jupyter's metaschema accepts it."""
    assert EventSchema(SCHEMA).id == SCHEMA_ID
