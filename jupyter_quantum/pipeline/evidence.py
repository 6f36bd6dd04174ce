"""What stands beside an estimate: how mirror circuits of this size came back lately, how good such estimates have been.

The report asks :attr:`Evidence.ask` for each device; whoever measures devices sets it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from jupyter_quantum.wire.devices import MirrorResult, Score

__all__ = ["Ask", "Evidence", "Found"]


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of one device; nothing where nobody measured."""

    mirror: MirrorResult | None = None
    scores: Sequence[Score] = ()


Ask = Callable[[str, int, int], Awaitable[Found]]
"""Device, qubits and depth of the transpiled circuit → what is known. It is asked once a row: answer from memory."""


async def _nothing(_device: str, _qubits: int, _depth: int) -> Found:
    return Found()


class Evidence:
    """Holds the question, so that a part that is built after the reports can answer it."""

    def __init__(self) -> None:
        self.ask: Ask = _nothing
