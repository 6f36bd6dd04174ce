"""Patterns of subjects: * and nothing else."""

from __future__ import annotations

import time

import pytest

from jupyter_quantum.core.match import matches


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("repo:lab/vqe:ref:refs/heads/*", "repo:lab/vqe:ref:refs/heads/main", True),
        ("repo:lab/vqe:ref:refs/heads/*", "repo:lab/vqe-evil:ref:refs/heads/main", False),
        ("repo:lab/*:environment:prod", "repo:lab/x:environment:prod", True),
        ("repo:lab/*:environment:prod", "repo:lab/x:environment:prod2", False),
        ("a*b*c", "abc", True),
        ("a*b*c", "ac", False),
        ("ab*ba", "aba", False),
        ("exact", "exact", True),
        ("exact", "Exact", False),
        ("[a-z]?", "b1", False),
        ("**", "", True),
    ],
)
def test_patterns(pattern: str, text: str, fits: bool) -> None:
    """Whole, case-sensitive, with nothing special but the star."""
    assert matches(pattern, text) is fits


def test_no_pattern_takes_long() -> None:
    """A pattern that would make a backtracking matcher run for years."""
    began = time.monotonic()
    assert not matches("*a" * 30 + "b", "a" * 100_000)
    assert time.monotonic() - began < 0.5
