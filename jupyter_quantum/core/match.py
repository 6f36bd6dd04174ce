"""Patterns with ``*`` only, matched whole and in linear time."""

from __future__ import annotations

__all__ = ["matches"]


def matches(pattern: str, text: str) -> bool:
    """Whether ``text`` is ``pattern``, where each ``*`` stands for any run of characters, also none.

    No other character is special, so that ``repo:lab/vqe:ref:refs/heads/[x]`` means itself. Each part is taken at its
    first place, from the left; nothing is tried twice, so no pattern takes long.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return text == pattern
    *middle, last = rest
    if not text.startswith(first) or len(text) < len(first) + len(last) or not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True
