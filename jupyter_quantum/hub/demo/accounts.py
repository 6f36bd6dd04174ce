"""The demo's people, and passwords that exist only in the terminal (and the ready file) of this start."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

__all__ = ["PEOPLE", "Person", "groups", "hashed", "matches", "new_password"]

# RFC 7914 names the parameters; these take about 30 ms, so a guess over the network costs more than it finds.
_N, _R, _P = 2**14, 8, 1
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is misread on a projector


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in: name, role in words, hub groups."""

    name: str
    role: str
    groups: tuple[str, ...]


PEOPLE: Final = (
    Person("ada", "user", ("qcourse",)),
    Person("ben", "user", ("qcourse",)),
    Person("grace", "lead", ("qcourse", "qcourse-leads")),
    Person("otto", "operator", ("quantum-operators",)),
    Person("vera", "administrator, auditor", ("quantum-admins", "quantum-auditors")),
)


def groups() -> dict[str, dict[str, list[str]]]:
    """The people's groups in the form of the hub's ``load_groups``."""
    found: dict[str, dict[str, list[str]]] = {}
    for person in PEOPLE:
        for group in person.groups:
            found.setdefault(group, {"users": []})["users"].append(person.name)
    return found


def new_password() -> str:
    """Three groups of four characters: 59 bits, easy to type."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))


def _scrypt(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_N, r=_R, p=_P)


def hashed(password: str) -> str:
    """Salted scrypt hash, as ``salt$hash`` in base64."""
    salt = secrets.token_bytes(16)
    return "$".join(base64.b64encode(part).decode() for part in (salt, _scrypt(password, salt)))


def matches(password: str, stored: str) -> bool:
    """Whether ``password`` is the one that :func:`hashed` stored."""
    salt, _, digest = stored.partition("$")
    return hmac.compare_digest(_scrypt(password, base64.b64decode(salt)), base64.b64decode(digest))
