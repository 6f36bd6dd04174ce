"""The vendor's own count of seconds beside the runner's: which is charged, and where they differ."""

from __future__ import annotations

from typing import Final

__all__ = ["LEAST_S", "SHARE", "counts_otherwise"]

SHARE: Final = 0.5
LEAST_S: Final = 1.0
"""A difference counts where it is more than this share of the vendor's seconds, and more than so many.

A runner sees a vendor's machine begin and end as often as it asks, so that its clock is a coarse one.
"""


def counts_otherwise(ours: float, vendors: float | None) -> bool:
    """Whether the vendor's seconds differ from the runner's by more than clocks do."""
    if vendors is None:
        return False
    off = abs(vendors - ours)
    return off > LEAST_S and off > SHARE * vendors
