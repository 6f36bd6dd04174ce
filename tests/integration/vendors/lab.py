"""The machine of the example adapter: it reads jobs from a directory, runs them with Aer and writes counts."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import TracebackType

from qiskit import qasm3
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit_aer import AerSimulator

from jupyter_quantum.targets import target_to_json


class LabMachine:
    """Works until it is left."""

    def __init__(self, directory: Path) -> None:
        self.jobs, self.counts = directory / "jobs", directory / "counts"
        self.jobs.mkdir()
        self.counts.mkdir()
        target = GenericBackendV2(4, seed=1, noise_info=True).target
        (directory / "device.json").write_text(json.dumps(target_to_json(target)))
        self.ran: list[str] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> LabMachine:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends.set()
        self._thread.join()

    def _work(self) -> None:
        while not self._ends.wait(0.05):
            for path in sorted(self.jobs.glob("[!.]*")):
                if path.name not in self.ran:
                    self.ran.append(path.name)
                    self._run(path)

    def _run(self, path: Path) -> None:
        try:
            job = json.loads(path.read_bytes())
        except ValueError:
            return
        circuits = [qasm3.loads(one) for one in job["programs"]]
        found = AerSimulator().run(circuits, shots=job["shots"]).result()
        counts = [found.data(at)["counts"] for at in range(len(circuits))]
        part = self.counts / f".{path.name}"
        part.write_text(json.dumps(counts))
        part.rename(self.counts / path.name)
