"""Users at once cannot overdraw a shared quota: of 50 parallel submissions against room for 10, exactly 10 pass."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from jupyter_quantum.exceptions import QuotaExceeded
from tests.prove.lab import TIGHT_ROOM, ProofLab, bell

_PARALLEL = 50


def _submit(lab: ProofLab, user: str, project: str) -> str:
    """One submission whose hold stays: 1000 shots on the emulated QPU wait for an approval."""
    try:
        lab.hub(user, project=project).backend("campus_qpu").run(bell(), shots=1000)
    except QuotaExceeded:
        return "refused"
    return "held"


def _case(lab: ProofLab, number: int) -> list[str]:
    project = f"tight-{number % lab.tight_projects:02d}"
    users = [f"user{k:02d}" for k in range(10)]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        outcomes = list(pool.map(lambda k: _submit(lab, users[k % len(users)], project), range(_PARALLEL)))
    held = outcomes.count("held")
    return [] if held == TIGHT_ROOM else [f"case {number}: {held} of {_PARALLEL} were held, {TIGHT_ROOM} fit"]


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """Each case is a fresh project with room for ten holds; at the end the ledger is verified."""
    del seed  # nothing here is drawn by chance but the order in which the threads arrive
    with ProofLab(tight_projects=cases) as lab:
        found = [violation for number in range(cases) for violation in _case(lab, number)]
        lab.kill_service()
        found += lab.verify_store()
    return cases * _PARALLEL, found
