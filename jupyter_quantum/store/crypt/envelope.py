"""The envelope: bytes that say with which algorithm and key they were sealed.

::

    "JQE1" | algorithm | key id | version (4 bytes) | nonce | ciphertext and tag
             each of these with its length before it (1 byte)

What is authenticated besides the text is the header itself and the place: tenant, table, row, version of the key.
Moved to another row, table or tenant, or under another header, an envelope does not open. Nonces are drawn by chance
(96 bits), which NIST SP 800-38D allows for 2**32 messages of a key; rotation starts a new one.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from jupyter_quantum.exceptions import Unavailable

__all__ = ["ALGORITHMS", "DataKey", "Header", "damaged", "header_of", "is_sealed", "open_sealed", "seal"]

ALGORITHMS: Final[dict[str, Callable[[bytes], Any]]] = {"A256GCM": AESGCM, "C20P": ChaCha20Poly1305}
"""Name (as in JOSE, RFC 7518) → AEAD with keys of 256 bits and nonces of 96. Another one is a line here."""

_MAGIC: Final = b"JQE1"
_NONCE: Final = 12
_VERSION: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class DataKey:
    """A tenant's key, unwrapped."""

    id: str
    tenant: str
    version: int
    algorithm: str
    raw: bytes = field(repr=False)
    aead: Any = field(repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if self.algorithm not in ALGORITHMS:
            raise Unavailable(f"Nothing here knows the algorithm {self.algorithm!r}.", code="keys.algorithm")
        object.__setattr__(self, "aead", ALGORITHMS[self.algorithm](self.raw))


@dataclass(frozen=True, slots=True)
class Header:
    """What an envelope says of itself."""

    algorithm: str
    key: str
    version: int
    nonce: bytes
    length: int
    """Bytes of the header; the ciphertext follows."""


def damaged() -> Unavailable:
    """What to answer where stored bytes are not what was stored."""
    return Unavailable("Stored data was damaged: it does not match its seal.", code="store.damaged")


def is_sealed(raw: bytes) -> bool:
    """Whether these bytes begin as an envelope does."""
    return raw.startswith(_MAGIC)


def seal(key: DataKey, table: str, row: str, raw: bytes) -> bytes:
    """An envelope for one place."""
    nonce = os.urandom(_NONCE)
    head = _MAGIC + _short(key.algorithm) + _short(key.id) + _VERSION.pack(key.version) + bytes([_NONCE]) + nonce
    sealed: bytes = key.aead.encrypt(nonce, raw, _bound(head, key, table, row))
    return head + sealed


def header_of(sealed: bytes) -> Header:
    """What the envelope says of itself. Raises Unavailable ``store.damaged``."""
    if not is_sealed(sealed):
        raise damaged()
    try:
        algorithm, at = _take(sealed, len(_MAGIC))
        key, at = _take(sealed, at)
        (version,) = _VERSION.unpack_from(sealed, at)
        nonce, at = _take(sealed, at + _VERSION.size)
        return Header(algorithm.decode("ascii"), key.decode("ascii"), version, nonce, at)
    except (struct.error, IndexError, UnicodeDecodeError):
        raise damaged() from None


def open_sealed(key: DataKey, table: str, row: str, sealed: bytes) -> bytes:
    """The text of an envelope. Raises Unavailable ``store.damaged`` where anything of it, or its place, is another."""
    head = header_of(sealed)
    if (head.key, head.version, head.algorithm, len(head.nonce)) != (key.id, key.version, key.algorithm, _NONCE):
        raise damaged()
    try:
        raw: bytes = key.aead.decrypt(head.nonce, sealed[head.length :], _bound(sealed[: head.length], key, table, row))
    except InvalidTag:
        raise damaged() from None
    return raw


def _short(text: str) -> bytes:
    raw = text.encode("ascii")
    return bytes([len(raw)]) + raw


def _take(sealed: bytes, at: int) -> tuple[bytes, int]:
    end = at + 1 + sealed[at]
    if end > len(sealed):
        raise IndexError(at)
    return sealed[at + 1 : end], end


def _bound(head: bytes, key: DataKey, table: str, row: str) -> bytes:
    """Header and place, each with its length, so that no two places read alike."""
    parts = (head, key.tenant.encode(), table.encode(), row.encode(), _VERSION.pack(key.version))
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)
