"""How a circuit is refused: a stable code, what and why, the next step. Texts hold no control characters."""

from __future__ import annotations

import re
from typing import Any, Final

from jupyter_quantum.exceptions import CircuitRejected, QuantumError
from jupyter_quantum.wire.base import ErrorBody

__all__ = ["clean", "error_body", "refusal"]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")


def clean(text: object, most: int = 120) -> str:
    """Text of a stranger for a message: one line, no control or direction characters, at most ``most`` long."""
    line = _CONTROL.sub(" ", str(text)).strip()
    return line if len(line) <= most else line[: most - 1] + "…"


def refusal(code: str, message: str, hint: str | None = None, /, **details: Any) -> CircuitRejected:
    """The error for a circuit that cannot be used; ``code`` without its prefix ``circuit.``."""
    return CircuitRejected(message, code=f"circuit.{code}", hint=hint, details=details)


def error_body(error: QuantumError) -> ErrorBody:
    """The error as it travels."""
    return ErrorBody(
        error=type(error).__name__, code=error.code, message=error.message, hint=error.hint, details=error.details
    )
