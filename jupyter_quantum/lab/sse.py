"""Server-sent events, the reading side (HTML standard, section 9.2.6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["Message", "Parser"]

_LONGEST: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its id (empty where it has none), its type and its data."""

    id: str
    type: str
    data: str


class Parser:
    """Turns chunks of bytes, cut anywhere, into messages.

    Raises:
        ValueError: a line or a message is longer than 4 MiB: this is not our service.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._id = self._type = ""
        self._data: list[str] = []
        self._length = 0

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The messages that this chunk completes."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > _LONGEST:
            raise ValueError("a line of the event stream is too long")
        for line in lines:
            if done := self._line(line.rstrip(b"\r").decode("utf-8", "replace")):
                yield done

    def _line(self, line: str) -> Message | None:
        if not line:
            return self._message()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self._id = value
        elif name == "event":
            self._type = value
        elif name == "data":
            self._length += len(value)
            if self._length > _LONGEST:
                raise ValueError("a message of the event stream is too long")
            self._data.append(value)
        return None  # comments, retry and unknown fields

    def _message(self) -> Message | None:
        data, kind = "\n".join(self._data), self._type or "message"
        self._data, self._type, self._length = [], "", 0
        return Message(self._id, kind, data) if data else None
