"""``jupyter quantum runner``: serve devices from any machine and any Python environment that has their SDK."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from jupyter_quantum.exceptions import InputError, QuantumError
from jupyter_quantum.fabric import logs
from jupyter_quantum.fabric.config import load
from jupyter_quantum.fabric.frames import Hello
from jupyter_quantum.fabric.pool import Pool
from jupyter_quantum.fabric.runner import Runner
from jupyter_quantum.fabric.sandbox import keep_to_oneself
from jupyter_quantum.fabric.settings import Settings
from jupyter_quantum.fabric.vendors.fleet import Fleet

__all__ = ["runner"]

_REFUSED = 1
_PATIENCE_S = 180.0


def runner(
    config: Annotated[Path, typer.Option(help="The runner's file; hub_config/runner.toml is an example.")],
    check: Annotated[
        bool, typer.Option("--check", help="Check file and devices, print what would be announced, and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: one JSON document on stdout.")] = False,
) -> None:
    """Serve devices to a quantum service until SIGTERM; then let what runs end.

    Exit codes: 0 drained, or checked; 1 the file cannot be used, or the service refuses this runner.
    """
    keep_to_oneself()  # its environment may hold every secret; a vendor's SDK runs under the same unix user
    logs.set_up()
    try:
        settings = load(config)
        if check:
            said = asyncio.run(_look(settings))
            typer.echo(json.dumps(_plain(said, settings)) if as_json else _words(said, settings))
        else:
            asyncio.run(_serve(settings))
    except QuantumError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(_REFUSED) from None


async def _serve(settings: Settings) -> None:
    made = Runner(settings)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, made.drain)
    await made.run()


async def _look(settings: Settings) -> Hello:
    """What the zygote says of itself and its devices, as at a real start. Nothing is sent to the service, only asked of
    vendors what their devices are.
    """
    fleet = Fleet(settings)
    try:
        hello = await _hello(Pool(settings))
        if hello.remote:  # their vendors describe them
            await fleet.look(hello.remote, _PATIENCE_S)
            hello = await _hello(Pool(settings, fleet.take()))
        return hello
    finally:
        await fleet.close()


async def _hello(pool: Pool) -> Hello:
    try:
        return await pool.start()
    except RuntimeError as error:  # its own words are on standard error
        raise InputError(f"The devices cannot be made: {error}.", code="config") from None
    finally:
        await pool.close()


def _plain(said: Hello, settings: Settings) -> dict[str, Any]:
    return said.model_dump(mode="json") | {"service": settings.url, "runner": settings.runner}


def _words(said: Hello, settings: Settings) -> str:
    lines = [f"{settings.runner} → {settings.url}"]
    lines += [_device(device) for device in said.devices]
    lines.append(
        f"QPY {said.qpy_versions[0]} to {said.qpy_versions[1]}; "
        + ", ".join(f"{name} {version}" for name, version in said.packages.items())
    )
    lines.append(f"workers are locked by {', '.join(said.sandbox)}")
    lines += [f"not here: {lack}" for lack in said.missing]
    return "\n".join([*lines, *(f"{name}: its vendor does not describe it now" for name in said.remote)])


def _device(device: dict[str, Any]) -> str:
    options = ", ".join(sorted(device["options"])) or "none"
    return (
        f"{device['name']}: {device['kind']} of {device['vendor']}, {device['num_qubits']} qubits, "
        f"region {device['region']}, {device['slots']} at a time, up to {device['max_shots']} shots, jobs: {options}"
    )
