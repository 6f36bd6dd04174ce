"""The public conformance suite, green for every adapter on its real SDK, each in the environment that it needs.

Emulators are asked as an author of an adapter would ask on the command line; machines at a vendor's through the
vendor's SDK, against a fake made from the vendor's documented API. A device that has no
way to do what a check asks for (cat qubits without a Hadamard gate, rotations that must have values before they are
transpiled) has to refuse it in words: those checks are named below, and a refusal counts as a case.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.metadata import entry_points
from typing import Any, Final

from jupyter_quantum.testing.adapters.conformance import CHECKS, Bench, Check
from tests.integration.adapters.test_adapters_conform import MAKE
from tests.prove.environments import ROOT, python_of
from tests.prove.sdk_parity import EMULATORS

_UNBOUND: Final = frozenset({"sampler_binds_parameters", "estimator_binds_parameters"})
_NO_HADAMARD: Final = frozenset(
    {"bell_is_correlated", "ghz_is_correlated", "estimator_agrees_with_theory", "same_seed_same_counts"}
)
REFUSES: Final[Mapping[str, frozenset[str]]] = {
    "cats": _UNBOUND | _NO_HADAMARD,
    "cats_early": _UNBOUND,
    "cats_noiseless": _UNBOUND,
}
"""Device → checks whose circuits it cannot build: they must end in a refusal, and no others may."""
_REFUSAL: Final = "Rejected: circuit."


def checked(extra: str | None, spec: Mapping[str, Any]) -> tuple[int, list[str]]:
    """How many checks one device went through, and what was wrong."""
    program = [str(python_of(extra)), "-m", "jupyter_quantum.testing.adapters.conformance", json.dumps(spec)]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=900)
    lines = done.stdout.splitlines()
    if not lines or not lines[-1].startswith("{"):
        return 0, [f"{spec['name']}: the suite did not come to its end: {done.stderr[-1000:]}"]
    expected = REFUSES.get(spec["name"], frozenset())
    failed = dict(line.removeprefix("FAILED ").split(": ", 1) for line in lines if line.startswith("FAILED "))
    found = [
        f"{spec['name']} {name}: {why}"
        for name, why in failed.items()
        if not (name in expected and why.startswith(_REFUSAL))
    ]
    found += [f"{spec['name']} {name}: taken, though it cannot be built" for name in expected - set(failed)]
    applied = sum("does not apply" not in line for line in lines[:-1])
    print(f"{spec['name']} ({spec['adapter']}): {applied} checks, {len(failed)} of them refused", flush=True)
    return applied, found


def here() -> Sequence[tuple[str | None, Mapping[str, Any]]]:
    """Every emulator whose adapter is registered, with the extra whose environment it needs."""
    known = {point.name for point in entry_points(group="jupyter_quantum.adapters")}
    return [(extra, spec) for extra, specs in EMULATORS.items() for spec in specs if spec["adapter"] in known]


def remote() -> tuple[int, list[str]]:
    """The checks of every vendor that is reached over a network, and what was wrong."""
    total, found = 0, list[str]()
    for name, make in MAKE.items():
        with ExitStack() as stack:
            bench = stack.enter_context(make(stack))
            results = {check.__name__: _asked(check, bench) for check in CHECKS}
        applied = sum(why is not None for why in results.values())
        total += applied
        found += [f"{name} {check}: {why}" for check, why in results.items() if why]
        print(f"{name}: {applied} checks", flush=True)
    return total, found


def _asked(check: Check, bench: Bench) -> str | None:
    """What was wrong, empty where nothing was; None where the check does not apply."""
    try:
        return None if check(bench) else ""
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def prove(cases: int, seed: int) -> tuple[int, list[str]]:
    """Ask every device ``cases`` times."""
    del seed
    total, found = 0, list[str]()
    for _ in range(cases):
        for applied, wrong in (remote(), *(checked(extra, spec) for extra, spec in here())):
            total += applied
            found += wrong
    return total, found
