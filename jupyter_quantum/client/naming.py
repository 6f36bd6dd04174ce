"""What a person calls a circuit: the name they gave it, else the variable that holds it in their notebook."""

from __future__ import annotations

import re
import sys
from typing import Any, Final

__all__ = ["called"]

_MADE_UP: Final = re.compile(r"circuit-\d+(-\d+)*")
_LIBRARIES: Final = ("jupyter_quantum.", "qiskit.", "qiskit_")
_DEEPEST: Final = 12


def called(circuit: Any) -> str:
    """``circuit.name``, unless Qiskit made it up (``circuit-42``) and the calling code has a variable for it."""
    name = str(circuit.name)
    return _variable(circuit) or name if _MADE_UP.fullmatch(name) else name


def _variable(circuit: Any) -> str:
    """The variable of the nearest caller outside the libraries that is this very object; empty where there is none."""
    frame = sys._getframe(2)
    for _ in range(_DEEPEST):
        if not frame.f_globals.get("__name__", "").startswith(_LIBRARIES):
            # A snapshot: another thread of the notebook may bind names meanwhile.
            found = [name for name, value in list(frame.f_locals.items()) if value is circuit and name[0] != "_"]
            return found[0] if found else ""
        if frame.f_back is None:
            return ""
        frame = frame.f_back
    return ""
