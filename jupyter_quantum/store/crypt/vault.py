"""The master key in HashiCorp Vault's (or OpenBao's) transit engine: it never leaves it."""

from __future__ import annotations

import base64
import os
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, TypeVar

import hvac
from hvac.exceptions import InvalidPath, InvalidRequest, VaultError
from requests.exceptions import RequestException

from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.store.crypt.masters import Wrapped, unanswered

__all__ = ["VaultMaster"]

T = TypeVar("T")

_WHAT: Final = "Vault"


class VaultMaster:
    """A derived key of the transit engine (``aes256-gcm96``): the tenant is the context from which Vault derives.

    Args:
        url: of Vault, such as ``https://vault.example.org:8200``.
        key: its name in the engine; made at first use, where the token may.
        mount: of the engine.
        token_file: file with the token, read anew each time, as Vault's agent renews it; ``VAULT_TOKEN`` where absent.
        namespace: of Vault Enterprise.
        ca: file with the certificates to trust; the system's where absent.
        timeout_s: seconds to wait for an answer.

    The token's policy needs ``update`` on ``encrypt``, ``decrypt`` and ``rewrap`` of the key, ``read`` of the key; to
    rotate: ``update`` on its ``rotate``, ``config`` and ``trim``.
    """

    name = "vault"

    def __init__(
        self,
        url: str,
        key: str = "jupyter-quantum",
        *,
        mount: str = "transit",
        token_file: str | None = None,
        namespace: str | None = None,
        ca: str | None = None,
        timeout_s: float = 5.0,
    ) -> None:
        self._key = key
        self._mount = mount
        self._token_file = None if token_file is None else Path(token_file)
        verify: Any = True if ca is None else ca
        self._client = hvac.Client(url=url, namespace=namespace, verify=verify, timeout=timeout_s)
        self._lock = threading.Lock()
        self._made = False

    def current(self) -> str:
        """``vault:<mount>/<key>:v<version>``."""
        return self._named(self._call(lambda: self._read()["latest_version"]))

    def wrap(self, tenant: str, raw: bytes) -> Wrapped:
        """Encrypt with the latest version."""
        answer = self._call(lambda: self._transit("encrypt_data", plaintext=_b64(raw), context=_b64(tenant.encode())))
        return self._wrapped(answer)

    def unwrap(self, tenant: str, wrapped: Wrapped) -> bytes:
        """Decrypt."""
        text, context = wrapped.wrapped.decode("ascii"), _b64(tenant.encode())
        answer = self._call(lambda: self._transit("decrypt_data", ciphertext=text, context=context))
        return base64.b64decode(answer["data"]["plaintext"])

    def rewrap(self, tenant: str, wrapped: Wrapped) -> Wrapped:
        """Vault does it by itself: the data key is not seen on the way."""
        text, context = wrapped.wrapped.decode("ascii"), _b64(tenant.encode())
        return self._wrapped(self._call(lambda: self._transit("rewrap_data", ciphertext=text, context=context)))

    def rotate(self) -> str:
        """A new version in Vault."""
        self._call(lambda: self._transit("rotate_key"))
        return self.current()

    def forget(self, used: Collection[str]) -> list[str]:
        """Trim the versions below the lowest that is in use."""

        def trim() -> list[str]:
            found = self._read()
            latest, lowest = int(found["latest_version"]), int(found.get("min_available_version") or 1)
            stay = min((n for n in range(lowest, latest + 1) if self._named(n) in used), default=latest)
            if stay <= lowest:
                return []
            # One after the other: hvac refuses equal values in one call, which Vault takes.
            self._transit("update_key_configuration", min_encryption_version=latest)
            self._transit("update_key_configuration", min_decryption_version=stay)
            self._transit("trim_key", min_version=stay)
            return [self._named(number) for number in range(lowest, stay)]

        return self._call(trim)

    # -- Vault -----------------------------------------------------------------------------------------------------

    def _named(self, version: int) -> str:
        return f"vault:{self._mount}/{self._key}:v{version}"

    def _wrapped(self, answer: Any) -> Wrapped:
        """Ciphertexts read ``vault:v<version>:<base64>``."""
        text: str = answer["data"]["ciphertext"]
        return Wrapped(self._named(int(text.split(":")[1].removeprefix("v"))), text.encode("ascii"))

    def _transit(self, act: str, **values: Any) -> Any:
        return getattr(self._client.secrets.transit, act)(self._key, mount_point=self._mount, **values)

    def _read(self) -> dict[str, Any]:
        found: dict[str, Any] = self._transit("read_key")["data"]
        return found

    def _call(self, act: Callable[[], T]) -> T:
        """One call, with a fresh token. Raises Unavailable; what Vault said stays in the log."""
        with self._lock:
            try:
                self._client.token = self._token()
                if not self._made:
                    self._ensure()
                return act()
            except InvalidRequest as error:
                raise Unavailable("Vault does not unwrap a data key.", code="keys.unwrap") from error
            except (VaultError, RequestException, OSError) as error:
                raise unanswered(_WHAT, error) from error

    def _token(self) -> str:
        if self._token_file is not None:
            return self._token_file.read_text().strip()
        return os.environ.get("VAULT_TOKEN", "")

    def _ensure(self) -> None:
        """The key is there, and derives by tenant."""
        try:
            found = self._read()
        except InvalidPath:
            self._transit("create_key", key_type="aes256-gcm96", derived=True)
            found = self._read()
        if not found.get("derived"):
            raise Unavailable(
                f"The transit key {self._key} was made without derivation.",
                code="keys.provider",
                hint="Make it with derived=true; the tenant is its context.",
            )
        self._made = True


def _b64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
