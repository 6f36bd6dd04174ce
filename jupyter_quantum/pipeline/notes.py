"""Signed notes and checkpoints as C2SP writes them (c2sp.org/signed-note, c2sp.org/tlog-checkpoint).

A checkpoint's text is three lines: the origin (which record), the number of leaves, the root in base64. A blank line
follows, and signature lines: an em dash, the key's name, base64 of four bytes of the key's id and the signature.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from jupyter_quantum.exceptions import InputError

__all__ = ["Checkpoint", "Signer", "Verifier", "checkpoint_text", "read_checkpoint"]

_ED25519: Final = b"\x01"
_DASH: Final = "\u2014"
_SKEY: Final = "PRIVATE+KEY"
_NAME: Final = re.compile(r"[^\s+]{1,200}")
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,17}")


def _key_id(name: str, public: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _decoded(text: str) -> bytes:
    """Base64 in its one canonical form: two texts never mean the same. Raises ValueError for others."""
    found = base64.b64decode(text, validate=True)
    if base64.b64encode(found).decode() != text:
        raise ValueError("not base64 in canonical form")
    return found


def _malformed(what: str) -> InputError:
    return InputError(f"This is not {what}.", code="audit.format")


@dataclass(frozen=True, slots=True)
class Verifier:
    """A public key with its name."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """Four bytes that say which key signed."""
        return _key_id(self.name, self.public)

    @property
    def text(self) -> str:
        """``name+id+key``, as auditors keep it."""
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @classmethod
    def read(cls, text: str) -> Verifier:
        """From :attr:`text`. Raises InputError (``audit.format``)."""
        try:
            name, key_id, raw = text.strip().split("+", 2)
            key = _decoded(raw)
        except ValueError:
            raise _malformed("a verifier's key") from None
        found = cls(name, key[1:])
        if key[:1] != _ED25519 or len(key) != 33 or not _NAME.fullmatch(name) or found.key_id.hex() != key_id:
            raise _malformed("a verifier's key")
        return found

    def verifies(self, checkpoint: Checkpoint) -> bool:
        """Whether this key signed it."""
        for name, key_id, signature in checkpoint.signatures:
            if (name, key_id) == (self.name, self.key_id):
                try:
                    Ed25519PublicKey.from_public_bytes(self.public).verify(signature, checkpoint.text.encode())
                except InvalidSignature:
                    return False
                return True
        return False


class Signer:
    """A private key with its name; nothing prints it."""

    def __init__(self, name: str, seed: bytes) -> None:
        if not _NAME.fullmatch(name) or len(seed) != 32:
            raise _malformed("a signer's key")
        self._seed = seed
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.verifier = Verifier(name, self._key.public_key().public_bytes_raw())

    @classmethod
    def new(cls, name: str) -> Signer:
        """A fresh key. The name is the record's origin; it may hold neither spaces nor plus signs."""
        return cls(name, secrets.token_bytes(32))

    @classmethod
    def read(cls, text: str) -> Signer:
        """From :meth:`secret`. Raises InputError (``audit.format``)."""
        prefix, _, rest = text.strip().partition(f"{_SKEY}+")
        try:
            name, key_id, raw = rest.split("+", 2)
            key = _decoded(raw)
        except ValueError:
            raise _malformed("a signer's key") from None
        if prefix or key[:1] != _ED25519:
            raise _malformed("a signer's key")
        found = cls(name, key[1:])
        if found.verifier.key_id.hex() != key_id:
            raise _malformed("a signer's key")
        return found

    def secret(self) -> str:
        """The line that its file holds."""
        raw = base64.b64encode(_ED25519 + self._seed).decode()
        return f"{_SKEY}+{self.verifier.name}+{self.verifier.key_id.hex()}+{raw}"

    def line(self, text: str) -> str:
        """The signature line under a note's text."""
        raw = self.verifier.key_id + self._key.sign(text.encode())
        return f"{_DASH} {self.verifier.name} {base64.b64encode(raw).decode()}\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was read; whether anybody signed it is :class:`Verifier`'s to say."""

    origin: str
    size: int
    root: bytes
    text: str
    """What is signed: everything up to the blank line."""
    signatures: tuple[tuple[str, bytes, bytes], ...]
    """Name, key id and signature of each line."""


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    """What is signed."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def read_checkpoint(note: str) -> Checkpoint:
    """The checkpoint in a signed note. Raises InputError (``audit.format``) for anything else."""
    text, blank, below = note.rpartition("\n\n")
    lines = text.split("\n")
    if not blank or len(lines) < 3 or not all(lines) or not _SIZE.fullmatch(lines[1]) or len(below) > 100_000:
        raise _malformed("a checkpoint")
    try:
        root = _decoded(lines[2])
        signatures = tuple(_signature(line) for line in below.removesuffix("\n").split("\n"))
    except ValueError:
        raise _malformed("a checkpoint") from None
    if len(root) != 32:
        raise _malformed("a checkpoint")
    return Checkpoint(lines[0], int(lines[1]), root, text + "\n", signatures)


def _signature(line: str) -> tuple[str, bytes, bytes]:
    dash, name, raw = line.split(" ")
    signed = _decoded(raw)
    if dash != _DASH or len(signed) < 5:
        raise ValueError(line)
    return name, signed[:4], signed[4:]
