"""Files of the larger artefacts, under one fsspec URL: a directory, an object store. What is in them is sealed."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import fsspec

from jupyter_quantum.exceptions import InputError, NotFound

__all__ = ["INLINE", "Files"]

INLINE: Final = 64 * 1024
"""Bytes; what is smaller goes into the database, with the transaction that refers to it."""


class Files:
    """Files by names drawn by chance, so that a name is never used again and tells nothing."""

    def __init__(self, url: str) -> None:
        self._fs: Any
        self._fs, root = fsspec.core.url_to_fs(url)
        self._root = str(root).rstrip("/")
        self._local = "file" in self._fs.protocol

    @staticmethod
    def fresh() -> str:
        """A new name."""
        name = uuid4().hex
        return f"{name[:2]}/{name}"

    def beside(self, name: str) -> Path:
        """A file next to the directory, where it is a local one. Raises InputError for object stores."""
        if not self._local:
            raise InputError(
                "Artefacts in an object store need a provider of keys.", code="config", hint="Set keys of the service."
            )
        return Path(self._root).parent / name

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        return bool(self._fs.exists(self._path(name)))

    def put(self, name: str, raw: bytes) -> None:
        """Write a file; it is on disk when this returns."""
        if self._local:
            _write_durably(Path(self._path(name)), raw)
        else:
            self._fs.pipe_file(self._path(name), raw)

    def get(self, name: str) -> bytes:
        """The bytes. Raises NotFound."""
        try:
            raw: bytes = self._fs.cat_file(self._path(name))
        except FileNotFoundError:
            raise NotFound("No such artefact.") from None
        return raw

    def remove(self, *names: str) -> None:
        """Remove files for good; nothing where they are gone already."""
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                self._fs.rm_file(self._path(name))
        if self._local:
            for folder in {Path(self._path(name)).parent for name in names}:
                _sync(folder)

    def names(self) -> Iterator[tuple[str, datetime]]:
        """Every file with the moment when it was written, drafts that a crash left among them."""
        with contextlib.suppress(FileNotFoundError):
            for path, found in self._fs.find(self._root, detail=True).items():
                written = found.get("mtime", found.get("created", found.get("LastModified")))
                yield str(path).removeprefix(f"{self._root}/"), _moment(written)


def _moment(written: Any) -> datetime:
    """File systems tell times as seconds or as datetimes; one that tells none is taken to be new."""
    if isinstance(written, datetime):
        return written if written.tzinfo else written.replace(tzinfo=UTC)
    return datetime.now(UTC) if written is None else datetime.fromtimestamp(float(written), UTC)


def _write_durably(path: Path, raw: bytes) -> None:
    """Temporary file, fsync, rename, fsync of the directories: after a crash there is the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{uuid4().hex}")
    with draft.open("xb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    for folder in (path.parent, path.parent.parent):
        _sync(folder)


def _sync(folder: Path) -> None:
    if not folder.is_dir():
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
