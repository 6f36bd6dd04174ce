"""The command: arguments, what is printed, exit codes."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from jupyter_quantum.audit_verify import Key
from jupyter_quantum.bundle_verify import Outcome, verify

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="jupyter quantum bundle verify", description="Verify the bundle of a run.")
    parser.add_argument("file", help="the bundle, a zip")
    parser.add_argument("--key", action="append", default=[], help="public key, or a file with keys; may be repeated")
    parser.add_argument("--circuits", action="store_true", help="read the circuits too; needs Qiskit")
    parser.add_argument("--json", action="store_true", help="the outcome as JSON")
    return parser


def _keys(given: Sequence[str]) -> list[Key]:
    found: list[Key] = []
    for text in given:
        lines = Path(text).read_text(encoding="utf8").split() if Path(text).is_file() else [text]
        found += [Key.read(line) for line in lines]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Verify, say what was found, and return the exit code."""
    asked = _parser().parse_args(argv)
    try:
        keys = _keys(asked.key)
        with open(asked.file, "rb") as file:
            outcome = verify(file, keys, circuits=asked.circuits)
    except OSError as error:
        sys.stderr.write(f"cannot verify: {error.filename} cannot be read: {error.strerror}\n")
        return 2
    except ValueError as error:
        sys.stderr.write(f"cannot verify: {error}\n")
        return 2
    if asked.json:
        sys.stdout.write(json.dumps({"verified": outcome.verified, **asdict(outcome)}) + "\n")
    else:
        _say(outcome)
    return 0 if outcome.verified else 1 if outcome.readable else 2


def _say(outcome: Outcome) -> None:
    for one in outcome.checks:
        mark = {True: "ok", False: "WRONG", None: "–"}[one.holds]
        sys.stdout.write(f"{mark:5}  {one.name:11}  {one.words}\n")
    if not outcome.readable:
        sys.stdout.write("NO BUNDLE: there is nothing to verify\n")
        return
    for name in outcome.stated:
        sys.stdout.write(f"{'–':5}  {'stated':11}  {name}; nothing here proves it\n")
    sys.stdout.write(f"{'Verified' if outcome.verified else 'NOT VERIFIED'}: {outcome.job or 'no job is named'}\n")
