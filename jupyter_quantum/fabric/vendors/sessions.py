"""A vendor's sessions as its runner opens them: one a name, and never a second one where the first may be there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from jupyter_quantum.fabric.adapters.vendor import VendorError, VendorRefused, VendorUnavailable, VendorUnsure
from jupyter_quantum.fabric.settings import DeviceSpec
from jupyter_quantum.wire.sessions import SessionMode

__all__ = ["Opening"]

_MOST: Final = 10_000
"""Names that are remembered: each is a user's session, and the service knows all of them."""


class Opening:
    """Opens sessions of one device.

    Args:
        spec: the device: its operator pays the vendor, so that what it does not allow is not opened, whoever asks.
        ask: has the vendor open one.
    """

    def __init__(self, spec: DeviceSpec, ask: Callable[[str, SessionMode, float], Awaitable[str]]) -> None:
        self.same = False
        """Whether the vendor gives the same one where it is asked again."""
        self._spec = spec
        self._ask = ask
        self._locks: dict[str, asyncio.Lock] = {}
        self._known: dict[str, str | VendorError] = {}

    async def of(self, name: str, mode: SessionMode, most_s: float) -> str:
        """The handle of this name's session. Raises :class:`VendorError`, the same one again unless nothing was done.

        ``most_s``: seconds, 0 for any; the device's own limit holds too.
        """
        lock = self._locks.setdefault(name, asyncio.Lock())
        async with lock:
            if name not in self._known:
                await self._open(name, mode, most_s)
        self._locks.pop(name, None)
        found = self._known[name]
        if isinstance(found, VendorError):
            raise type(found)(str(found))
        return found

    async def _open(self, name: str, mode: SessionMode, most_s: float) -> None:
        if mode == "dedicated" and self._spec.sessions != "dedicated":
            raise VendorRefused("this runner opens no dedicated sessions")
        limits = [limit for limit in (most_s, self._spec.session_s or 0.0) if limit > 0]
        found: str | VendorError
        try:
            found = await self._ask(name, mode, min(limits, default=0.0))
        except VendorUnavailable:
            raise
        except VendorUnsure as error:
            if self.same:
                raise VendorUnavailable(str(error)) from None
            found = error
        except VendorRefused as error:
            found = error
        if len(self._known) >= _MOST:
            self._known.pop(next(iter(self._known)))
        self._known[name] = found
