"""The master key in a file: made at first use, for the eyes of the service's user only."""

from __future__ import annotations

import base64
import json
import os
import stat
import threading
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from uuid import uuid4

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.store.crypt.masters import Wrapped

__all__ = ["FileMaster"]

_NONCE: Final = 12


@dataclass(frozen=True, slots=True)
class _Keys:
    current: int
    keys: dict[int, bytes]


class FileMaster:
    """Master keys in one JSON file (mode 0600), AES-256-GCM with the tenant as associated data.

    Keep a copy apart from the database's: without the file nothing sealed can be read, and with both everything can.
    """

    name = "file"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: _Keys | None = None

    def current(self) -> str:
        """``file:<version>``."""
        with self._lock:
            return f"file:{self._keys().current}"

    def wrap(self, tenant: str, raw: bytes) -> Wrapped:
        """Wrap with the current version."""
        with self._lock:
            keys = self._keys()
        nonce = os.urandom(_NONCE)
        sealed = AESGCM(keys.keys[keys.current]).encrypt(nonce, raw, tenant.encode())
        return Wrapped(f"file:{keys.current}", nonce + sealed)

    def unwrap(self, tenant: str, wrapped: Wrapped) -> bytes:
        """The data key."""
        key = self._find(wrapped.master)
        try:
            return AESGCM(key).decrypt(wrapped.wrapped[:_NONCE], wrapped.wrapped[_NONCE:], tenant.encode())
        except (InvalidTag, ValueError):
            raise Unavailable("A data key does not unwrap: it was damaged.", code="keys.unwrap") from None

    def rewrap(self, tenant: str, wrapped: Wrapped) -> Wrapped:
        """Under the current version."""
        return self.wrap(tenant, self.unwrap(tenant, wrapped))

    def rotate(self) -> str:
        """A new version in the file."""
        with self._lock:
            keys = self._keys(fresh=True)
            version = max(keys.keys) + 1
            self._replace(_Keys(version, {**keys.keys, version: AESGCM.generate_key(256)}))
        return f"file:{version}"

    def forget(self, used: Collection[str]) -> list[str]:
        """Remove versions from the file."""
        with self._lock:
            keys = self._keys(fresh=True)
            stay = {v: key for v, key in keys.keys.items() if v == keys.current or f"file:{v}" in used}
            gone = sorted(keys.keys.keys() - stay.keys())
            if gone:
                self._replace(_Keys(keys.current, stay))
        return [f"file:{version}" for version in gone]

    def _find(self, master: str) -> bytes:
        version = int(master.removeprefix("file:")) if master.startswith("file:") else 0
        with self._lock:
            key = self._keys().keys.get(version) or self._keys(fresh=True).keys.get(version)
        if key is None:
            raise Unavailable(
                f"{self._path.name} does not hold the master key {master}.",
                code="keys.unwrap",
                hint="Put back the copy of the file that belongs to this database.",
            )
        return key

    # -- the file --------------------------------------------------------------------------------------------------

    def _keys(self, *, fresh: bool = False) -> _Keys:
        if self._known is None or fresh:
            if not self._path.exists():
                self._first()
            self._known = self._read()
        return self._known

    def _read(self) -> _Keys:
        try:
            with self._path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                text = file.read()
            if stat.S_IMODE(mode) & 0o077:
                raise Unavailable(
                    f"{self._path.name} can be read by others; nothing is unwrapped with it.",
                    code="keys.mode",
                    hint="Make it its owner's only (mode 0600), then rotate the master key.",
                )
            found = json.loads(text)
            keys = {int(version): base64.b64decode(key) for version, key in found["keys"].items()}
            return _Keys(found["current"], {v: key for v, key in keys.items() if len(key) == 32})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unavailable(f"{self._path.name} cannot be read.", code="keys.provider") from error

    def _first(self) -> None:
        """Two processes may start at once: the file that is linked first counts."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._draft(_Keys(1, {1: AESGCM.generate_key(256)}))
        try:
            os.link(draft, self._path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
        self._sync()

    def _replace(self, keys: _Keys) -> None:
        self._draft(keys).replace(self._path)
        self._sync()
        self._known = keys

    def _draft(self, keys: _Keys) -> Path:
        text = {"current": keys.current, "keys": {str(v): base64.b64encode(k).decode() for v, k in keys.keys.items()}}
        draft = self._path.with_name(f".{self._path.name}.{uuid4().hex}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(text, file)
            file.flush()
            os.fsync(file.fileno())
        return draft

    def _sync(self) -> None:
        handle = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
