"""Reading ``tenants.yaml``: every complaint names the file, the line and the key."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from jupyter_quantum.exceptions import InputError
from jupyter_quantum.wire.tenancy import Problem, Tenants

__all__ = ["TenantsFile", "read_tenants"]

_CODE: Final = "tenants.file"
_TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


@dataclass(frozen=True)
class TenantsFile:
    """What a file says, and where it says it."""

    path: str
    tenants: Tenants
    lines: Mapping[str, int]
    """Key (``projects.vqe.tier``) → line, from 1."""

    def where(self, key: str) -> str:
        """``tenants.yaml:12``: the line of a key, or of the nearest one above it that is there."""
        at = key
        while at and at not in self.lines:
            at = at.rpartition(".")[0]
        return f"{self.path}:{self.lines[at]}" if at else self.path

    def say(self, problem: Problem) -> str:
        """A problem in one line: where, what, what to do."""
        hint = f" {problem.hint}" if problem.hint else ""
        return f"{self.where(problem.key)}: {problem.key}: {problem.message}{hint}"


def read_tenants(path: str | os.PathLike[str]) -> TenantsFile:
    """Read a file. Raises InputError (``tenants.file``) with each line that is wrong in ``details["problems"]``."""
    shown = os.fspath(path)
    try:
        text = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise InputError(f"{shown} cannot be read: {reason}.", code="file.unreadable") from None
    value, lines = _parsed(text, shown)
    try:
        tenants = Tenants.model_validate({} if value is None else value)
    except ValidationError as error:
        known = TenantsFile(shown, Tenants(), lines)
        wrong = [
            Problem(key=_key(one["loc"]), code=_CODE, message=f"{one['msg']}.")
            for one in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise _wrong([known.say(problem) for problem in wrong]) from None
    return TenantsFile(shown, tenants, lines)


def _wrong(said: list[str]) -> InputError:
    rest = f" (and {len(said) - 1} more)" if len(said) > 1 else ""
    return InputError(f"{said[0]}{rest}", code=_CODE, details={"problems": said})


def _key(loc: tuple[Any, ...]) -> str:
    return ".".join(str(part) for part in loc if part != "[key]") or "the file"


def _parsed(text: str, shown: str) -> tuple[Any, dict[str, int]]:
    try:
        import yaml
    except ImportError:
        raise InputError("Reading YAML needs PyYAML.", code="yaml.missing", hint="pip install pyyaml") from None

    class Plain(yaml.SafeLoader):
        """Moments stay text; the service reads them, with their time zone."""

    Plain.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != _TIMESTAMP]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    try:
        node = yaml.compose(text, Plain)
        lines: dict[str, int] = {}
        if node is not None:
            doubled = [*_walk(node, "", lines)]
            if doubled:
                raise _wrong([f"{shown}:{line}: {key} is there twice." for key, line in doubled])
        return yaml.load(text, Plain), lines  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        at = f"{shown}:{mark.line + 1}" if mark is not None else shown
        raise _wrong([f"{at}: this is not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}."]) from None


def _walk(node: Any, key: str, lines: dict[str, int]) -> Iterator[tuple[str, int]]:
    """Note the line of each key below a node; yields keys that are there twice (YAML lets the last win)."""
    if node.id == "mapping":
        seen = set()
        for name, value in node.value:
            below = f"{key}.{name.value}" if key else str(name.value)
            line = name.start_mark.line + 1
            if name.value in seen:
                yield below, line
            seen.add(name.value)
            lines[below] = line
            yield from _walk(value, below, lines)
    elif node.id == "sequence":
        for number, value in enumerate(node.value):
            lines[f"{key}.{number}"] = value.start_mark.line + 1
            yield from _walk(value, f"{key}.{number}", lines)
