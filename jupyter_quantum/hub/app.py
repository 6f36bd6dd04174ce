"""The service: one process that serves the API and the pages, keeps the pipeline and the local runner.

``python -m jupyter_quantum.hub`` (or ``jupyter quantum service``) under a hub that manages it, or beside one. What it
needs from the hub comes in the environment, as for every service of a hub: ``JUPYTERHUB_API_TOKEN``,
``JUPYTERHUB_API_URL``, ``JUPYTERHUB_SERVICE_PREFIX``, ``JUPYTERHUB_SERVICE_URL``.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from traitlets import Bool, Dict, Float, Integer, List, Unicode
from traitlets.config import Application, Config

from jupyter_quantum.exceptions import QuantumError
from jupyter_quantum.hub.leash import die_with_parent
from jupyter_quantum.hub.running import Running

__all__ = ["CONFIG_VARIABLE", "QuantumService", "main"]

CONFIG_VARIABLE = "JUPYTER_QUANTUM_SERVICE_CONFIG"
"""Environment variable in which ``configure`` hands over configuration: a JSON object, class name → traits."""


class QuantumService(Application):
    """The quantum service of a JupyterHub."""

    name = "jupyter-quantum-service"
    description = "Serve the API and the pages of jupyter_quantum to the users of a JupyterHub."
    aliases = {  # noqa: RUF012 (as traitlets spells it)
        "config": "QuantumService.config_file",
        "data-dir": "QuantumService.data_dir",
        "url": "QuantumService.url",
    }
    flags: dict[str, Any] = {"managed": ({"QuantumService": {"managed": True}}, "End with the hub.")}  # noqa: RUF012

    config_file = Unicode("", help="A configuration file of traitlets (.py or .json).").tag(config=True)
    data_dir = Unicode("quantum-data", help="Directory for store, results, secrets; made with mode 0700.").tag(
        config=True
    )
    url = Unicode(
        help="Where to listen, such as http://127.0.0.1:10101; JUPYTERHUB_SERVICE_URL where it is empty."
    ).tag(config=True)
    managed = Bool(False, help="End when the process that started the service ends.").tag(config=True)
    db_url = Unicode("", help="SQLAlchemy URL of the store; SQLite in the data directory where it is empty.").tag(
        config=True
    )
    policies = Unicode("", help="Directory of Cedar policies; the packaged ones where it is empty.").tag(config=True)
    projects = Dict(
        help="Project → organisation, tier, members and leads (lists of hub groups), grant and user_quota (credits)."
    ).tag(config=True)
    prices = Dict(help="Device → per_task, per_shot, per_second, in credits. A device that is not here is free.").tag(
        config=True
    )
    device_labels = Dict(help="Device → words for people, where the runner's own do not fit.").tag(config=True)
    max_seconds = Dict(help="Device → seconds that one run may take.").tag(config=True)
    limits = Dict(help="Caps on what a request may hold: bytes, circuits, qubits, operations, shots, …").tag(
        config=True
    )
    operators = Unicode("quantum-operators", help="Hub group of those who operate devices.").tag(config=True)
    auditors = Unicode("quantum-auditors", help="Hub group of those who read everything.").tag(config=True)
    admins = Unicode("quantum-admins", help="Hub group of those who administrate.").tag(config=True)
    mfa_group = Unicode("quantum-mfa", help="Hub group of people who signed in with a second factor.").tag(config=True)
    time_zone = Unicode("UTC", help="The lab's time zone: policy's hours and the months of quotas.").tag(config=True)
    approval_expiry = Float(7 * 24 * 3600.0, help="Seconds until an open request for approval lapses.").tag(config=True)
    devices = List(Dict(), help="Devices of the local runner; the packaged emulators where it is empty.").tag(
        config=True
    )
    run_runner = Bool(True, help="Start a runner on this machine.").tag(config=True)
    workers = Integer(0, help="Sandboxed workers of the local runner; as many as cores where 0.").tag(config=True)
    threads = Integer(0, help="Threads of one simulation; as many as cores where 0.").tag(config=True)
    rate = Float(300.0, help="Requests a second that one user may send in the long run.").tag(config=True)
    burst = Float(600.0, help="Requests that one user may send at once.").tag(config=True)

    def initialize(self, argv: list[str] | None = None) -> None:
        """Read the command line, then file and environment below it."""
        self.parse_command_line(argv)
        given = Config(self.config)
        handed = os.environ.get(CONFIG_VARIABLE)
        if handed:
            self.update_config(Config(json.loads(handed)))
        if self.config_file:
            path = Path(self.config_file).resolve()
            self.load_config_file(path.name, str(path.parent))
        self.update_config(given)

    def start(self) -> None:
        """Serve until a signal says to stop."""
        logging.basicConfig(level=logging.INFO, format="[%(levelname).1s %(asctime)s %(name)s] %(message)s")
        if self.managed:
            die_with_parent()
        try:
            asyncio.run(self._serve())
        except QuantumError as error:
            self.log.error("%s", error)
            self.exit(1)

    async def _serve(self) -> None:
        await Running(self).serve()


def main(argv: list[str] | None = None) -> None:
    """Run the service with this command line."""
    QuantumService.launch_instance(sys.argv[1:] if argv is None else argv)
