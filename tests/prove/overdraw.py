"""Users at once cannot overdraw a shared quota: of 50 parallel submissions against room for 10, exactly 10 pass.

On both databases: half of the cases run on a service over SQLite, half on one over PostgreSQL.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from jupyter_quantum.exceptions import QuotaExceeded
from jupyter_quantum.testing.postgres import Postgres
from tests.prove.lab import TIGHT_ROOM, ProofLab, bell

_PARALLEL = 50


def _submit(lab: ProofLab, user: str, project: str) -> str:
    """One submission whose hold stays: 1000 shots on the emulated QPU wait for an approval."""
    try:
        lab.hub(user, project=project).backend("campus_qpu").run(bell(), shots=1000)
    except QuotaExceeded:
        return "refused"
    return "held"


def _case(lab: ProofLab, where: str, number: int) -> list[str]:
    project = f"tight-{number % lab.tight_projects:02d}"
    users = [f"user{k:02d}" for k in range(10)]
    with ThreadPoolExecutor(_PARALLEL) as pool:
        outcomes = list(pool.map(lambda k: _submit(lab, users[k % len(users)], project), range(_PARALLEL)))
    held = outcomes.count("held")
    return [] if held == TIGHT_ROOM else [f"{where} {number}: {held} of {_PARALLEL} were held, {TIGHT_ROOM} fit"]


def _on(where: str, db_url: str, cases: int) -> list[str]:
    """Each case is a fresh project with room for ten holds; at the end the ledger is verified."""
    with ProofLab(tight_projects=cases, db_url=db_url) as lab:
        found = [violation for number in range(cases) for violation in _case(lab, where, number)]
        lab.kill_service()
        return found + [f"{where}: {violation}" for violation in lab.verify_store()]


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """So many cases in all, at least one on each database."""
    del seed  # nothing here is drawn by chance but the order in which the threads arrive
    each = max(1, cases // 2)
    found = _on("sqlite", "", each)
    with Postgres() as server:
        found += _on("postgresql", server.empty(), each)
    return 2 * each * _PARALLEL, found
