"""The notebook and the cell that a job is sent from, so that its record leads back there (R2)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from jupyter_quantum.wire.jobs import Origin

__all__ = ["origin", "sent_from"]

_CELL: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_LONGEST: Final = 200
_elsewhere: ContextVar[tuple[Origin | None] | None] = ContextVar("origin", default=None)


def origin() -> Origin | None:
    """The cell that runs now, or the one that :func:`sent_from` names; None outside notebooks.

    Frontends say which cell a request is of (JupyterLab and Notebook do); the file's name is that with which the kernel
    was started, without its folder, which may hold a person's name.
    """
    told = _elsewhere.get()
    return told[0] if told is not None else _running()


@contextmanager
def sent_from(cell: Origin | None) -> Iterator[None]:
    """What is sent inside is of this cell: a widget's button is pressed when another one runs, or none."""
    before = _elsewhere.set((cell,))
    try:
        yield
    finally:
        _elsewhere.reset(before)


def _running() -> Origin | None:
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    kernel = getattr(shell, "kernel", None)
    if kernel is None:
        return None
    try:
        metadata = kernel.get_parent().get("metadata") or {}
    except (AttributeError, LookupError, TypeError):  # another kernel than ipykernel
        metadata = {}
    notebook, cell = _notebook(shell), _cell(metadata)
    return None if notebook is None and cell is None else Origin(notebook=notebook, cell=cell)


def _cell(metadata: Mapping[str, Any]) -> str | None:
    found = metadata.get("cellId")
    return found if isinstance(found, str) and _CELL.fullmatch(found) else None


def _notebook(shell: Any) -> str | None:
    """Consoles have names, too: only those of files count."""
    path = str(getattr(shell, "user_ns", {}).get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME", ""))
    name = re.split(r"[/\\]", path)[-1]
    plain = "".join(one for one in name if one.isprintable())
    if not plain.endswith(".ipynb"):
        return None
    return plain if len(plain) <= _LONGEST else f"{plain[: _LONGEST - 7]}….ipynb"
