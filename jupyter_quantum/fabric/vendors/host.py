"""The vendor process: exec'd by the runner with a clean environment; it holds one device's secret and calls its vendor.

It parses no circuit: payloads and answers are bytes that locked workers write and read. Each call runs in a thread of
its own, so that a slow one delays no other. Whatever it says goes through the :class:`Scrubber`.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import traceback
from typing import Final, Literal

from jupyter_quantum.fabric.adapters import adapter
from jupyter_quantum.fabric.adapters.vendor import (
    Calibration,
    SessionStatus,
    Status,
    Vendor,
    VendorError,
    VendorRefused,
    VendorUnavailable,
    VendorUnsure,
)
from jupyter_quantum.fabric.frames import read_frame, write_frame
from jupyter_quantum.fabric.refusals import clean
from jupyter_quantum.fabric.sandbox import die_with_parent, keep_to_oneself
from jupyter_quantum.fabric.vendors.messages import MOST, READY, UNSURE, Call, Reading, Reply, Start
from jupyter_quantum.fabric.vendors.scrub import Scrubber
from jupyter_quantum.targets import canonical
from jupyter_quantum.wire.base import digest_of

__all__ = ["CONTROL", "Host", "main"]

CONTROL: Final = 3
_WORDS: Final = 500
_HANDLE: Final = 500
_MOST_S: Final = 1e9

Kind = Literal["unavailable", "refused", "unsure"]


class Host:
    """Answers calls with what a :class:`Vendor` does."""

    def __init__(self, vendor: Vendor, scrubber: Scrubber) -> None:
        self._vendor = vendor
        self._scrubber = scrubber

    def say(self, call: Call) -> bytes:
        """The answer as it is sent; what a vendor made that cannot be sent is an error as well."""
        try:
            said = self.answer(call).model_dump_json().encode()
            if len(said) > MOST:  # it would be as large however often it is asked for
                raise VendorRefused(f"the answer to {call.verb} is larger than {MOST >> 20} MiB")
            return said
        except Exception as error:
            return Reply(id=call.id, error=_kind(call, error), words=self._words(error)).model_dump_json().encode()

    def answer(self, call: Call) -> Reply:
        """Do what is asked; an error becomes one of the three kinds, its words without the secret."""
        try:
            return getattr(self, f"_{call.verb}")(call)  # type: ignore[no-any-return]
        except Exception as error:
            if not isinstance(error, VendorError):
                _log(self._scrubber, f"{_called(call)} broke off", error)
            return Reply(id=call.id, error=_kind(call, error), words=self._words(error))

    def _words(self, error: Exception) -> str:
        said = str(error) if isinstance(error, VendorError) else f"{type(error).__name__}: {error}"
        return clean(self._scrubber.text(said), _WORDS)

    def _announce(self, call: Call) -> Reply:
        return Reply(id=call.id, reading=self._reading(self._vendor.announce()))

    def _calibration(self, call: Call) -> Reply:
        return Reply(id=call.id, reading=self._reading(self._vendor.calibration()))

    def _reading(self, found: Calibration) -> Reading:
        target = self._scrubber.plain(dict(found.target))
        return Reading(
            target=target,
            at=found.at,
            digest=digest_of(canonical(target)),
            submit_s=self._vendor.submit_s,
            indexing_s=self._vendor.indexing_s,
            same_session=self._vendor.same_session,
        )

    def _submit(self, call: Call) -> Reply:
        if call.session:
            found = self._vendor.submit_in_session(call.session, call.name, call.payload)
        else:
            found = self._vendor.submit(call.name, call.payload)
        return Reply(id=call.id, handle=self._handle(found))

    def _open_session(self, call: Call) -> Reply:
        return Reply(id=call.id, handle=self._handle(self._vendor.open_session(call.name, call.mode, call.most_s)))

    def _session(self, call: Call) -> Reply:
        return Reply(id=call.id, session=_session(self._vendor.session(call.name)))

    def _end_session(self, call: Call) -> Reply:
        return Reply(id=call.id, session=_session(self._vendor.end_session(call.name)))

    def _find(self, call: Call) -> Reply:
        found = self._vendor.find(call.name)
        return Reply(id=call.id, handle=None if found is None else self._handle(found))

    def _handle(self, handle: str) -> str:
        """A handle is reported and kept, so that it must not hold a secret; and a part of it would find nothing."""
        if not 0 < len(handle) <= _HANDLE:
            raise VendorUnsure("the vendor's id of the submission cannot be kept")
        if self._scrubber.text(handle) != handle:
            raise VendorUnsure("the vendor's id of the submission holds a part of the secret")
        return handle

    def _status(self, call: Call) -> Reply:
        found = self._vendor.status(call.name)
        words = clean(self._scrubber.text(found.words), _WORDS)
        return Reply(
            id=call.id,
            status=Status(found.state, words, found.position, found.retry, _seconds(found.usage_s)),
        )

    def _result(self, call: Call) -> Reply:
        found = self._vendor.result(call.name)
        metadata = self._scrubber.plain(dict(found.metadata))
        return Reply(
            id=call.id, data=self._scrubber.raw(found.data), usage_s=_seconds(found.usage_s), metadata=metadata
        )

    def _cancel(self, call: Call) -> Reply:
        return Reply(id=call.id, ended=not self._vendor.cancel(call.name))


def _session(found: SessionStatus) -> SessionStatus:
    return SessionStatus(bool(found.open), _seconds(found.usage_s))


def _seconds(told: float | None) -> float | None:
    """What can be charged; None where the vendor tells nothing, or nonsense."""
    return float(told) if told is not None and 0 <= told <= _MOST_S else None


def _kind(call: Call, error: Exception) -> Kind:
    if isinstance(error, VendorUnavailable):
        return "unavailable"
    if isinstance(error, VendorRefused):
        return "refused"
    if isinstance(error, VendorUnsure) or call.verb in UNSURE:
        return "unsure"
    return "unavailable"


def _log(scrubber: Scrubber, what: str, error: Exception) -> None:
    sys.stderr.write(scrubber.text(f"{what}\n{''.join(traceback.format_exception(error))}"))


def _called(call: Call) -> str:
    """A call as the log names it: the verb, and the run that it is for."""
    return f"{call.verb} for {call.about}" if call.about else call.verb


class _Said(logging.Handler):
    """Log records of SDKs, scrubbed; the thread is called as what it was asked for."""

    def __init__(self, scrubber: Scrubber) -> None:
        super().__init__(logging.WARNING)
        self._scrubber = scrubber

    def emit(self, record: logging.LogRecord) -> None:
        sys.stderr.write(self._scrubber.text(f"{record.threadName}: {record.name}: {self.format(record)}") + "\n")


def _serve(channel: socket.socket, host: Host) -> None:
    """Answer until the runner closes the channel."""
    saying = threading.Lock()
    write_frame(channel.fileno(), Reply(id=READY).model_dump_json().encode())

    def act(call: Call) -> None:
        said = host.say(call)
        with saying:
            write_frame(channel.fileno(), said)

    while (message := read_frame(channel.fileno())) is not None:
        call = Call.model_validate_json(message)
        threading.Thread(target=act, args=(call,), name=_called(call), daemon=True).start()


def main() -> None:
    """Entry point: :class:`Start` as one line on standard input, then calls on file descriptor 3."""
    die_with_parent(signal.SIGKILL)
    keep_to_oneself()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    start = Start.model_validate_json(sys.stdin.buffer.readline())
    scrubber = Scrubber(start.secret.values())
    logging.getLogger().addHandler(_Said(scrubber))
    try:
        vendor = adapter(start.device.adapter).connect(start.device, start.secret)
    except Exception as error:
        _log(scrubber, f"{start.device.name} cannot be connected to", error)
        os._exit(70)
    _serve(socket.socket(fileno=CONTROL), Host(vendor, scrubber))
    os._exit(0)  # threads that wait for a vendor are not waited for
