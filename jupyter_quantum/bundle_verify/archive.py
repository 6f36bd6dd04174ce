"""The zip that a bundle is: plain members, bounded, nothing twice and nothing beside them."""

from __future__ import annotations

import os
import zipfile
import zlib
from typing import IO

from jupyter_quantum.bundle_verify.parts import Wrong

__all__ = ["Damaged", "members"]

_MEMBERS = 20_000
_MEMBER = 256 * 1024 * 1024
_ALL = 1024 * 1024 * 1024
_LOCAL = 30
"""Bytes of a member's own header, without its name."""
_LISTED = 46
"""Bytes of its entry in the directory, without its name."""
_END = 22
"""Bytes of what ends the directory."""
_UNREADABLE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError),
    *(ValueError, KeyError, IndexError, OverflowError),
)


class Damaged(Wrong):
    """It is an archive like a bundle, and a member of it is not what was packed."""


def members(file: IO[bytes]) -> dict[str, bytes]:
    """Name → bytes of each member. Raises Wrong, in words, where the file is no bundle; Damaged.

    Nothing is inflated before all members have said that they are small enough, and none beyond what it said.
    """
    try:
        return _read(file)
    except _UNREADABLE as error:
        raise Wrong(f"it cannot be read: {error or type(error).__name__}") from None


def _read(file: IO[bytes]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    size = file.seek(0, os.SEEK_END)
    if size > _ALL:
        raise Wrong("it is larger than a bundle may be")
    with zipfile.ZipFile(file) as archive:
        infos = archive.infolist()
        if archive.comment or len(infos) > _MEMBERS or sum(one.file_size for one in infos) > _ALL:
            raise Wrong("it is larger than a bundle may be, or carries a comment")
        names: set[str] = set()
        for one in infos:
            _check(one, names)
            names.add(one.filename)
        _check_place(infos, archive.start_dir, size)
        for one in infos:
            found[one.filename] = _inflated(archive, one)
    if not found.keys() & {"manifest.json", "record/events.jsonl"}:
        raise Wrong("it is a zip, but no bundle of a run: neither a manifest nor a record is in it")
    return found


def _inflated(archive: zipfile.ZipFile, one: zipfile.ZipInfo) -> bytes:
    try:
        with archive.open(one) as member:
            return member.read(one.file_size + 1)  # ``ZipFile.read`` would inflate more than the member says first
    except _UNREADABLE as error:
        raise Damaged(f"{one.filename} is damaged: {error or type(error).__name__}") from None


def _check(one: zipfile.ZipInfo, before: set[str]) -> None:
    parts = one.filename.split("/")
    if one.filename in before:
        raise Wrong(f"{one.filename} is there twice")
    plain = one.filename.isascii() and one.filename.isprintable() and "\\" not in one.filename
    if not plain or any(part in ("", ".", "..") for part in parts):
        raise Wrong(f"{one.filename!r} is not the name of a member")
    if one.file_size > _MEMBER or one.flag_bits & 1 or one.extra or one.comment:
        raise Wrong(f"{one.filename} is too large, encrypted, or carries more than its bytes")
    if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Wrong(f"{one.filename} is compressed in a way that no bundle is")


def _check_place(infos: list[zipfile.ZipInfo], end: int, size: int) -> None:
    """One member after the other from the first byte to the directory, which ends the file; none inside another."""
    at = 0
    for one in sorted(infos, key=lambda one: one.header_offset):
        if one.header_offset != at:
            raise Wrong(f"something lies before {one.filename}, or it lies in another member")
        at += _LOCAL + len(one.filename) + one.compress_size
    if infos and (at != end or end + sum(_LISTED + len(one.filename) for one in infos) + _END != size):
        raise Wrong("something lies behind the members")
