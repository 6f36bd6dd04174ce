"""How commands speak: data on stdout, progress on stderr, errors with an exit code; Rich only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, Final, NoReturn

import typer
from pydantic import BaseModel
from rich.console import Console

from jupyter_quantum.core.jobs import FINAL
from jupyter_quantum.exceptions import InputError, JobEnded, QuantumError, Unauthenticated, Unavailable
from jupyter_quantum.wire.jobs import JobView

__all__ = [
    "FAILED",
    "INTERRUPTED",
    "UNAVAILABLE",
    "fail",
    "guarded",
    "say",
    "show_moves",
    "tell",
    "write_json",
    "writing",
]

FAILED: Final = 1
UNAVAILABLE: Final = 3
INTERRUPTED: Final = 130


def write_json(document: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")


def say(line: str) -> None:
    """A line on stderr."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def tell(answer: BaseModel, as_json: bool) -> None:
    """An answer of the service on stdout: as JSON, or in the words of its ``repr``."""
    if as_json:
        write_json(answer.model_dump(mode="json"))
    else:
        sys.stdout.write(repr(answer) + "\n")


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write bytes to, opened before anything is fetched for it; where that fails, no half of it is left.

    Raises InputError (``file.unwritable``).
    """
    try:
        with open(path, "wb") as file:
            try:
                yield file
            except BaseException:
                if os.path.isfile(path):
                    os.unlink(path)
                raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"{os.fspath(path)} cannot be written: {reason}.", code="file.unwritable") from None


@contextmanager
def guarded(as_json: bool) -> Iterator[None]:
    """Turn errors meant for users into words (or a JSON document) and an exit code."""
    try:
        yield
    except QuantumError as error:
        fail(error, as_json)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def fail(error: QuantumError, as_json: bool) -> NoReturn:
    """Say the error and leave: 3 where the service cannot be used, else 1."""
    if as_json:
        said = {"error": type(error).__name__, "code": error.code, "message": error.message, "hint": error.hint}
        write_json(said | {"details": error.details})
    else:
        say(f"✕ {error}")
    away = isinstance(error, Unavailable | Unauthenticated) and not isinstance(error, JobEnded)
    raise typer.Exit(UNAVAILABLE if away else FAILED)


def show_moves(moves: Iterable[JobView], describe: Any) -> JobView | None:
    """Tell each state as it comes: one changing line on a terminal, a line each otherwise. Returns the last."""
    if sys.stderr.isatty():
        return _live(moves, describe)
    last = None
    for view in moves:
        if last is None or view.state is not last.state:
            say(describe(view))
        last = view
    return last


def _live(moves: Iterable[JobView], describe: Any) -> JobView | None:
    console = Console(stderr=True, highlight=False)
    last = None
    with console.status("", spinner="dots") as status:
        for view in moves:
            last = view
            status.update(console.render_str(describe(view), markup=False))
    if last is not None and last.state in FINAL:
        say(describe(last))
    return last
