"""The record as Jupyter events, for whatever an operator collects events with. An export: the record is the database.

Each entry is one event of the schema :data:`SCHEMA_ID`; people are pseudonyms. It goes to the file that
``QuantumService.audit_events`` names and to every logging handler in ``EventLogger.handlers``.
"""

from __future__ import annotations

from collections.abc import Sequence
from logging.handlers import WatchedFileHandler
from typing import Any, Final

from jupyter_events import EventLogger

from jupyter_quantum.hub.traits import ServiceTraits
from jupyter_quantum.store.rows import EventRow

__all__ = ["SCHEMA", "SCHEMA_ID", "Journal"]

SCHEMA_ID: Final = "https://schema.jupyter.org/jupyter_quantum/record/v1"

_TEXT: Final = {"type": "string"}
_MAYBE: Final = {"type": ["string", "null"]}
SCHEMA: Final[dict[str, Any]] = {
    "$id": SCHEMA_ID,
    "version": "1",
    "title": "Entry of the record",
    "description": "One act or refusal in the quantum service, as its record keeps it.",
    "type": "object",
    "properties": {
        "seq": {"type": "integer", "title": "Number", "description": "1, 2, 3 … without gaps."},
        "id": {**_TEXT, "title": "Id"},
        "type": {**_TEXT, "title": "What happened", "description": "job.moved, request.refused, …"},
        "actor": {**_TEXT, "title": "Who did it", "description": "Pseudonym, or a part of the service."},
        "principal": {**_MAYBE, "title": "Whose it is", "description": "Pseudonym."},
        "project": {**_MAYBE, "title": "Project"},
        "job": {**_MAYBE, "title": "Job"},
        "data": {"type": "object", "title": "What it says"},
        "hash": {**_TEXT, "title": "Leaf hash", "description": "Of the record's tree (RFC 6962), hexadecimal."},
    },
    "required": ["seq", "id", "type", "actor", "data", "hash"],
}
"""JSON schema (draft 7) of an entry."""


class Journal:
    """Emits entries; an entry may come twice after a crash, never out of order."""

    def __init__(self, service: ServiceTraits) -> None:
        self._events = EventLogger(parent=service)
        if service.audit_events:
            self._events.register_handler(WatchedFileHandler(service.audit_events, delay=True, encoding="utf8"))
        self._events.register_event_schema(SCHEMA)

    @property
    def wanted(self) -> bool:
        """Whether anybody listens."""
        return bool(self._events.handlers)

    def take(self, rows: Sequence[EventRow]) -> None:
        """Emit these entries. Raises what a handler raises; the caller comes again with the same ones."""
        for row in rows:
            entry = {name: getattr(row, name) for name in ("seq", "id", "type", "actor", "principal", "project", "job")}
            entry |= {"data": dict(row.data), "hash": row.leaf.hex()}
            # It appends a Z to whatever it is given.
            self._events.emit(schema_id=SCHEMA_ID, data=entry, timestamp_override=row.time.replace(tzinfo=None))
