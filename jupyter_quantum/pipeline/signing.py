"""The key that signs checkpoints: one file, its secret lines readable by the service alone."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.pipeline.notes import Signer, Verifier

__all__ = ["KeyFile"]


class KeyFile:
    """A file with one key a line: the first signs, the others sign too until the next checkpoint is made.

    Blocking: call it in a thread.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._past = path.with_name(f"{path.name}.past")

    def signers(self) -> list[Signer]:
        """The keys; a first one is made where there is no file. Raises Unavailable (``audit.key``) for a bad file."""
        if not self._path.exists():
            # The name is the record's origin. It is drawn by chance, since no two records may have the same.
            self._write([Signer.new(f"jupyter-quantum.invalid/{secrets.token_hex(8)}")], fresh=True)
        if self._path.stat().st_mode & 0o077:
            raise Unavailable(
                f"Others may read {self._path}, which signs the record.",
                code="audit.key",
                hint="chmod 600, and rotate the key.",
            )
        found = [Signer.read(line) for line in self._path.read_text(encoding="utf8").splitlines() if line.strip()]
        if not found:
            raise Unavailable(f"{self._path} holds no key.", code="audit.key", hint="Restore it from your backup.")
        return found

    def verifiers(self) -> list[Verifier]:
        """The public keys that ever signed, the current one first."""
        now = [signer.verifier for signer in self.signers()]
        past = self._past.read_text(encoding="utf8").split() if self._past.exists() else []
        return list(dict.fromkeys([*now, *(Verifier.read(text) for text in reversed(past))]))

    def rotate(self) -> tuple[Signer, Signer]:
        """A new key with the same name; the one before signs once more beside it. Answers old and new."""
        old = self.signers()[0]
        fresh = Signer.new(old.verifier.name)
        with self._past.open("a", encoding="utf8") as file:
            file.write(old.verifier.text + "\n")
        self._write([fresh, old])
        return old, fresh

    def retire(self) -> None:
        """After a checkpoint that all keys signed: only the first stays."""
        found = self.signers()
        if len(found) > 1:
            self._write(found[:1])

    def _write(self, signers: list[Signer], *, fresh: bool = False) -> None:
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf8") as file:
            file.writelines(signer.secret() + "\n" for signer in signers)
            file.flush()
            os.fsync(file.fileno())
        if not fresh:
            draft.replace(self._path)
            return
        try:
            with contextlib.suppress(FileExistsError):  # another replica was quicker, and its key is the record's
                os.link(draft, self._path)
        finally:
            draft.unlink()
