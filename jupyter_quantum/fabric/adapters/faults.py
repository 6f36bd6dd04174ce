"""What went wrong at a vendor, told from the exceptions of its SDK: one place says what is safe to try again.

An SDK wraps the failure of a request in classes of its own, often twice; the answer's status, or the fact that no
connection was made, is found along the chain of causes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from urllib3 import exceptions as transport

from jupyter_quantum.fabric.adapters.vendor import VendorError, VendorRefused, VendorUnavailable, VendorUnsure

__all__ = ["judged", "status_of", "told"]

_REFUSED: Final = frozenset({400, 401, 402, 403, 404, 405, 409, 410, 411, 412, 413, 414, 415, 422, 424})
_NOTHING_DONE: Final = frozenset({425, 429})
_NOT_CONNECTED: Final = (transport.NewConnectionError, transport.ConnectTimeoutError, transport.NameResolutionError)
_NOT_CONNECTED_NAMES: Final = frozenset(
    {"ConnectTimeout", "ConnectTimeoutError", "EndpointConnectionError", "ServiceRequestError", "NoCredentialsError"}
)
_WORDS: Final = 300


def status_of(error: BaseException) -> int | None:
    """The HTTP status that the vendor answered with; None where no answer came."""
    for one in _chain(error):
        for holder in (one, getattr(one, "response", None)):
            status = holder.get("ResponseMetadata", {}) if isinstance(holder, dict) else None
            found = status.get("HTTPStatusCode") if status is not None else getattr(holder, "status_code", None)
            if isinstance(found, int) and found > 0:
                return found
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop(0)
        if not isinstance(one, BaseException) or id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        wrapped = (getattr(one, name, None) for name in ("reason", "_cause"))  # urllib3's, IonQ's
        waiting += [one.__cause__, one.__context__, *wrapped, *one.args]


def _never_sent(error: BaseException) -> bool:
    return any(isinstance(one, _NOT_CONNECTED) or type(one).__name__ in _NOT_CONNECTED_NAMES for one in _chain(error))


def told(error: BaseException, secrets: Iterable[str] = ()) -> str:
    """The message of an error for people: one line, no secret, not too long."""
    text = " ".join(str(error).split()) or type(error).__name__
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, "…")
    return text if len(text) <= _WORDS else text[: _WORDS - 1] + "…"


def _kind(error: Exception, *, submitting: bool, refusals: tuple[type[Exception], ...]) -> type[VendorError]:
    status = status_of(error)
    if status in _REFUSED or (status is None and isinstance(error, refusals)):
        return VendorRefused
    if not submitting or status in _NOTHING_DONE or (status is None and _never_sent(error)):
        return VendorUnavailable
    return VendorUnsure


@contextmanager
def judged(
    vendor: str,
    secrets: Iterable[str] = (),
    *,
    submitting: bool = False,
    refusals: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Turn what an SDK raises into one of the three kinds of :class:`VendorError`; ``secrets`` are blotted out.

    ``refusals`` are errors that an SDK raises by itself, without an answer, where the vendor would say no.
    """
    try:
        yield
    except VendorError:
        raise
    except Exception as error:
        kind = _kind(error, submitting=submitting, refusals=refusals)
        raise kind(f"{vendor}: {told(error, secrets)}") from None
