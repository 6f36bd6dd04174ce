"""``runner.toml``: what ``jupyter quantum runner`` is told, checked, with each problem named by setting and line.

::

    [service]                       [runner]                      [[devices]]
    url, token_file | token_env,    name, workers, threads,       name, adapter, slots, kind, label, region, secret,
    ca_file                         metrics_port, calibration_s,  max_shots, and what the adapter wants
                                    poll_s

    [secrets]
    provider and what it wants, as :mod:`.secrets` says; paths may be relative to the file
"""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.exceptions import InputError
from jupyter_quantum.fabric.secrets import NoSecrets, SecretsSettings
from jupyter_quantum.fabric.settings import DeviceSpec, Settings
from jupyter_quantum.fabric.transport import is_loopback

__all__ = ["load", "private_text"]

_TOKEN_ENV: Final = "JUPYTER_QUANTUM_RUNNER_TOKEN"  # noqa: S105 - the name of a variable
_HEADER: Final = re.compile(r"\s*\[(?P<many>\[)?\s*(?P<name>[\w.-]+)\s*\]")


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Service(_Section):
    url: Annotated[str, Field(pattern=r"^https?://[^\s?#@]+$")]
    token_file: str | None = None
    token_env: str | None = None
    ca_file: str | None = None


class _Runner(_Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")] = "runner"
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    threads: Annotated[int, Field(ge=1, le=256)] = 1
    metrics_port: Annotated[int | None, Field(ge=0, le=65535)] = None
    calibration_s: Annotated[float, Field(ge=1, le=86_400)] = 300.0
    poll_s: Annotated[float, Field(gt=0, le=600)] = 15.0


class _File(_Section):
    service: _Service
    runner: _Runner = _Runner()
    devices: Annotated[tuple[DeviceSpec, ...], Field(min_length=1)]
    secrets: SecretsSettings = NoSecrets()


def load(path: Path, environment: Mapping[str, str] = os.environ) -> Settings:
    """Read and check the file. Raises :class:`InputError` naming the setting, and its line, that cannot be used."""
    text = _read(path)
    try:
        told = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: {error}.", code="config", hint="The file is TOML.") from None
    except ValidationError as error:
        raise _problem(path, text, error) from None
    _check_names(path, text, told.devices)
    return Settings(
        url=_url(path, text, told.service.url),
        ca=_ca(path, text, told.service.ca_file),
        token=_token(path, text, told.service, environment),
        runner=f"{told.runner.name}.{new_id('run').partition('_')[2]}",
        devices=told.devices,
        workers=told.runner.workers,
        threads=told.runner.threads,
        metrics_port=told.runner.metrics_port,
        calibration_s=told.runner.calibration_s,
        poll_s=told.runner.poll_s,
        secrets=told.secrets.beside(path),
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf8")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}.", code="config") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text.", code="config") from None


def private_text(path: Path) -> str:
    """What stands in a file that only its owner may read. Raises :class:`InputError` where others may too."""
    try:
        found = path.stat()
        mode = stat.S_IMODE(found.st_mode)
        if mode & 0o077 or found.st_uid not in {os.geteuid(), 0}:
            raise InputError(
                f"{path} has mode {mode:04o}: others may read it.", code="config", hint=f"chmod 600 {path}"
            )
        return path.read_text(encoding="utf8").strip()
    except OSError as error:
        hint = "Put the secret there, in a file of mode 0600; a runner's token is in the hub's configure(c, runners=…)."
        raise InputError(f"{path} cannot be read: {error.strerror}.", code="config", hint=hint) from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text.", code="config") from None


def _token(path: Path, text: str, service: _Service, environment: Mapping[str, str]) -> str:
    if service.token_file is not None and service.token_env is not None:
        raise _said(path, text, ("service", "token_env"), "token_file and token_env exclude each other")
    if service.token_file is not None:
        token = private_text(_beside(path, service.token_file))
        where = "token_file"
    else:
        token = environment.get(service.token_env or _TOKEN_ENV, "").strip()
        where = "token_env"
    if not token:
        name = service.token_file or f"the variable {service.token_env or _TOKEN_ENV}"
        raise _said(path, text, ("service", where), f"{name} is empty")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise _said(path, text, ("service", where), "a token is printable characters without spaces")
    return token


def _url(path: Path, text: str, url: str) -> str:
    if url.startswith("http:") and not is_loopback(url):
        raise _said(path, text, ("service", "url"), "the token would cross the network unencrypted; use https")
    return url


def _ca(path: Path, text: str, given: str | None) -> str | None:
    if given is None:
        return None
    file = _beside(path, given)
    if not file.is_file():
        raise _said(path, text, ("service", "ca_file"), f"there is no file {given}")
    return str(file)


def _beside(path: Path, given: str) -> Path:
    """Relative paths start at the file that names them."""
    return path.parent / Path(given).expanduser()


def _check_names(path: Path, text: str, devices: Sequence[DeviceSpec]) -> None:
    seen: set[str] = set()
    for number, device in enumerate(devices):
        if device.name in seen:
            raise _said(path, text, ("devices", number, "name"), f"there are two devices {device.name}")
        seen.add(device.name)


def _problem(path: Path, text: str, error: ValidationError) -> InputError:
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return _said(
        path, text, first["loc"], {"extra_forbidden": "there is no such setting"}.get(first["type"], first["msg"])
    )


def _said(path: Path, text: str, where: Sequence[int | str], words: str) -> InputError:
    setting = ".".join(str(part + 1) if isinstance(part, int) else part for part in where)
    line = _line(text, where)
    at = f"{path}, line {line}" if line else str(path)
    return InputError(f"{at}: {setting}: {words[:1].lower()}{words[1:]}.", code="config")


def _line(text: str, where: Sequence[int | str]) -> int | None:
    """Line of a setting, or of the section that it is missing from; None where neither is written out."""
    section = str(where[0]) if where else ""
    number = where[1] if len(where) > 1 and isinstance(where[1], int) else 0
    key = str(where[-1]) if len(where) > 1 and isinstance(where[-1], str) else None
    at, found, inside = None, -1, False
    for line, words in enumerate(text.splitlines(), 1):
        header = _HEADER.match(words)
        if header is not None:
            inside = header["name"] == section
            found += inside
            inside = inside and found == number
            at = line if inside else at
        elif inside and key is not None and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", words):
            return line
    return at
