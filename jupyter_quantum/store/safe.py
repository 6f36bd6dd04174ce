"""What stands behind every view: the files of the artefacts, and the keys in memory."""

from __future__ import annotations

from dataclasses import dataclass

from jupyter_quantum.store.artefacts import Files
from jupyter_quantum.store.crypt import Keyring

__all__ = ["Safe"]


@dataclass(frozen=True, slots=True)
class Safe:
    """Files and keys."""

    files: Files
    keyring: Keyring
