"""The service of each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from jupyterhub.services.auth import HubOAuth
from tornado.web import Application

from jupyter_quantum.hub.auth import Gate, HubApi, HubDirectory
from jupyter_quantum.hub.context import Context
from jupyter_quantum.hub.cursor import Cursors
from jupyter_quantum.hub.metrics import Metrics
from jupyter_quantum.hub.web import web_application
from tests.unit.hub.support import PREFIX, HubRefresh, HubUser, MemoryHub, MemoryPipeline, Service, listen, parts


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    hub, pipeline = MemoryHub(), MemoryPipeline()
    hub_server, hub_port = listen(
        Application(
            [
                (r"/hub/api/user", HubUser),
                (r"/hub/api/users/(.+)", HubUser),
                (r"/hub/api/quantum/refresh/(.+)", HubRefresh),
            ],
            hub=hub,
        )
    )
    oauth = HubOAuth(
        api_url=f"http://127.0.0.1:{hub_port}/hub/api",
        api_token="service-token",
        base_url=PREFIX,
        oauth_client_id="service-quantum",
        access_scopes={"access:services", "access:services!service=quantum"},
    )
    api = HubApi(oauth.api_url, oauth.api_token)
    context = Context(
        gate=Gate(api),
        metrics=Metrics(),
        prefix=PREFIX,
        hub_base="/",
        oauth=oauth,
        ready=parts("ready"),
        metrics_token="scraper",
        cursors=Cursors(b"key"),
        started=pipeline,  # type: ignore[arg-type]
    )
    app = web_application(context, set(), b"0" * 32)
    server, port = listen(app)
    yield Service(port, hub, api, pipeline, context, app)
    for running in (server, hub_server):
        running.stop()
        await running.close_all_connections()
    api.close()


@pytest.fixture
def directory(service: Service) -> HubDirectory:
    return HubDirectory(service.api)
