"""``jupyter quantum policy check|test``: a directory of policies, without a service. Exit code 1 where something fails.

Imported only where the hub's dependencies are installed; what asks the service is the client's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from jupyter_quantum.pipeline.policy import check as checks
from jupyter_quantum.pipeline.policy.cases import Outcome, read_cases, run_cases
from jupyter_quantum.pipeline.policy.files import PolicyBroken, load, read
from jupyter_quantum.resources import resource

__all__ = ["check_files", "run_tests"]

Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
Directory = Annotated[
    Path | None,
    typer.Argument(help="Holds schema.cedarschema, *.cedar and tests/*.yaml; the packaged policies where omitted."),
]
Strict = Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")]


def check_files(directory: Directory = None, strict: Strict = False, as_json: Json = False) -> None:
    """Check policy files: schema, ids, roles that nobody holds, rules that can never apply, rules without a test."""
    loaded, findings = checks.check(_directory(directory))
    failed = any(one.level == "error" or strict for one in findings)
    if as_json:
        found = [{"level": one.level, "policy": one.policy, "words": one.words} for one in findings]
        version = loaded.version if loaded else None
        _write({"passed": not failed, "version": version, "findings": found})
    else:
        for one in findings:
            sign = "✕" if one.level == "error" else "▲"
            typer.echo(f"{sign} {one.policy}: {one.words}" if one.policy else f"{sign} {one.words}")
        if loaded is not None:
            typer.echo(f"{len(loaded.policies)} policies, version {loaded.version}")
    if failed:
        raise typer.Exit(1)


def run_tests(directory: Directory = None, as_json: Json = False) -> None:
    """Run the policy tests beside the files: cases of facts and what policy must answer."""
    where = _directory(directory)
    try:
        outcomes = run_cases(load(read(where)), read_cases(where))
    except PolicyBroken as error:
        _fail(str(error), as_json)
    failed = [one for one in outcomes if one.wrong]
    passed = bool(outcomes) and not failed
    if as_json:
        _write({"passed": passed, "total": len(outcomes), "failed": len(failed), "cases": list(map(_plain, outcomes))})
    else:
        for one in outcomes:
            typer.echo(_line(one))
            for wrong in one.wrong:
                typer.echo(f"    {wrong}")
        said = f"{len(outcomes) - len(failed)} of {len(outcomes)} cases passed"
        typer.echo(said if outcomes else f"There are no cases in {where / 'tests'}.")
    if not passed:
        raise typer.Exit(1)


def _directory(given: Path | None) -> Path:
    return given if given is not None else resource("hub_config/policies")


def _line(one: Outcome) -> str:
    effect = one.decision.effect.replace("_", " ") if one.decision else "–"
    named = ", ".join(one.decision.policies or (one.decision.code or "",)) if one.decision else ""
    return f"{'✕' if one.wrong else '✓'} {one.case.file:<16} {one.case.name:<60} {effect:<15} {named}".rstrip()


def _plain(one: Outcome) -> dict[str, Any]:
    made = one.decision
    got = None
    if made is not None:
        got = {"effect": made.effect, "policies": made.policies, "roles": made.roles, "code": made.code}
        got["words"] = made.words
    return {"file": one.case.file, "name": one.case.name, "passed": not one.wrong, "wrong": one.wrong, "decision": got}


def _fail(words: str, as_json: bool) -> NoReturn:
    if as_json:
        _write({"passed": False, "error": words})
    else:
        typer.echo(f"✕ {words}", err=True)
    raise typer.Exit(1)


def _write(document: dict[str, Any]) -> None:
    typer.echo(json.dumps(document, ensure_ascii=False))
