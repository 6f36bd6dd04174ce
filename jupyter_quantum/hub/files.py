"""What the service keeps in its data directory besides the store: its lock and its secrets."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from pathlib import Path

from jupyter_quantum.exceptions import Unavailable

__all__ = ["Lock", "secret", "token"]


class Lock:
    """At most one service works in a data directory. The lock ends with the process, however that ends.

    Raises :class:`Unavailable` (``service.locked``) where another service still holds it after ``patience_s``: one
    whose hub was killed needs a moment to notice.
    """

    def __init__(self, data_dir: Path, patience_s: float = 10.0) -> None:
        path = data_dir / "service.lock"
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        until = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= until:
                    holder = os.read(self._file, 20).decode("ascii", "replace").strip() or "unknown"
                    os.close(self._file)
                    raise Unavailable(
                        f"Another service (process {holder}) already uses the data directory {data_dir}.",
                        code="service.locked",
                        hint="Stop it, or give this one a data directory of its own.",
                    ) from None
                time.sleep(0.1)
        os.ftruncate(self._file, 0)
        os.write(self._file, f"{os.getpid()}\n".encode())

    def release(self) -> None:
        """Let another service work here."""
        os.close(self._file)


def secret(path: Path, size: int = 32) -> bytes:
    """The random bytes stored at ``path``, made at the first call with mode 0600."""
    return _made_once(path, secrets.token_bytes(size))


def token(path: Path) -> str:
    """The same as text, which can be sent in a header."""
    return _made_once(path, secrets.token_urlsafe(32).encode()).decode().strip()


def _made_once(path: Path, raw: bytes) -> bytes:
    with contextlib.suppress(FileExistsError):
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(raw)
        try:
            os.link(fresh, path)  # whole or not at all, and never over another's
        finally:
            fresh.unlink()
    return path.read_bytes()
