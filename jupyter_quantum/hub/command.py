"""``jupyter quantum service``: run the service without a hub that manages it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from jupyter_quantum.hub.app import main

__all__ = ["service"]


def service(
    config: Annotated[Path | None, typer.Option(help="A file of traitlets (.py or .json) with QuantumService.")] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where store, results and secrets are kept.")] = None,
    url: Annotated[str | None, typer.Option(help="Where to listen: http://127.0.0.1:10101")] = None,
) -> None:
    """Run the quantum service of a hub; JUPYTERHUB_API_TOKEN and JUPYTERHUB_API_URL say which hub."""
    given = {"config": config, "data-dir": data_dir, "url": url}
    main([f"--{name}={value}" for name, value in given.items() if value is not None])
