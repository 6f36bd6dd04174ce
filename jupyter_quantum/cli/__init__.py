"""``jupyter quantum …``: a frame that finds its commands by entry point and imports one only when it runs.

A command is an entry point of the group ``jupyter_quantum.commands``: a function (its signature becomes options, as
Typer reads it) or a ``typer.Typer`` with subcommands. One whose dependencies are not installed is listed with what to
install, and does not disturb the others.

Exit codes: 0 done; 1 refused, or the job failed; 2 wrong usage; 3 the service does not answer or knows no such token;
130 interrupted.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import typer
from typer.core import TyperGroup

__all__ = ["GROUP", "app", "frame", "main"]

GROUP: Final = "jupyter_quantum.commands"


class _Commands(TyperGroup):
    """Commands by name; what is not asked for is not imported."""

    entries = GROUP
    """Group of entry points that they come from."""

    def list_commands(self, ctx: Any) -> list[str]:
        """The names, without importing anything."""
        return sorted(_found(self.entries))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import one command; None where there is none of this name."""
        entry = _found(self.entries).get(cmd_name)
        return None if entry is None else _loaded(entry)


def _found(group: str = GROUP) -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=group)}


def frame(name: str, group: str, words: str) -> typer.Typer:
    """A command whose subcommands are found by entry point, too: those of ``group``."""
    cls = type("_Subcommands", (_Commands,), {"entries": group})
    made = typer.Typer(name=name, cls=cls, help=words, add_completion=False, no_args_is_help=True)

    @made.callback(help=words)
    def _of_the_frame() -> None: ...

    return made


def _loaded(entry: EntryPoint) -> Any:
    try:
        found = entry.load()
    except ImportError as error:
        found = _absent(entry, error)
    if not isinstance(found, typer.Typer):
        wrapped = typer.Typer(add_completion=False)
        wrapped.command(entry.name)(found)
        found = wrapped
    command = typer.main.get_command(found)
    command.name = entry.name
    return command


def _absent(entry: EntryPoint, error: ImportError) -> Any:
    """A command in the place of one that cannot be imported."""
    extra = entry.module.split(".")[1]
    needs = "demo" if ".demo" in entry.module else {"hub": "hub", "fabric": "runner"}.get(extra, "test")
    words = f"Needs more: pip install 'jupyter-quantum[{needs}]' ({error.name or error})."

    def absent() -> None:
        typer.echo(words, err=True)
        raise typer.Exit(3)

    absent.__doc__ = words.replace("[", "\\[")  # Rich would read the extra as markup
    return absent


app = typer.Typer(
    name="jupyter quantum",
    cls=_Commands,
    help="The quantum sandbox from the command line. Every command has --help.",
    epilog="Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 no service or no token, 130 interrupted.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def _frame() -> None:
    """The quantum sandbox from the command line. Every command has --help."""


def main() -> None:
    """Run the command line of this process."""
    app()
