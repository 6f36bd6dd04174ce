"""Where checkpoints go besides the database: a directory or object store, and a witness (c2sp.org/tlog-witness)."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import fsspec
from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from jupyter_quantum.exceptions import Conflict, Unavailable
from jupyter_quantum.pipeline.notes import read_checkpoint

__all__ = ["Copies", "Witness"]

_END: Final = ".checkpoint"
_LINE: Final = re.compile("\u2014 [^ +]+ [A-Za-z0-9+/]+=*")


class Copies:
    """A directory, anywhere that fsspec reaches; a file is written once under its checkpoint's size, never again.

    Blocking: call it in a thread.
    """

    def __init__(self, url: str) -> None:
        self._files: Any
        self._files, path = fsspec.core.url_to_fs(url)
        self._root = path.rstrip("/")

    def add(self, size: int, note: str) -> None:
        """Write a checkpoint. Raises Conflict (``audit.witnessed``) where another one of this size is there."""
        self._files.makedirs(self._root, exist_ok=True)
        path, raw = self._path(size), note.encode()
        if self._files.exists(path):
            if read_checkpoint(self._text(path)).text != read_checkpoint(note).text:
                raise Conflict(f"Another checkpoint of {size} events is in {path}.", code="audit.witnessed")
            return
        draft = f"{path}.new"
        with self._files.open(draft, "wb") as file:
            file.write(raw)
        # Whole or not at all: a reader never sees the beginning of a note.
        self._files.mv(draft, path)

    def newest(self, count: int | None) -> list[str]:
        """The largest checkpoints (all where None), the largest first."""
        if not self._files.exists(self._root):
            return []
        names = sorted((str(name) for name in self._files.ls(self._root, detail=False)), reverse=True)
        return [self._text(name) for name in [name for name in names if name.endswith(_END)][:count]]

    def _path(self, size: int) -> str:
        return f"{self._root}/{size:020d}{_END}"

    def _text(self, path: str) -> str:
        raw: bytes = self._files.cat_file(path)
        return raw.decode("utf8", "replace")


class Witness:
    """A witness's ``add-checkpoint`` address."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        if urlsplit(url).scheme not in {"http", "https"}:
            raise Unavailable(f"{url!r} is not the address of a witness.", code="audit.witness")
        self._url = url
        self._timeout_s = timeout_s
        self._client = AsyncHTTPClient(force_instance=True)

    async def add(self, old: int, proof: Sequence[bytes], note: str) -> tuple[int | None, str]:
        """Send a checkpoint and how it follows from the one of ``old`` leaves, which the witness saw last.

        Answers ``(None, cosignatures)``, or ``(size, "")`` where the witness saw another one last. Raises Unavailable.
        """
        lines = [f"old {old}", *(base64.b64encode(each).decode() for each in proof), "", note]
        request = HTTPRequest(
            self._url,
            method="POST",
            body="\n".join(lines).encode(),
            headers={"Content-Type": "text/plain; charset=utf-8"},
            connect_timeout=self._timeout_s,
            request_timeout=self._timeout_s,
            follow_redirects=False,
        )
        try:
            answer = await self._client.fetch(request, raise_error=False)
        except (OSError, ValueError) as error:
            raise Unavailable(f"The witness does not answer: {error}.", code="audit.witness") from error
        said = answer.body.decode("utf8", "replace") if answer.body else ""
        if answer.code == 409 and said.strip().isdecimal():
            return int(said), ""
        if not 200 <= answer.code < 300:
            raise Unavailable(f"The witness answered with status {answer.code}.", code="audit.witness")
        # What is no signature line is not kept; a plain webhook may answer with anything.
        return None, "".join(f"{line}\n" for line in said.splitlines()[:16] if _LINE.fullmatch(line))

    def close(self) -> None:
        """Close open connections."""
        self._client.close()
