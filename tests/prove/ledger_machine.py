"""Any order of moves, failures, retries, windows, loans and ends of grants, on both databases: the books are right.

Each case is one run of the machine of ``tests/property/ledger_machine.py``, half of them on each database.
"""

from __future__ import annotations

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from jupyter_quantum.testing.postgres import Postgres
from tests.property.ledger_machine import LedgerMachine


def prove(cases: int, seed_: int) -> tuple[int, list[str]]:
    """Run the machine ``cases`` times; a failing run is shrunk and is a violation."""
    each = settings(
        max_examples=max(1, cases // 2),
        stateful_step_count=50,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        database=None,
        phases=[Phase.generate, Phase.shrink],
        print_blob=True,
    )
    violations: list[str] = []
    runs = 0
    with Postgres() as server:
        for name, url in (
            ("sqlite", LedgerMachine.url),
            ("postgresql", lambda _folder: server.migrated()),
        ):

            class Counted(LedgerMachine):
                done = 0

                def teardown(self) -> None:
                    type(self).done += 1
                    super().teardown()

            Counted.url = staticmethod(url)  # type: ignore[assignment]
            try:
                run_state_machine_as_test(seed(seed_)(Counted), settings=each)
            except Exception as error:  # whatever it is, the proof has failed
                violations.append(f"{name}: {type(error).__name__}: {error}")
            runs += Counted.done
    return runs, violations
