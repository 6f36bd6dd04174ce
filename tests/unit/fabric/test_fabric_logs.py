"""Each line of a runner's log that is about a job names it, in the vendor process too."""

from __future__ import annotations

import asyncio
import io
import logging
import sys
import threading
from typing import Any

import pytest

from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.fabric import logs
from jupyter_quantum.fabric.logs import ABOUT, subject
from jupyter_quantum.fabric.vendors.host import Host, _called, _Said
from jupyter_quantum.fabric.vendors.messages import Call
from jupyter_quantum.fabric.vendors.scrub import Scrubber
from jupyter_quantum.wire.base import digest_of
from jupyter_quantum.wire.runner import ExecuteTask, Task

TAG = "job_1-1"


def a_task(**changes: Any) -> Task:
    do = ExecuteTask.model_construct(tag=TAG, device="aer", kind=JobKind.RUN, digest=digest_of(b""))
    fields: dict[str, Any] = {"id": "tsk_1", "fence": 1, "affinity": "", "timeout_s": 1, "memory_mb": 1, "do": do}
    return Task.model_construct(**(fields | changes))


def test_a_task_is_named_by_its_run_or_its_job() -> None:
    """The tag begins with the job's id; what is prepared is of a job; a report is of neither."""
    assert subject(a_task()) == TAG
    assert subject(a_task(do=None, job="job_1")) == "job_1"
    assert subject(a_task(do=None, job=None)) == "tsk_1"
    assert Task.model_fields["job"].default is None  # an older service does not say


def test_lines_say_what_they_are_about(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever writes them; two runs beside each other are not mixed up; other lines have no subject."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    monkeypatch.setattr(logging.root, "handlers", [])
    logs.set_up()
    somebody = logging.getLogger("somebody.elses.library")

    async def run(tag: str) -> None:
        ABOUT.set(tag)
        await asyncio.sleep(0)
        somebody.warning("it is late")

    async def both() -> None:
        await asyncio.gather(run("job_1-1"), run("job_2-1"))
        somebody.warning("nobody's")

    asyncio.run(both())
    lines = out.getvalue().splitlines()
    assert [line.split("WARNING ")[1] for line in lines] == ["[job_1-1] it is late", "[job_2-1] it is late", "nobody's"]


def test_the_vendor_process_names_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    """A verb that breaks off, and what the vendor's SDK logs meanwhile."""
    scrubber = Scrubber(["the-secret-value"])

    class Broken:
        def status(self, handle: str) -> Any:
            record = logging.LogRecord("sdk", logging.WARNING, "", 0, "slow the-secret-value", None, None)
            _Said(scrubber).emit(record)
            raise RuntimeError("gone")

    call = Call(id=1, verb="status", name="vendor-7", about=TAG)
    host = Host(Broken(), scrubber)  # type: ignore[arg-type]
    thread = threading.Thread(target=host.say, args=(call,), name=_called(call))
    thread.start()
    thread.join()
    said = capsys.readouterr().err
    assert "status for job_1-1: sdk: slow" in said
    assert "status for job_1-1 broke off" in said
    assert "the-secret-value" not in said
    assert _called(Call(id=1, verb="announce")) == "announce"
