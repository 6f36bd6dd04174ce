"""Secrets out of whatever leaves a vendor process: messages, log lines, tracebacks, answers."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote, quote_plus

__all__ = ["HIDDEN", "Scrubber"]

HIDDEN: Final = "[secret]"
_SHORTEST: Final = 6
"""Characters: what is shorter (a region, an account's number) would be found everywhere and protects nothing."""


class Scrubber:
    """Knows the values of one secret, and the forms in which libraries write them.

    Args:
        values: of the secret. Those shorter than six characters are left alone.
    """

    def __init__(self, values: Iterable[str]) -> None:
        forms = {form for value in values for one in _lines(value) if len(one) >= _SHORTEST for form in _forms(one)}
        self._texts = sorted(forms, key=len, reverse=True)
        self._raw = [form.encode() for form in self._texts]

    def text(self, said: str) -> str:
        """The text, each form of the secret replaced."""
        for form in self._texts:
            if form in said:
                said = said.replace(form, HIDDEN)
        return said

    def raw(self, data: bytes) -> bytes:
        """The bytes, each form of the secret replaced by as many asterisks."""
        for form in self._raw:
            if form in data:
                data = data.replace(form, b"*" * len(form))
        return data

    def plain(self, value: Any) -> Any:
        """A JSON value, its texts and keys scrubbed."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(str(key)): self.plain(one) for key, one in value.items()}
        if isinstance(value, list | tuple):
            return [self.plain(one) for one in value]
        return value


def _lines(value: str) -> set[str]:
    """The value, and each of its lines: a private key is printed line by line, and a file ends in one that is none."""
    return {value, *(line.strip() for line in value.splitlines())}


def _forms(value: str) -> set[str]:
    """As it is, in a URL, in JSON, in a ``repr``, and in base64 at each of the three places where it may begin."""
    raw = value.encode()
    plain = {value, quote(value), quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], repr(value)[1:-1]}
    shifted = {base64.b64encode(b"\0" * lead + raw)[_SKIP[lead] : _end(lead + len(raw))].decode() for lead in range(3)}
    urlsafe = {form.replace("+", "-").replace("/", "_") for form in shifted}
    return {form for form in plain | shifted | urlsafe if len(form) >= _SHORTEST}


_SKIP: Final = (0, 2, 3)
"""Leading base64 digits that hold bits of what comes before."""


def _end(size: int) -> int | None:
    """Where the last digit ends that depends on nothing that comes after."""
    return size * 8 // 6
