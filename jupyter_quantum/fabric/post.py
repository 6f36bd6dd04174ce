"""``POST`` of small JSON messages over kept-alive connections to one unix socket, and nothing else of HTTP.

A general client costs more time for a message than the service needs to answer it; a job takes three of them.
"""

from __future__ import annotations

import asyncio
from typing import Final

__all__ = ["Gone", "Poster"]

_HEAD_MOST: Final = 64 * 1024
_ANSWER_S: Final = 60.0


class Gone(OSError):
    """The service did not answer, or its answer makes no sense; sending again may help."""


class Poster:
    """Connections to the service, one for each message that is on its way.

    Args:
        socket: path of the unix socket.
        token: goes with every message.
    """

    def __init__(self, socket: str, token: str) -> None:
        self._socket = socket
        self._head = (
            f"Host: service\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: "
        )
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer. Raises :class:`Gone`, TimeoutError after a minute, OSError."""
        message = f"POST {path} HTTP/1.1\r\n{self._head}{len(body)}\r\n\r\n".encode() + body
        reader, writer = await self._open()
        try:
            async with asyncio.timeout(_ANSWER_S):
                writer.write(message)
                status, answer, stays = await _answer(reader)
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            writer.close()
            raise Gone(f"no answer to {path}") from error
        except BaseException:  # cancelled: the answer that is still to come must not be taken for another's
            writer.close()
            raise
        if stays:
            self._idle.append((reader, writer))
        else:
            writer.close()
        return status, answer

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_unix_connection(self._socket, limit=_HEAD_MOST)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop()[1].close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Status, body, and whether the connection goes on."""
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(first.split(" ", 2)[1])
    length: int | None = None
    stays = True
    for line in lines:
        name, _, value = line.partition(":")
        match name.lower():
            case "content-length":
                length = int(value)
            case "connection":
                stays = value.strip().lower() != "close"
            case "transfer-encoding":
                raise ValueError("the service sends answers whole")
    if length is None:
        return status, await reader.read(-1), False
    return status, await reader.readexactly(length), stays
