"""Whatever a file of circuits holds, the answer is a refusal in words or a sound preparation, in time and in bounds.

Mutated QPY and OpenQASM go to a real pool of locked workers, one user's after the other, while a bystander's Bell
circuit is checked again and again. A worker that dies is contained, not a violation: the pool says how, and serves on.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from qiskit import qpy

from jupyter_quantum.core.ids import new_id
from jupyter_quantum.core.jobs import JobKind
from jupyter_quantum.fabric.frames import Outcome
from jupyter_quantum.fabric.memory import SLACK
from jupyter_quantum.fabric.pool import Ended, Pool
from jupyter_quantum.fabric.settings import DeviceSpec, Settings
from jupyter_quantum.pipeline.settings import Limits
from jupyter_quantum.wire.base import CircuitBundle, digest_of
from jupyter_quantum.wire.runner import Prepared, PrepareTask, Task, Work
from tests.hostile.mutate import CANARY, mutant
from tests.prove.lab import bell

__all__ = ["Fuzz", "prove"]

_CLOCK_S = 10.0
_LATE_S = 20.0
"""Beyond the clock: what a loaded machine may take to notice."""
_MEMORY_MB = 512
"""What a task may take beyond what its worker has from the start."""
_USER = 25
"""So many files of one user meet the same worker."""
_CONTAINED = frozenset({"crash", "cpu", "memory", "time"})
_FAMILIES = ("circuit.", "option.", "pub.", "shots.", "circuits.", "executions.")


@dataclass
class Fuzz:
    """One run."""

    seed: int
    refused: Counter[str] = field(default_factory=Counter)
    contained: Counter[str] = field(default_factory=Counter)
    died: list[str] = field(default_factory=list)
    """Which case ended a worker, and how."""
    sound: int = 0
    helped: int = 0
    """Answers that the bystander got."""
    slowest: float = 0.0
    largest: int = 0
    violations: list[str] = field(default_factory=list)

    async def run(self, cases: int) -> None:
        """All cases of this seed."""
        before = set(psutil.Process().children(recursive=True))
        device = DeviceSpec(name="aer", adapter="aer")
        pool = Pool(Settings(socket="none", token="none", runner="run_fuzz", devices=(device,), workers=2, threads=1))
        with _listening() as heard:
            try:
                await pool.start()
                await self._all(pool, cases)
            finally:
                await pool.close()
            said = heard()
        if CANARY.encode() in said:
            self.violations.append("what a user sent is in the log")
        left = [one for one in psutil.Process().children(recursive=True) if one not in before and one.is_running()]
        if left:
            self.violations.append(f"processes are left: {left}")

    async def _all(self, pool: Pool, cases: int) -> None:
        zygote = pool._zygote
        assert zygote is not None
        files = _files(zygote.pid, pool)
        beside = [asyncio.create_task(self._bystander(pool)), asyncio.create_task(self._watch(zygote.pid))]
        try:
            for case in range(cases):
                await self._case(pool, case)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        new = _files(zygote.pid, pool) - files
        if new:
            self.violations.append(f"files were written: {sorted(new)[:5]}")

    async def _case(self, pool: Pool, case: int) -> None:
        bundle = mutant(random.Random(f"{self.seed}/{case}"))
        began = time.monotonic()
        name = f"case {case} of seed {self.seed} ({bundle.format})"
        try:
            outcome = await self._ask(pool, bundle, f"user-{case // _USER}")
        except Ended as error:
            self.contained[error.why] += 1
            self.died.append(f"{name}: {error.why}")
            if error.why not in _CONTAINED:
                self.violations.append(f"{name}: the worker ended with {error.why}")
        else:
            self._judge(name, bundle, outcome)
        took = time.monotonic() - began
        self.slowest = max(self.slowest, took)
        if took > _CLOCK_S + _LATE_S:
            self.violations.append(f"{name}: {took:.1f} s")

    async def _ask(self, pool: Pool, bundle: CircuitBundle, affinity: str) -> Outcome:
        work = Work(kind=JobKind.RUN, circuits=bundle, pubs=[], options={}, transpile="auto", limits=Limits().caps())
        do = PrepareTask(work=work, device="aer", keep=False)
        task = Task(id=new_id("tsk"), fence=1, affinity=affinity, timeout_s=_CLOCK_S, memory_mb=_MEMORY_MB, do=do)
        session = await pool.acquire(affinity, task.memory_mb)
        try:
            return await session.ask(task)
        finally:
            pool.release(session)

    def _judge(self, name: str, bundle: CircuitBundle, outcome: Outcome) -> None:
        if outcome.error is not None or outcome.result is not None or len(outcome.prepared) != 1:
            self.violations.append(f"{name}: an answer to something else: {str(outcome)[:200]}")
            return
        prepared = outcome.prepared[0]
        if prepared.error is None:
            self.sound += 1
            self.violations.extend(f"{name}: {problem}" for problem in _unsound(prepared))
            return
        error = prepared.error
        self.refused[error.code] += 1
        clear = error.message and error.message.isprintable() and len(error.message) < 1000
        if not clear or not error.code.startswith(_FAMILIES) or error.code == "circuit.broken":
            self.violations.append(f"{name}: no clear refusal: {error.code} {error.message!r}")

    async def _bystander(self, pool: Pool) -> None:
        """Somebody else, whose circuit is good."""
        buffer = io.BytesIO()
        qpy.dump(bell(), buffer, version=13)
        good = CircuitBundle(format="qpy", data=buffer.getvalue())
        while True:
            began = time.monotonic()
            try:
                outcome = await asyncio.wait_for(self._ask(pool, good, "bystander"), _CLOCK_S + _LATE_S)
                if outcome.prepared[0].error is not None:
                    self.violations.append(f"the bystander was refused: {outcome.prepared[0].error}")
            except (Ended, TimeoutError) as error:
                self.violations.append(f"the bystander was not served: {error!r}")
            self.helped += 1
            self.slowest = max(self.slowest, time.monotonic() - began)
            await asyncio.sleep(0.2)

    async def _watch(self, zygote: int) -> None:
        """The most memory that a worker took beyond the zygote's, whose pages it shares until it writes to them."""
        mother = psutil.Process(zygote).memory_info()
        most = _MEMORY_MB * 1024 * 1024 + SLACK
        while self.largest <= most:
            for process in psutil.Process(zygote).children(recursive=True):
                try:
                    memory = process.memory_info()
                except psutil.Error:
                    continue
                self.largest = max(self.largest, memory.rss - memory.shared - (mother.rss - mother.shared))
            await asyncio.sleep(0.05)
        self.violations.append(f"a worker took {self.largest:,} bytes")


