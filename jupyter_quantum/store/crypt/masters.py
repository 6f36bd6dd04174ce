"""Master keys: what wraps the data keys, wherever it is kept."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from jupyter_quantum.exceptions import InputError, Unavailable

__all__ = ["MasterKey", "Wrapped", "choose", "unanswered"]


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A data key as it may be stored."""

    master: str
    """The provider's name of the master key and its version."""
    wrapped: bytes


class MasterKey(Protocol):
    """A provider of the master key. Its methods block, and may be called from any thread.

    ``tenant`` is bound to the wrapped key where the provider can (the envelopes bind it in any case). Every method
    raises Unavailable: ``keys.provider`` where it does not answer, ``keys.unwrap`` where it refuses what it is given.
    """

    name: str
    """``file``, ``vault``, ``pkcs11``."""

    def current(self) -> str:
        """The master key that wraps now."""
        ...

    def wrap(self, tenant: str, raw: bytes) -> Wrapped:
        """Wrap a data key with the current master key."""
        ...

    def unwrap(self, tenant: str, wrapped: Wrapped) -> bytes:
        """The data key."""
        ...

    def rewrap(self, tenant: str, wrapped: Wrapped) -> Wrapped:
        """The same data key under the current master key."""
        ...

    def rotate(self) -> str:
        """Start a new version of the master key; the older ones still unwrap."""
        ...

    def forget(self, used: Collection[str]) -> list[str]:
        """Destroy the versions of the master key that wrap nothing any more; those destroyed."""
        ...


def unanswered(what: str, error: Exception) -> Unavailable:
    """What to raise where a provider does not answer; the cause is kept for the log, and never shown."""
    found = Unavailable(f"{what} did not answer, so the keys cannot be had.", code="keys.provider")
    found.__cause__ = error
    return found


_KNOWN: Final = {
    "file": frozenset({"path"}),
    "vault": frozenset({"url", "key", "mount", "token_file", "namespace", "ca", "timeout_s"}),
    "pkcs11": frozenset({"library", "token", "pin_file", "key"}),
}


def choose(given: Mapping[str, Any], beside: Path) -> MasterKey:
    """The provider that the configuration names; a file in the directory ``beside`` where it names none.

    Raises InputError ``config``.
    """
    values = dict(given)
    provider = values.pop("provider", "file")
    if provider not in _KNOWN:
        raise InputError(
            f"There is no provider of keys {provider!r}.", code="config", hint="Use file, vault or pkcs11."
        )
    unknown = sorted(values.keys() - _KNOWN[provider])
    if unknown:
        raise InputError(
            f"The key provider {provider!r} has no setting {unknown[0]!r}.",
            code="config",
            hint=f"It has {', '.join(sorted(_KNOWN[provider]))}.",
        )
    try:
        return _made(provider, values, beside)
    except (TypeError, KeyError) as error:
        raise InputError(f"The key provider {provider!r} lacks a setting: {error}.", code="config") from error
    except ImportError as error:
        raise InputError(
            f"The key provider {provider!r} is not installed.",
            code="config",
            hint=f"pip install 'jupyter-quantum[{provider}]'",
        ) from error


def _made(provider: str, values: Mapping[str, Any], beside: Path) -> MasterKey:
    """Vendors' libraries are imported only where they are used."""
    if provider == "vault":
        from jupyter_quantum.store.crypt.vault import VaultMaster

        return VaultMaster(**values)
    if provider == "pkcs11":
        from jupyter_quantum.store.crypt.token import TokenMaster

        return TokenMaster(**values)
    from jupyter_quantum.store.crypt.file import FileMaster

    return FileMaster(Path(values.get("path") or beside / "master-keys.json"))
