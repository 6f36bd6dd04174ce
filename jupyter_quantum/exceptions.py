"""Everything that can go wrong, in one tree.

::

    QuantumError
    ├── InputError            what was sent cannot be used                    422
    │   ├── CircuitRejected   the circuit itself: parse, size, names, gates
    │   └── OptionRejected    an option the device or the primitive does not have
    ├── Unauthenticated       no token, or one that is not valid any more     401
    ├── Refused               understood, and not allowed                     403
    │   ├── ScopeMissing      the token lacks a scope
    │   ├── PolicyRefused     policy said no
    │   └── QuotaExceeded     it may cost more than is left
    ├── NotFound              absent, or not visible to the caller            404
    ├── Conflict              the thing is not in a state that allows this    409
    ├── TooBusy               intake is limited now                           429
    ├── Unavailable           the service, or a part of it, does not answer   503
    └── JobEnded              a job ended without a result (client side)      410
        ├── JobFailed
        ├── JobCancelled
        └── JobRejected

Each error has a stable ``code`` (dotted, lower case; programs compare it), a ``message`` for a person (what, why) and
an optional ``hint`` (the next step). Only these errors reach users; anything else is a defect and is reported as
``internal`` without its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

__all__ = [
    "CircuitRejected",
    "Conflict",
    "InputError",
    "JobCancelled",
    "JobEnded",
    "JobFailed",
    "JobRejected",
    "NotFound",
    "OptionRejected",
    "PolicyRefused",
    "QuantumError",
    "QuotaExceeded",
    "Refused",
    "ScopeMissing",
    "TooBusy",
    "Unauthenticated",
    "Unavailable",
    "error_from",
]


class QuantumError(Exception):
    """Base of every error meant for a user.

    Args:
        message: one or two sentences: what happened and why.
        code: stable name of the case; the class's default where omitted.
        hint: the next step, a sentence.
        details: JSON values a program may act on (``{"left": 5200000}``); never a secret.
    """

    default_code: ClassVar[str] = "internal"
    status: ClassVar[int] = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code
        self.hint = hint
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        said = f"{self.message} {self.hint}" if self.hint else self.message
        return f"{said} [{self.code}]"


class InputError(QuantumError):
    """What was sent cannot be used."""

    default_code = "input"
    status = 422


class CircuitRejected(InputError):
    """The circuit cannot be used: it does not parse, is too large, or holds something that is not allowed."""

    default_code = "circuit.rejected"


class OptionRejected(InputError):
    """An option that the device or the primitive does not have; options are never ignored."""

    default_code = "option.unknown"


class Unauthenticated(QuantumError):
    """No token, or one that is not valid any more."""

    default_code = "auth.missing"
    status = 401


class Refused(QuantumError):
    """Understood, and not allowed."""

    default_code = "refused"
    status = 403


class ScopeMissing(Refused):
    """The token lacks a scope that the act needs."""

    default_code = "scope.missing"


class PolicyRefused(Refused):
    """Policy said no; ``details["policies"]`` names the policies."""

    default_code = "policy.refused"


class QuotaExceeded(Refused):
    """The run may cost more than is left."""

    default_code = "quota.exceeded"


class NotFound(QuantumError):
    """Absent, or not visible to the caller; the two are never told apart."""

    default_code = "absent"
    status = 404


class Conflict(QuantumError):
    """The thing is not in a state that allows this."""

    default_code = "conflict"
    status = 409


class TooBusy(QuantumError):
    """Intake is limited now; ``details["retry_after"]`` says for how many seconds."""

    default_code = "busy"
    status = 429


class Unavailable(QuantumError):
    """The service, or a part of it, does not answer."""

    default_code = "unavailable"
    status = 503


class JobEnded(QuantumError):
    """A job ended without a result."""

    default_code = "job.ended"
    status = 410


class JobFailed(JobEnded):
    """The job failed; nothing was charged for what the user did not cause."""

    default_code = "job.failed"


class JobCancelled(JobEnded):
    """The job was cancelled."""

    default_code = "job.cancelled"


class JobRejected(JobEnded):
    """The job was refused by validation, by policy or by a person."""

    default_code = "job.rejected"


def _tree(root: type[QuantumError]) -> dict[str, type[QuantumError]]:
    found = {root.__name__: root}
    for sub in root.__subclasses__():
        found |= _tree(sub)
    return found


def error_from(
    name: str, message: str, *, code: str, hint: str | None = None, details: Mapping[str, Any] | None = None
) -> QuantumError:
    """Rebuild an error that crossed a process as (class name, message, code, hint, details).

    An unknown name becomes the base class, so that an older client still shows the text.
    """
    return _tree(QuantumError).get(name, QuantumError)(message, code=code, hint=hint, details=details)
