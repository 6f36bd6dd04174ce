"""Bytes by their digest: small ones in the database, larger ones as files (fsspec: a directory, an object store)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import fsspec

from jupyter_quantum.exceptions import InputError, NotFound, Unavailable
from jupyter_quantum.wire.base import digest_of

__all__ = ["INLINE", "Files"]

INLINE: Final = 64 * 1024
"""Bytes; what is smaller goes into the database, with the transaction that refers to it."""
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


class Files:
    """Files named by their digest, under one fsspec URL. The same bytes again are free; nothing is overwritten."""

    def __init__(self, url: str) -> None:
        self._fs: Any
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = str(root).rstrip("/")
        self._local = "file" in self._fs.protocol

    def beside(self, name: str) -> Path:
        """A file next to the directory, where it is a local one. Raises InputError for object stores."""
        if not self._local:
            raise InputError(
                "Artefacts in an object store need a provider of keys.", code="config", hint="Set keys of the service."
            )
        return Path(self._root).parent / name

    def _path(self, digest: str) -> str:
        name = digest.removeprefix("sha256:")
        return f"{self._root}/{name[:2]}/{name[2:4]}/{name}"

    def has(self, digest: str) -> bool:
        """Whether there is a file with this digest."""
        return bool(self._fs.exists(self._path(digest)))

    def put(self, raw: bytes) -> str:
        """Write a file and return its digest; it is on disk when this returns."""
        digest = digest_of(raw)
        if not self.has(digest):
            if self._local:
                _write_durably(Path(self._path(digest)), raw)
            else:
                self._fs.pipe_file(self._path(digest), raw)
        return digest

    def get(self, digest: str) -> bytes:
        """The bytes, checked against their digest. Raises NotFound; Unavailable where the file was damaged."""
        if not _DIGEST.fullmatch(digest):
            raise NotFound("No such artefact.")
        try:
            raw: bytes = self._fs.cat_file(self._path(digest))
        except FileNotFoundError:
            raise NotFound("No such artefact.") from None
        if digest_of(raw) != digest:
            raise Unavailable("A stored file does not match its digest.", code="store.damaged")
        return raw


def _write_durably(path: Path, raw: bytes) -> None:
    """Temporary file, fsync, rename, fsync of the directory: after a crash there is the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    with draft.open("xb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
        _sync(folder)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
