"""Files that travel with the package: tutorials and deployments.

In a checkout they lie at the top of the repository, where people read them; in a wheel under ``jupyter_quantum/data``.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["resource"]

_PACKAGE = Path(__file__).resolve().parent


def resource(name: str) -> Path:
    """The directory or file ``name``, such as ``tutorials`` or ``hub_config/policies``.

    Raises:
        FileNotFoundError: it is neither in the package nor beside it.
    """
    for base in (_PACKAGE / "data", _PACKAGE.parent):
        found = base / name
        if found.exists():
            return found
    raise FileNotFoundError(f"{name} is missing from this installation of jupyter_quantum")
