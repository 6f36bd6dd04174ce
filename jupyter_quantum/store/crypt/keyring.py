"""Data keys in memory, for a bounded time."""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

from jupyter_quantum.exceptions import Conflict, InputError
from jupyter_quantum.store.crypt.envelope import ALGORITHMS, DataKey
from jupyter_quantum.store.crypt.masters import MasterKey, Wrapped

if TYPE_CHECKING:
    from jupyter_quantum.store.rows.data import KeyRow

__all__ = ["SERVICE", "Keyring", "shredded"]

SERVICE: Final = "service"
"""The tenant of what belongs to nobody: devices' targets, the service's own secrets."""

_KEPT: Final = 4096


def shredded(tenant: str) -> Conflict:
    """What to answer where the key of something was destroyed."""
    return Conflict(
        f"The data of {tenant} was shredded: its keys were destroyed, and nobody can read it any more.",
        code="data.shredded",
        hint="What was recorded of its jobs, and what they cost, is still there.",
    )


class Keyring:
    """Unwraps data keys through the master key, and remembers them.

    Whether a key may still be used is asked of its row each time; only the unwrapping is saved. Safe from threads.

    Args:
        master: the provider that wraps.
        algorithm: of new data keys.
        ttl_s: seconds for which an unwrapped key stays in memory.
    """

    def __init__(self, master: MasterKey, *, algorithm: str = "A256GCM", ttl_s: float = 300.0) -> None:
        if algorithm not in ALGORITHMS:
            known = ", ".join(ALGORITHMS)
            raise InputError(f"There is no algorithm {algorithm!r}.", code="config", hint=f"Use {known}.")
        self.master = master
        self.algorithm = algorithm
        self._ttl_s = ttl_s
        self._lock = threading.Lock()
        self._keys: dict[str, tuple[float, DataKey]] = {}

    def has(self, key_id: str) -> bool:
        """Whether the key is in memory now."""
        found = self._keys.get(key_id)
        return found is not None and found[0] > time.monotonic()

    def unwrapped(self, row: KeyRow) -> DataKey:
        """The key of a row. Raises Conflict ``data.shredded``; Unavailable where the provider does not give it."""
        if row.destroyed is not None:
            self.drop(row.id)
            raise shredded(row.tenant)
        found = self._keys.get(row.id)
        now = time.monotonic()
        if found is not None and found[0] > now:
            return found[1]
        raw = self.master.unwrap(row.tenant, Wrapped(row.master, row.wrapped))
        key = DataKey(row.id, row.tenant, row.version, row.algorithm, raw)
        self._keep(key, now)
        return key

    def fresh(self, tenant: str) -> Wrapped:
        """A new data key, wrapped."""
        return self.master.wrap(tenant, os.urandom(32))

    def drop(self, key_id: str) -> None:
        """Forget a key."""
        with self._lock:
            self._keys.pop(key_id, None)

    def _keep(self, key: DataKey, now: float) -> None:
        with self._lock:
            if len(self._keys) >= _KEPT:
                self._keys = {name: kept for name, kept in self._keys.items() if kept[0] > now}
            if len(self._keys) >= _KEPT:
                self._keys.clear()
            self._keys[key.id] = (now + self._ttl_s, key)
