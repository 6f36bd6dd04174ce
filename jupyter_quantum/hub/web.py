"""All of the service's addresses in one Tornado application."""

from __future__ import annotations

import re
from typing import Any

from jupyterhub.services.auth import HubOAuthCallbackHandler
from tornado.web import Application

from jupyter_quantum.hub import pages
from jupyter_quantum.hub.api.base import Absent
from jupyter_quantum.hub.api.json import Api, by_path
from jupyter_quantum.hub.api.limits import Bucket
from jupyter_quantum.hub.api.peer import address_of
from jupyter_quantum.hub.api.route import pattern
from jupyter_quantum.hub.api.routes import ROUTES
from jupyter_quantum.hub.api.runners import ROUTES as RUNNER_ROUTES
from jupyter_quantum.hub.api.runners import RunnerApi
from jupyter_quantum.hub.api.system import Live, Metrics, OpenApi, Ready
from jupyter_quantum.hub.context import Context
from jupyter_quantum.hub.events import Events
from jupyter_quantum.pipeline.refusals import UNKNOWN, Refusal, address_class

__all__ = ["web_application"]


class _Callback(HubOAuthCallbackHandler):  # type: ignore[misc]
    """Where the hub sends a browser after its login."""

    def initialize(self) -> None:
        context: Context = self.settings["context"]
        self._hub_auth = context.oauth

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A sign-in that failed is an entry of the record."""
        context: Context = self.settings["context"]
        where = address_class(address_of(self.request, context.trusted_proxies))
        context.refused(Refusal("auth.failed", UNKNOWN, "GET oauth_callback", status_code, "auth.callback", where))
        super().write_error(status_code, **kwargs)


def web_application(context: Context, streams: set[Events], cookie_secret: bytes) -> Application:
    """The application; ``streams`` collects the event streams that are open, ``cookie_secret`` signs logins."""
    return Application(
        _routes(re.escape(context.prefix)),
        default_handler_class=Absent,
        context=context,
        streams=streams,
        open_bucket=Bucket(50.0, 200.0),
        cookie_secret=cookie_secret,
        login_url=context.oauth.login_url,
        log_function=lambda _: None,
    )


def _routes(prefix: str) -> list[Any]:
    own: list[tuple[str, Any]] = [
        ("oauth_callback", _Callback),
        ("health/live", Live),
        ("health/ready", Ready),
        ("metrics", Metrics),
        ("api/v1/openapi.json", OpenApi),
        ("api/v1/events", Events),
    ]
    routes: list[Any] = [(prefix + re.escape(path), handler) for path, handler in own]
    routes += [(prefix + pattern(path), Api, {"routes": found}) for path, found in by_path(ROUTES).items()]
    runners = by_path(RUNNER_ROUTES).items()
    routes += [(prefix + pattern(path), RunnerApi, {"routes": found}) for path, found in runners]
    return routes + [(prefix + rule[0], *rule[1:]) for rule in pages.routes()]
