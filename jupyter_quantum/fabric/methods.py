"""Which methods of mitigation are installed here: entry points of the group ``jupyter_quantum.mitigation``.

A locked worker may open no file, so the zygote loads those that its devices offer before it forks.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import entry_points
from importlib.util import find_spec
from typing import Any, Final

from jupyter_quantum.exceptions import JobFailed

__all__ = ["GROUP", "loaded", "methods"]

GROUP: Final = "jupyter_quantum.mitigation"
_NEEDS: Final = {"readout": "mthree"}
"""Our own methods, and the package that each takes."""


@lru_cache(maxsize=1)
def methods() -> tuple[str, ...]:
    """Their names, sorted; none is imported for it."""
    names = sorted({point.name for point in entry_points(group=GROUP)})
    return tuple(name for name in names if name not in _NEEDS or find_spec(_NEEDS[name]) is not None)


@lru_cache(maxsize=16)
def loaded(name: str) -> Any:
    """The method of this name, imported with its library at the first call. Raises JobFailed where it is not here."""
    point = next(iter(entry_points(group=GROUP, name=name)), None)
    if point is None:
        raise JobFailed(f"The mitigation {name!r} is not installed on this runner.", code="job.device")
    return point.load()
