"""A bundle's members and entries, and what a check may raise."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_quantum.audit_verify import Key

__all__ = ["Absent", "Bundle", "Wrong", "canonical", "digest"]


class Wrong(Exception):
    """What a check found, in words."""


class Absent(Exception):
    """There is nothing to check, in words."""


class Bundle:
    """The members, and what the record says of them.

    Args:
        files: name → bytes of each member.
        keys: public keys of the record from elsewhere; the bundle's own where there are none.
    """

    def __init__(self, files: Mapping[str, bytes], keys: Sequence[Key]) -> None:
        self.files = files
        self.given = keys
        self.events: list[dict[str, Any]] = []
        self.payloads: list[bytes] = []
        self.unproven: list[str] = []
        """What a reader sees and nothing here proves; checks add to it."""

    def json(self, name: str) -> Any:
        """A member as JSON that has one meaning: no name twice, no NaN."""
        try:
            return json.loads(self.need(name), object_pairs_hook=_once, parse_constant=_number)
        except (ValueError, RecursionError) as error:
            raise Wrong(f"{name} is not JSON: {error}") from None

    def need(self, name: str) -> bytes:
        """A member that must be there."""
        if name not in self.files:
            raise Wrong(f"{name} is missing")
        return self.files[name]

    def said(self, name: str) -> Any:
        """The last value that an entry gives under this name; None where none does."""
        for event in reversed(self.events):
            if event["data"].get(name) is not None:
                return event["data"][name]
        return None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def _number(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def digest(raw: bytes) -> str:
    """As the record writes digests."""
    return "sha256:" + hashlib.sha256(raw).hexdigest()


def canonical(value: Any) -> bytes:
    """The bytes that the record takes the digest of a value of."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()
