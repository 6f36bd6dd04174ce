"""A small version of the proof ``tamper``."""

from __future__ import annotations

from tests.prove.tamper import prove


def test_tampers_are_found() -> None:
    """Of database and export; the controls among them are not flagged."""
    assert prove(80, 2026) == (80, [])
