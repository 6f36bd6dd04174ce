"""Bases and small types of every shape."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema

__all__ = [
    "Answer",
    "Blob",
    "CircuitBundle",
    "Credits",
    "Digest",
    "ErrorBody",
    "Request",
    "Time",
    "canonical",
    "digest_of",
]


def _decode(value: object) -> object:
    if isinstance(value, str):
        try:
            return base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise ValueError("not base64") from error
    return value


Blob = Annotated[
    bytes,
    BeforeValidator(_decode),
    PlainSerializer(lambda raw: base64.b64encode(raw).decode(), return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""Bytes: raw in Python, base64 text in JSON."""

Credits = Annotated[int, Field(description="micro-credits; 1 000 000 are one credit")]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", description="SHA-256 of the exact bytes")]
Time = Annotated[AwareDatetime, Field(description="UTC, ISO 8601")]


def digest_of(raw: bytes) -> str:
    """The :data:`Digest` of these bytes."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def canonical(document: Any) -> bytes:
    """A JSON document as the bytes that its digest is taken of: sorted names, no spaces, UTF-8."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


class Request(BaseModel):
    """Something sent to the service: an unknown field is an error, never ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(BaseModel):
    """Something the service sends: fields may be added within a version."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    def __str__(self) -> str:
        """What it looks like in a notebook: `print` shows the same words as the cell's output."""
        return repr(self)


class CircuitBundle(Request):
    """Circuits as bytes: one QPY file (version 13 or later) that may hold several, or OpenQASM text of one."""

    format: Literal["qpy", "qasm2", "qasm3"]
    data: Annotated[Blob, Field(max_length=8 * 1024 * 1024)]


class ErrorBody(Answer):
    """What every error looks like; ``code`` is stable, ``message`` and ``hint`` are for people."""

    error: str = Field(description="class of jupyter_quantum.exceptions")
    code: str
    message: str
    hint: str | None = None
    details: dict[str, Any] = Field(default_factory=dict)
    job: str | None = Field(default=None, description="the job that recorded the refusal, where there is one")
