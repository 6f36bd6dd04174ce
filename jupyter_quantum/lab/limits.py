"""What a sandbox kernel may use and may know: memory, threads, and no vendor's credentials."""

from __future__ import annotations

import re
import resource
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["limit_memory", "memory_in_use", "out_of_memory", "scrubbed", "threads"]

MIB: Final = 1024 * 1024

_VENDORS = (
    r"QISKIT_IBM_|IBMQ?_|IBMCLOUD_|QE_TOKEN|AWS_|AMZN_|BRAKET_|AZURE_|ARM_CLIENT_|GOOGLE_|GCP_|GCLOUD_|IONQ_|IQM_|AQT_|"
    r"QUANTINUUM_|PYTKET_QUANTINUUM|HQS_|RIGETTI_|QCS_|SUPERSTAQ_|DWAVE_|PASQAL_|QUANDELA_|PCVL_|ALICE_BOB_|"
    r"QBRAID_|STRANGEWORKS_|OQC_|QUERA_|XANADU_|VAULT_"
)
_CREDENTIAL: Final = re.compile(rf"^(?:{_VENDORS})", re.IGNORECASE)
_THREADS: Final = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")


def scrubbed(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the variables by which quantum and cloud vendors' SDKs find credentials.

    The hub's own token stays: the kernel asks the service with it, and it carries no more than the user may.
    """
    return {name: value for name, value in environment.items() if not _CREDENTIAL.match(name)}


def threads(count: int) -> dict[str, str]:
    """Variables that keep numeric libraries to ``count`` threads."""
    return dict.fromkeys(_THREADS, str(count))


def memory_in_use() -> int:
    """Bytes of private writable memory that this process has asked for (Linux; 0 where it cannot be told)."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmData:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def limit_memory(budget_mb: int) -> None:
    """Let this process ask for ``budget_mb`` MiB more than it has now; beyond that, allocations fail.

    The limit is on private writable memory (``RLIMIT_DATA``), so that libraries mapped from files do not count. It can
    be set again while it is only a soft limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = memory_in_use() + budget_mb * MIB
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def out_of_memory(budget_mb: int) -> str:
    """The sentence for a user whose cell ran out of memory."""
    amount = f"{budget_mb / 1024:g} GB" if budget_mb >= 1024 else f"{budget_mb} MB"
    return (
        f"This cell reached the kernel's {amount} memory limit and was stopped. "
        "Use fewer qubits or smaller arrays, restart the kernel to free what it holds, or ask for more."
    )
