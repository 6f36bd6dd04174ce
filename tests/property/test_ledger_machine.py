"""A few runs of the ledger machine on both databases; ``make prove WHAT=ledger-machine`` has the many."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from jupyter_quantum.testing.postgres import Postgres
from tests.property.ledger_machine import LedgerMachine

_QUICK = settings(
    max_examples=12, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


def test_any_order_on_sqlite() -> None:
    """Balances equal entries, holds equal open jobs, nothing is charged twice."""
    run_state_machine_as_test(LedgerMachine, settings=_QUICK)


def test_any_order_on_postgresql(postgres: Postgres) -> None:
    """The same there."""

    class OnPostgres(LedgerMachine):
        url = staticmethod(lambda _folder: postgres.migrated())

    run_state_machine_as_test(OnPostgres, settings=settings(_QUICK, max_examples=4))
