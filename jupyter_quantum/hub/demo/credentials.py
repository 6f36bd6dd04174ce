"""No credential of a vendor goes into the demo: its kernels run as the unix user who has it in the environment.

A process of the same unix user can read the environment of the demo's own processes, so leaving a variable out of what
the kernels get would protect nothing. The demo therefore does not start.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from typing import Final

from jupyter_quantum.exceptions import Refused

__all__ = ["refuse", "vendors"]

_VENDORS: Final[Mapping[str, re.Pattern[str]]] = {
    "IBM Quantum": re.compile(r"QISKIT_IBM_(RUNTIME_)?(TOKEN|API_KEY)|IBM_QUANTUM_(TOKEN|API_KEY)|IBMQ_(API_)?TOKEN"),
    "Amazon Braket": re.compile(r"AWS_(SECRET_ACCESS_KEY|SESSION_TOKEN|BEARER_TOKEN_\w+)"),
    "Azure Quantum": re.compile(r"AZURE_(CLIENT_SECRET|PASSWORD|QUANTUM_(CONNECTION_STRING|TOKEN|KEY))"),
    "IonQ": re.compile(r"(QISKIT_)?IONQ_API_(KEY|TOKEN)"),
    "IQM": re.compile(r"IQM_(TOKEN|AUTH_(PASSWORD|TOKEN))"),
    "AQT": re.compile(r"AQT_(ACCESS_)?TOKEN|AQT_CLIENT_SECRET"),
    "Alice & Bob": re.compile(r"ALICE_BOB_(API_KEY|TOKEN)"),
    "Quantinuum": re.compile(r"(QUANTINUUM|PYTKET_QUANTINUUM|HQS)_(PASSWORD|TOKEN)"),
    "Superstaq": re.compile(r"SUPERSTAQ_API_KEY"),
}
"""Variables that hold a secret, by whose it is; names of regions, projects and addresses are none."""


def vendors(environment: Mapping[str, str]) -> dict[str, str]:
    """Variable → vendor, for each credential that is set here."""
    return {
        name: vendor
        for name in sorted(environment)
        for vendor, known in _VENDORS.items()
        if environment[name] and known.fullmatch(name)
    }


def refuse(environment: Mapping[str, str]) -> None:
    """Raise Refused (``demo.credentials``), which names variables and never their values, where there are any."""
    found = vendors(environment)
    if not found:
        return
    whose = ", ".join(dict.fromkeys(found.values()))
    without = " ".join(f"-u {shlex.quote(name)}" for name in found)
    raise Refused(
        f"The demo takes no vendors' credentials, and {', '.join(found)} ({whose}) is set: "
        "all its kernels share this unix user and could read it.",
        code="demo.credentials",
        hint=f"Start it without: env {without} jupyter quantum demo",
        details={"variables": list(found)},
    )