def _unsound(prepared: Prepared) -> Iterator[str]:
    if prepared.executable is None or digest_of(prepared.executable) != prepared.digest:
        yield "the digest is not of the executable"
    if prepared.order is None or prepared.num_circuits < 1 or prepared.executions < 1:
        yield "a preparation of nothing"
    if prepared.num_qubits > Limits().qubits or prepared.operations > Limits().operations:
        yield "a preparation beyond the limits"


def _files(zygote: int, pool: Pool) -> set[str]:
    """What stands in the workers' ``/tmp`` and home; a directory that comes and goes in other tests' is not theirs."""
    home = pool._home.name
    seen = {str(path) for path in Path(home).rglob("*")}
    theirs = Path(f"/proc/{zygote}/root{home}")
    return seen | {f"inside: {path.name}" for path in theirs.rglob("*")}


@contextmanager
def _listening() -> Iterator[Any]:
    """Everything that this process and its children write to standard error, and what is logged."""
    with tempfile.TemporaryFile() as file:
        sys.stderr.flush()
        kept = os.dup(2)
        os.dup2(file.fileno(), 2)
        stream = os.fdopen(os.dup(file.fileno()), "w")
        handler = logging.StreamHandler(stream)
        logging.getLogger("jupyter_quantum").addHandler(handler)

        def heard() -> bytes:
            handler.flush()
            file.seek(0)
            return file.read()

        try:
            yield heard
        finally:
            logging.getLogger("jupyter_quantum").removeHandler(handler)
            os.dup2(kept, 2)
            os.close(kept)
            stream.close()


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """``cases`` files; says beside the violations how many were refused, sound, contained, and which ended a worker."""
    fuzz = Fuzz(seed)
    asyncio.run(fuzz.run(cases))
    print(f"refused: {dict(fuzz.refused.most_common())}", file=sys.stderr)
    print(f"sound: {fuzz.sound}; contained: {dict(fuzz.contained)}; bystander: {fuzz.helped}", file=sys.stderr)
    print(f"slowest: {fuzz.slowest:.1f} s; largest worker: {fuzz.largest:,} bytes", file=sys.stderr)
    for one in fuzz.died[:50]:
        print(f"contained: {one}", file=sys.stderr)
    if fuzz.helped == 0 or not fuzz.sound or not fuzz.refused:
        fuzz.violations.append("nothing was proven: no bystander, no sound file, or no refusal")
    return cases, fuzz.violations
