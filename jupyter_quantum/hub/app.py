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

from traitlets.config import Application, Config

from jupyter_quantum.exceptions import QuantumError
from jupyter_quantum.hub.leash import die_with_parent
from jupyter_quantum.hub.running import Running
from jupyter_quantum.hub.traits import ServiceTraits

__all__ = ["CONFIG_VARIABLE", "QuantumService", "main"]

CONFIG_VARIABLE = "JUPYTER_QUANTUM_SERVICE_CONFIG"
"""Environment variable in which ``configure`` hands over configuration: a JSON object, class name → traits."""


class QuantumService(ServiceTraits, Application):
    """The quantum service of a JupyterHub."""

    name = "jupyter-quantum-service"
    description = "Serve the API and the pages of jupyter_quantum to the users of a JupyterHub."
    aliases = {  # noqa: RUF012 (as traitlets spells it)
        "config": "QuantumService.config_file",
        "data-dir": "QuantumService.data_dir",
        "url": "QuantumService.url",
    }
    flags: dict[str, Any] = {"managed": ({"QuantumService": {"managed": True}}, "End with the hub.")}  # noqa: RUF012

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
        # Event loop and writer thread hand the interpreter to each other several times a job: at Python's usual 5 ms a
        # hand-over would take longer than the job.
        sys.setswitchinterval(0.0005)
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
