"""The server extension: wires the handlers and the event bridge into a user's Jupyter server.

It starts whether or not the service does: Lab must come up and say what is wrong.
"""

from __future__ import annotations

import os
from typing import Any

from jupyter_quantum.lab.bridge import SCHEMA, SCHEMA_FILE, Bridge
from jupyter_quantum.lab.handlers import routes
from jupyter_quantum.lab.upstream import Upstream

__all__: list[str] = []


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Where Jupyter Server finds the extension."""
    return [{"module": "jupyter_quantum.lab.extension"}]


def _load_jupyter_server_extension(app: Any) -> None:
    """Called by Jupyter Server while it starts; contacts nobody."""
    upstream = Upstream.from_environment()
    app.event_logger.register_event_schema(SCHEMA_FILE)
    bridge = Bridge(upstream, lambda data: app.event_logger.emit(schema_id=SCHEMA, data=data), app.log)
    settings = app.web_app.settings
    settings["jupyter_quantum_page"] = os.environ.get("JUPYTER_QUANTUM_PUBLIC_URL", "")
    app.web_app.add_handlers(".*$", routes(settings["base_url"], upstream, bridge))
