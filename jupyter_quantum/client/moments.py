"""Moments and time spans as one types them on a command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from jupyter_quantum.exceptions import InputError

__all__ = ["days", "moment"]

_AGO: Final = re.compile(r"(\d{1,4}(?:\.\d+)?)([hdw])")
_DAYS: Final = {"h": 1 / 24, "d": 1.0, "w": 7.0}


def days(text: str) -> float:
    """``30d``, ``12h`` or ``2w`` in days. Raises InputError (``usage``)."""
    found = _AGO.fullmatch(text)
    if found is None:
        raise InputError(f"{text!r} is no time span.", code="usage", hint="Such as 30d, 12h or 2w.")
    return float(found[1]) * _DAYS[found[2]]


def moment(text: str | None) -> datetime | None:
    """A moment, in UTC where no zone is given, or so long ago (``7d``). Raises InputError (``usage``)."""
    if text is None:
        return None
    if _AGO.fullmatch(text):
        return datetime.now(UTC) - timedelta(days=days(text))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"{text!r} is not a moment.", code="usage", hint="Such as 2026-05-12T09:00Z, or 7d.") from None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)
