"""Conformance: handing over, finding again, taking back, and errors."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Final

from jupyter_quantum.fabric.adapters.vendor import Submission, VendorRefused, VendorUnavailable, VendorUnsure
from jupyter_quantum.fabric.vendors.scrub import Scrubber
from jupyter_quantum.testing.adapters.bench import Bench, LocalVendor
from jupyter_quantum.testing.adapters.circuits import marked, registers
from jupyter_quantum.wire.jobs import Pub

__all__ = [
    "cancelling_ends_a_submission",
    "ended_submissions_stay",
    "nonsense_is_refused",
    "outages_are_unavailable",
    "payloads_are_repeatable",
    "same_tag_same_submission",
    "secret_stays_inside",
    "sessions_hold_what_they_say",
    "submissions_name_their_pubs",
    "tags_find_submissions",
    "wrong_secret_is_refused",
]

_ABSENT: Final = "nobody-has-this-0"


def payloads_are_repeatable(bench: Bench) -> str | None:
    """The same order gives the same payloads: a lost attempt is recovered with payloads that are made anew."""
    if isinstance(bench.vendor, LocalVendor):
        return "it runs in the worker"
    _, order = bench.prepare("sampler", registers() if bench.device.num_qubits > 2 else marked(1, 1), [Pub(circuit=0)])
    assert bench.encode(order) == bench.encode(order)
    return None


def submissions_name_their_pubs(bench: Bench) -> str | None:
    """Which PUBs are in which submission: all of them are somewhere, so that a part of a result has its price."""
    if isinstance(bench.vendor, LocalVendor):
        return "it runs in the worker"
    pubs = [Pub(circuit=0, shots=shots) for shots in (bench.shots, max(1, bench.shots // 2), bench.shots)]
    _, order = bench.prepare("sampler", marked(1, 1), pubs)
    carried = bench.device.carried(order)
    if not carried:
        return "it does not tell"
    assert len(carried) == len(bench.encode(order))
    assert {at for group in carried for at in group} == {0, 1, 2}, carried
    return None


def tags_find_submissions(bench: Bench) -> str | None:
    """Before it is handed over nothing is found under a tag, afterwards it is; an opaque vendor says that it cannot."""
    tag = bench.tag()
    if bench.device.recovery == "opaque":
        try:
            bench.vendor.find(tag)
        except VendorUnsure:
            return None
        raise AssertionError("an opaque vendor cannot know what it has")
    assert bench.vendor.find(tag) is None
    run = bench.run("run", marked(1, 1))
    assert _found(bench, run.tags[0]) == run.handles[0]
    return None


def _found(bench: Bench, tag: str) -> str | None:
    """The handle under this tag, as soon as the vendor lists it."""
    until = time.monotonic() + bench.vendor.indexing_s + 1
    while (found := bench.vendor.find(tag)) is None and time.monotonic() < until:
        time.sleep(0.2)
    return found


def same_tag_same_submission(bench: Bench) -> str | None:
    """An idempotent vendor takes a payload once under a tag, however often it is sent."""
    if bench.device.recovery != "idempotent":
        return f"it is {bench.device.recovery}"
    _, order = bench.prepare("run", marked(1, 1), shots=bench.shots)
    (payload,) = bench.encode(order)
    tag = bench.tag()
    assert len({bench.submit(tag, payload) for _ in range(3)}) == 1
    return None


def sessions_hold_what_they_say(bench: Bench) -> str | None:
    """In each kind of session that the device claims, a submission runs and keeps its tag. Two names are two sessions.
    One that has ended takes nothing more, ending it again is harmless, and what it refused runs outside of it."""
    if not bench.device.sessions:
        return "its vendor has no sessions, or they are off"
    _, order = bench.prepare("run", marked(1, 1), shots=bench.shots)
    (payload,) = bench.encode(order)
    for mode in sorted(set(bench.device.sessions.values())):
        _session_holds(bench, mode, payload)
    assert _kind(lambda: bench.vendor.submit_in_session(_ABSENT, bench.tag(), payload)) is VendorRefused
    return None


def _session_holds(bench: Bench, mode: str, payload: bytes) -> None:
    vendor, name, most_s = bench.vendor, bench.tag(), bench.spec.session_s or 0.0
    handle = vendor.open_session(name, mode, most_s)
    if vendor.same_session:
        assert vendor.open_session(name, mode, most_s) == handle
    other = vendor.open_session(bench.tag(), mode, most_s)
    assert other != handle
    assert vendor.session(handle).open
    inside, outside = bench.tag(), bench.tag()
    assert bench.wait(vendor.submit_in_session(handle, inside, payload)).state is Submission.DONE
    if bench.device.recovery != "opaque":
        assert _found(bench, inside) is not None
    assert not vendor.end_session(handle).open
    assert not vendor.end_session(handle).open
    assert not vendor.session(handle).open
    assert vendor.session(other).open
    vendor.end_session(other)
    assert _kind(lambda: vendor.submit_in_session(handle, outside, payload)) is VendorRefused
    if bench.device.recovery != "opaque":
        assert vendor.find(outside) is None
    assert bench.wait(bench.submit(outside, payload)).state is Submission.DONE


def ended_submissions_stay(bench: Bench) -> str | None:
    """After its end a submission has the same status and the same answer, and cannot be taken back."""
    run = bench.run("run", marked(1, 1))
    handle = run.handles[0]
    assert bench.vendor.cancel(handle) is False
    assert bench.vendor.status(handle).state is Submission.DONE
    again = bench.decode(run.order, [bench.vendor.result(handle).data])
    assert again.experiments == run.result.experiments
    return None


def cancelling_ends_a_submission(bench: Bench) -> str | None:
    """What is taken back at once ends: cancelled, or done where it was quicker."""
    _, order = bench.prepare("run", marked(1, 1), shots=bench.shots)
    handle = bench.submit(bench.tag(), bench.encode(order)[0])
    taken = bench.vendor.cancel(handle)
    state = bench.wait(handle).state
    assert state in ((Submission.CANCELLED,) if taken else (Submission.DONE, Submission.CANCELLED)), state
    return None


def nonsense_is_refused(bench: Bench) -> str | None:
    """A handle that nobody has is an error; a payload that is none is refused, or taken by a machine that reads it
    later, but never an unsure submission."""
    assert _kind(lambda: bench.vendor.status(_ABSENT)) not in (VendorUnsure, None)
    assert _kind(lambda: bench.vendor.result(_ABSENT)) not in (VendorUnsure, None)
    tag = bench.tag()
    assert _kind(lambda: bench.vendor.submit(tag, b"\x00no payload")) in (VendorRefused, VendorUnavailable, None)
    return None


def _kind(ask: Callable[[], object]) -> type[Exception] | None:
    """Which error it gives; None: it gives none."""
    try:
        ask()
    except Exception as error:
        return type(error)
    return None


def wrong_secret_is_refused(bench: Bench) -> str | None:
    """Without rights the vendor refuses, and its words do not repeat the secret."""
    if bench.wrong_secret is None:
        return "there is no wrong secret to try"
    said = None
    try:
        bench.connect(bench.wrong_secret).announce()
    except VendorRefused as error:
        said = str(error)
    assert said is not None, "a wrong secret opens the device"
    assert Scrubber(bench.wrong_secret.values()).text(said) == said, "its words repeat the secret"
    return None


def outages_are_unavailable(bench: Bench) -> str | None:
    """Where nobody answers, nothing was done."""
    if bench.unreachable is None:
        return "there is no address to try at which nobody answers"
    try:
        bench.connect(**bench.unreachable).announce()
    except VendorUnavailable:
        return None
    raise AssertionError("it answered")


def secret_stays_inside(bench: Bench) -> str | None:
    """Neither the announcement nor a result holds the secret."""
    if not bench.secret:
        return "it has no secret"
    run = bench.run("run", marked(1, 1))
    said = bench.device.announcement().model_dump_json() + run.result.model_dump_json()
    said += json.dumps([run.handles, [dict(answer.metadata) for answer in run.answers]], default=str)
    assert Scrubber(bench.secret.values()).text(said) == said
    return None
