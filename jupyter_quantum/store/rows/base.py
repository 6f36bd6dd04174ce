"""What rows share."""

from __future__ import annotations

__all__ = ["Json"]

Json = str
"""JSON text."""
