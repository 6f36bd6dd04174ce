"""What every adapter has to do, as a list of checks for authors of plug-ins.

With pytest::

    import pytest
    from jupyter_quantum.testing.adapters.conformance import CHECKS, Bench

    @pytest.fixture(scope="module")
    def bench():
        with Bench({"name": "mine", "adapter": "my_package:MyDevice", "url": …}, {"token": "…"}) as bench:
            yield bench

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    def test_conforms(bench, check):
        check(bench)

Without::

    python -m jupyter_quantum.testing.adapters.conformance '{"name": "mine", "adapter": "mine"}' [SECRET.json]

Remote devices are reached through their :class:`~jupyter_quantum.fabric.adapters.vendor.Vendor`; those that run in the
worker are driven by the same verbs. A check raises ``AssertionError`` where the device does not conform. It returns why
where it does not apply to this device (no control flow, no second secret to try), and None otherwise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from jupyter_quantum.testing.adapters.bench import Bench
from jupyter_quantum.testing.adapters.checks_bits import (
    odd_registers_keep_their_bits,
    odd_registers_of_a_sampler_keep_theirs,
)
from jupyter_quantum.testing.adapters.checks_device import (
    announcement_is_complete,
    calibration_is_stable,
    messages_cross_processes,
    published_options_are_taken,
    target_round_trips,
    too_many_shots_are_refused,
    unknown_options_are_refused,
)
from jupyter_quantum.testing.adapters.checks_results import (
    bell_is_correlated,
    bits_are_in_qiskits_order,
    circuits_keep_their_order,
    control_flow_runs_or_is_refused,
    estimator_agrees_with_theory,
    estimator_binds_parameters,
    ghz_is_correlated,
    memory_holds_each_shot,
    pubs_have_their_own_shots,
    results_are_never_silently_zero,
    same_seed_same_counts,
    sampler_binds_parameters,
    sampler_keeps_registers,
)
from jupyter_quantum.testing.adapters.checks_vendor import (
    cancelling_ends_a_submission,
    ended_submissions_stay,
    nonsense_is_refused,
    outages_are_unavailable,
    payloads_are_repeatable,
    same_tag_same_submission,
    secret_stays_inside,
    sessions_hold_what_they_say,
    submissions_name_their_pubs,
    tags_find_submissions,
    wrong_secret_is_refused,
)

__all__ = ["CHECKS", "Bench", "Check", "main"]

Check = Callable[[Bench], str | None]

CHECKS: Final[list[Check]] = [
    announcement_is_complete,
    target_round_trips,
    calibration_is_stable,
    messages_cross_processes,
    bell_is_correlated,
    ghz_is_correlated,
    bits_are_in_qiskits_order,
    circuits_keep_their_order,
    memory_holds_each_shot,
    sampler_keeps_registers,
    odd_registers_keep_their_bits,
    odd_registers_of_a_sampler_keep_theirs,
    sampler_binds_parameters,
    pubs_have_their_own_shots,
    estimator_agrees_with_theory,
    estimator_binds_parameters,
    control_flow_runs_or_is_refused,
    results_are_never_silently_zero,
    same_seed_same_counts,
    unknown_options_are_refused,
    published_options_are_taken,
    too_many_shots_are_refused,
    payloads_are_repeatable,
    submissions_name_their_pubs,
    tags_find_submissions,
    same_tag_same_submission,
    sessions_hold_what_they_say,
    ended_submissions_stay,
    cancelling_ends_a_submission,
    nonsense_is_refused,
    wrong_secret_is_refused,
    outages_are_unavailable,
    secret_stays_inside,
]
"""All checks, in an order from simple to special."""


def main(arguments: list[str]) -> int:
    """Check one device; one line a check, and one of JSON at the end. Returns the exit status."""
    secret = json.loads(Path(arguments[1]).read_text()) if len(arguments) > 1 else {}
    failed: list[str] = []
    with Bench(json.loads(arguments[0]), secret) as bench:
        for check in CHECKS:
            try:
                why = check(bench)
            except Exception as error:
                failed.append(check.__name__)
                sys.stdout.write(f"FAILED {check.__name__}: {type(error).__name__}: {str(error)[:300]}\n")
            else:
                sys.stdout.write(f"ok {check.__name__}{f' (does not apply: {why})' if why else ''}\n")
            sys.stdout.flush()
        said = {"device": bench.spec.name, "checks": len(CHECKS), "failed": failed}
    sys.stdout.write(json.dumps(said) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
