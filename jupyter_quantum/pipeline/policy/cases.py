"""Policy tests: cases in YAML beside the policies (``tests/*.yaml``).

A file holds ``action``, ``facts`` that all of its cases share, and ``cases``: each a ``name``, the ``facts`` in which
it differs, and what it expects. Facts that are not given are those of a usual request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from jupyter_quantum.core.facts import Decision
from jupyter_quantum.pipeline.policy.engine import evaluate
from jupyter_quantum.pipeline.policy.files import Loaded, PolicyBroken
from jupyter_quantum.pipeline.policy.witness import defaults

__all__ = ["Case", "Expected", "Outcome", "read_cases", "run_cases"]

TESTS: Final = "tests"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Expected(_Strict):
    """What a case expects; what is left out may be anything."""

    effect: Literal["allow", "refuse", "needs_approval"]
    policies: list[str] | None = None
    roles: list[str] | None = None
    code: str | None = None
    words: str | None = None
    near: list[str] | None = None


class _Case(_Strict):
    name: Annotated[str, Field(min_length=1)]
    facts: dict[str, Any] = Field(default_factory=dict)
    expect: Expected


class _File(_Strict):
    action: str = "submit"
    facts: dict[str, Any] = Field(default_factory=dict)
    cases: Annotated[list[_Case], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class Case:
    """One case, with the facts that its file shares."""

    file: str
    name: str
    action: str
    facts: Mapping[str, Any]
    expect: Expected


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case; ``wrong`` says what was expected and what came instead, and is empty where it passed."""

    case: Case
    decision: Decision | None
    wrong: tuple[str, ...]


def read_cases(directory: Path) -> list[Case]:
    """The cases beside a directory of policies. Raises PolicyBroken for a file that is none."""
    found: list[Case] = []
    for path in sorted((directory / TESTS).glob("*.y*ml")):
        try:
            whole = _File.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError, yaml.YAMLError, ValidationError) as error:
            raise PolicyBroken(f"{path.name}: {error}") from error
        found += [Case(path.name, one.name, whole.action, whole.facts | one.facts, one.expect) for one in whole.cases]
    return found


def run_cases(loaded: Loaded, cases: Sequence[Case]) -> list[Outcome]:
    """Evaluate each case."""
    return [_run(loaded, case) for case in cases]


def _run(loaded: Loaded, case: Case) -> Outcome:
    if case.action not in loaded.facts:
        return Outcome(case, None, (f"there is no action {case.action}",))
    usual = defaults(loaded, case.action)
    if unknown := sorted(case.facts.keys() - usual.keys()):
        return Outcome(case, None, (f"there is no fact {', '.join(unknown)}",))
    made = evaluate(loaded, case.action, usual | dict(case.facts))
    return Outcome(case, made, tuple(_wrong(case.expect, made)))


def _wrong(expect: Expected, made: Decision) -> list[str]:
    got: dict[str, Any] = {
        "effect": made.effect,
        "policies": list(made.policies),
        "roles": list(made.roles),
        "code": made.code,
        "words": _plain(made.words),
        "near": [near.policy for near in made.near],
    }
    wanted = {name: value for name, value in expect.model_dump().items() if value is not None}
    if "words" in wanted:
        wanted["words"] = _plain(wanted["words"])
    return [f"{name}: expected {value!r}, got {got[name]!r}" for name, value in wanted.items() if got[name] != value]


def _plain(text: str) -> str:
    """With ordinary spaces, as an author types them."""
    return " ".join(text.replace("\u202f", " ").split())
