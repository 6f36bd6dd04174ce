"""The master key in a PKCS#11 token (an HSM): AES key wrap within it (RFC 3394)."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11.exceptions import (
    EncryptedDataInvalid,
    GeneralError,
    NoSuchKey,
    PKCS11Error,
    UserAlreadyLoggedIn,
    WrappedKeyInvalid,
    WrappedKeyLenRange,
)

from jupyter_quantum.exceptions import Unavailable
from jupyter_quantum.store.crypt.masters import Wrapped, unanswered

__all__ = ["TokenMaster"]

T = TypeVar("T")

_WHAT: Final = "The PKCS#11 token"
_DATA: Final[dict[Attribute, Any]] = {
    Attribute.TOKEN: False,
    Attribute.SENSITIVE: False,
    Attribute.EXTRACTABLE: True,
}
"""Data keys are in the token's memory only while they are wrapped or unwrapped."""
_REFUSALS: Final = (WrappedKeyInvalid, WrappedKeyLenRange, EncryptedDataInvalid, GeneralError)
"""How modules say that a wrapped key is not right; SoftHSM's word is the last."""


def _refused() -> Unavailable:
    return Unavailable("The token does not unwrap a data key.", code="keys.unwrap")


class TokenMaster:
    """AES-256 keys in a token, named ``<key>-1``, ``<key>-2`` …; the highest one wraps.

    They are made in the token, sensitive and never extractable. One session, one call at a time.

    Args:
        library: the vendor's PKCS#11 module, a path.
        token: label of the token.
        pin_file: file with the user's PIN.
        key: label of the master key, without its number.
    """

    name = "pkcs11"

    def __init__(self, library: str, token: str, pin_file: str, key: str = "jupyter-quantum") -> None:
        self._library = library
        self._token = token
        self._pin_file = Path(pin_file)
        self._key = key
        self._lock = threading.Lock()
        self._session: pkcs11.Session | None = None

    def current(self) -> str:
        """The key's URI (RFC 7512)."""
        return self._call(lambda session: self._named(self._latest(session)))

    def wrap(self, tenant: str, raw: bytes) -> Wrapped:
        """Wrap with the highest key. AES key wrap binds no tenant; the envelopes do."""
        del tenant
        return self._call(lambda session: self._wrap(session, raw))

    def unwrap(self, tenant: str, wrapped: Wrapped) -> bytes:
        """The data key."""
        del tenant
        return self._call(lambda session: self._unwrap(session, wrapped))

    def rewrap(self, tenant: str, wrapped: Wrapped) -> Wrapped:
        """Under the highest key."""
        del tenant
        return self._call(lambda session: self._wrap(session, self._unwrap(session, wrapped)))

    def rotate(self) -> str:
        """A new key in the token."""
        return self._call(lambda session: self._named(self._make(session, self._latest(session) + 1)))

    def forget(self, used: Collection[str]) -> list[str]:
        """Destroy keys in the token."""

        def destroy(session: pkcs11.Session) -> list[str]:
            latest = self._latest(session)
            gone = [number for number in self._numbers(session) if number != latest and self._named(number) not in used]
            for number in gone:
                self._find(session, number).destroy()
            return [self._named(number) for number in gone]

        return self._call(destroy)

    # -- the token -------------------------------------------------------------------------------------------------

    def _named(self, number: int) -> str:
        return f"pkcs11:token={self._token};object={self._key}-{number}"

    def _numbers(self, session: pkcs11.Session) -> list[int]:
        pattern = re.compile(rf"{re.escape(self._key)}-([1-9][0-9]*)")
        wanted = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.TOKEN: True}
        labels = [str(found[Attribute.LABEL]) for found in session.get_objects(wanted)]
        return sorted(int(hit[1]) for label in labels if (hit := pattern.fullmatch(label)))

    def _latest(self, session: pkcs11.Session) -> int:
        numbers = self._numbers(session)
        return numbers[-1] if numbers else self._make(session, 1)

    def _make(self, session: pkcs11.Session, number: int) -> int:
        session.generate_key(
            KeyType.AES,
            256,
            label=f"{self._key}-{number}",
            store=True,
            capabilities=MechanismFlag.WRAP | MechanismFlag.UNWRAP,
            template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True},
        )
        return number

    def _find(self, session: pkcs11.Session, number: int) -> Any:
        return session.get_key(ObjectClass.SECRET_KEY, KeyType.AES, label=f"{self._key}-{number}")

    def _wrap(self, session: pkcs11.Session, raw: bytes) -> Wrapped:
        number = self._latest(session)
        kind = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.KEY_TYPE: KeyType.AES, Attribute.VALUE: raw}
        data: Any = session.create_object(kind | _DATA)
        try:
            wrapped = self._find(session, number).wrap_key(data, mechanism=Mechanism.AES_KEY_WRAP)
        finally:
            data.destroy()
        return Wrapped(self._named(number), bytes(wrapped))

    def _unwrap(self, session: pkcs11.Session, wrapped: Wrapped) -> bytes:
        number = int(wrapped.master.rpartition("-")[2])
        if wrapped.master != self._named(number):
            raise Unavailable("A data key was wrapped in another token.", code="keys.unwrap")
        master = self._find(session, number)
        try:
            data = master.unwrap_key(
                ObjectClass.SECRET_KEY,
                KeyType.AES,
                wrapped.wrapped,
                mechanism=Mechanism.AES_KEY_WRAP,
                capabilities=MechanismFlag.ENCRYPT,
                template=_DATA,
            )
        except _REFUSALS as error:
            raise _refused() from error
        try:
            return bytes(data[Attribute.VALUE])
        finally:
            data.destroy()

    def _call(self, act: Callable[[pkcs11.Session], T]) -> T:
        """One call; a session that the token has ended is opened anew, once."""
        with self._lock:
            for last in (False, True):
                try:
                    return act(self._open())
                except NoSuchKey as error:
                    raise _refused() from error
                except (PKCS11Error, OSError, RuntimeError) as error:
                    self._session = None
                    if last:
                        raise unanswered(_WHAT, error) from error
        raise AssertionError("the second try returns or raises")

    def _open(self) -> pkcs11.Session:
        if self._session is None:
            token = pkcs11.lib(self._library).get_token(token_label=self._token)
            try:
                self._session = token.open(rw=True, user_pin=self._pin_file.read_text().strip())
            except UserAlreadyLoggedIn:  # signing in counts for the whole process
                self._session = token.open(rw=True)
        return self._session
