"""Identifiers: a prefix that says what it names, and a UUIDv7 (RFC 9562, section 5.7), so that they sort by time."""

from __future__ import annotations

import os
import re
import time

__all__ = ["is_id", "new_id"]

_FORM = re.compile(r"[a-z]{2,8}_[0-9a-f]{32}")


def new_id(prefix: str) -> str:
    """Return a fresh id such as ``job_0193f1…`` (prefix, underscore, 32 hexadecimal digits).

    Prefixes in use: ``job``, ``rep`` (report), ``apr`` (approval), ``evt`` (event), ``ent`` (ledger entry),
    ``tsk`` (task of a runner), ``run`` (runner), ``ppl`` (pseudonym of a person),
    ``whk`` (webhook), ``dlv`` (message that was given up),
    ``req`` (request), ``mem`` (membership), ``wlt`` (token of a workload),
    ``ser`` (series), ``bmr`` (run of a series),
    ``lon`` (loan), ``rse`` (raise of a quota), ``prl`` (price list).
    """
    millis = time.time_ns() // 1_000_000
    tail = bytearray(os.urandom(10))
    tail[0] = 0x70 | (tail[0] & 0x0F)  # version 7
    tail[2] = 0x80 | (tail[2] & 0x3F)  # variant of RFC 9562
    return f"{prefix}_{millis:012x}{tail.hex()}"


def is_id(text: str, prefix: str) -> bool:
    """Whether ``text`` has the form of an id with this prefix."""
    return text.startswith(prefix + "_") and _FORM.fullmatch(text) is not None
