"""In the hub's process: have the identity provider asked about somebody who is absent.

The hub refreshes groups when a user acts. Whoever left the lab does not act, and would stay in their groups for ever;
the service asks here about those who have jobs waiting. It needs the scope that it has anyway, ``read:users``.
"""

from __future__ import annotations

import json
from typing import Any, Final

__all__ = ["PATH", "handlers"]

PATH: Final = r"/api/quantum/refresh/([^/]+)"
"""Below the hub's prefix."""


def handlers() -> list[tuple[str, Any]]:
    """For ``c.JupyterHub.extra_handlers``; imports the hub, so call it in the hub's process only."""
    from jupyterhub.apihandlers.base import APIHandler
    from jupyterhub.scopes import needs_scope
    from tornado.web import HTTPError

    class Refresh(APIHandler):  # type: ignore[misc]
        """``GET /hub/api/quantum/refresh/<name>``: the user's model once the provider was asked.

        It is asked as often as ``auth_refresh_age`` allows. ``refused``: it does not let this person in any more. That
        is only said where the hub held a token with which it could have asked again; where it held none, the provider
        was not heard, and what the hub knew stays.
        """

        @needs_scope("read:users")  # type: ignore[untyped-decorator]
        async def get(self, user_name: str) -> None:
            user = self.find_user(user_name)
            if user is None:
                raise HTTPError(404)
            renewable = await _renewable(self.authenticator, user)
            fresh = await self.refresh_auth(user)
            model = self.user_model(user)
            self.write(json.dumps(model | {"refused": fresh is None and renewable}))

    return [(PATH, Refresh)]


async def _renewable(authenticator: Any, user: Any) -> bool:
    """Whether the hub has something with which the provider would go on letting this person in, if it wanted to."""
    if not authenticator.enable_auth_state:
        return False
    state = await user.get_auth_state()
    return bool(state and state.get("refresh_token"))
