"""Which provider keeps the master key, as the configuration says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jupyter_quantum.exceptions import InputError
from jupyter_quantum.store.crypt.masters import MasterKey

__all__ = ["choose"]

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
