"""Sign-in for the demo: names and password hashes from its settings."""

from __future__ import annotations

import asyncio
from typing import Any

from jupyterhub.auth import Authenticator
from traitlets import Dict, Unicode

from jupyter_quantum.hub.demo.accounts import hashed, matches, new_password

__all__ = ["DemoAuthenticator"]

_NOBODY = hashed(new_password())  # an unknown name takes as long as a wrong password


class DemoAuthenticator(Authenticator):  # type: ignore[misc]
    """Accepts the people of one demo. Passwords are stored as salted hashes only."""

    hashes = Dict(value_trait=Unicode(), help="name → salted scrypt hash").tag(config=True)

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        """The name, where name and password belong together; otherwise None."""
        name = data.get("username", "")
        known = self.hashes.get(name, _NOBODY)
        fits = await asyncio.to_thread(matches, data.get("password", "")[:200], known)
        return name if fits and name in self.hashes else None
