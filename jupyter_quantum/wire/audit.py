"""Shapes of the record: what auditors read, and proofs that anybody can check."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from jupyter_quantum.wire.base import Answer, Request, Time

__all__ = [
    "AuditCheck",
    "AuditEvent",
    "AuditEvents",
    "AuditKey",
    "CheckpointView",
    "ConsistencyProof",
    "ExportLine",
    "Forget",
    "Forgotten",
    "InclusionProof",
]


class AuditEvent(Answer):
    """One numbered entry. People are pseudonyms."""

    seq: int
    id: str
    time: Time
    type: str
    actor: str
    principal: str | None = None
    project: str | None = None
    job: str | None = None
    data: dict[str, Any]
    hash: str = Field(description="leaf hash of the payload (RFC 6962), hexadecimal")


class AuditEvents(Answer):
    """Entries that match, newest first."""

    events: list[AuditEvent]
    people: dict[str, str] = Field(description="pseudonym → name, of those who were not forgotten")
    next: int | None = Field(default=None, description="`before` of the next page")


class CheckpointView(Answer):
    """A signed checkpoint (c2sp.org/tlog-checkpoint)."""

    size: int
    time: Time
    note: str = Field(description="the signed note, with the cosignatures of witnesses")
    copied: Time | None = Field(default=None, description="when it was written to the second place")
    witnessed: Time | None = Field(default=None, description="when the witness took it")


class InclusionProof(Answer):
    """That an entry is in the record that a checkpoint signed (RFC 6962, section 2.1.1)."""

    seq: int
    payload: str
    size: int
    hashes: list[str] = Field(description="hexadecimal, bottom up")
    proof: str = Field(description="the same as text (c2sp.org/tlog-proof), with the checkpoint")


class ConsistencyProof(Answer):
    """That the record at one size is how it began at another (RFC 6962, section 2.1.2)."""

    first: int
    second: int
    hashes: list[str] = Field(description="hexadecimal")


class AuditCheck(Answer):
    """What reading the whole record found."""

    size: int
    problems: list[str] = Field(description="a sentence for each; empty where the record is whole")


class AuditKey(Answer):
    """The public keys that checkpoints are verified with."""

    origin: str
    keys: list[str] = Field(
        description="name+id+base64 (c2sp.org/signed-note); the current one first, then those before it"
    )


class ExportLine(Answer):
    """A line of an export: a leaf with its hash and payload, a checkpoint, or the end with its counts."""

    leaf: int | None = None
    hash: str | None = None
    payload: str | None = None
    checkpoint: str | None = None
    end: dict[str, int] | None = None


class Forget(Request):
    """Forget a person: nobody can tell any more whose the pseudonym was."""

    user: Annotated[str, Field(min_length=1, max_length=300, description="name, or name@created where it is not clear")]


class Forgotten(Answer):
    """What is left of a person."""

    pseudonym: str
    changed: int = Field(description="rows that the pseudonym stands in now")
