"""The front door of the proofs."""

from __future__ import annotations

import argparse
import importlib
import json
import secrets
import sys
import time

PROOFS = {
    "attempt-kill": ("tests.prove.attempt_kill", 200),
    "kill-service": ("tests.prove.kill_service", 50),
    "overdraw": ("tests.prove.overdraw", 20),
    "ledger-machine": ("tests.prove.ledger_machine", 200),
    "foreign-id": ("tests.prove.foreign_id", 1),
    "policy-facts": ("tests.prove.policy_facts", 40),
    "scopes": ("tests.prove.scopes", 1),
    "replay": ("tests.prove.replay", 30),
    "schema": ("tests.prove.schema", 4),
    "tamper": ("tests.prove.tamper", 10_000),
    "hostile-circuits": ("tests.prove.hostile", 1),
    "fuzz": ("tests.prove.fuzz", 2_000),
    "adapters": ("tests.prove.adapters", 1),
    "sdk-parity": ("tests.prove.sdk_parity", 200),
}
"""Name → module with ``prove(cases, seed) -> (cases, violations)`` and the usual number of cases."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument("what", choices=sorted(PROOFS))
    parser.add_argument("--cases", type=int, default=None)
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    module, usual = PROOFS[asked.what]
    seed = asked.seed if asked.seed is not None else secrets.randbelow(2**31)
    start = time.monotonic()
    cases, violations = importlib.import_module(module).prove(asked.cases or usual, seed)
    for violation in violations[:50]:
        print("violation:", violation, file=sys.stderr)
    print(
        json.dumps(
            {
                "what": asked.what,
                "cases": cases,
                "violations": len(violations),
                "seconds": round(time.monotonic() - start, 1),
                "seed": seed,
            }
        )
    )
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
