"""Verify an export of the record: ``python -m jupyter_quantum.audit_verify EXPORT --key PUBLIC``.

A program of its own: it needs the export, the public key and, to find a roll-back, checkpoints that were kept
elsewhere. It imports nothing of the service, only Python's standard library and ``cryptography``, and computes the tree
(RFC 6962) and the signatures (c2sp.org/signed-note) by itself, so that it can be read and trusted alone.

An export is JSON Lines in canonical form (sorted names, no spaces, UTF-8), in this order: for leaf ``n`` (1, 2, 3 …)
``{"hash": "…", "leaf": n, "payload": "…"}``; after the leaf that a checkpoint ends with, ``{"checkpoint": "…"}``; and
last, ``{"end": {"checkpoints": k, "leaves": n}}``.

What is found, and where:

``format``       a line that is none of these
``order``        a leaf or a checkpoint that is not the next one: something was deleted, repeated or moved
``changed``      a leaf that is not what its hash says; or, where the hashes were changed as well, the leaves from one
                 checkpoint to the next that are not what was signed
``incomplete``   the last line is missing, or counts other lines than there are
``signature``    a checkpoint without a valid signature of the key
``unsigned``     leaves after the last checkpoint, or no checkpoint at all: nothing says that they are what was recorded
``truncated``    a witnessed checkpoint is larger than the export: leaves are missing at its end
``rolled_back``  a witnessed checkpoint of a size in the export has another root: another history was signed

Exit codes: 0 verified; 1 something was found; 2 wrong usage or unreadable files.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

__all__ = ["Finding", "Key", "Outcome", "main", "verify"]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    kind: str
    line: int | None
    """Line of the export, from 1; None for what concerns all of it."""
    leaf: int | None
    """Leaf from which on it is wrong, where one can be named."""
    words: str


@dataclass
class Outcome:
    """What was read, and what was found."""

    leaves: int = 0
    checkpoints: int = 0
    signed: int = 0
    """Leaves that a valid checkpoint covers."""
    root: str | None = None
    findings: list[Finding] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


@dataclass(frozen=True)
class Key:
    """A public key as ``jupyter quantum audit key`` prints it: ``name+id+base64``."""

    name: str
    key_id: bytes
    public: bytes

    @classmethod
    def read(cls, text: str) -> Key:
        """Raises ValueError for anything else."""
        name, key_id, raw = text.strip().split("+", 2)
        decoded = base64.b64decode(raw, validate=True)
        if len(decoded) != 33 or decoded[:1] != b"\x01":
            raise ValueError("not an Ed25519 key")
        expected = hashlib.sha256(name.encode() + b"\n" + decoded).digest()[:4]
        if expected.hex() != key_id:
            raise ValueError("the key's id does not fit the key")
        return cls(name, expected, decoded[1:])


@dataclass(frozen=True)
class Signed:
    """A checkpoint."""

    size: int
    root: bytes


def open_note(note: str, keys: Sequence[Key]) -> Signed:
    """The checkpoint in a signed note, verified with one of the keys. Raises ValueError with what is wrong."""
    text, blank, below = note.rpartition("\n\n")
    lines = text.split("\n")
    if not blank or len(lines) != 3 or not below.endswith("\n"):
        raise ValueError("it is not a checkpoint")
    size, root = lines[1], _decoded(lines[2])
    if not size.isdecimal() or str(int(size)) != size or len(root) != 32:
        raise ValueError("it is not a checkpoint")
    signed = text.encode() + b"\n"
    valid = False
    for line in below.removesuffix("\n").split("\n"):
        dash, name, raw = line.split(" ")
        decoded = _decoded(raw)
        if dash != "\u2014":
            raise ValueError("a line under it is not a signature")
        for key in keys:
            if (name, decoded[:4]) == (key.name, key.key_id) and lines[0] == key.name:
                Ed25519PublicKey.from_public_bytes(key.public).verify(decoded[4:], signed)
                valid = True
    if not valid:
        raise ValueError("the key did not sign it")
    return Signed(int(size), root)


class Tree:
    """A Merkle tree that grows: the hashes of its perfect subtrees, from left to right."""

    def __init__(self) -> None:
        self.size = 0
        self._edge: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """One more leaf, by its hash."""
        found, rest = leaf, self.size
        while rest & 1:
            found, rest = hashlib.sha256(b"\x01" + self._edge.pop() + found).digest(), rest >> 1
        self._edge.append(found)
        self.size += 1

    @property
    def root(self) -> bytes:
        """Its root now."""
        if not self._edge:
            return hashlib.sha256().digest()
        found = self._edge[-1]
        for left in reversed(self._edge[:-1]):
            found = hashlib.sha256(b"\x01" + left + found).digest()
        return found


class _Reader:
    """Goes through an export once."""

    def __init__(self, keys: Sequence[Key], wanted: Iterable[int]) -> None:
        self._keys = keys
        self._wanted = set(wanted)
        self._tree = Tree()
        self._in_order = True
        self._signed = 0
        self._ended = False
        self.outcome = Outcome()
        self.roots: dict[int, bytes] = {}
        """Roots at the sizes that witnessed checkpoints speak of."""

    def found(self, kind: str, line: int | None, leaf: int | None, words: str) -> None:
        self.outcome.findings.append(Finding(kind, line, leaf, words))

    def read(self, raw: bytes, line: int) -> None:
        try:
            if self._ended:
                raise ValueError("it stands after the end")
            entry = json.loads(raw)
            if _canonical(entry) != raw:
                raise ValueError("it is not in canonical form")
            self._entry(entry, line)
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self.found("format", line, self._tree.size + 1, f"line {line} cannot be read: {error}")

    def _entry(self, entry: dict[str, Any], line: int) -> None:
        kind = ",".join(entry)
        if kind == "hash,leaf,payload" and type(entry["leaf"]) is int:
            self._leaf(entry["leaf"], entry["hash"], entry["payload"].encode(), line)
        elif kind == "checkpoint":
            self._checkpoint(entry["checkpoint"], line)
        elif kind == "end":
            self._ended = True
            if entry["end"] != (there := {"checkpoints": self.outcome.checkpoints, "leaves": self._tree.size}):
                self.found("incomplete", line, None, f"the end counts {entry['end']}, there are {there}")
        else:
            raise ValueError("it is neither leaf nor checkpoint nor end")

    def _leaf(self, number: int, text: str, payload: bytes, line: int) -> None:
        said = bytes.fromhex(text)
        if said.hex() != text or len(said) != 32:
            raise ValueError("its hash is not one in canonical form")
        expected = self._tree.size + 1
        if number != expected:
            if self._in_order:  # all that follows is beside its place too
                self.found("order", line, expected, f"leaf {number} stands where leaf {expected} belongs")
            self._in_order = False
        if hashlib.sha256(b"\x00" + payload).digest() != said:
            self.found("changed", line, number, f"leaf {number} is not what its hash says")
        self._tree.append(said)
        if self._tree.size in self._wanted:
            self.roots[self._tree.size] = self._tree.root

    def _checkpoint(self, note: str, line: int) -> None:
        self.outcome.checkpoints += 1
        try:
            signed = open_note(note, self._keys)
        except (ValueError, InvalidSignature) as error:
            self.found("signature", line, None, f"the checkpoint in line {line} is not valid: {error or 'forged'}")
            return
        span = f"{self._signed + 1} to {signed.size}"
        if signed.size != self._tree.size:
            words = f"a checkpoint of {signed.size} leaves stands after {self._tree.size}"
            self.found("order", line, min(signed.size, self._tree.size) + 1, words)
        elif signed.root != self._tree.root:
            self.found("changed", line, self._signed + 1, f"leaves {span} are not what was signed")
        else:
            self._signed = self.outcome.signed = signed.size
            return
        self._signed = max(self._signed, signed.size)

    def end(self) -> None:
        self.outcome.leaves = self._tree.size
        self.outcome.root = base64.b64encode(self._tree.root).decode()
        if not self._ended:
            self.found(
                "incomplete", None, self._tree.size + 1, f"the export ends after leaf {self._tree.size} without its end"
            )
        if not self.outcome.signed and not self.outcome.findings:
            self.found(
                "unsigned", None, 1, "no checkpoint covers anything: nothing says that this is what was recorded"
            )
        elif self._tree.size > self.outcome.signed and not self.outcome.findings:
            first = self.outcome.signed + 1
            self.found("unsigned", None, first, f"no checkpoint covers leaves {first} to {self._tree.size}")

    @property
    def size(self) -> int:
        return self._tree.size


def _canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _decoded(text: str) -> bytes:
    """Base64 in its one canonical form: nothing that means the same may be written otherwise."""
    found = base64.b64decode(text, validate=True)
    if base64.b64encode(found).decode() != text:
        raise ValueError("it is not base64 in canonical form")
    return found


def verify(lines: Iterable[bytes], keys: Sequence[Key], witnessed: Iterable[str] = ()) -> Outcome:
    """Verify an export's lines.

    Args:
        lines: of the export, each with its end.
        keys: public keys; after a rotation, the older ones too.
        witnessed: signed notes that were kept elsewhere.
    """
    known: list[tuple[str, Signed | None, str]] = []
    for at, note in enumerate(witnessed, 1):
        try:
            known.append((f"witnessed checkpoint {at}", open_note(note, keys), ""))
        except (ValueError, InvalidSignature) as error:
            known.append((f"witnessed checkpoint {at}", None, str(error) or "forged"))
    reader = _Reader(keys, [signed.size for _, signed, _ in known if signed])
    for line, raw in enumerate(lines, 1):
        reader.read(raw, line)
    reader.end()
    for name, signed, words in known:
        if signed is None:
            reader.found("signature", None, None, f"{name} is not valid: {words}")
        elif signed.size > reader.size:
            missing = f"leaves {reader.size + 1} to {signed.size} are missing: {name} saw them"
            reader.found("truncated", None, reader.size + 1, missing)
        elif signed.size and reader.roots.get(signed.size) != signed.root:
            words = f"the first {signed.size} leaves are not what {name} saw"
            reader.found("rolled_back", None, None, words)
    return reader.outcome


def _notes(path: Path) -> Iterator[str]:
    """Checkpoints in a directory (``*.checkpoint``), or in one file."""
    files = sorted(path.glob("**/*.checkpoint")) if path.is_dir() else [path]
    for file in files:
        yield file.read_text(encoding="utf8", errors="replace")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jupyter quantum audit verify", description="Verify an export of the record.")
    parser.add_argument("export", help="the file, or - for standard input")
    parser.add_argument(
        "--key", action="append", required=True, help="public key, or a file with keys; may be repeated"
    )
    parser.add_argument(
        "--checkpoints", type=Path, action="append", default=[], help="file or directory kept elsewhere"
    )
    parser.add_argument("--json", action="store_true", help="the outcome as JSON")
    return parser


def _keys(given: Iterable[str]) -> list[Key]:
    found: list[Key] = []
    for text in given:
        is_file = Path(text).is_file()
        if not is_file and "+" not in text:
            raise ValueError(f"{text} is neither a public key nor a file of keys")
        lines = Path(text).read_text(encoding="utf8").split() if is_file else [text]
        found += [Key.read(line) for line in lines]
    return found


def _outcome(asked: argparse.Namespace, keys: Sequence[Key], export: BinaryIO) -> Outcome:
    return verify(export, keys, [note for path in asked.checkpoints for note in _notes(path)])


def main(argv: Sequence[str] | None = None) -> int:
    """Verify, say what was found, and return the exit code."""
    asked = _parser().parse_args(argv)
    try:
        keys = _keys(asked.key)
        if asked.export == "-":
            outcome = _outcome(asked, keys, sys.stdin.buffer)
        else:
            with open(asked.export, "rb") as export:
                outcome = _outcome(asked, keys, export)
    except (OSError, ValueError, binascii.Error) as error:
        said = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        if asked.json:
            sys.stdout.write(json.dumps({"verified": False, "error": said}) + "\n")
        sys.stderr.write(f"cannot verify: {said}\n")
        return 2
    if asked.json:
        sys.stdout.write(json.dumps({"verified": outcome.verified, **asdict(outcome)}) + "\n")
    else:
        _say(outcome)
    return 0 if outcome.verified else 1


def _say(outcome: Outcome) -> None:
    for finding in outcome.findings:
        sys.stdout.write(f"{finding.kind}: {finding.words}\n")
    what = f"{outcome.leaves} leaves, {outcome.checkpoints} checkpoints, root {outcome.root}"
    sys.stdout.write(f"{'Verified' if outcome.verified else 'NOT VERIFIED'}: {what}\n")


if __name__ == "__main__":
    sys.exit(main())
