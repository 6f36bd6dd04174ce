"""Every hostile circuit ends in a clear refusal within 3 s and 1 GB, and the service answers others meanwhile."""

from __future__ import annotations

import base64
import threading
import time

import psutil

from tests.hostile.corpus import Case
from tests.hostile.corpus import cases as corpus
from tests.prove.lab import ProofLab, bell

_SECONDS = 3.0
_BYTES = 1_000_000_000


class _Bystander(threading.Thread):
    """Another user who keeps running Bell circuits; remembers the slowest answer."""

    def __init__(self, lab: ProofLab) -> None:
        super().__init__(daemon=True)
        self.lab, self.slowest, self.runs = lab, 0.0, 0
        self.errors: list[str] = []
        self.done = threading.Event()

    def run(self) -> None:
        backend = self.lab.hub("ben").backend("aer")
        while not self.done.wait(0.05):
            start = time.monotonic()
            try:
                backend.run(bell(), shots=100).result()
            except Exception as error:
                self.errors.append(repr(error))
            self.slowest = max(self.slowest, time.monotonic() - start)
            self.runs += 1


class _Memory(threading.Thread):
    """Watches the service's process tree; remembers the largest private memory of one process."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root, self.largest = root, 0
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.02):
            try:
                for process in psutil.Process(self.root).children(recursive=True):
                    memory = process.memory_info()
                    self.largest = max(self.largest, memory.rss - memory.shared)
            except psutil.Error:
                continue


def _case(lab: ProofLab, case: Case) -> list[str]:
    work = {
        "device": "aer",
        "kind": "run",
        "circuits": {"format": case.format, "data": base64.b64encode(case.data).decode()},
        "options": {"shots": 100},
    }
    start = time.monotonic()
    answer = lab.request("ada", "post", "/api/v1/jobs?wait=20", body=work)
    taken = time.monotonic() - start
    if not 400 <= answer.status_code < 500:
        return [f"{case.name}: answered {answer.status_code} {answer.text[:300]}"]
    told = answer.json()
    found = []
    if not told["code"].startswith(case.expected_code_prefix):
        found.append(
            f"{case.name}: code {told['code']}, expected {case.expected_code_prefix}…: {told['message'][:200]}"
        )
    if "Traceback" in told["message"] or not told["message"].strip():
        found.append(f"{case.name}: not a sentence: {told['message'][:200]!r}")
    if taken > _SECONDS:
        found.append(f"{case.name}: took {taken:.1f} s")
    return found


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """Sends the whole corpus ``cases`` times through the door, one file after the other."""
    del seed
    found: list[str] = []
    files = corpus()
    with ProofLab() as lab:
        bystander, memory = _Bystander(lab), _Memory(lab.service_pid)
        bystander.start()
        memory.start()
        began = time.monotonic()
        for _ in range(cases):
            for case in files:
                found += _case(lab, case)
        taken = time.monotonic() - began
        for watcher in (bystander, memory):
            watcher.done.set()
            watcher.join(30)
        found += [f"bystander: {error}" for error in bystander.errors]
        if bystander.slowest > _SECONDS:
            found.append(f"bystander: waited {bystander.slowest:.1f} s for a Bell circuit")
        if memory.largest > _BYTES:
            found.append(f"a process held {memory.largest / 1e9:.2f} GB of its own")
        if bystander.runs < taken:
            found.append(f"bystander: only {bystander.runs} runs in {taken:.0f} s, less than one a second")
    return cases * len(files), found
