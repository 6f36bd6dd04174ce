"""Where a runner finds the secrets of its remote devices.

======================  =========================================================================================
``file``                ``path`` is a JSON file ``{"ibm": {"token": "…"}}``, or a directory with one file a secret:
                        ``ibm.json`` holds ``{"token": "…"}``. Readable by nobody but its owner (mode 0600)
``environment``         ``JQ_SECRET_IBM`` holds ``{"token": "…"}`` (``prefix`` + the name in capitals, ``-`` as ``_``)
``vault``               the KV engine, version 2, of HashiCorp Vault or OpenBao: ``mount``, ``path`` + the name
======================  =========================================================================================

A device's ``secret`` names it; its values are texts. Only the runner reads it, and hands it to the vendor process of
that device on its standard input: no worker, and no process that sees a circuit, ever has it. Every value counts as
secret and is scrubbed from what the vendor process says, so that regions and the like stand in the device's settings.
"""

from __future__ import annotations

import json
import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "EnvironmentSecrets",
    "FileSecrets",
    "NoSecrets",
    "Secrets",
    "SecretsSettings",
    "VaultSecrets",
]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Secrets(Protocol):
    """Finds the values of a secret by its name. ``None``: the device has none."""

    def of(self, name: str | None) -> dict[str, str]:
        """The values. Raises ``ValueError`` or ``OSError`` in words that hold none of them."""


class _Provider(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def beside(self, file: Path) -> Self:
        """The same, its relative paths starting where ``file`` is."""
        return self

    def of(self, name: str | None) -> dict[str, str]:
        """The values of this secret. Raises ``ValueError`` in words that hold none of them."""
        if name is None:
            return {}
        if not _NAME.fullmatch(name):
            raise ValueError(f"a secret cannot be named {name!r}")
        return _texts(name, self._look_up(name))

    def _look_up(self, name: str) -> Any:
        raise NotImplementedError


class NoSecrets(_Provider):
    """Where no provider is configured."""

    provider: Literal["none"] = "none"

    def _look_up(self, name: str) -> Any:
        raise ValueError(f"the secret {name!r} is asked for, and the runner has no provider: set `secrets`")


class FileSecrets(_Provider):
    """One JSON file, or a directory of them."""

    provider: Literal["file"]
    path: Path

    def beside(self, file: Path) -> Self:
        """With ``path`` made absolute."""
        return self.model_copy(update={"path": file.parent / self.path.expanduser()})

    def _look_up(self, name: str) -> Any:
        if self.path.is_dir():
            return _read(self.path / f"{name}.json", name)
        found = _read(self.path, name)
        if not isinstance(found, dict) or name not in found:
            raise ValueError(f"there is no secret {name!r} in {self.path}")
        return found[name]


class EnvironmentSecrets(_Provider):
    """Variables of the runner's environment; its children get none of them."""

    provider: Literal["environment"]
    prefix: str = "JQ_SECRET_"

    def _look_up(self, name: str) -> Any:
        variable = self.prefix + re.sub(r"[.-]", "_", name).upper()
        said = os.environ.get(variable)
        if said is None:
            raise ValueError(f"the secret {name!r} is not there: the variable {variable} is not set")
        return _parsed(said, f"the variable {variable}")


class VaultSecrets(_Provider):
    """Vault's key/value engine, version 2; the token's policy needs ``read`` on ``<mount>/data/<path>*``."""

    provider: Literal["vault"]
    url: str
    mount: str = "secret"
    path: str = "jupyter-quantum/"
    """Put before the secret's name."""
    token_file: Path
    """File with the token, mode 0600, read anew each time, as Vault's agent renews it."""
    namespace: str | None = None
    ca: str | None = None
    """File with the certificates to trust; the system's where absent."""
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0

    def beside(self, file: Path) -> Self:
        """With ``token_file`` made absolute."""
        return self.model_copy(update={"token_file": file.parent / self.token_file.expanduser()})

    def _look_up(self, name: str) -> Any:
        try:
            import hvac
            from hvac.exceptions import InvalidPath, VaultError
            from requests.exceptions import RequestException
        except ImportError:
            raise ValueError("secrets in Vault need the package hvac (jupyter-quantum[vault])") from None
        token = _private(self.token_file).decode().strip()
        client = hvac.Client(
            url=self.url, token=token, namespace=self.namespace, verify=self.ca or True, timeout=self.timeout_s
        )
        where = f"{self.mount}/{self.path}{name}"
        try:
            answer = client.secrets.kv.v2.read_secret_version(
                path=f"{self.path}{name}", mount_point=self.mount, raise_on_deleted_version=True
            )
        except InvalidPath:
            raise ValueError(f"Vault has no secret at {where}") from None
        except (VaultError, RequestException) as error:
            raise ValueError(f"Vault did not give the secret at {where} ({type(error).__name__})") from None
        return answer["data"]["data"]


SecretsSettings = Annotated[
    NoSecrets | FileSecrets | EnvironmentSecrets | VaultSecrets, Field(discriminator="provider")
]
"""The setting ``secrets`` of a runner."""


def _read(path: Path, name: str) -> Any:
    if not path.exists():
        raise ValueError(f"there is no secret {name!r}: {path} does not exist")
    return _parsed(_private(path).decode(), str(path))


def _private(path: Path) -> bytes:
    """What stands in a file that only its owner can read. Raises ``ValueError`` where others can."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if stat.S_IMODE(about.st_mode) & 0o077:
            raise ValueError(f"{path} can be read by others: chmod 600 {path}")
        if about.st_uid not in (os.geteuid(), 0):
            raise ValueError(f"{path} belongs to another user")
        return file.read()


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise ValueError(f"{where} is not JSON") from None


def _texts(name: str, found: Any) -> dict[str, str]:
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise ValueError(f"the secret {name!r} is not a mapping of names to texts")
    return {str(key): value for key, value in found.items()}
