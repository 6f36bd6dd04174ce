"""Which methods of mitigation are installed here: entry points of the group ``jupyter_quantum.mitigation``."""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Final

__all__ = ["GROUP", "methods"]

GROUP: Final = "jupyter_quantum.mitigation"
_NEEDS: Final = {"readout": "mthree"}
"""Our own methods, and the package that each takes."""


@lru_cache(maxsize=1)
def methods() -> tuple[str, ...]:
    """Their names, sorted; none is imported for it."""
    names = sorted({point.name for point in entry_points(group=GROUP)})
    return tuple(name for name in names if name not in _NEEDS or find_spec(_NEEDS[name]) is not None)
